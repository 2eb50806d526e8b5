package dlq_test

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
)

func failure(change func(*dlq.Letter)) *dlq.Letter {
	l := &dlq.Letter{
		Verdict:   guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted},
		EventType: "order.paid", Handler: "order.paid", ErrorType: "*errors.errorString", Error: "order 17 not found",
	}
	change(l)
	return l
}

func TestFingerprintOfTexts(t *testing.T) {
	t.Parallel()
	base := dlq.Fingerprint(failure(func(*dlq.Letter) {}))
	if len(base) != 16 {
		t.Errorf("%q", base)
	}
	for name, c := range map[string]struct {
		change func(*dlq.Letter)
		same   bool
	}{
		"another number":   {func(l *dlq.Letter) { l.Error = "order 4711 not found" }, true},
		"an id":            {func(l *dlq.Letter) { l.Error = "order 7b0c-11e9 not found" }, true},
		"another line":     {func(l *dlq.Letter) { l.Error += "\ncustomer Ada" }, true},
		"another entity":   {func(l *dlq.Letter) { l.Entity, l.EventID, l.Attempts = "x", "y", 9 }, true},
		"another text":     {func(l *dlq.Letter) { l.Error = "customer 17 not found" }, false},
		"another reason":   {func(l *dlq.Letter) { l.Verdict.Reason = guards.Rejected }, false},
		"another type":     {func(l *dlq.Letter) { l.EventType = "order.made" }, false},
		"another handler":  {func(l *dlq.Letter) { l.Handler = "order.made" }, false},
		"another error":    {func(l *dlq.Letter) { l.ErrorType = "*net.OpError" }, false},
		"fields not mixed": {func(l *dlq.Letter) { l.EventType, l.Handler = "order.paidorder", ".paid" }, false},
	} {
		if same := dlq.Fingerprint(failure(c.change)) == base; same != c.same {
			t.Errorf("%s: same group %v, want %v", name, same, c.same)
		}
	}
}

const recovered = `goroutine 34 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
github.com/evenkeel-go/evenkeel/internal/lane.(*Lane).call.func1()
	/src/internal/lane/call.go:40 +0x45
panic({0x6b2f20?, 0xc000012345?})
	/usr/local/go/src/runtime/panic.go:792 +0x132
encoding/json.Unmarshal({0xc000, 0x1, 0x2}, {0x6, 0x7})
	/usr/local/go/src/encoding/json/decode.go:105 +0x1
gorm.io/gorm.(*DB).Create(0xc0001)
	/root/go/pkg/mod/gorm.io/gorm@v1.31.2/finisher_api.go:24 +0x9
orders/billing.(*Service).Paid.func2(0xc000180, {0x7f, 0x1})
	/app/billing/service.go:88 +0x1d
github.com/evenkeel-go/evenkeel/internal/lane.(*Lane).run(0xc0)
	/src/internal/lane/run.go:120 +0x2
created by main.main in goroutine 1
	/app/main.go:20 +0x3
`

func TestFingerprintOfStacks(t *testing.T) {
	t.Parallel()
	of := func(stack string) string {
		return dlq.Fingerprint(failure(func(l *dlq.Letter) { l.Stack = stack; l.Error = "text " + stack }))
	}
	base := of(recovered)
	for name, c := range map[string]struct {
		stack string
		same  bool
	}{
		"the next release": {strings.NewReplacer("service.go:88", "service.go:91", "func2", "func3", "0xc000180", "0xc4").Replace(recovered), true},
		"other dependency": {strings.ReplaceAll(recovered, "gorm.io/gorm", "example.com/orm"), true},
		"vendored":         {strings.ReplaceAll(recovered, "/root/go/pkg/mod/gorm.io/gorm@v1.31.2/", "/app/vendor/gorm.io/gorm/"), true},
		"another function": {strings.ReplaceAll(recovered, ".Paid.", ".Refunded."), false},
		"only a dependency": {
			strings.ReplaceAll(recovered, "/app/billing/service.go", "/root/go/pkg/mod/orders@v1/service.go"), false,
		},
	} {
		if same := of(c.stack) == base; same != c.same {
			t.Errorf("%s: same group %v, want %v", name, same, c.same)
		}
	}
	// Without any usable frame the text decides.
	for _, stack := range []string{"", "goroutine 1 [running]:", "\n\t\n(", "panic(\n\tx\n", "\npanic("} {
		l := failure(func(l *dlq.Letter) { l.Stack = stack })
		if dlq.Fingerprint(l) != dlq.Fingerprint(failure(func(*dlq.Letter) {})) {
			t.Errorf("stack %q counts", stack)
		}
	}
}

func TestFingerprintOfARealPanic(t *testing.T) {
	t.Parallel()
	stack := func(fail func()) (s string) {
		defer func() {
			if recover() != nil {
				s = string(debug.Stack())
			}
		}()
		fail()
		return ""
	}
	// This package's frames count as the framework's own, so the text decides; what
	// must not count is the runtime's frames or an address.
	a := failure(func(l *dlq.Letter) { l.Stack = stack(func() { panic(1) }) })
	b := failure(func(l *dlq.Letter) { l.Stack = stack(func() { _ = []int{}[len(l.Handler)] }) })
	if a.Stack == "" || b.Stack == "" {
		t.Fatal("no panic")
	}
	if dlq.Fingerprint(a) != dlq.Fingerprint(b) {
		t.Errorf("%s\n%s", a.Stack, b.Stack)
	}
}

func FuzzFingerprint(f *testing.F) {
	f.Add(recovered, "order 17")
	f.Add("a\n\tb", "")
	f.Add("x)\n\tb", "ä\xff9")
	f.Fuzz(func(t *testing.T, stack, text string) {
		l := failure(func(l *dlq.Letter) { l.Stack, l.Error = stack, text })
		if a, b := dlq.Fingerprint(l), dlq.Fingerprint(l); a != b || len(a) != 16 {
			t.Errorf("%s, %s", a, b)
		}
	})
}
