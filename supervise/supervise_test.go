package supervise_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/supervise"
)

// TestMain runs this binary again as the programs under supervision: CHILD says which.
func TestMain(m *testing.M) {
	if role := os.Getenv("CHILD"); role != "" {
		play(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// play is a program under supervision. Each tells that it is up by a line on standard output.
func play(role string) {
	role, arg, _ := strings.Cut(role, ":")
	switch role {
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "sleep":
		fmt.Println("up", os.Getpid())
		syscall.Write(3, []byte{1})
		wait()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("up", os.Getpid())
		syscall.Write(3, []byte{1}) // to the parent of "tree", which waits; to nobody else
		wait()
	case "tree": // a child in the group, and a daemon in a session of its own that holds the pipes open
		for _, daemon := range []bool{false, true} {
			c := exec.Command("/proc/self/exe")
			if runtime.GOOS != "linux" {
				c = exec.Command(os.Args[0])
			}
			c.Env = append(os.Environ(), "CHILD="+arg)
			c.Stdout = os.Stdout
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: daemon}
			up, theirs, err := os.Pipe()
			c.ExtraFiles = []*os.File{theirs}
			if err := errors.Join(err, c.Start()); err != nil {
				fmt.Println("start:", err)
			}
			theirs.Close()
			up.Read(make([]byte, 1))
		}
		if arg == "sleep" {
			os.Exit(3)
		}
		wait()
	case "env":
		fmt.Println("env", strings.Join(slices.DeleteFunc(os.Environ(), func(e string) bool {
			return !strings.HasPrefix(e, "IOD_") && !strings.HasPrefix(e, "MINE")
		}), " "))
		wait()
	case "flood":
		w := bufio.NewWriter(os.Stdout)
		for i := range 20_000 {
			fmt.Fprintln(w, i)
		}
		w.Flush()
	default:
		playMore(role, arg)
	}
}

// wait waits for the end, but not for ever should a test lose it.
func wait() {
	time.AfterFunc(time.Minute, func() { os.Exit(9) })
	select {}
}

func program(name, role string) supervise.Program {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return supervise.Program{Name: name, Command: []string{exe}, Env: []string{"CHILD=" + role}}
}

// watch is a running supervisor and what it told.
type watch struct {
	*supervise.Supervisor
	t      *testing.T
	events chan supervise.Event
	lines  chan supervise.Line
	stop   func() time.Duration
}

func run(t *testing.T, o supervise.Options) *watch {
	t.Helper()
	w := &watch{t: t, events: make(chan supervise.Event, 10_000), lines: make(chan supervise.Line, 100_000)}
	o.OnEvent = func(e supervise.Event) { w.events <- e }
	o.Output = func(l supervise.Line) { w.lines <- l }
	o.Log = slog.New(slog.DiscardHandler)
	w.Supervisor = supervise.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	w.stop = func() (took time.Duration) {
		once.Do(func() {
			start := time.Now()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			took = time.Since(start)
		})
		return took
	}
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *watch) event(kind supervise.EventKind) supervise.Event {
	w.t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case e := <-w.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			w.t.Fatalf("no program %s", kind)
		}
	}
}

// line waits for a line that begins so and returns the rest.
func (w *watch) line(prefix string) string {
	w.t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case l := <-w.lines:
			if rest, ok := strings.CutPrefix(l.Text, prefix); ok {
				return strings.TrimSpace(rest)
			}
		case <-timeout:
			w.t.Fatalf("no line %q", prefix)
		}
	}
}

func (w *watch) pid() int {
	w.t.Helper()
	pid, err := strconv.Atoi(w.line("up"))
	if err != nil {
		w.t.Fatal(err)
	}
	return pid
}

