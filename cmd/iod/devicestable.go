//go:build !device

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"iod/api"
)

// column is one of a table that fits its terminal.
type column struct {
	name  string
	least int  // characters to which it may be shortened
	drop  int  // the higher, the earlier it is left out when there is no room; 0: never
	right bool // numbers
	brief func(string) string
	paint func(string) string // an escape sequence for a cell; nil: none
}

// table lays rows out in columns. Without a terminal it is as wide as it needs to be; on one it fits.
type table struct {
	out     interface{ Write([]byte) (int, error) }
	width   int // 0: any
	color   bool
	columns []column
	rows    [][]string
	layout  []int // width of each column; 0: left out. Of the first rows, for all
}

func (t *table) add(cells []string) { t.rows = append(t.rows, cells) }

const gap = 2 // between columns

// flush writes the rows that there are. The first ones decide on the layout.
func (t *table) flush() error {
	if len(t.rows) == 0 {
		return nil
	}
	var b strings.Builder
	if t.layout == nil {
		t.layout = fit(t.columns, t.rows, t.width)
		names := make([]string, len(t.columns))
		for i, c := range t.columns {
			names[i] = c.name
		}
		t.line(&b, names, true)
	}
	for _, r := range t.rows {
		t.line(&b, r, false)
	}
	t.rows = nil
	_, err := t.out.Write([]byte(b.String()))
	return err
}

// fit decides how wide each column is. First long ones are shortened, then those that are least telling are left out.
func fit(columns []column, rows [][]string, width int) []int {
	layout := make([]int, len(columns))
	for i, c := range columns {
		layout[i] = wide(c.name)
		empty := true
		for _, r := range rows {
			layout[i] = max(layout[i], wide(r[i]))
			empty = empty && r[i] == ""
		}
		if empty && c.drop > 0 {
			layout[i] = 0
		}
	}
	if width <= 0 {
		return layout
	}
	for over(layout, width) > 0 {
		if i := longest(columns, layout); i >= 0 {
			layout[i] = max(layout[i]-over(layout, width), columns[i].least)
			continue
		}
		i := -1
		for j, c := range columns {
			if layout[j] > 0 && c.drop > 0 && (i < 0 || c.drop > columns[i].drop) {
				i = j
			}
		}
		if i < 0 {
			break
		}
		layout[i] = 0
	}
	return layout
}

// over is how many characters are too many.
func over(layout []int, width int) int {
	n := -gap
	for _, w := range layout {
		if w > 0 {
			n += w + gap
		}
	}
	return n - width
}

// longest is the column that has the most to be shortened; -1: none.
func longest(columns []column, layout []int) int {
	best := -1
	for i, c := range columns {
		if c.least > 0 && layout[i] > c.least && (best < 0 || layout[i]-c.least > layout[best]-columns[best].least) {
			best = i
		}
	}
	return best
}

func (t *table) line(b *strings.Builder, cells []string, head bool) {
	last := 0
	for i, w := range t.layout {
		if w > 0 {
			last = i
		}
	}
	for i, w := range t.layout {
		if w == 0 {
			continue
		}
		c, cell := t.columns[i], cells[i]
		if wide(cell) > w && c.brief != nil && !head {
			cell = c.brief(cell)
		}
		cell = cut(cell, w)
		pad := strings.Repeat(" ", w-wide(cell))
		switch {
		case t.color && head:
			cell = "\x1b[1m" + cell + "\x1b[0m"
		case t.color && c.paint != nil:
			cell = c.paint(cells[i]) + cell + "\x1b[0m"
		}
		switch {
		case c.right:
			b.WriteString(pad + cell)
		case i < last:
			b.WriteString(cell + pad)
		default:
			b.WriteString(cell)
		}
		if i < last {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	b.WriteByte('\n')
}

// wide is how many cells of a terminal a text takes.
func wide(s string) (n int) {
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

// cellsOf is how many cells a character takes: none for marks over others, two for East Asian ones and pictures.
func cellsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// cut shortens a text to n cells.
func cut(s string, n int) string {
	if wide(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used += cellsOf(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// briefAddress keeps what people compare addresses by: beginning and end.
func briefAddress(s string) string {
	if len(s) < 20 {
		return s
	}
	return s[:8] + "…" + s[len(s)-5:]
}

// screen is the width of the terminal that a stream is, 0 when it is none, and whether it may be coloured.
func (a *app) screen(stream any) (width int, color bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if n, bad := strconv.Atoi(a.env("COLUMNS")); bad == nil && n > 0 {
		width, err = n, nil
	}
	if err != nil || width < 20 {
		width = 80
	}
	return width, a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}

func (a *app) devicesTable(near bool) *table {
	t := &table{out: a.out, columns: []column{
		{name: "DEVICE", least: 14, brief: briefAddress},
		{name: "DATA", least: 10},
		{name: "LOCATION", least: 12, drop: 3},
		{name: "DISTANCE", right: true},
		{name: "UPDATED", drop: 4},
		{name: "STREAMS", least: 16, drop: 1},
		{name: "VERDICT", paint: verdictColor},
	}}
	if !near {
		t.columns[3].drop = 9 // it is empty
	}
	t.width, t.color = a.screen(a.out)
	return t
}

func verdictColor(verdict string) string {
	switch verdict {
	case "verified":
		return "\x1b[32m"
	case "forged":
		return "\x1b[31m"
	}
	return "\x1b[33m"
}

// row is a line of the table. Texts are cut where even the widest table would be no use.
func (a *app) row(d listedDevice) []string {
	var streams []string
	for _, s := range d.Streams {
		text := s.Name + " (" + s.Kind
		if s.Price != "" {
			text += ", " + s.Price + " PEAQ"
			if s.Period != "" {
				text += "/" + s.Period
			}
		}
		streams = append(streams, text+")")
	}
	if i := slices.IndexFunc(d.Streams, func(s api.Stream) bool { return s.Name == d.Offer }); i > 0 { // the one that matched first
		streams[0], streams[i] = streams[i], streams[0]
	}
	updated, distance := "", ""
	if d.Updated.Time != nil {
		updated = d.Updated.Time.UTC().Format("2006-01-02 15:04")
	}
	if d.Distance != nil {
		distance = kilometres(*d.Distance)
	}
	cells := []string{d.Address, d.DataType, d.Location, distance, updated, strings.Join(streams, " "), d.Verdict}
	for i, c := range cells {
		cells[i] = cut(printable(c), 64)
	}
	return cells
}

func kilometres(km float64) string {
	switch {
	case km < 1:
		return fmt.Sprintf("%.0f m", km*1000)
	case km < 100:
		return fmt.Sprintf("%.1f km", km)
	}
	return fmt.Sprintf("%.0f km", km)
}
