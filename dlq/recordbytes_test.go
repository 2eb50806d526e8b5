package dlq_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
)

func TestHeaderBytesKeepOrderRepeatsAndNull(t *testing.T) {
	t.Parallel()
	headers := []event.Header{
		{Key: "b", Value: []byte("2")},
		{Key: "a", Value: nil},
		{Key: "a", Value: []byte{}},
		{Key: "", Value: []byte{0, 0xff}},
		{Key: "b", Value: []byte("1")},
		{Key: "no utf-8 \xfe", Value: make([]byte, 300)},
	}
	got, err := dlq.DecodeHeaders(dlq.EncodeHeaders(headers))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, headers) {
		t.Errorf("got  %#v\nwant %#v", got, headers)
	}
}

func TestHeaderBytesLayoutIsStored(t *testing.T) {
	t.Parallel()
	// The bytes stand in users' tables: a change here needs a new version byte.
	const want = "\x01\x01k\x02v\x01n\x00\x01e\x01"
	got := dlq.EncodeHeaders([]event.Header{{Key: "k", Value: []byte("v")}, {Key: "n"}, {Key: "e", Value: []byte{}}})
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoHeadersAreNoBytes(t *testing.T) {
	t.Parallel()
	for _, headers := range [][]event.Header{nil, {}} {
		if b := dlq.EncodeHeaders(headers); b == nil || len(b) != 0 {
			t.Errorf("EncodeHeaders(%#v) = %#v, want empty and not nil", headers, b)
		}
	}
	for _, b := range [][]byte{nil, {}} {
		if h, err := dlq.DecodeHeaders(b); h != nil || err != nil {
			t.Errorf("DecodeHeaders(%#v) = %v, %v", b, h, err)
		}
	}
}

func TestHeaderBytesThatAreNoneAreErrors(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]string{
		"other version":     "\x02\x01k\x02v",
		"cut in the key":    "\x01\x05k",
		"cut in the value":  "\x01\x01k\x03v",
		"no value":          "\x01\x01k",
		"endless length":    "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"length over int64": "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k",
	} {
		if h, err := dlq.DecodeHeaders([]byte(b)); !errors.Is(err, dlq.ErrHeaderBytes) {
			t.Errorf("%s: got %v, %v", name, h, err)
		}
	}
}

func FuzzDecodeHeaders(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x01k\x02v\x01n\x00\x01e\x01"))
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k"))
	f.Fuzz(func(t *testing.T, b []byte) {
		headers, err := dlq.DecodeHeaders(b)
		if err != nil {
			if !errors.Is(err, dlq.ErrHeaderBytes) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := dlq.DecodeHeaders(dlq.EncodeHeaders(headers))
		if err != nil || !reflect.DeepEqual(again, headers) {
			t.Fatalf("%#v came back as %#v, %v", headers, again, err)
		}
	})
}
