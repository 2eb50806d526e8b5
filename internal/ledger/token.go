package ledger

import (
	"strconv"
	"strings"
)

// Token is what the group's Kafka offset carries as metadata (R17): who committed it, so
// that an offset which an operator or a mirroring tool wrote can be told from our own.
type Token struct {
	Cluster string
	TopicID string
	Epoch   int64
	Offset  int64
}

const tokenPrefix = "ek1"

// String writes the token: "ek1;cluster;topic id;epoch;offset".
func (t Token) String() string {
	return strings.Join([]string{
		tokenPrefix, t.Cluster, t.TopicID,
		strconv.FormatInt(t.Epoch, 10), strconv.FormatInt(t.Offset, 10),
	}, ";")
}

// ParseToken reads a token; ok is false for any other text.
func ParseToken(s string) (t Token, ok bool) {
	parts := strings.Split(s, ";")
	if len(parts) != 5 || parts[0] != tokenPrefix {
		return Token{}, false
	}
	epoch, err1 := strconv.ParseInt(parts[3], 10, 64)
	offset, err2 := strconv.ParseInt(parts[4], 10, 64)
	if err1 != nil || err2 != nil || epoch < 0 || offset < 0 {
		return Token{}, false
	}
	return Token{Cluster: parts[1], TopicID: parts[2], Epoch: epoch, Offset: offset}, true
}
