package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"iod/supervise/shepherd"
)

// launched is a program that runs.
type launched interface {
	pid() int
	exited() <-chan struct{}        // closed when the program itself ended
	gone() <-chan struct{}          // closed when nothing of it is left, and its output is read
	exit() Exit                     // how it ended; valid after gone
	stop(Stop)                      // may be called again, with a shorter grace
	read(func(stream, text string)) // to be called once: its output waits in the pipes before
}

// drainTime is how long output is awaited after everything of a program is gone. Only a process that got the pipe otherwise can
// hold it open then.
const drainTime = 250 * time.Millisecond

// How long a program may take until it is executed: from a slow disk, and when it is to be stopped again.
const (
	startPatience = time.Minute
	stopPatience  = 2 * time.Second
)

// abandonGrace bounds how long a program may take to end after this process was killed: its successor waits for it.
const abandonGrace = 10 * time.Second

// owned holds the children that this package waits for by their id. Children belong to the process, so this does too.
var owned = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

// child is a program with its shepherd.
type child struct {
	cmd      *exec.Cmd // the shepherd
	program  int
	commands *os.File
	reports  *os.File
	output   []*os.File
	readers  sync.WaitGroup

	ended, over chan struct{}
	reading     chan struct{} // closed by read
	result      Exit          // written before over is closed

	mu sync.Mutex // of writing commands
}

func (c *child) pid() int                { return c.program }
func (c *child) exited() <-chan struct{} { return c.ended }
func (c *child) gone() <-chan struct{}   { return c.over }
func (c *child) exit() Exit              { return c.result }

func (c *child) stop(how Stop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.commands, "stop %d %d\n", how.Signal, how.Grace.Milliseconds()) // a shepherd that is gone has stopped it
}

// start starts a program. It returns when it is executed, or cannot be. group is removed by the caller.
func (s *Supervisor) start(ctx context.Context, p *Program, group string) (launched, error) {
	spec, err := s.describe(p, group)
	if err != nil {
		return nil, err
	}
	raw, err := spec.Encode()
	if err != nil {
		return nil, err
	}
	c := &child{ended: make(chan struct{}), over: make(chan struct{}), reading: make(chan struct{})}
	if err := c.spawn(p.Name, s.lock); err != nil {
		return nil, err
	}
	first := make(chan error, 1)
	go c.follow(first) // ends with the shepherd
	c.commands.Write(raw)
	if err := executed(ctx, first); err != nil {
		c.cmd.Process.Kill()
		c.read(func(string, string) {})
		<-c.over
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return c, nil
}

func (c *child) read(line func(stream, text string)) {
	for i, stream := range []string{"stdout", "stderr"} {
		c.readers.Go(func() {
			l := lines{emit: func(text string) { line(stream, text) }}
			io.CopyBuffer(struct{ io.Writer }{&l}, struct{ io.Reader }{c.output[i]}, make([]byte, 2048)) // ends by EOF or drain
			l.end()
		})
	}
	close(c.reading)
}

// executed waits for the first report. When ctx ends it may come all the same: the program is then to be stopped as any other.
func executed(ctx context.Context, first <-chan error) error {
	timer := time.NewTimer(startPatience)
	defer timer.Stop()
	select {
	case err := <-first:
		return err
	case <-ctx.Done():
		timer.Reset(stopPatience)
	case <-timer.C:
		timer.Reset(0)
	}
	select {
	case err := <-first:
		return err
	case <-timer.C:
		return errors.New("it takes too long to be executed")
	}
}

// describe says what the shepherd is to start.
func (s *Supervisor) describe(p *Program, group string) (*shepherd.Spec, error) {
	spec := &shepherd.Spec{Name: p.Name, Command: p.Command, Dir: p.Dir, Group: group, Signal: p.Stop.Signal,
		Grace: min(p.Stop.Grace, abandonGrace), Files: p.Limits.Files}
	if spec.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("find the working directory: %w", err)
		}
		spec.Dir = dir
	}
	var err error
	if spec.User, err = s.userOf(p); err != nil {
		return nil, err
	}
	if p.Limits.Memory > 0 && !s.groups.controllers["memory"] {
		spec.Memory = p.Limits.Memory
	}
	if p.Limits.Processes > 0 && !s.groups.controllers["pids"] && spec.User != nil {
		spec.Processes = p.Limits.Processes
	}
	marks := []string{envProgram + "=" + p.Name, envSupervisor + "=" + s.id}
	if p.Version != "" {
		marks = append(marks, envVersion+"="+p.Version)
	}
	spec.Env, err = environment(os.Environ(), p, spec.User, marks...)
	return spec, err
}

