package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
)

func readInt(cell []byte) int64     { return int64(binary.BigEndian.Uint64(cell)) } //nolint:gosec // its bits
func readFloat(cell []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(cell)) }

var errInfinite = errors.New("the column holds an infinite time, which Go's time.Time can't be")

func readTime(cell []byte) (time.Time, error) {
	n := readInt(cell)
	if n == math.MaxInt64 || n == math.MinInt64 {
		return time.Time{}, errInfinite
	}
	return time.UnixMicro(n + pgEpoch).UTC(), nil
}

func setInt(v reflect.Value, n int64) error {
	if v.OverflowInt(n) {
		return fmt.Errorf("the column holds %d, which is no %s", n, v.Type())
	}
	v.SetInt(n)
	return nil
}

func setUint(v reflect.Value, n int64) error {
	if n < 0 || v.OverflowUint(uint64(n)) {
		return fmt.Errorf("the column holds %d, which is no %s", n, v.Type())
	}
	v.SetUint(uint64(n))
	return nil
}
