package event

import "testing"

func TestRecordHeader(t *testing.T) {
	t.Parallel()
	r := record("k", "v", "a", "1", "b", "", "a", "2", "n", null)
	for key, want := range map[string][]byte{"a": []byte("2"), "b": {}, "n": nil} {
		got, ok := r.Header(key)
		same(t, key, got, want)
		same(t, key+" is there", ok, true)
	}
	_, ok := r.Header("A")
	same(t, "another case", ok, false)
	same(t, "size", r.Size(), len("kv")+len("a1ba2n"))
}

func TestIsCompactionMarker(t *testing.T) {
	t.Parallel()
	r := record("k", "")
	same(t, "an empty value", r.IsCompactionMarker(), false)
	r.Value = nil
	same(t, "a null value", r.IsCompactionMarker(), true)
	r.Headers = []Header{{Key: "ce_id"}}
	same(t, "a null value with headers", r.IsCompactionMarker(), false)
}
