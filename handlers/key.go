package handlers

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
)

// ParseKey converts an entity key to the primary key's type and returns it with its
// canonical text, by which the entity is known in letters, parked rows and locks. Texts
// that mean one key, like "7" and "007" for a number, have one canonical text. Whole
// numbers are decimal. The error is a sentence for people.
func (m *Model) ParseKey(text string) (key any, canonical string, err error) {
	switch {
	case text == "":
		return nil, "", fmt.Errorf("the entity key is empty; model %s needs a %s, from the event's own key or handlers.Key", m.Name, m.Key.Field.FieldType)
	case len(text) > event.MaxKeyBytes:
		return nil, "", fmt.Errorf("the entity key %.40q… has %d bytes, at most %d can be indexed", text, len(text), event.MaxKeyBytes)
	case !utf8.ValidString(text):
		return nil, "", fmt.Errorf("the entity key %q is not UTF-8 text", text)
	case strings.IndexByte(text, 0) >= 0:
		return nil, "", fmt.Errorf("the entity key %q holds a NUL byte, which no text column can hold", text)
	}
	f := m.Key.Field
	if f.FieldType.Kind() == reflect.String && f.Serializer == nil {
		return text, text, nil
	}
	v := reflect.New(m.Type)
	if !m.setKey(v, text) {
		return nil, "", fmt.Errorf("the entity key %q is not a %s, the type of %s.%s", text, f.FieldType, m.Name, m.Key.GoName())
	}
	if canonical, err = m.KeyText(v); err != nil {
		return nil, "", err
	}
	if canonical != text && !isInteger(f.FieldType) {
		// What the canonical text names must be the same entity when it comes back from a
		// letter or a parked row.
		again, back := reflect.New(m.Type), ""
		if m.setKey(again, canonical) {
			back, err = m.KeyText(again)
		}
		if err == nil && back == canonical {
			return m.Key.Value(v).Interface(), canonical, nil
		}
		return nil, "", fmt.Errorf("the entity key %q is written as %q by %s, which it does not read back", text, canonical, f.FieldType)
	}
	return m.Key.Value(v).Interface(), canonical, nil
}

// setKey sets the entity's key. Whole numbers are not left to GORM, which takes "010"
// for 8 and cuts what is too large for the type: another entity's row.
func (m *Model) setKey(entity reflect.Value, text string) bool {
	f := m.Key.Field
	if !isInteger(f.FieldType) || f.Serializer != nil {
		return f.Set(background, entity.Elem(), text) == nil
	}
	v, bits := m.Key.Value(entity), f.FieldType.Bits()
	if v.CanInt() {
		n, err := strconv.ParseInt(text, 10, bits)
		v.SetInt(n)
		return err == nil
	}
	n, err := strconv.ParseUint(text, 10, bits)
	v.SetUint(n)
	return err == nil
}

func isInteger(t reflect.Type) bool {
	return reflect.Int <= t.Kind() && t.Kind() <= reflect.Uint64
}

// KeyText is the canonical text of the entity's key.
func (m *Model) KeyText(entity reflect.Value) (string, error) {
	f := m.Key.Value(entity)
	switch {
	case f.Kind() == reflect.String:
		return f.String(), nil
	case f.CanInt():
		return strconv.FormatInt(f.Int(), 10), nil
	case f.CanUint():
		return strconv.FormatUint(f.Uint(), 10), nil
	}
	valuer, ok := f.Interface().(driver.Valuer)
	if !ok {
		return "", fmt.Errorf("the key of model %s has type %s, which can't be written as text", m.Name, f.Type())
	}
	v, err := valuer.Value()
	if err != nil {
		return "", fmt.Errorf("the key of model %s: %w", m.Name, err)
	}
	text := fmt.Sprint(v)
	if b, ok := v.([]byte); ok {
		text = string(b)
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return "", fmt.Errorf("the key of model %s: %s gives the bytes %q, which are no text", m.Name, f.Type(), text)
	}
	return text, nil
}

var (
	valuerType  = reflect.TypeFor[driver.Valuer]() //nolint:gochecknoglobals // a constant
	scannerType = reflect.TypeFor[sql.Scanner]()   //nolint:gochecknoglobals // a constant
)

// canBeKey reports whether ParseKey can make such a key of text and KeyText text of it.
func canBeKey(f *schema.Field) bool {
	t := f.FieldType
	return t.Kind() == reflect.String || isInteger(t) ||
		t.Kind() != reflect.Pointer && t.Implements(valuerType) && reflect.PointerTo(t).Implements(scannerType)
}
