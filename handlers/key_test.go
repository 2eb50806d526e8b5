package handlers

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

type (
	named    string
	byNumber struct {
		ID int64
		guards.Guarded
	}
	bySmall struct {
		ID int8
		guards.Guarded
	}
	byUint struct {
		ID uint32
		guards.Guarded
	}
	byNamed struct {
		ID named
		guards.Guarded
	}
	byUUID struct {
		ID uuid
		guards.Guarded
	}
)

func modelOf[E any](t *testing.T) *Model {
	t.Helper()
	m, mistakes := newModel(reflect.TypeFor[E](), &schemaCache{namer: schema.NamingStrategy{}})
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return m
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model     *Model
		text      string
		key       any
		canonical string
	}{
		{modelOf[Order](t), "order-1", "order-1", "order-1"},
		{modelOf[Order](t), " 007 ü", " 007 ü", " 007 ü"},
		{modelOf[Order](t), strings.Repeat("x", 1024), strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		{modelOf[byNumber](t), "42", int64(42), "42"},
		{modelOf[byNumber](t), "-42", int64(-42), "-42"},
		{modelOf[byNumber](t), "010", int64(10), "10"}, // decimal, though GORM would say 8
		{modelOf[byNumber](t), "9223372036854775807", int64(math.MaxInt64), "9223372036854775807"},
		{modelOf[bySmall](t), "-128", int8(-128), "-128"},
		{modelOf[byUint](t), "4294967295", uint32(math.MaxUint32), "4294967295"},
		{modelOf[byNamed](t), "n", "n", "n"},
		{modelOf[byUUID](t), "00ff00aa", uuid{0, 255, 0, 170}, "00ff00aa"},
		{modelOf[byUUID](t), "00FF00AA", uuid{0, 255, 0, 170}, "00ff00aa"}, // one entity, one text
	} {
		key, canonical, err := c.model.ParseKey(c.text)
		if err != nil {
			t.Errorf("%s %q: %v", c.model.Name, c.text, err)
			continue
		}
		same(t, c.model.Name+" key of "+c.text, key, c.key)
		same(t, c.model.Name+" canonical text of "+c.text, canonical, c.canonical)
		text, err := c.model.KeyText(c.model.New(key))
		same(t, "error", err, nil)
		same(t, c.model.Name+" text of an entity", text, c.canonical)
		_, again, err := c.model.ParseKey(canonical)
		same(t, "error", err, nil)
		same(t, "canonical text read back", again, canonical)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model      *Model
		text, want string
	}{
		{modelOf[Order](t), "", "the entity key is empty; model Order needs a string, from the event's own key or handlers.Key"},
		{modelOf[Order](t), "a\x00", `the entity key "a\x00" holds a NUL byte, which no text column can hold`},
		{modelOf[Order](t), "\xff", `the entity key "\xff" is not UTF-8 text`},
		{modelOf[Order](t), strings.Repeat("x", 1025), `the entity key "` + strings.Repeat("x", 40) + `"… has 1025 bytes, at most 1024 can be indexed`},
		{modelOf[byNumber](t), "", "the entity key is empty; model byNumber needs a int64, from the event's own key or handlers.Key"},
		{modelOf[byNumber](t), "x", `the entity key "x" is not a int64, the type of byNumber.ID`},
		{modelOf[byNumber](t), "0x10", `the entity key "0x10" is not a int64, the type of byNumber.ID`},
		{modelOf[byNumber](t), "1_000", `the entity key "1_000" is not a int64, the type of byNumber.ID`},
		{modelOf[byNumber](t), " 1", `the entity key " 1" is not a int64, the type of byNumber.ID`},
		{modelOf[byNumber](t), "1.0", `the entity key "1.0" is not a int64, the type of byNumber.ID`},
		{modelOf[byNumber](t), "9223372036854775808", `the entity key "9223372036854775808" is not a int64, the type of byNumber.ID`},
		{modelOf[bySmall](t), "300", `the entity key "300" is not a int8, the type of bySmall.ID`}, // not 44
		{modelOf[byUint](t), "-1", `the entity key "-1" is not a uint32, the type of byUint.ID`},
		{modelOf[byUint](t), "4294967296", `the entity key "4294967296" is not a uint32, the type of byUint.ID`},
		{modelOf[byUUID](t), "zz", `the entity key "zz" is not a handlers.uuid, the type of byUUID.ID`},
	} {
		if _, _, err := c.model.ParseKey(c.text); err == nil || err.Error() != c.want {
			t.Errorf("%s %q:\n got %v\nwant %s", c.model.Name, c.text, err, c.want)
		}
	}
}

// fickle is a key type whose own code goes wrong in the ways that such code can.
type fickle string

type fickleKey struct{ text fickle }

func (k fickleKey) Value() (driver.Value, error) {
	switch k.text {
	case "error":
		return nil, errors.New("no value")
	case "binary":
		return []byte{0xff}, nil
	case "bytes":
		return []byte(k.text), nil
	}
	return strings.ToUpper(string(k.text)), nil
}

func (k *fickleKey) Scan(v any) error {
	text, _ := v.(string)
	if text == "UPPER" {
		return errors.New("lower case only")
	}
	k.text = fickle(text)
	return nil
}

type byFickle struct {
	ID fickleKey
	guards.Guarded
}

func TestKeysOfTypesThatGoWrong(t *testing.T) {
	t.Parallel()
	m := modelOf[byFickle](t)
	for text, want := range map[string]string{
		"error":  "the key of model byFickle: no value",
		"binary": `the key of model byFickle: handlers.fickleKey gives the bytes "\xff", which are no text`,
		"upper":  `the entity key "upper" is written as "UPPER" by handlers.fickleKey, which it does not read back`,
	} {
		_, _, err := m.ParseKey(text)
		same(t, text, fmt.Sprint(err), want)
	}
	_, canonical, err := m.ParseKey("bytes")
	same(t, "error", err, nil)
	same(t, "a key that is bytes of text", canonical, "bytes")
	type byFloat struct{ ID float64 }
	f, _ := newModel(reflect.TypeFor[byFloat](), &schemaCache{namer: schema.NamingStrategy{}})
	_, err = f.KeyText(reflect.ValueOf(&byFloat{}))
	same(t, "no text", fmt.Sprint(err), "the key of model byFloat has type float64, which can't be written as text")
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"", "0", "-0", "+7", "007", "00ff00aa", "00FF00aa", "\x00", "\xff"} {
		f.Add(s)
	}
	models := []*Model{}
	for _, t := range []reflect.Type{reflect.TypeFor[Order](), reflect.TypeFor[byNumber](), reflect.TypeFor[bySmall](), reflect.TypeFor[byUint](), reflect.TypeFor[byUUID]()} {
		m, mistakes := newModel(t, &schemaCache{namer: schema.NamingStrategy{}})
		if len(mistakes) > 0 {
			f.Fatal(mistakes)
		}
		models = append(models, m)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range models {
			key, canonical, err := m.ParseKey(text)
			if err != nil {
				continue
			}
			key2, canonical2, err := m.ParseKey(canonical)
			if err != nil || canonical2 != canonical || key2 != key {
				t.Fatalf("%s: %q is %v as %q, which reads back as %v as %q, %v", m.Name, text, key, canonical, key2, canonical2, err)
			}
		}
	})
}
