package guards

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestGuardedColumns pins R5: a service's own Save must not write stale clocks back, and
// adding the columns to a table that has rows must be one statement.
func TestGuardedColumns(t *testing.T) {
	t.Parallel()
	g := reflect.TypeFor[Guarded]()
	for i := range g.NumField() {
		f := g.Field(i)
		tag := f.Tag.Get("gorm")
		for _, part := range []string{"column:ek_", "->", "not null", "default:"} {
			if !strings.Contains(tag, part) {
				t.Errorf("%s: the tag %q lacks %q", f.Name, tag, part)
			}
		}
		if !strings.HasPrefix(f.Name, "Ek") {
			t.Errorf("%s could hide a field of the user's", f.Name)
		}
	}
	b, err := json.Marshal(Guarded{EkRev: 1, EkTime: 2, EkTie: []byte("x"), EkFields: "y", EkState: Alive, EkBorn: 3, EkGen: 4})
	if err != nil || string(b) != "{}" {
		t.Errorf("clocks show in JSON: %s, %v", b, err)
	}
}
