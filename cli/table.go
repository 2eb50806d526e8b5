package cli

import (
	"io"
	"slices"
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
	widths := make([]int, len(heading))
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], cells(cell))
		}
	}
	shrink(widths, limit)
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

// shrink takes columns away from the widest until the line fits.
func shrink(widths []int, limit int) {
	if limit <= 0 {
		return
	}
	total := columnGap * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > limit; total-- {
		widest := slices.Index(widths, slices.Max(widths))
		if widths[widest] <= minColumn {
			return
		}
		widths[widest]--
	}
}
