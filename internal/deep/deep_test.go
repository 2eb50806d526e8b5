package deep_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/deep"
)

type inner struct {
	Pointer *int
	hidden  []int
}

type everything struct {
	Slice   []inner
	Map     map[string][]int
	Pointer *inner
	Any     any
	Array   [1][]int
}

func TestDetachedValuesShareNothing(t *testing.T) {
	t.Parallel()
	n := 1
	original := everything{
		Slice: []inner{{Pointer: &n, hidden: []int{1}}}, Map: map[string][]int{"a": {1}}, Pointer: &inner{Pointer: &n},
		Any: []int{1}, Array: [1][]int{{1}},
	}
	c := original
	deep.Detach(reflect.ValueOf(&c).Elem())
	require.True(t, deep.Equal(reflect.ValueOf(original), reflect.ValueOf(c)))
	*c.Slice[0].Pointer, c.Map["a"][0], *c.Pointer.Pointer, c.Any.([]int)[0], c.Array[0][0] = 2, 2, 2, 2, 2
	require.Equal(t, 1, n)
	require.Equal(t, 1, original.Map["a"][0])
	require.Equal(t, 1, original.Any.([]int)[0])
	require.Equal(t, 1, original.Array[0][0])
}

func TestTimesAreEqualByTheirInstant(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	there := at.In(time.FixedZone("there", 3600))
	equal := func(a, b any) bool { return deep.Equal(reflect.ValueOf(a), reflect.ValueOf(b)) }
	require.True(t, equal(at, there))
	require.False(t, equal(at, at.Add(1)))
	require.True(t, equal([]int(nil), []int(nil)))
	require.False(t, equal([]int(nil), []int{}), "NULL is not the empty list")
}
