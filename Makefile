# Everything here needs Go and a C compiler; what needs more says so. Everything that is
# started is also stopped, however the command ends.

# The linter's own dependencies stay out of go.mod.
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := .bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

# Tests of behaviours mostly wait: for a group to settle, a session to end, a time to come.
PARALLEL ?= 7

# What begins no goroutine and computes for long: the race detector would find nothing in it,
# and take four times as long.
PURE := ./internal/batch

# How long each fuzz target runs.
FUZZTIME ?= 20s

# How many early events, or letters, to measure.
N ?= 200000

# Run as a binary and not by go run, which would not pass an interrupt's end on.
PARTS := .bin/parts

# The Kafka client is C.
export CGO_ENABLED := 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the demo; nothing is needed. ARGS="…" goes to it, ARGS=-h lists what it takes
	go run ./examples/orders $(ARGS)

.PHONY: build
build: ## Build the command bin/evenkeel
	go build -o bin/evenkeel ./cmd/evenkeel

.PHONY: man
man: build ## Write the man pages into man/
	@mkdir -p man
	bin/evenkeel man man

.PHONY: test
test: ## Run all tests on the embedded broker, SQLite and PostgreSQL (fetched)
	go test $(PURE)
	go test -race -timeout 30m -parallel $(PARALLEL) $$(go list ./... | grep -vxF "$$(go list $(PURE))")

.PHONY: test-kafka
test-kafka: $(PARTS) ## Run the conformance suite and the walk on Apache Kafka and PostgreSQL (needs Java, Maven)
	@$(PARTS) check
	$(PARTS) run -kafka -postgres go test -race -count=1 -timeout 30m -parallel $(PARALLEL) ./conformance/... ./examples/dlq

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target for FUZZTIME (20s) each
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: kafka
kafka: $(PARTS) ## Run Apache Kafka until Ctrl-C (needs Java, Maven); ARGS="-port 9092 -brokers 3"
	@$(PARTS) kafka $(ARGS)

.PHONY: postgres
postgres: $(PARTS) ## Run PostgreSQL until Ctrl-C; ARGS="-port 5432"
	@$(PARTS) postgres $(ARGS)

.PHONY: early
early: $(PARTS) ## Measure N (200000) early events on PostgreSQL, or elsewhere: ARGS="-dsn … -mode gap"
	@go build -o .bin/early ./internal/parts/cmd/early
	@$(PARTS) run -postgres .bin/early -n $(N) $(ARGS)

.PHONY: letters
letters: $(PARTS) ## Measure what people ask of N (200000) dead letters on PostgreSQL
	@go build -o .bin/letters ./internal/parts/cmd/letters
	@$(PARTS) run -postgres .bin/letters -n $(N) $(ARGS)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check the code, the imports that the design allows, and the formatting
	$(GOLANGCI_LINT) run ./...
	@scripts/source.sh

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code
	$(GOLANGCI_LINT) fmt ./...

# Always asked for, as go build knows best whether it is up to date.
.PHONY: $(PARTS)
$(PARTS):
	@go build -o $@ ./internal/parts/cmd/parts

$(GOLANGCI_LINT):
	@mkdir -p .bin
	GOBIN="$(CURDIR)/.bin" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv .bin/golangci-lint $@
