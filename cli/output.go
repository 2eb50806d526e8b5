package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatLines format = "jsonl"
	formatYAML  format = "yaml"
)

func formats() []string {
	return []string{string(formatTable), string(formatJSON), string(formatLines), string(formatYAML)}
}

func (a *app) format(c *cobra.Command) (format, error) {
	switch f := format(a.output); f {
	case formatTable, formatJSON, formatLines, formatYAML:
		return f, nil
	}
	return "", usage(c, "%s is table, json, jsonl or yaml, found %q", a.source("output"), a.output)
}

// writeJSON writes v for programs: indented, in one line, or as the same in YAML. What
// encoding/json leaves as it is and a terminal would obey is written as \u escapes, which
// mean the same to a parser.
func writeJSON(w io.Writer, f format, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a payload with < or & stays readable
	if f == formatJSON {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(v); err != nil {
		return err
	}
	text := escapeJSON(b.Bytes())
	if f == formatYAML {
		var err error
		if text, err = toYAML(b.Bytes()); err != nil {
			return err
		}
	}
	_, err := w.Write(text)
	return err
}

// dryRunText is what people are told at the end of a dry run.
const dryRunText = "dry run: nothing was changed"

// writeDone tells what a changing command came to: people a sentence, programs v.
func writeDone(c *cobra.Command, f format, v any, text string) (err error) {
	if f != formatTable {
		return writeJSON(c.OutOrStdout(), f, v)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), text)
	return err
}

// writeAll writes a list for programs: one document, or a line for each.
func writeAll[T, J any](w io.Writer, f format, items []T, as func(T) J) error {
	if f == formatLines {
		for _, item := range items {
			if err := writeJSON(w, f, as(item)); err != nil {
				return err
			}
		}
		return nil
	}
	return writeJSON(w, f, each(items, as))
}

// escapeJSON works on encoded JSON: outside of strings that is ASCII.
func escapeJSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == 0x7f || r > 0x7f && !strconv.IsPrint(r) && r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		case r > 0xffff && !strconv.IsPrint(r):
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = append(out, b[i:i+n]...)
		}
		i += n
	}
	return out
}

// width is how many columns a table on w may take; 0 is any number.
func (a *app) width(w io.Writer) int {
	if n, err := strconv.Atoi(a.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return a.columns(w)
}

// emphasis writes a heading in bold where that is wanted: on a terminal, unless NO_COLOR
// is set (https://no-color.org) or the terminal can't.
func (a *app) emphasis(w io.Writer) func(string) string {
	if a.columns(w) == 0 || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
		return func(s string) string { return s }
	}
	return func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
}
