package event

import "strconv"

// MaxLamport is the highest Lamport time that an event may carry: from there on a clock
// that merges it could not go on for long.
const MaxLamport = 1 << 62

const expectedLamport = "a whole number from 0 to 4611686018427387904"

// lamport returns the event's Lamport time and whether it has one.
func (m *metadata) lamport() (int64, bool, error) {
	raw := m.plain(slotLamport)
	if len(raw) == 0 {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || lamportFault(n) {
		return 0, false, m.fault(m.label(slotLamport), expectedLamport, m.describe(slotLamport), m.mendLamport)
	}
	return n, true, nil
}

func lamportFault(n int64) bool { return n < 0 || n > MaxLamport }

// vector returns the event's vector clock, nil when it has none.
func (m *metadata) vector() (Vector, error) {
	raw := m.plain(slotVector)
	if len(raw) == 0 {
		return nil, nil
	}
	v, expected := parseVector(raw)
	if expected != "" {
		return nil, m.fault(m.label(slotVector), expected, m.describe(slotVector), m.mendVector)
	}
	return v, nil
}

// finishLogical checks the stamps that a codec of the user's has filled in.
func finishLogical(codec string, e *Event) error {
	if e.HasLamport && lamportFault(e.Lamport) {
		return &DecodeError{Codec: codec, Field: "lamport", Expected: expectedLamport, Found: strconv.FormatInt(e.Lamport, 10)}
	}
	if e.Vector == nil {
		return nil
	}
	v, expected := canonical(e.Vector)
	if expected != "" {
		return &DecodeError{Codec: codec, Field: "vector", Expected: expected, Found: quoteShort([]byte(e.Vector.String()))}
	}
	e.Vector = v
	return nil
}
