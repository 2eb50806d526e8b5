// Package ownsql gives handlers a transaction for SQL of their own (R19): a savepoint inside
// the batch's transaction, and a connection that looks at each statement before it lets it
// through.
package ownsql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	word   kind = iota + 1 // a keyword or a name without quotes
	quoted                 // a name in quotes
	text                   // a string; SQLite takes one for a name, too
	mark                   // anything else, one rune
	opaque                 // a name whose characters are escaped: it is not decoded
)

// token is a piece of a statement. The text of names and strings is without quotes.
type token struct {
	kind kind
	text string
}

func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.text, keyword) }

// lexer splits SQL into tokens. It is total: whatever is no SQL becomes marks, and what is
// not closed ends with the input.
type lexer struct {
	sql      string
	at       int
	postgres bool
}

// lex returns the tokens of each statement. Comments are left out, and so are statements
// that hold nothing else.
func lex(sql string, postgres bool) (statements [][]token) {
	l := &lexer{sql: sql, postgres: postgres}
	var ts []token
	end := func() {
		if len(ts) > 0 {
			statements = append(statements, ts)
		}
		ts = nil
	}
	for {
		t, ok := l.next()
		switch {
		case !ok:
			end()
			return statements
		case t.kind == mark && t.text == ";":
			end()
		default:
			ts = append(ts, t)
		}
	}
}

func (l *lexer) rest() string { return l.sql[l.at:] }

func (l *lexer) next() (token, bool) {
	for l.at < len(l.sql) {
		r, size := utf8.DecodeRuneInString(l.rest())
		switch {
		case unicode.IsSpace(r) || r == 0:
			l.at += size
		case strings.HasPrefix(l.rest(), "--"):
			l.line()
		case strings.HasPrefix(l.rest(), "/*"):
			l.comment()
		default:
			return l.token(r, size), true
		}
	}
	return token{}, false
}

func (l *lexer) line() {
	if n := strings.IndexAny(l.rest(), "\r\n"); n >= 0 {
		l.at += n
		return
	}
	l.at = len(l.sql)
}

// comment passes a block comment. PostgreSQL's nest.
func (l *lexer) comment() {
	l.at += 2
	for depth := 1; depth > 0 && l.at < len(l.sql); {
		switch {
		case strings.HasPrefix(l.rest(), "*/"):
			l.at += 2
			depth--
		case l.postgres && strings.HasPrefix(l.rest(), "/*"):
			l.at += 2
			depth++
		default:
			l.at++
		}
	}
}

func (l *lexer) token(r rune, size int) token {
	switch {
	case r == '\'':
		return token{text, l.quotes('\'', false)}
	case r == '"':
		return token{quoted, l.quotes('"', false)}
	case !l.postgres && r == '`':
		return token{quoted, l.quotes('`', false)}
	case !l.postgres && r == '[':
		return token{quoted, l.brackets()}
	case l.postgres && r == '$':
		if s, ok := l.dollars(); ok {
			return token{text, s}
		}
	case isNameStart(r):
		return l.name()
	}
	l.at += size
	return token{mark, string(r)}
}

// quotes reads what stands between two quotes, of which two stand for one.
func (l *lexer) quotes(quote byte, backslash bool) string {
	var b strings.Builder
	for l.at++; l.at < len(l.sql); l.at++ {
		c := l.sql[l.at]
		switch {
		case backslash && c == '\\' && l.at+1 < len(l.sql):
			l.at++
			c = l.sql[l.at]
		case c == quote && l.at+1 < len(l.sql) && l.sql[l.at+1] == quote:
			l.at++
		case c == quote:
			l.at++
			return b.String()
		}
		b.WriteByte(c)
	}
	return b.String()
}

func (l *lexer) brackets() string {
	body, _, found := strings.Cut(l.sql[l.at+1:], "]")
	l.at += 1 + len(body)
	if found {
		l.at++
	}
	return body
}

// dollars reads $tag$…$tag$; a parameter is none.
func (l *lexer) dollars() (string, bool) {
	end := strings.IndexByte(l.sql[l.at+1:], '$')
	if end < 0 {
		return "", false
	}
	tag := l.sql[l.at : l.at+end+2]
	for i, r := range tag[1 : len(tag)-1] {
		if !isNameStart(r) && (i == 0 || !unicode.IsDigit(r)) {
			return "", false
		}
	}
	body, _, found := strings.Cut(l.sql[l.at+len(tag):], tag)
	l.at += len(tag) + len(body)
	if found {
		l.at += len(tag)
	}
	return body, true
}

// name reads a word, and with it the strings and names that a letter stands before.
func (l *lexer) name() token {
	from := l.at
	for l.at < len(l.sql) {
		r, size := utf8.DecodeRuneInString(l.rest())
		if !isNameStart(r) && !unicode.IsDigit(r) && r != '$' {
			break
		}
		l.at += size
	}
	w := l.sql[from:l.at]
	switch rest := l.rest(); {
	case !l.postgres:
	case strings.EqualFold(w, "e") && strings.HasPrefix(rest, "'"):
		return token{text, l.quotes('\'', true)}
	case strings.EqualFold(w, "u") && strings.HasPrefix(rest, `&"`):
		l.at++
		return token{opaque, l.quotes('"', false)}
	}
	return token{word, w}
}

func isNameStart(r rune) bool { return r == '_' || unicode.IsLetter(r) || r >= utf8.RuneSelf }
