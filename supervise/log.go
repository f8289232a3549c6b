package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Below the state directory each program's captured output is in log/<program>/<number>.log, eight digits, the highest number
// being written. One line is
//
//	2026-11-25T19:07:32.123456Z stdout what it wrote
//
// in UTC, with the stream stdout, stderr or iod; the latter's lines are the supervisor's: JSON of a Past for an exit, else text.
// Old files are removed, none is renamed, so that readers follow by number.
const (
	logDirName = "log"
	logSuffix  = ".log"
	logTime    = "2006-01-02T15:04:05.000000Z"
)

// streamSelf is the stream of the supervisor's own lines.
const streamSelf = "iod"

// logWriter writes one program's lines. Nothing is written, nor made, before the first of them.
type logWriter struct {
	dir string

	mu      sync.Mutex
	limits  LogLimits
	f       *os.File
	seq     int
	size    int64
	lost    uint64 // lines since the last that found room
	dropped uint64
	err     error // of the last line
	buf     []byte
}

func newLogWriter(state, program string, limits LogLimits) *logWriter {
	return &logWriter{dir: filepath.Join(state, logDirName, program), limits: limits}
}

// write appends a line. A disk that is full or cannot be written costs lines, which are counted, and nothing else.
func (w *logWriter) write(l Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = w.buf[:0]
	if w.lost > 0 {
		w.buf = appendLine(w.buf, Line{Stream: streamSelf, Time: l.Time, Text: fmt.Sprintf("%d lines found no room: %v", w.lost, w.err)})
	}
	w.buf = appendLine(w.buf, l)
	if w.err = w.append(w.buf); w.err != nil {
		w.lost++
		w.dropped++
		return
	}
	w.lost = 0
}

func (w *logWriter) append(b []byte) error {
	if w.f == nil || w.size+int64(len(b)) > w.limits.Size {
		if err := w.open(int64(len(b))); err != nil {
			return err
		}
	}
	n, err := w.f.WriteAt(b, w.size)
	if err != nil {
		if n > 0 {
			w.f.Truncate(w.size)
		}
		return fmt.Errorf("write log: %w", err)
	}
	w.size += int64(n)
	return nil
}

// open opens the file that is written, or begins the next one when b more bytes are too many for it.
func (w *logWriter) open(b int64) error {
	seqs, err := logFiles(w.dir)
	if err != nil {
		return err
	}
	next := 1
	if len(seqs) > 0 {
		next = seqs[len(seqs)-1] + 1
		if w.f == nil {
			if w.reopen(next - 1); w.f != nil && w.size+b <= w.limits.Size {
				return nil
			}
		}
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("make the log directory: %w", err)
	}
	f, err := os.OpenFile(logPath(w.dir, next), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	if w.f != nil {
		w.f.Close()
	}
	w.f, w.seq, w.size = f, next, 0
	for _, seq := range seqs {
		if seq <= next-w.limits.Files {
			os.Remove(logPath(w.dir, seq))
		}
	}
	return nil
}

// reopen goes on with a file of an earlier supervisor, behind its last whole line.
func (w *logWriter) reopen(seq int) {
	f, err := os.OpenFile(logPath(w.dir, seq), os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return
	}
	size := info.Size()
	tail := make([]byte, min(size, 2*maxLine))
	f.ReadAt(tail, size-int64(len(tail)))
	if whole := strings.LastIndexByte(string(tail), '\n') + 1; whole < len(tail) { // torn by power loss
		size -= int64(len(tail) - whole)
		f.Truncate(size)
	}
	w.f, w.seq, w.size = f, seq, size
}

func (w *logWriter) setLimits(l LogLimits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits = l
}

func (w *logWriter) status() *LogStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &LogStatus{Dir: w.dir, Bytes: w.size, Dropped: w.dropped}
	if w.f != nil {
		s.File = filepath.Base(logPath(w.dir, w.seq))
	}
	if w.err != nil {
		s.Err = w.err.Error()
	}
	return s
}

func (w *logWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f != nil {
		w.f.Close()
		w.f = nil
	}
}

func logPath(dir string, seq int) string {
	return filepath.Join(dir, fmt.Sprintf("%08d%s", seq, logSuffix))
}

// logFiles returns the numbers of a program's files, ascending; none when there is no directory.
func logFiles(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	var seqs []int
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), logSuffix)
		if n, err := strconv.Atoi(digits); ok && err == nil && n > 0 {
			seqs = append(seqs, n)
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

func appendLine(b []byte, l Line) []byte {
	b = l.Time.UTC().AppendFormat(b, logTime)
	b = append(append(append(b, ' '), l.Stream...), ' ')
	return append(append(b, l.Text...), '\n')
}

// parseLine reads what appendLine wrote, less the line end.
func parseLine(s string) (l Line, ok bool) {
	stamp, rest, ok := strings.Cut(s, " ")
	if !ok || len(stamp) != len(logTime) {
		return l, false
	}
	at, err := time.Parse(logTime, stamp)
	if err != nil {
		return l, false
	}
	l.Time = at
	l.Stream, l.Text, ok = strings.Cut(rest, " ")
	if !ok || l.Stream != "stdout" && l.Stream != "stderr" && l.Stream != streamSelf {
		return l, false
	}
	if past := new(Past); l.Stream == streamSelf && strings.HasPrefix(l.Text, "{") && json.Unmarshal([]byte(l.Text), past) == nil {
		l.Exit = past
		l.Text = "ended: " + past.Exit.String()
		if !past.Started.IsZero() {
			l.Text += " after " + past.Ended.Sub(past.Started).Round(time.Millisecond).String()
		}
	}
	return l, true
}
