package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// LogQuery says which captured lines are wanted.
type LogQuery struct {
	Program string        // empty: all
	Since   time.Time     // lines from then on
	Last    int           // only the last so many; negative: all
	Follow  bool          // go on with what is written from then on, until the context ends
	Every   time.Duration // how often to look when following; default 200 ms
}

// ErrNoLog says that there is no captured output.
var ErrNoLog = errors.New("no captured output")

// ReadLogs hands on captured lines below a state directory, oldest first, those of several programs in the order of time. It may run
// beside the supervisor, as another process. yield's error ends it. To follow is to wait for programs that have written nothing yet, too.
func ReadLogs(ctx context.Context, state string, q LogQuery, yield func(Line) error) error {
	r := &logReader{dir: filepath.Join(state, logDirName), only: q.Program, tails: map[string]*logTail{}}
	defer r.close()
	if err := r.look(); err != nil {
		return err
	}
	if len(r.tails) == 0 && !q.Follow {
		return fmt.Errorf("%w below %s%s", ErrNoLog, r.dir, r.others())
	}
	wanted := func(l Line) bool { return !l.Time.Before(q.Since) }
	out := yield
	var kept []Line
	if q.Last >= 0 {
		out = func(l Line) error {
			if kept = append(kept, l); len(kept) >= 2*q.Last+1024 {
				kept = slices.Delete(kept, 0, len(kept)-q.Last)
			}
			return nil
		}
	}
	if err := r.merge(ctx, wanted, out); err != nil {
		return err
	}
	for _, l := range kept[max(0, len(kept)-max(q.Last, 0)):] {
		if err := yield(l); err != nil {
			return err
		}
	}
	if !q.Follow {
		return nil
	}
	return r.follow(ctx, orElse(q.Every, 200*time.Millisecond), wanted, yield)
}

// logReader reads the logs of some programs.
type logReader struct {
	dir, only string
	tails     map[string]*logTail
}

// look finds programs that have logs.
func (r *logReader) look() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read logs: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); e.IsDir() && (r.only == "" || r.only == name) && r.tails[name] == nil {
			r.tails[name] = &logTail{program: name, dir: filepath.Join(r.dir, name)}
		}
	}
	return nil
}

// others names the programs that have logs, for an error.
func (r *logReader) others() string {
	entries, _ := os.ReadDir(r.dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if r.only == "" || len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" of a program %q; there is of: %s", r.only, strings.Join(names, ", "))
}

// merge hands on all that is there, by time.
func (r *logReader) merge(ctx context.Context, wanted func(Line) bool, out func(Line) error) error {
	type head struct {
		tail *logTail
		line Line
	}
	var heads []head
	for _, t := range r.tails {
		if l, ok := t.next(); ok {
			heads = append(heads, head{t, l})
		}
	}
	for len(heads) > 0 && ctx.Err() == nil {
		first := 0
		for i, h := range heads {
			if c := h.line.Time.Compare(heads[first].line.Time); c < 0 || c == 0 && h.tail.program < heads[first].tail.program {
				first = i
			}
		}
		if l := heads[first].line; wanted(l) {
			if err := out(l); err != nil {
				return err
			}
		}
		var ok bool
		if heads[first].line, ok = heads[first].tail.next(); !ok {
			heads = slices.Delete(heads, first, first+1)
		}
	}
	return nil
}

func (r *logReader) follow(ctx context.Context, every time.Duration, wanted func(Line) bool, yield func(Line) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := errors.Join(r.look(), r.merge(ctx, wanted, yield)); err != nil {
			return err
		}
	}
}

func (r *logReader) close() {
	for _, t := range r.tails {
		t.close()
	}
}

// logTail reads one program's files, and can go on later.
type logTail struct {
	program, dir string

	seq  int
	f    *os.File
	in   *bufio.Reader
	part []byte // of a line that is not whole yet
	last bool   // there is a later file, so this one does not grow any more
}

// next returns the next whole line. When there is none now there may be one later.
func (t *logTail) next() (Line, bool) {
	for {
		if t.f == nil && !t.open() {
			return Line{}, false
		}
		chunk, err := t.in.ReadSlice('\n')
		if len(t.part) < 2*maxLine {
			t.part = append(t.part, chunk...)
		}
		switch {
		case err == nil:
			l, ok := parseLine(strings.TrimSuffix(string(t.part), "\n"))
			t.part = t.part[:0]
			if l.Program = t.program; ok {
				return l, true
			}
		case errors.Is(err, bufio.ErrBufferFull):
		case !errors.Is(err, io.EOF) || t.last:
			t.close() // what comes is in the next file
		case t.later() > 0:
			t.last = true // once more: it may have grown before the next was made
		default:
			return Line{}, false
		}
	}
}

// later returns the lowest number of a file after the current one, or 0.
func (t *logTail) later() int {
	seqs, _ := logFiles(t.dir)
	for _, seq := range seqs {
		if seq > t.seq {
			return seq
		}
	}
	return 0
}

// open opens the next file.
func (t *logTail) open() bool {
	for seq := t.later(); seq > 0; seq = t.later() {
		t.seq = seq
		f, err := os.Open(logPath(t.dir, seq))
		if err != nil {
			continue // removed meanwhile
		}
		t.f, t.in, t.part, t.last = f, bufio.NewReader(f), nil, false
		return true
	}
	return false
}

func (t *logTail) close() {
	if t.f != nil {
		t.f.Close()
		t.f = nil
	}
}

// pastExits reads the last exits of a program from its log.
func pastExits(state, program string) (exits []Past) {
	if state == "" {
		return nil
	}
	t := &logTail{program: program, dir: filepath.Join(state, logDirName, program)}
	defer t.close()
	for l, ok := t.next(); ok; l, ok = t.next() {
		if l.Exit == nil {
			continue
		}
		if exits = append(exits, *l.Exit); len(exits) > keptExits {
			exits = slices.Delete(exits, 0, 1)
		}
	}
	return exits
}
