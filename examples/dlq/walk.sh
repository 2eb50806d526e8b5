#!/usr/bin/env bash
# A bad release, and what people on call do about it. Needs Go and a C compiler; with
#
#   SHOP_BROKERS=host:port EVENKEEL_DSN=postgres://… examples/dlq/walk.sh
#
# it runs on servers of yours (an empty database, no topics named shop or shop.dlq).
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$home"
}
trap finish EXIT
go build -o "$home/shop" ./examples/dlq
PATH="$home:$PATH"
export EVENKEEL_DSN=${EVENKEEL_DSN:-file:$home/shop.db} COLUMNS=100

if [ -z "${SHOP_BROKERS:-}" ]; then
	shop broker >"$home/brokers" &
	pids+=($!)
	until [ -s "$home/brokers" ]; do sleep 0.1; done
	SHOP_BROKERS=$(cat "$home/brokers")
fi
export SHOP_BROKERS

say() { printf '\n# %s\n' "$*"; }
# run shows a command, and what it prints.
run() {
	local word
	printf '$'
	for word; do
		case $word in
		*[!A-Za-z0-9_.,:/=-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	"$@"
}
# want runs a command that must end with a code other than 0.
want() {
	local code=$1 got=0
	shift
	run "$@" || got=$?
	[ "$got" = "$code" ] || fail "$* ended with $got, expected $code"
}
fail() {
	printf 'walk: %s\n' "$*" >&2
	exit 1
}
# count is how many letters there are, of those that the flags choose.
count() { shop evenkeel dlq list --limit 100000 -o jsonl "$@" | wc -l | tr -d ' ' || true; }

serve() {
	SHOP_RELEASE=$1 shop serve &
	service=$!
	pids+=("$service")
}
stop() {
	kill "$service"
	wait "$service" || true
}

say "20,000 events, and release 1.5.0"
shop evenkeel migrate >/dev/null
shop tables
shop produce --events 20000
serve 1.5.0
shop wait
[ "$(count)" = 1000 ] || fail "$(count) letters, expected 1000"
stop

say "what happened?"
run shop evenkeel dlq groups
[ "$(shop evenkeel dlq groups -o jsonl | wc -l)" -eq 3 ] || fail "expected three causes"
run shop evenkeel dlq list --limit 5
one=$(shop evenkeel dlq list --limit 1 --handler points -o jsonl 2>/dev/null | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
run shop evenkeel dlq explain "$one" | tee "$home/explained"
grep -q 'main.service.points' "$home/explained" || fail "the explanation does not name the function that panicked"
run shop evenkeel dlq list --filter 'payload.data.country == "NL" && letter.attempts > 1' --limit 3

say "release 1.5.1 has the mend; what would a replay come to?"
before=$(shop hash)
run shop evenkeel dlq replay "$one" --dry-run
shop evenkeel dlq replay --all --dry-run -o jsonl >"$home/forecast" 2>/dev/null
[ "$before" = "$(shop hash)" ] || fail "the dry run has changed something"

say "a few first, then the rest"
serve 1.5.1
run shop evenkeel dlq replay --all --ramp 1,5,20,100 --yes --why "mended in 1.5.1" --wait 2m
run shop evenkeel jobs list
shop wait
run shop check
run shop evenkeel dlq stats

say "each letter has ended once, and as the dry run had told"
ended=$(shop evenkeel audit --verb resolve --limit 100000 -o jsonl 2>/dev/null | grep -o '"letter":"[0-9a-f]*"' | sort)
[ "$(wc -l <<<"$ended")" -eq 1000 ] || fail "$(wc -l <<<"$ended") letters have ended, expected 1000"
[ -z "$(uniq -d <<<"$ended")" ] || fail "these letters have ended twice: $(uniq -d <<<"$ended")"
outcomes() { sed 's/.*"id":"\([0-9a-f]*\)".*"outcome":"\([a-z]*\)".*/\1 \2/' | sort; }
shop evenkeel dlq list --state resolved --limit 100000 -o jsonl | outcomes >"$home/came"
outcomes <"$home/forecast" | diff - "$home/came" >&2 || fail "the dry run has told something else"
cut -d' ' -f2 "$home/came" | sort | uniq -c
stop

say "all of it once more, 100 times: nothing to do"
before=$(shop hash)
want 4 shop evenkeel dlq replay --all --yes
for _ in $(seq 99); do
	code=0
	shop evenkeel dlq replay --all --yes >/dev/null 2>&1 || code=$?
	[ "$code" = 4 ] || fail "replaying nothing ended with $code, expected 4"
done
[ "$before" = "$(shop hash)" ] || fail "replaying again has changed something"

say "and all 20,000 events once more, from the beginning of the topic"
# The rows with their revisions, the ids that are remembered, and how the letters ended; when
# their copies were published is nobody's effect.
seen() {
	shop hash --of orders,customers,parcels,evenkeel_ids
	shop evenkeel dlq list --limit 100000 -o jsonl | outcomes
}
without_effect() { shop verdicts | awk '{ n += $1 } END { print n + 0 }'; }
before=$(seen)
known=$(without_effect)
shop rewind
serve 1.5.1
shop wait
run shop verdicts
stop
again=$(($(without_effect) - known))
[ "$again" = 22000 ] || fail "$again times an event had no effect, expected 22000: each once, and the 2,000 payments, which two handlers take, twice"
[ "$before" = "$(seen)" ] || fail "reading the events again has changed something"
[ "$(count --state resolved)" = 1000 ] || fail "$(count --state resolved) letters are resolved, expected 1000"
want 4 shop evenkeel dlq list --state open
run shop check
