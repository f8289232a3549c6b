//go:build !device

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"iod/index"
)

var toldProgress = []index.Progress{
	{Phase: index.ReadingState, Block: 90, Head: 90, Total: 1000},
	{Phase: index.ReadingState, Block: 90, Head: 90, Done: 250, Total: 1000, Rate: 125, Remaining: 6 * time.Second},
	{Phase: index.CatchingUp, Block: 50, Head: 100, Done: 50, Total: 100, Rate: 25.4, Remaining: 1970 * time.Millisecond},
	{Phase: index.Following, Block: 100, Head: 100, Done: 100, Total: 100, Rate: 33},
	{Phase: index.Following, Block: 101, Head: 101, Done: 101, Total: 101, Rate: 1},
	{Phase: index.CatchingUp, Block: 102, Head: 150, Done: 1, Total: 49, Rate: 10, Remaining: 5 * time.Second},
	{Phase: index.Following, Block: 150, Head: 150, Done: 49},
}

// TestProgress: what is long is told, and when it is over; what follows block by block is not.
func TestProgress(t *testing.T) {
	for name, x := range map[string]struct {
		output   string
		terminal bool
		want     string
	}{
		"terminal": {"text", true, "\r\x1b[Kreads the chain's state at block 90: 0 of about 1000 entries" +
			"\r\x1b[Kreads the chain's state at block 90: 250 of about 1000 entries, 125 a second, 6s left" +
			"\r\x1b[Kcatches up: block 50 of 100, 25 a second, 2s left" +
			"\r\x1b[Kup to date with block 100\n" +
			"\r\x1b[Kcatches up: block 102 of 150, 10 a second, 5s left" +
			"\r\x1b[Kup to date with block 150\n"},
		"json": {"json", true, `{"phase":"state","block":90,"head":90,"done":0,"total":1000,"rate":0}
{"phase":"state","block":90,"head":90,"done":250,"total":1000,"rate":125,"remaining_seconds":6}
{"phase":"history","block":50,"head":100,"done":50,"total":100,"rate":25.4,"remaining_seconds":1.97}
{"phase":"following","block":100,"head":100,"done":100,"total":100,"rate":33}
{"phase":"history","block":102,"head":150,"done":1,"total":49,"rate":10,"remaining_seconds":5}
{"phase":"following","block":150,"head":150,"done":49,"rate":0}
`},
		// Ten seconds pass between two: at 20, 40 and so on it is too early or time.
		"log": {"text", false, `level=INFO msg="catches up: block 50 of 100, 25 a second, 2s left"
level=INFO msg="up to date with block 100"
level=INFO msg="catches up: block 102 of 150, 10 a second, 5s left"
level=INFO msg="up to date with block 150"
`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			at := time.Unix(0, 0)
			p := &progress{a: &app{out: &out, err: &out, output: x.output}, terminal: x.terminal, now: func() time.Time { return at }, logged: at,
				log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				}}))}
			for _, x := range toldProgress {
				at = at.Add(10 * time.Second)
				p.tell(x)
			}
			if out.String() != x.want {
				t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(out.String(), "\r", "\\r"), strings.ReplaceAll(x.want, "\r", "\\r"))
			}
		})
	}
}
