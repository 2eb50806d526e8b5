package dlq

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/evenkeel-go/evenkeel/event"
)

// headersVersion starts every non-empty encoding, so that a later layout can be told
// from this one in tables that hold both.
const headersVersion = 1

// ErrHeaderBytes says that bytes are not what [EncodeHeaders] writes.
var ErrHeaderBytes = errors.New("not an encoding of record headers")

// EncodeHeaders writes headers as the bytes that the tables of Evenkeel store: order,
// repeated keys, keys that are not UTF-8 and the difference between a null and an empty
// value survive. No headers are no bytes; the result is never nil, to fit a column that
// is NOT NULL.
//
// The layout is one byte with the version, 1, then for each header the length of the
// key, the key, the length of the value plus one, or 0 for null, and the value. Lengths
// are unsigned varints as in encoding/binary.
func EncodeHeaders(headers []event.Header) []byte {
	if len(headers) == 0 {
		return []byte{}
	}
	n := 1
	for i := range headers {
		n += len(headers[i].Key) + len(headers[i].Value) + 2*binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, n), headersVersion)
	for i := range headers {
		h := &headers[i]
		b = binary.AppendUvarint(b, uint64(len(h.Key)))
		b = append(b, h.Key...)
		if h.Value == nil {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(h.Value))+1)
		b = append(b, h.Value...)
	}
	return b
}

// DecodeHeaders reads what [EncodeHeaders] wrote; no headers come back as nil. The
// values are parts of b. Whatever the bytes, it returns headers or an error that wraps
// [ErrHeaderBytes]; it never panics, and allocates no more than the bytes call for.
func DecodeHeaders(b []byte) ([]event.Header, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != headersVersion {
		return nil, fmt.Errorf("%w: version %d, expected %d; a newer release may have written it", ErrHeaderBytes, b[0], headersVersion)
	}
	d := headerReader{b: b, at: 1}
	var headers []event.Header
	for d.at < len(b) {
		key, err := d.part(0)
		if err != nil {
			return nil, err
		}
		value, err := d.part(1)
		if err != nil {
			return nil, err
		}
		headers = append(headers, event.Header{Key: string(key), Value: value})
	}
	return headers, nil
}

type headerReader struct {
	b  []byte
	at int
}

// part reads a length and that many bytes. bias is what the writer added to the length:
// a length below it is null.
func (d *headerReader) part(bias uint64) ([]byte, error) {
	n, size := binary.Uvarint(d.b[d.at:])
	if size <= 0 {
		return nil, fmt.Errorf("%w: no length at byte %d of %d", ErrHeaderBytes, d.at, len(d.b))
	}
	start := d.at + size
	d.at = start
	if n < bias {
		return nil, nil
	}
	n -= bias
	if n > uint64(len(d.b)-start) { //nolint:gosec // start is not behind the end
		return nil, fmt.Errorf("%w: %d bytes announced at byte %d, %d there", ErrHeaderBytes, n, start, len(d.b)-start)
	}
	d.at = start + int(n) //nolint:gosec // not above len(d.b), see the check
	return d.b[start:d.at:d.at], nil
}
