package event

import "testing"

// The payload is what real topics carry: half a kilobyte that no codec may decode.
const benchData = `{"orderId":"4f7c1f4e-6a57-4f0c-9a57-0e3f2f9d8c11","customer":{"id":"c-10293","name":"Jürgen Groß","tags":["a","b","c"]},` +
	`"lines":[{"sku":"A-1001","qty":2,"price":19.99},{"sku":"B-2002","qty":1,"price":149.00},{"sku":"C-3003","qty":10,"price":0.99}],` +
	`"note":"please \"ring\" twice","shipping":{"street":"Hauptstraße 1","zip":"10115","city":"Berlin","country":"DE"},"total":199.88,"currency":"EUR"}`

func benchmark(b *testing.B, c Codec, r *Record) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(int64(r.Size()))
	for b.Loop() {
		var e Event
		if err := c.Decode(r, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCloudEventsBinary(b *testing.B) {
	benchmark(b, CloudEvents(), record("order-1", benchData, append([]string{
		"content-type", "application/json", "ce_subject", "order-1", "ce_time", "2026-05-28T20:26:43.123456Z", "ce_sequence", "17",
	}, binaryHeaders...)...))
}

func BenchmarkCloudEventsStructured(b *testing.B) {
	benchmark(b, CloudEvents(), record("order-1", `{"specversion":"1.0","id":"e-1","source":"/shop","type":"order.placed","subject":"order-1",`+
		`"datacontenttype":"application/json","time":"2026-05-28T20:26:43.123456Z","sequence":17,"data":`+benchData+`}`,
		"content-type", "application/cloudevents+json"))
}

func BenchmarkEnvelope(b *testing.B) {
	benchmark(b, Envelope(EnvelopeConfig{}), record("order-1", `{"id":"e-1","source":"/shop","type":"order.placed","key":"order-1",`+
		`"time":"2026-05-28T20:26:43.123456Z","version":17,"data":`+benchData+`}`))
}

func BenchmarkHeaders(b *testing.B) {
	benchmark(b, Headers(HeadersConfig{}), record("order-1", benchData, "id", "e-1", "source", "/shop", "type", "order.placed",
		"time", "2026-05-28T20:26:43.123456Z", "version", "17"))
}

func BenchmarkTie(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if Tie(true, "/shop/orders", "4f7c1f4e-6a57-4f0c-9a57-0e3f2f9d8c11") == "" {
			b.Fatal("empty")
		}
	}
}
