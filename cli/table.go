package cli

import (
	"io"
	"strings"
)

const (
	columnGap = 2
	// minColumn is how narrow a column may get; below, a table runs over the edge.
	minColumn = 6
)

// table writes rows under a heading, as wide as they are or as limit allows; 0 is no
// limit. The cells must be safe for a terminal.
func table(w io.Writer, limit int, emphasis func(string) string, heading []string, rows [][]string) error {
	return tableKeeping(w, -1, limit, emphasis, heading, rows)
}

// tableKeeping is table with one column that is never cut, since it is to be typed again.
func tableKeeping(w io.Writer, whole, limit int, emphasis func(string) string, heading []string, rows [][]string) error {
	widths := make([]int, len(heading))
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], cells(cell))
		}
	}
	shrink(widths, whole, limit)
	var b strings.Builder
	line := func(row []string, show func(string) string) {
		var l strings.Builder
		for i, cell := range row {
			cell = fit(cell, widths[i])
			l.WriteString(cell)
			l.WriteString(strings.Repeat(" ", widths[i]-cells(cell)+columnGap))
		}
		b.WriteString(show(strings.TrimRight(l.String(), " ")))
		b.WriteByte('\n')
	}
	line(heading, emphasis)
	for _, row := range rows {
		line(row, func(s string) string { return s })
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shrink takes columns away from the widest, but for the whole one, until the line fits.
func shrink(widths []int, whole, limit int) {
	if limit <= 0 {
		return
	}
	total := columnGap * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > limit; total-- {
		widest := -1
		for i, n := range widths {
			if i != whole && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 || widths[widest] <= minColumn {
			return
		}
		widths[widest]--
	}
}
