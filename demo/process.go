package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// line is one JSON object that a process printed, and when.
type line struct {
	at     time.Time
	fields map[string]any
}

func (l line) str(name string) string {
	s, _ := l.fields[name].(string)
	return s
}

// moment is a time that the line tells, by the clock of the process: of lines on two pipes none comes first. It is when the line was read if it
// tells none.
func (l line) moment(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, l.str(name))
	if err != nil {
		return l.at
	}
	return t
}

// process is a running iod of the story. Its output goes to a log file; the JSON objects in it can be waited for.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended and all its output was read

	mu    sync.Mutex
	lines []line
	text  []byte        // the newest line, JSON or not
	more  chan struct{} // closed and replaced with each new line
}

// lineLimit bounds one line of output, and keptLines how many are kept to be looked for.
const (
	lineLimit = 256 << 10
	keptLines = 4096
)

// start runs the iod binary. The process is in a group of its own, so that a Ctrl-C at the terminal reaches the demo
// alone, which then ends its processes in order.
func (s *story) start(name string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(s.logs(), name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, log: log, done: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(s.o.Self, args...)
	p.cmd.Dir = s.o.Dir
	p.cmd.Env = environ()
	p.cmd.SysProcAttr = ownGroup()
	out, errOut := p.pipe(), p.pipe()
	p.cmd.Stdout, p.cmd.Stderr = out, errOut
	p.cmd.WaitDelay = 2 * time.Second
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.running = append(s.running, p)
	s.wait.Go(func() {
		_ = p.cmd.Wait() // its state tells all
		out.flush()
		errOut.flush()
		log.Close()
		close(p.done)
		if !s.ending.Load() {
			s.fail(p.ended())
		}
	})
	return p, nil
}

// environ is the environment without what a person at this terminal has set for iod: the story has keys and a chain of its own.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "IOD_") })
}

// lineWriter cuts what a process writes into lines.
type lineWriter struct {
	p   *process
	buf []byte
}

func (p *process) pipe() *lineWriter { return &lineWriter{p: p} }

func (w *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		w.p.took(append(w.buf, b[:i]...))
		w.buf, b = w.buf[:0], b[i+1:]
	}
	if len(w.buf)+len(b) <= lineLimit {
		w.buf = append(w.buf, b...)
	}
	return n, nil
}

func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.p.took(w.buf)
		w.buf = nil
	}
}

// took keeps one line of output.
func (p *process) took(b []byte) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.log, "%s %s\n", now.UTC().Format("15:04:05.000"), b)
	p.text = append(p.text[:0], b[:min(len(b), 400)]...)
	l := line{at: now}
	if json.Unmarshal(b, &l.fields) != nil {
		return
	}
	p.lines = append(p.lines, l)
	if len(p.lines) > keptLines {
		p.lines = append(p.lines[:0], p.lines[keptLines/2:]...)
	}
	close(p.more)
	p.more = make(chan struct{})
}

// errNone is the error of last when there is no such line.
var errNone = errors.New("no such line")

// await returns the first line printed after a moment that ok accepts.
func (p *process) await(ctx context.Context, after time.Time, ok func(line) bool) (line, error) {
	for {
		p.mu.Lock()
		more := p.more
		for _, l := range p.lines {
			if l.at.After(after) && ok(l) {
				p.mu.Unlock()
				return l, nil
			}
		}
		p.mu.Unlock()
		select {
		case <-more:
			continue
		default:
		}
		select {
		case <-more:
		case <-p.done:
			if l, err := p.last(after, ok); err == nil {
				return l, nil
			}
			return line{}, p.ended()
		case <-ctx.Done():
			return line{}, fmt.Errorf("%s: %w", p.name, context.Cause(ctx))
		}
	}
}

// ended is the error of a process whose end nobody asked for. It is called after done.
func (p *process) ended() error {
	return fmt.Errorf("%s ended: %s: %s", p.name, p.cmd.ProcessState, p.lastWords())
}

// lastWords is the newest line that the process printed.
func (p *process) lastWords() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.text)
}

// newest returns the newest line that ok accepts.
func (p *process) newest(ok func(line) bool) (line, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range slices.Backward(p.lines) {
		if ok(l) {
			return l, true
		}
	}
	return line{}, false
}

// last is await without waiting.
func (p *process) last(after time.Time, ok func(line) bool) (line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l.at.After(after) && ok(l) {
			return l, nil
		}
	}
	return line{}, errNone
}

// stop asks the process to end, kills it after a grace period, and waits for it.
func (p *process) stop(grace time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		killGroup(p.cmd.Process)
		<-p.done
	}
}

// result is what a short command printed.
type result struct {
	out, err []byte
	code     int
	took     time.Duration
}

// run runs an iod command to its end, logs it, and returns what it printed.
func (s *story) run(ctx context.Context, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, s.o.Self, args...)
	cmd.Dir = s.o.Dir
	cmd.Env = environ()
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 3 * time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	begin := time.Now()
	err := cmd.Run()
	r := result{out: out.Bytes(), err: errOut.Bytes(), code: cmd.ProcessState.ExitCode(), took: time.Since(begin)}
	s.logCommand(args, r)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return r, fmt.Errorf("iod %s: exit code %d: %s", args[0], r.code, bytes.TrimSpace(r.err))
	}
	return r, err
}

func (s *story) logCommand(args []string, r result) {
	f, err := os.OpenFile(filepath.Join(s.logs(), "commands.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "$ iod %q\n%s%s(exit code %d after %s)\n\n", args, r.out, r.err, r.code, r.took.Round(time.Millisecond))
}

// copyLine writes s to w, ignoring what a closed terminal answers.
func copyLine(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
