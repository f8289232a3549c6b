package supervise_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

	"iod/supervise"
)

// playMore is play for the roles of this file.
func playMore(role, arg string) {
	switch role {
	case "supervisor": // of a program with this role, to be killed itself; its directory is in DIR
		p := program("inner", arg)
		p.Env = append(p.Env, "MARK="+os.Getenv("MARK"))
		s := supervise.New(supervise.Options{Programs: []supervise.Program{p}, Dir: os.Getenv("DIR"), Log: slog.New(slog.DiscardHandler),
			Output: func(l supervise.Line) { fmt.Println(l.Text) }, Grace: 200 * time.Millisecond})
		s.Run(context.Background())
	case "brood": // a family of every kind of child: each says "kin PID"
		signal.Ignore(syscall.SIGTERM)
		for _, script := range []string{
			`exec sleep 1000`,
			`trap "" TERM HUP; sleep 1000; sleep 1000`,
			`setsid sh -c 'echo kin $$; exec sleep 1000' & exit`,
			`setsid env -i sh -c 'trap "" TERM; (echo kin $$; sleep 1000; sleep 1000) &' & exit`, // forgets everything
			`setsid env -i sh -c 'setsid sh -c "setsid sleep 1000 & echo kin \$!" &' & exit`,
		} {
			c := exec.Command("/bin/sh", "-c", "echo kin $$; "+script)
			c.Stdout = os.Stdout
			c.Start()
		}
		fmt.Println("up", os.Getpid())
		wait()
	case "bomb": // forks as fast as it can, whatever it is told
		signal.Ignore(syscall.SIGTERM)
		for i := range 2 {
			c := exec.Command("/bin/sh", "-c", `trap "" TERM; n=0; while [ $n -lt 400 ]; do setsid sh -c 'trap "" TERM; sleep 1000' & n=$((n+1)); done; sleep 1000`)
			c.Env = append(os.Environ(), "BOMB="+strconv.Itoa(i))
			c.Start()
		}
		fmt.Println("up", os.Getpid())
		wait()
	case "endless": // prints without a line end
		n, _ := strconv.Atoi(arg)
		block := bytes.Repeat([]byte{'x'}, 1<<20)
		for range n {
			os.Stdout.Write(block)
		}
		fmt.Println()
		fmt.Println("invalid \xff\xfe and NUL \x00 and bell \a")
		wait()
	case "eat": // this many MiB of memory
		n, _ := strconv.Atoi(arg)
		eaten := make([]byte, n<<20)
		for i := 0; i < len(eaten); i += 4096 {
			eaten[i] = 1
		}
		fmt.Println("up", os.Getpid())
		wait()
		runtime.KeepAlive(eaten)
	case "check": // whether this user may run programs as another
		p := program("p", "sleep")
		p.User = arg
		fmt.Println(supervise.Check([]supervise.Program{p}))
	}
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the whole tree is found on Linux only")
	}
}

// marked lists the living processes with MARK=mark in their environment, and those named by pid.
func marked(mark string, pids []int) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			continue
		}
		if slices.Contains(pids, pid) || bytes.Contains(append([]byte{0}, env...), []byte("\x00MARK="+mark+"\x00")) {
			found = append(found, pid)
		}
	}
	return found
}

