//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait: a machine with other work is slow.
const patience = 45 * time.Second

// line is a line that a process wrote, with its members if it is JSON.
type line struct {
	at     time.Time
	text   string
	fields map[string]any
}

func (l line) str(name string) string {
	s, _ := l.fields[name].(string)
	return s
}

// says accepts log lines with the message.
func says(msg string) func(line) bool { return func(l line) bool { return l.str("msg") == msg } }

// has accepts lines with the member.
func has(member string) func(line) bool { return func(l line) bool { return l.str(member) != "" } }

// process is a command that runs on a host.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output was read

	mu    sync.Mutex
	lines []line
	rest  [2][]byte
	more  chan struct{} // closed and replaced at each line
}

// output is standard output or standard error of a process.
type output struct {
	p *process
	i int
}

func (o output) Write(b []byte) (int, error) {
	p := o.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest[o.i] = append(p.rest[o.i], b...)
	for {
		text, rest, found := bytes.Cut(p.rest[o.i], []byte("\n"))
		if !found {
			return len(b), nil
		}
		l := line{at: time.Now(), text: string(text)}
		_ = json.Unmarshal(text, &l.fields) // what is not JSON has no members
		p.lines = append(p.lines, l)
		p.rest[o.i] = bytes.Clone(rest)
		close(p.more)
		p.more = make(chan struct{})
	}
}

// command prepares a command on a host, with a home of the host's own. It dies with the test.
func (w *world) command(ctx context.Context, host string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", w.net.space(host)}, args...)...)
	cmd.Dir = filepath.Join(w.dir, host)
	cmd.Env = append(cleanEnv(), "HOME="+cmd.Dir, "XDG_CACHE_HOME="+filepath.Join(cmd.Dir, "cache"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 3 * time.Second
	return cmd
}

// cleanEnv is the environment without what steers iod.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IOD_") {
			env = append(env, v)
		}
	}
	return env
}

// start starts a command on a host; it is killed when the test ends.
func (w *world) start(t *testing.T, host, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: w.command(context.Background(), host, args...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = output{p, 0}, output{p, 1}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is read from its state
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the last lines of %s:\n%s", name, p.tail(30))
		}
	})
	return p
}

// iod starts iod with JSON output on a host.
func (w *world) iod(t *testing.T, host, name string, args ...string) *process {
	t.Helper()
	return w.start(t, host, name, append([]string{w.bin("iod"), "-o", "json"}, args...)...)
}

// kill ends the process as a power cut would, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// tail returns the last lines.
func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines[max(0, len(p.lines)-n):] {
		b.WriteString(l.at.Format("15:04:05.000 ") + l.text + "\n")
	}
	return b.String()
}

// find returns the first line written after a moment that ok accepts, and what to wait on when there is none.
func (p *process) find(after time.Time, ok func(line) bool) (line, bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l.at.After(after) && ok(l) {
			return l, true, nil
		}
	}
	return line{}, false, p.more
}

// await waits for a line written after a moment that ok accepts.
func (p *process) await(t *testing.T, what string, after time.Time, ok func(line) bool) line {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for ended := false; ; {
		l, found, more := p.find(after, ok)
		if found {
			return l
		}
		if ended {
			t.Fatalf("%s ended before: %s\n%s", p.name, what, p.tail(30))
		}
		select {
		case <-more:
		case <-p.done:
			ended = true
		case <-timer.C:
			t.Fatalf("%s took too long: %s\n%s", p.name, what, p.tail(30))
		}
	}
}

// exit waits for the end of the process and returns its exit code.
func (p *process) exit(t *testing.T, what string) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s did not end: %s\n%s", p.name, what, p.tail(30))
	}
	return p.cmd.ProcessState.ExitCode()
}

// result is what a command that ended has left.
type result struct {
	out, err []byte
	code     int
	took     time.Duration
}

// try runs iod with JSON output to its end.
func (w *world) try(t *testing.T, host string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := w.command(ctx, host, append([]string{w.bin("iod"), "-o", "json"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("iod %s: %v (%v)\n%s%s", strings.Join(args, " "), err, ctx.Err(), out.Bytes(), errs.Bytes())
	}
	return result{out.Bytes(), errs.Bytes(), cmd.ProcessState.ExitCode(), time.Since(begin)}
}

// must is try for commands that have to succeed.
func (w *world) must(t *testing.T, host string, args ...string) result {
	t.Helper()
	r := w.try(t, host, args...)
	if r.code != 0 {
		t.Fatalf("iod %s on %s: exit code %d\n%s%s", strings.Join(args, " "), host, r.code, r.out, r.err)
	}
	return r
}

// read parses the first JSON value that the command printed.
func read[T any](t *testing.T, r result) (v T) {
	t.Helper()
	if err := json.NewDecoder(bytes.NewReader(r.out)).Decode(&v); err != nil {
		t.Fatalf("output %q: %v", r.out, err)
	}
	return v
}
