package tables

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// EncodeRanges writes ranges as "from-to@watermark" with a space between them; without a
// watermark the part from the @ is missing. To is exclusive. A person can read it with
// plain SQL.
func EncodeRanges(rs ledger.Ranges) string {
	b := make([]byte, 0, len(rs)*32)
	for i, r := range rs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, r.From, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, r.To, 10)
		if r.HasWatermark {
			b = append(b, '@')
			b = strconv.AppendInt(b, r.Watermark, 10)
		}
	}
	return string(b)
}

// DecodeRanges reads what EncodeRanges wrote. An error says that somebody else has
// written the column.
func DecodeRanges(s string) (ledger.Ranges, error) {
	var rs ledger.Ranges
	for s != "" {
		var word string
		word, s, _ = strings.Cut(s, " ")
		var r ledger.Range
		span, mark, has := strings.Cut(word, "@")
		from, to, ok := strings.Cut(span, "-")
		var errs [3]error
		r.From, errs[0] = strconv.ParseInt(from, 10, 64)
		r.To, errs[1] = strconv.ParseInt(to, 10, 64)
		if has {
			r.HasWatermark = true
			r.Watermark, errs[2] = strconv.ParseInt(mark, 10, 64)
		}
		if !ok || errs != [3]error{} || r.From >= r.To || len(rs) > 0 && rs[len(rs)-1].To > r.From {
			return nil, fmt.Errorf("evenkeel_ledger holds the range %q; expected ascending \"from-to@watermark\": restore the row", word)
		}
		rs = append(rs, r)
	}
	return rs, nil
}