// nothing waits until none of a family is left.
func nothing(t *testing.T, mark string, pids []int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; <-tick.C {
		left := marked(mark, pids)
		if len(left) == 0 {
			return
		}
		if time.Since(start) > 10*time.Second {
			for _, pid := range left {
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				t.Errorf("left: %d %q", pid, line)
				syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
	}
}

// family starts a supervisor of a brood in a process of its own, and waits for all of the kin.
func family(t *testing.T, dir, mark string) (c *exec.Cmd, kin []int) {
	t.Helper()
	exe, _ := os.Executable()
	c = exec.Command(exe)
	c.Env = append(os.Environ(), "CHILD=supervisor:brood", "DIR="+dir, "MARK="+mark)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	in := bufio.NewScanner(out)
	for up := false; (len(kin) < 9 || !up) && in.Scan(); {
		verb, number, _ := strings.Cut(in.Text(), " ")
		pid, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("%q", in.Text())
		}
		up = up || verb == "up"
		kin = append(kin, pid)
	}
	if len(kin) != 9 {
		t.Fatalf("kin %v", kin)
	}
	return c, kin
}

// TestNoOrphanAfterKill kills a supervisor of programs that fork, change their session, forget their environment and ignore SIGTERM.
func TestNoOrphanAfterKill(t *testing.T) {
	onLinux(t)
	t.Parallel()
	c, kin := family(t, t.TempDir(), "kill")
	group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", kin[0]))
	c.Process.Kill()
	c.Wait()
	nothing(t, "kill", kin)
	if _, own, found := strings.Cut(string(group), "/iod-"); found {
		id, _, _ := strings.Cut(own, "/")
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for start := time.Now(); ; <-tick.C {
			left, _ := filepath.Glob("/sys/fs/cgroup/*/iod-" + id)
			more, _ := filepath.Glob("/sys/fs/cgroup/iod-" + id)
			if left = append(left, more...); len(left) == 0 {
				break
			}
			if time.Since(start) > 10*time.Second {
				t.Fatalf("left: %v", left)
			}
		}
	}
}

// TestNothingLeftWhenAllIsKilled kills a supervisor with its shepherd. What has a parent no more is ended by the next supervisor.
func TestNothingLeftWhenAllIsKilled(t *testing.T) {
	onLinux(t)
	t.Parallel()
	dir := t.TempDir()
	c, kin := family(t, dir, "all")
	shepherds, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.Process.Pid, c.Process.Pid))
	if err != nil {
		t.Skip("this kernel does not tell children")
	}
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.Process.Pid))
	for _, f := range all {
		b, _ := os.ReadFile(f)
		shepherds = append(append(shepherds, ' '), b...)
	}
	for f := range strings.FieldsSeq(string(shepherds)) {
		pid, _ := strconv.Atoi(f)
		syscall.Kill(pid, syscall.SIGKILL)
	}
	c.Process.Kill()
	c.Wait()
	w := run(t, supervise.Options{Dir: dir, Programs: []supervise.Program{program("p", "sleep")}})
	w.pid()
	if !w.Groups() { // then those that forgot their environment cannot be told from other processes
		kin = nil
	}
	nothing(t, "all", kin)
}

