package main

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait of a script.
const patience = 40 * time.Second

// staying is a command that runs beside a script.
type staying struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; read after done

	mu   sync.Mutex
	out  bytes.Buffer
	more chan struct{} // closed and replaced with each write
}

// Write keeps what the command prints on either stream.
func (s *staying) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Write(b)
	close(s.more)
	s.more = make(chan struct{})
	return len(b), nil
}

// text returns what was printed so far, and what is closed when there is more.
func (s *staying) text() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String(), s.more
}

func (s *staying) has(re *regexp.Regexp) ([]string, bool) {
	text, _ := s.text()
	m := re.FindStringSubmatch(text)
	return m, m != nil
}

// running is the key of a script's staying commands, by name.
type running struct{}

func commands(ts *testscript.TestScript) map[string]*staying {
	return ts.Value(running{}).(map[string]*staying)
}

func find(ts *testscript.TestScript, name string) *staying {
	s := commands(ts)[name]
	if s == nil {
		ts.Fatalf("nothing called %s was started with stay", name)
	}
	return s
}

func stay(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: stay NAME CMD …")
	}
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	s := &staying{cmd: exec.Command(path, args[2:]...), done: make(chan struct{}), more: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = ts.MkAbs("."), environ(ts)
	s.cmd.Stdout, s.cmd.Stderr = s, s
	s.cmd.WaitDelay = 2 * time.Second
	ts.Check(s.cmd.Start())
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	commands(ts)[args[0]] = s
	ts.Defer(func() { s.end(ts, args[0]) })
}

// end ends a command with its script: asked first, and killed if that does not help, which is a fault of its own.
func (s *staying) end(ts *testscript.TestScript, name string) {
	select {
	case <-s.done:
	default:
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(patience / 2):
			s.cmd.Process.Kill()
			<-s.done
			ts.Logf("%s did not end when asked to", name)
		}
	}
	text, _ := s.text()
	ts.Logf("[%s]\n%s", name, text)
}

// lookPath finds a command as the script's own exec does.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", errors.New(name + " is not in the script's PATH")
}

// environ is what of the script's environment matters to the commands that stay.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "GORACE", "IOD_RPC", "IOD_KEY", "IOD_INDEX", "IOD_PASSPHRASE", "IOD_DATABASE", "PGPASSWORD", "PGPASSFILE"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await NAME REGEXP [VAR]")
	}
	s := find(ts, args[0])
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		_, more := s.text()
		if m, ok := s.has(re); ok {
			if len(args) == 3 {
				ts.Setenv(args[2], m[len(m)-1])
			}
			return
		}
		select {
		case <-more:
		case <-s.done:
			if _, ok := s.has(re); !ok {
				ts.Fatalf("%s ended (%v) and never printed %s", args[0], s.err, re)
			}
		case <-deadline.C:
			ts.Fatalf("%s has not printed %s within %v", args[0], re, patience)
		}
	}
}

func signalTo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME INT|TERM|HUP|KILL")
	}
	sig, ok := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(sig))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME CODE")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	s := find(ts, args[0])
	select {
	case <-s.done:
	case <-time.After(patience):
		ts.Fatalf("%s has not ended within %v", args[0], patience)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%s ended with exit code %d, want %d", args[0], got, want)
	}
}