// gone waits until a process is not there any more.
func gone(t *testing.T, pid int) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); syscall.Kill(pid, 0) != syscall.ESRCH; <-ticker.C {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestKilledProgramIsBackAtOnce(t *testing.T) {
	w := run(t, supervise.Options{Programs: []supervise.Program{program("p", "sleep")}})
	pid := w.pid()
	start := time.Now()
	syscall.Kill(pid, syscall.SIGKILL)
	e := w.event(supervise.Exited)
	if e.PID != pid || e.Exit.Signal != "killed" || e.Exit.Code != -1 {
		t.Errorf("%+v", e)
	}
	w.event(supervise.Started)
	took := time.Since(start)
	t.Logf("back after %v", took)
	if took > 10*time.Second { // 20 ms by policy; the rest is a loaded machine with the race detector
		t.Errorf("back only after %v", took)
	}
	again := w.pid()
	s := w.Status()[0]
	if s.State != supervise.Running || s.Restarts != 1 || s.PID != again || s.LastExit.Signal != "killed" || s.Looping {
		t.Errorf("%+v", s)
	}
	if tail := w.Tail("p"); len(tail) != 2 || tail[0].Stream != "stdout" {
		t.Errorf("%v", tail)
	}
	w.stop()
	gone(t, again)
	if s := w.Status()[0]; s.State != supervise.Stopped || s.PID != 0 {
		t.Errorf("%+v", s)
	}
}

func TestStubbornProgramIsKilled(t *testing.T) {
	w := run(t, supervise.Options{Programs: []supervise.Program{program("p", "stubborn")}, Grace: 50 * time.Millisecond})
	pid := w.pid()
	if took := w.stop(); took < 50*time.Millisecond || took > 5*time.Second {
		t.Errorf("stopped in %v", took)
	}
	gone(t, pid)
	if e := w.event(supervise.Exited); e.Exit.Signal != "killed" {
		t.Errorf("%+v", e)
	}
}

func TestTreeGoesWithItsProgram(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("daemons are found on Linux only")
	}
	for _, role := range []string{"sleep", "stubborn"} { // the first tree's root ends by itself, the second is stopped
		t.Run(role, func(t *testing.T) {
			p := program("p", "tree:"+role)
			p.Policy.First = time.Hour
			w := run(t, supervise.Options{Programs: []supervise.Program{p}, Grace: 300 * time.Millisecond})
			a, b := w.pid(), 0
			if role == "sleep" {
				if e := w.event(supervise.Exited); e.Exit.Code != 3 {
					t.Errorf("%+v", e)
				}
			} else {
				b = w.pid()
				w.stop()
				gone(t, b)
			}
			gone(t, a)
			w.stop()
			if left := children(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// children lists the children of this process, zombies included.
func children(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f)
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

// TestCrashesLeakNothing lets programs crash a thousand times, under a supervisor that is built as for a device: the race detector
// makes each start of a shepherd many times slower.
func TestCrashesLeakNothing(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "crasher")
	build := exec.Command("go", "build", "-o", exe, "./testdata/crasher")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out, err := exec.Command(exe, t.TempDir(), "1000").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	type counts struct{ Files, Threads, Goroutines, Children, Heap int }
	var r struct {
		Crashes, Exits, Looping int
		Before, After           counts
		FirstBack, Took         time.Duration
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Crashes != 1000 || r.Looping != 4 || r.Exits != 4*16:
		t.Errorf("the crash loops do not show: %+v", r)
	case r.After.Files > r.Before.Files || r.After.Goroutines > r.Before.Goroutines || r.After.Threads > r.Before.Threads+5 || r.After.Children > 0:
		t.Errorf("something leaks: %+v", r)
	case r.After.Heap > r.Before.Heap+1<<20:
		t.Errorf("%d bytes leak", r.After.Heap-r.Before.Heap)
	case r.FirstBack > 2*time.Second: // 100 ms on a quiet machine
		t.Errorf("a program that was killed is back only after %v", r.FirstBack)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMissingCommandStaysVisible(t *testing.T) {
	p := supervise.Program{Name: "p", Command: []string{"./no-such-program"}, Dir: t.TempDir(), Policy: supervise.Policy{Min: time.Hour}}
	w := run(t, supervise.Options{Programs: []supervise.Program{p}})
	if e := w.event(supervise.Restarting); !strings.Contains(e.Exit.Err, "no such file") || e.PID != 0 {
		t.Errorf("%+v", e)
	}
	if e := w.event(supervise.Restarting); e.Wait < 30*time.Minute {
		t.Errorf("%+v", e)
	}
	if s := w.Status()[0]; s.State != supervise.Waiting || s.NextTry.IsZero() || s.LastExit.Err == "" {
		t.Errorf("%+v", s)
	}
}

func TestSecretsStayHere(t *testing.T) {
	t.Setenv("IOD_KEY", "bottom drive obey")
	p := program("the-program", "env")
	p.Env = append(p.Env, "MINE=1")
	w := run(t, supervise.Options{Programs: []supervise.Program{p}})
	got := w.line("env")
	if strings.Contains(got, "bottom") || !strings.Contains(got, "MINE=1") || !strings.Contains(got, "IOD_PROGRAM=the-program") {
		t.Error(got)
	}
}

func TestFloodIsBounded(t *testing.T) {
	p := program("p", "flood")
	p.Policy.First = time.Hour
	w := run(t, supervise.Options{Programs: []supervise.Program{p}})
	w.event(supervise.Exited)
	if n := len(w.lines); n < 1000 || n > 5000 {
		t.Errorf("%d of 20,000 lines came through", n)
	}
	if tail := w.Tail("p"); len(tail) != 64 {
		t.Errorf("a tail of %d", len(tail))
	}
}

func TestOtherChildrenAreLeftAlone(t *testing.T) {
	w := run(t, supervise.Options{Programs: []supervise.Program{program("p", "exit:1")}})
	for range 20 {
		c := exec.Command(program("", "").Command[0])
		c.Env = append(os.Environ(), "CHILD=exit:5")
		if err := c.Run(); err == nil || c.ProcessState.ExitCode() != 5 {
			t.Fatalf("%v, %v", err, c.ProcessState)
		}
	}
	w.event(supervise.Exited)
}

func TestCheck(t *testing.T) {
	err := supervise.Check([]supervise.Program{{}, {Name: "a", Command: []string{"x"}, Env: []string{"A"}}, {Name: "a", Command: []string{"x\x00"}}})
	if err == nil {
		t.Fatal("no error")
	}
	want := "program 1 has no name\n" + `program "" has no command` + "\n" +
		`program "a" has the environment entry "A" that is not KEY=VALUE` + "\n" + `program "a" is there twice` + "\n" +
		`program "a" has a NUL byte in its description`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := supervise.New(supervise.Options{Programs: []supervise.Program{{}}}).Run(t.Context()); err == nil {
		t.Error("it runs")
	}
}
