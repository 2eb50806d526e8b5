package dlq

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text makes s fit for a text column and a header of at most limit bytes: invalid UTF-8
// becomes U+FFFD and NUL, which Postgres refuses in text, becomes the two characters \0,
// so that the letter about broken bytes isn't refused for them. What is longer than limit
// is cut between two characters and ends with how many bytes are missing. A limit below
// 32 counts as 32.
func Text(s string, limit int) string {
	s = strings.ToValidUTF8(s, "�")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", `\0`)
	}
	return clip(s, limit)
}

// clip cuts s to limit bytes, saying how many are missing; other than [Text] it leaves
// the bytes that stay as they are.
func clip(s string, limit int) string {
	limit = max(limit, 32)
	if len(s) <= limit {
		return s
	}
	// The mark's own length depends on the number in it; the longest is good for all.
	keep := limit - len(cutMark(len(s)))
	for back := 0; back < utf8.UTFMax && keep > 0 && !utf8.RuneStart(s[keep]); back++ {
		keep--
	}
	return s[:keep] + cutMark(len(s)-keep)
}

func cutMark(bytes int) string { return "…(+" + strconv.Itoa(bytes) + " bytes)" }
