package guards

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// constants returns the names of the package's constants of a type, read from its
// source: a constant that somebody adds fails the tests of the words until it has one.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			inherited := ""
			for _, spec := range group.Specs {
				c := spec.(*ast.ValueSpec)
				if id, ok := c.Type.(*ast.Ident); ok {
					inherited = id.Name
				} else if len(c.Values) > 0 {
					inherited = ""
				}
				if inherited == typeName {
					for _, n := range c.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// words checks that every constant of the type has the word that tables, letters and
// logs rely on, and that a number which is none is not taken for one.
func words(t *testing.T, typeName string, want map[string][2]string) {
	t.Helper()
	var named []string
	seen := map[string]string{}
	for name, w := range want {
		if w[0] != w[1] {
			t.Errorf("%s: the word is %q, want %q", name, w[0], w[1])
		}
		if other, ok := seen[w[0]]; ok {
			t.Errorf("%s and %s have one word, %q", name, other, w[0])
		}
		seen[w[0]] = name
		if name != "" {
			named = append(named, name)
		}
	}
	slices.Sort(named)
	if declared := constants(t, typeName); !slices.Equal(declared, named) {
		t.Errorf("%s declares %v, the test knows %v", typeName, declared, named)
	}
}

func TestEnums(t *testing.T) {
	t.Parallel()
	words(t, "Action", map[string][2]string{
		"Apply":      {Apply.String(), "apply"},
		"Discard":    {Discard.String(), "discard"},
		"Park":       {Park.String(), "park"},
		"DeadLetter": {DeadLetter.String(), "dead-letter"},
		"":           {Action(77).String(), "action-77"},
	})
	words(t, "Kind", map[string][2]string{
		"KindNone":      {KindNone.String(), "none"},
		"KindTimestamp": {KindTimestamp.String(), "timestamp"},
		"KindVersion":   {KindVersion.String(), "version"},
		"KindSequence":  {KindSequence.String(), "sequence"},
		"KindOnce":      {KindOnce.String(), "once"},
		"KindLamport":   {KindLamport.String(), "lamport"},
		"KindVector":    {KindVector.String(), "vector"},
		"":              {Kind(0).String(), "unknown"},
	})
	words(t, "GapPolicy", map[string][2]string{
		"GapDeadLetter": {GapDeadLetter.String(), "dead-letter"},
		"GapSkip":       {GapSkip.String(), "skip"},
		"GapReplay":     {GapReplay.String(), "replay"},
		"":              {GapPolicy(9).String(), "GapPolicy(9)"},
	})
	words(t, "Phase", map[string][2]string{
		"PhaseDecode":    {PhaseDecode.String(), "decode"},
		"PhaseAdmission": {PhaseAdmission.String(), "admission"},
		"PhaseRow":       {PhaseRow.String(), "row"},
		"":               {Phase(0).String(), "unknown"},
	})
	words(t, "Existence", map[string][2]string{
		"Foreign":     {Foreign.String(), "foreign"},
		"Placeholder": {Placeholder.String(), "placeholder"},
		"Alive":       {Alive.String(), "live"},
		"Deleted":     {Deleted.String(), "deleted"},
		"Missing":     {Missing.String(), "missing"},
		"":            {Existence(6).String(), "unknown"},
	})
	words(t, "Reason", map[string][2]string{
		"Applied":          {string(Applied), "applied"},
		"Duplicate":        {string(Duplicate), "duplicate"},
		"Superseded":       {string(Superseded), "superseded"},
		"Redelivered":      {string(Redelivered), "redelivered"},
		"Unhandled":        {string(Unhandled), "unhandled"},
		"NoEntity":         {string(NoEntity), "no-entity"},
		"CompactionMarker": {string(CompactionMarker), "compaction-marker"},
		"Refused":          {string(Refused), "refused"},
		"Retry":            {string(Retry), "retry"},
		"Behind":           {string(Behind), "behind"},
		"Gap":              {string(Gap), "gap"},
		"Conflict":         {string(Conflict), "conflict"},
		"MissingRow":       {string(MissingRow), "missing"},
		"Late":             {string(Late), "late"},
		"Future":           {string(Future), "future"},
		"Poison":           {string(Poison), "poison"},
		"Rejected":         {string(Rejected), "rejected"},
		"Exhausted":        {string(Exhausted), "exhausted"},
		"Constraint":       {string(Constraint), "constraint"},
		"Orphaned":         {string(Orphaned), "orphaned"},
	})
}

// TestStoredNumbers pins what tables hold: another number under the same name would
// give old rows another meaning.
func TestStoredNumbers(t *testing.T) {
	t.Parallel()
	for i, a := range []Action{Apply, Discard, Park, DeadLetter} {
		if int(a) != i+1 {
			t.Errorf("%s is %d", a, a)
		}
	}
	for i, e := range []Existence{Missing, Foreign, Placeholder, Alive, Deleted} {
		if int(e) != i-1 {
			t.Errorf("%s is %d", e, e)
		}
	}
}