// userOf finds whom a program runs as; nil: as this process.
func (s *Supervisor) userOf(p *Program) (*shepherd.User, error) {
	if p.User == "" {
		return nil, nil
	}
	if err := checkUser(p.User); err != nil {
		return nil, fmt.Errorf("run as %q: %w", p.User, err)
	}
	if os.Geteuid() != 0 {
		return nil, nil
	}
	return lookUpUser(p.User)
}

// spawn starts the shepherd.
func (c *child) spawn(name string, lock *os.File) (err error) {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			c.close()
		}
	}()
	pipe := func(toThem bool) (ours *os.File) {
		r, w, perr := os.Pipe()
		if perr != nil {
			err = errors.Join(err, fmt.Errorf("make pipe: %w", perr))
			return nil
		}
		if toThem {
			r, w = w, r
		}
		theirs = append(theirs, w)
		return r
	}
	c.output = []*os.File{pipe(false), pipe(false)}
	c.commands, c.reports = pipe(true), pipe(false)
	path, perr := selfPath()
	if err = errors.Join(err, perr); err != nil {
		return err
	}
	c.cmd = &exec.Cmd{Path: path, Args: []string{shepherd.Name + name}, Env: []string{"GOMAXPROCS=1"}, Dir: "/",
		Stdout: theirs[0], Stderr: theirs[1], ExtraFiles: theirs[2:4:4], SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if lock != nil {
		c.cmd.ExtraFiles = append(c.cmd.ExtraFiles, lock)
	}
	owned.Lock()
	defer owned.Unlock()
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start the shepherd: %w", err)
	}
	owned.pids[c.cmd.Process.Pid] = true
	return nil
}

func (c *child) close() {
	for _, f := range append(c.output, c.commands, c.reports) {
		f.Close() // of nil, too
	}
}

// follow reads what the shepherd reports, to its end, and sees that nothing is left.
func (c *child) follow(first chan<- error) {
	reported, whole := false, false
	in := bufio.NewScanner(c.reports)
	for in.Scan() {
		verb, rest, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "started":
			_, err := fmt.Sscanf(rest, "%d", &c.program)
			reported = true
			first <- err
		case "failed":
			reported, whole = true, true
			first <- errors.New(rest)
		case "exited":
			c.result = parseExit(rest)
			c.endOnce()
		case "gone":
			whole = true
			if rest != "0" {
				c.result.Reason = strings.TrimPrefix(c.result.Reason+"; "+rest+" of its processes hang in the kernel", "; ")
			}
		}
	}
	c.cmd.Wait()
	owned.Lock()
	delete(owned.pids, c.cmd.Process.Pid)
	owned.Unlock()
	if !reported {
		first <- errors.New("the shepherd ended at once")
	}
	if !whole {
		endOrphans()
		select {
		case <-c.ended:
		default:
			c.result = Exit{Code: -1, Reason: "its shepherd was killed"}
		}
	}
	c.endOnce()
	<-c.reading
	for _, r := range c.output {
		r.SetReadDeadline(time.Now().Add(drainTime))
	}
	c.readers.Wait()
	c.close()
	close(c.over)
}

func (c *child) endOnce() {
	select {
	case <-c.ended:
	default:
		close(c.ended)
	}
}

// parseExit reads "<wait status> <true when it had too much memory>".
func parseExit(text string) (e Exit) {
	var status syscall.WaitStatus
	var over bool
	if _, err := fmt.Sscanf(text, "%d %t", &status, &over); err != nil {
		return Exit{Code: -1, Reason: "its shepherd reports nonsense"}
	}
	e = Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		e = Exit{Code: -1, Signal: status.Signal().String()}
	}
	e.OOM = over
	return e
}
