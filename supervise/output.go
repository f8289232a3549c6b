package supervise

import (
	"bytes"
	"strings"
	"time"
)

// maxLine bounds a line in bytes, the … of a cut one included.
const maxLine = 4096

const cutMark = "…"

// lines splits what a program writes. It holds one unfinished line at most.
type lines struct {
	emit func(string)
	part []byte
	cut  bool // part is full: the rest of its line is skipped
}

// Write never fails.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if room := maxLine - len(cutMark) - len(l.part); len(line) > room {
			line, l.cut = line[:room], true
		}
		l.part = append(l.part, line...)
		if ended {
			l.flush()
		}
		b = rest
	}
	return n, nil
}

// flush emits the unfinished line.
func (l *lines) flush() {
	text := strings.TrimSuffix(strings.ToValidUTF8(string(l.part), "?"), "\r")
	if l.cut {
		text += cutMark
	}
	l.part, l.cut = l.part[:0], false
	l.emit(text)
}

// end emits what was written without a line end.
func (l *lines) end() {
	if len(l.part) > 0 {
		l.flush()
	}
}

// A program may write flowBurst lines at once and flowRate lines a second.
const (
	flowBurst = 1000
	flowRate  = 100
)

// flow bounds the lines of one program.
type flow struct {
	tokens  float64
	last    time.Time
	dropped int
	total   uint64 // dropped in all
}

func newFlow(now time.Time) flow { return flow{tokens: flowBurst, last: now} }

// take reports whether a line at now passes, and how many were dropped before the first that passes again.
func (f *flow) take(now time.Time) (dropped int, ok bool) {
	if d := now.Sub(f.last); d > 0 {
		f.tokens = min(flowBurst, f.tokens+flowRate*d.Seconds())
		f.last = now
	}
	if f.tokens < 1 {
		f.dropped++
		f.total++
		return 0, false
	}
	f.tokens--
	dropped, f.dropped = f.dropped, 0
	return dropped, true
}
