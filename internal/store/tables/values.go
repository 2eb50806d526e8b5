package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
)

// LockKey is the advisory lock of an entity key (R9).
func LockKey(table, key string) int64 {
	h := sha256.New()
	h.Write([]byte("evenkeel\x00" + table + "\x00" + key))
	return int64(binary.BigEndian.Uint64(h.Sum(nil))) //nolint:gosec // its bits
}

// Micros cuts a time to what databases keep.
func Micros(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// Time is the time of a column.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// Cut cuts a time, or what a pointer to one points to, to microseconds in UTC, so that
// all databases keep the same of it; other values pass.
func Cut(v any) any {
	switch t := v.(type) {
	case time.Time:
		return Micros(t)
	case gorm.DeletedAt:
		if t.Valid {
			return Micros(t.Time)
		}
	case *time.Time:
		if t != nil {
			return Micros(*t)
		}
	}
	return v
}

// GuardedIndex finds guards.Guarded in a model's struct; nil if it isn't there.
func GuardedIndex(t reflect.Type) []int {
	want := reflect.TypeFor[guards.Guarded]()
	for _, f := range reflect.VisibleFields(t) {
		if f.Type == want {
			return f.Index
		}
	}
	return nil
}