// TestKilledShepherd kills what stands between supervisor and program.
func TestKilledShepherd(t *testing.T) {
	onLinux(t)
	p := program("p", "brood")
	p.Env = append(p.Env, "MARK=shepherd")
	w := run(t, supervise.Options{Programs: []supervise.Program{p}, Grace: 200 * time.Millisecond})
	var pid int
	var kin []int
	for pid == 0 || len(kin) < 8 {
		select {
		case l := <-w.lines:
			verb, number, _ := strings.Cut(l.Text, " ")
			n, _ := strconv.Atoi(number)
			if verb == "up" {
				pid = n
			} else {
				kin = append(kin, n)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("only %v", kin)
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var shepherd int
	for line := range strings.Lines(string(stat)) {
		fmt.Sscanf(line, "PPid:\t%d", &shepherd)
	}
	syscall.Kill(shepherd, syscall.SIGKILL)
	if e := w.event(supervise.Exited); e.Exit.Reason != "its shepherd was killed" {
		t.Errorf("%+v", e)
	}
	gone(t, pid)
	for _, k := range kin {
		gone(t, k)
	}
	if w.pid() == pid {
		t.Error("it is the same process")
	}
}

func TestBombIsDefused(t *testing.T) {
	onLinux(t)
	p := program("p", "bomb")
	p.Env = append(p.Env, "MARK=bomb")
	w := run(t, supervise.Options{Programs: []supervise.Program{p}, Grace: 100 * time.Millisecond})
	w.pid()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(marked("bomb", nil)) < 100 {
		<-tick.C
	}
	t.Logf("stopped in %v", w.stop())
	nothing(t, "bomb", nil)
}

// TestPipeHeldFromOutside lets a stranger hold the program's output open.
func TestPipeHeldFromOutside(t *testing.T) {
	onLinux(t)
	w := run(t, supervise.Options{Programs: []supervise.Program{program("p", "sleep")}})
	held, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/1", w.pid()), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if took := w.stop(); took > 5*time.Second {
		t.Errorf("stopped only after %v", took)
	}
}

func TestEndlessLine(t *testing.T) {
	mib := 256
	if testing.Short() {
		mib = 16
	}
	dir := t.TempDir()
	p := program("p", "endless:"+strconv.Itoa(mib))
	p.Log = supervise.LogLimits{Size: 16 << 10, Files: 2}
	w := run(t, supervise.Options{Programs: []supervise.Program{p}, Dir: dir})
	before := heap()
	long := w.line("xxxx")
	if len(long) > 4096 || !strings.HasSuffix(long, "…") {
		t.Errorf("a line of %d bytes", len(long))
	}
	if text := w.line("invalid"); text != "?? and NUL \x00 and bell \a" && text != "? and NUL \x00 and bell \a" {
		t.Errorf("%q", text)
	}
	if more := heap() - before; more > 8<<20 {
		t.Errorf("%d bytes more memory", more)
	}
	files, _ := filepath.Glob(dir + "/log/p/*")
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 16<<10 {
			t.Errorf("%s: %v, %v", f, info.Size(), err)
		}
	}
	if len(files) == 0 {
		t.Error("there is no log")
	}
}

func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may run programs as another user")
	}
	dir := t.TempDir()
	p := supervise.Program{Name: "p", User: "nobody", Dir: "/", Command: []string{"sh", "-c", "echo is $(id -un) $(id -G) $HOME; touch " + dir + "/x; exec sleep 1000"}}
	q := supervise.Program{Name: "q", User: "4242", Dir: "/", Command: []string{"sh", "-c", "echo number $(id -u) $(id -g)"}}
	w := run(t, supervise.Options{Programs: []supervise.Program{p, q}, Dir: dir})
	seen := map[string]string{}
	for len(seen) < 3 {
		select {
		case l := <-w.lines:
			word, rest, _ := strings.Cut(l.Text, " ")
			seen[word] = rest
		case <-time.After(20 * time.Second):
			t.Fatalf("only %q", seen)
		}
	}
	if !strings.HasPrefix(seen["is"], "nobody 65534 /") || seen["number"] != "4242 4242" || !strings.Contains(seen["touch:"], "Permission denied") {
		t.Errorf("%q", seen)
	}
	c := exec.Command("/proc/self/exe")
	c.Env = []string{"CHILD=check:root"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.Output()
	if err != nil || !strings.Contains(string(out), `program "p" cannot run as "root": only root may run a program as another user`) {
		t.Errorf("%s, %v", out, err)
	}
	if err := supervise.Check([]supervise.Program{{Name: "p", Command: []string{"x"}, User: "no-such-user"}}); err == nil || !strings.Contains(err.Error(), `there is no user "no-such-user"`) {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	onLinux(t)
	p := supervise.Program{Name: "p", Command: []string{"sh", "-c", "echo limits $(ulimit -n) $(ulimit -c); exec sleep 1000"},
		Limits: supervise.Limits{Files: 77, CPU: 0.5, Processes: 50, Memory: 1 << 40}}
	eater := program("eater", "eat:100")
	eater.Limits.Memory = 50 << 20
	eater.Policy.First = time.Hour
	w := run(t, supervise.Options{Programs: []supervise.Program{p, eater}})
	if got := w.line("limits"); got != "77 0" {
		t.Errorf("files and core: %s", got)
	}
	e := w.event(supervise.Exited)
	if e.Program != "eater" || !e.Exit.OOM || e.Exit.Signal != "killed" || !strings.Contains(e.Exit.String(), "out of memory") {
		t.Errorf("%+v", e)
	}
	by := map[string]string{}
	for _, l := range w.Status()[0].Limits {
		by[l.Name] = l.By
		if l.By == "" && !strings.Contains(l.Note, "not enforced: ") {
			t.Errorf("%+v", l)
		}
	}
	if by["files"] != "rlimit" || by["memory"] == "" {
		t.Errorf("%v", by)
	}
	t.Logf("enforced by: %v", by)
}

// TestSecretsAreNotShown looks at what others see of a program's processes.
func TestSecretsAreNotShown(t *testing.T) {
	onLinux(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := supervise.Program{Name: "p", Command: []string{"sh", "-c", "echo up $$; test ${#TOKEN} = 6 && echo known; exec sleep 1000"},
		Secrets: []supervise.Secret{{Name: "TOKEN", File: file}}}
	bad := p
	bad.Name, bad.Secrets = "bad", []supervise.Secret{{Name: "TOKEN", File: filepath.Join(dir, "open")}}
	if err := os.WriteFile(bad.Secrets[0].File, []byte("s3cret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := run(t, supervise.Options{Programs: []supervise.Program{p, bad}, Dir: dir})
	pid := w.pid()
	w.line("known")
	if e := w.event(supervise.Exited); e.Program != "bad" || !strings.Contains(e.Exit.Err, "chmod 600") {
		t.Errorf("%+v", e)
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	shepherd := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))[2]
	for _, f := range []string{"/proc/" + shepherd + "/environ", "/proc/" + shepherd + "/cmdline", fmt.Sprintf("/proc/%d/cmdline", pid), dir + "/log/p/00000001.log"} {
		if b, err := os.ReadFile(f); err != nil || bytes.Contains(b, []byte("s3cret")) {
			t.Errorf("%s: %q, %v", f, b, err)
		}
	}
	if line, _ := os.ReadFile("/proc/" + shepherd + "/cmdline"); string(line) != "iod: keeps p\x00" {
		t.Errorf("%q", line)
	}
}

// TestExitsAreRemembered restarts a supervisor.
func TestExitsAreRemembered(t *testing.T) {
	dir := t.TempDir()
	p := program("p", "exit:3")
	p.Policy.First = time.Hour
	w := run(t, supervise.Options{Programs: []supervise.Program{p}, Dir: dir})
	w.event(supervise.Exited)
	w.stop()
	w = run(t, supervise.Options{Programs: []supervise.Program{p}, Dir: dir})
	w.event(supervise.Exited)
	s := w.Status()[0]
	if len(s.Exits) != 2 || s.Exits[0].Code != 3 || s.Exits[0].PID == 0 || s.Exits[0].Ended.IsZero() || s.Exits[0].PID == s.Exits[1].PID {
		t.Errorf("%+v", s.Exits)
	}
	if s.Log == nil || s.Log.File != "00000001.log" || s.Log.Bytes == 0 {
		t.Errorf("%+v", s.Log)
	}
}

// TestStopSignal stops a program that ends at one signal only.
func TestStopSignal(t *testing.T) {
	p := supervise.Program{Name: "p", Command: []string{"sh", "-c", `trap "" TERM; trap "echo interrupted; exit 4" USR1; echo up $$; while :; do sleep 0.05; done`},
		Stop: supervise.Stop{Signal: syscall.SIGUSR1, Grace: 20 * time.Second}}
	w := run(t, supervise.Options{Programs: []supervise.Program{p}})
	w.pid()
	w.stop()
	if e := w.event(supervise.Exited); e.Exit.Code != 4 {
		t.Errorf("%+v", e)
	}
}

// TestTwoSupervisors of one directory: the second waits until nothing of the first is left.
func TestTwoSupervisors(t *testing.T) {
	onLinux(t)
	dir := t.TempDir()
	exe, _ := os.Executable()
	c := exec.Command(exe)
	c.Env = append(os.Environ(), "CHILD=supervisor:stubborn", "DIR="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.Fields(line)[1])
	c.Process.Kill()
	go io.Copy(io.Discard, out) // ends with the last holder of the pipe
	c.Wait()
	w := run(t, supervise.Options{Dir: dir, Programs: []supervise.Program{program("p", "sleep")}})
	w.event(supervise.Started)
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("both run: %v", err)
	}
}

// TestApplyIsConcurrent changes programs from several sides at once, for the race detector.
func TestApplyIsConcurrent(t *testing.T) {
	w := run(t, supervise.Options{Programs: []supervise.Program{program("a", "sleep")}, Grace: time.Second})
	w.pid()
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			for n := range 3 {
				p := program("a", "sleep")
				p.Env = append(p.Env, fmt.Sprintf("N=%d-%d", i, n))
				if err := w.Apply(t.Context(), []supervise.Program{p, program(fmt.Sprintf("b%d", i), "sleep")}); err != nil {
					t.Error(err)
				}
				w.Status()
				w.Tail("a")
			}
		})
	}
	all.Wait()
	if s := w.Status(); len(s) != 2 {
		t.Errorf("%+v", s)
	}
}

// TestShepherdComesEarly looks which packages are initialised before a shepherd lives: each costs memory beside every program.
func TestShepherdComesEarly(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Args = []string{"iod: starts x"}
	c.Env = []string{"GODEBUG=inittrace=1"}
	var trace bytes.Buffer
	c.Stderr = &trace
	err := c.Run() // without descriptors it ends at once
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 127 {
		t.Fatalf("%v", err)
	}
	var names []string
	for line := range strings.Lines(trace.String()) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "init" {
			names = append(names, f[1])
		}
	}
	if !slices.Contains(names, "os/signal") || slices.Contains(names, "reflect") || slices.Contains(names, "unicode") {
		t.Errorf("%q", names)
	}
}
