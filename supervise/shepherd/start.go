package shepherd

import (
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
)

// start starts the starter and waits until it became the program.
func (s *shepherd) start(raw []byte) error {
	exe, err := os.Executable()
	if err != nil {
		return doing("find this executable", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	specR, specW, err := os.Pipe()
	if err != nil {
		return doing("make pipe", err)
	}
	whyR, whyW, err := os.Pipe()
	if err != nil {
		return doing("make pipe", err)
	}
	p, err := os.StartProcess(self(exe), []string{starterName + s.spec.Name}, &os.ProcAttr{
		Files: []*os.File{null, os.Stdout, os.Stderr, specR, whyW},
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Sys:   starterAttributes(),
	})
	specR.Close()
	whyW.Close()
	if err != nil {
		return doing("start the starter", err)
	}
	s.pid = p.Pid
	specW.Write(raw) // a starter that cannot read tells so
	specW.Close()
	why, _ := io.ReadAll(io.LimitReader(whyR, 4096))
	whyR.Close()
	if len(why) > 0 {
		p.Wait()
		return errors.New(string(why))
	}
	p.Release() // reap waits for it
	return forget(os.Stdout, os.Stderr)
}

// forget lets the program's output go, so that its readers see its end.
func forget(files ...*os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for _, f := range files {
		if err := dup(int(null.Fd()), int(f.Fd())); err != nil {
			return doing("let the output go", err)
		}
	}
	return nil
}

// start makes this process the program. It returns only when it cannot, with the reason.
func start() error {
	syscall.CloseOnExec(commandsFD)
	syscall.CloseOnExec(reportsFD)
	raw, err := io.ReadAll(io.LimitReader(os.NewFile(commandsFD, "spec"), MaxSpec+1))
	if err != nil {
		return err
	}
	s, err := decode(raw)
	if err != nil {
		return doing("read what to start", err)
	}
	if err := confine(s); err != nil {
		return err
	}
	if err := os.Chdir(s.Dir); err != nil {
		return doing("enter the working directory", err)
	}
	path, err := lookPath(s.Command[0], s.Env)
	if err != nil {
		return err
	}
	return &os.PathError{Op: "start", Path: path, Err: execute(path, s)}
}

// busyTries and busyPause bound how long a file that is written is waited for: the supervisor may have written it, and a process that it
// started meanwhile may hold it open until it becomes another program.
const (
	busyTries = 50
	busyPause = 10 * time.Millisecond
)

func execute(path string, s *Spec) (err error) {
	for range busyTries {
		if err = syscall.Exec(path, s.Command, s.Env); !errors.Is(err, syscall.ETXTBSY) {
			return err
		}
		time.Sleep(busyPause)
	}
	return err
}

// confine puts this process where the program may be and no more.
func confine(s *Spec) error {
	if s.Group != "" {
		if err := os.WriteFile(s.Group+"/cgroup.procs", []byte("0"), 0); err != nil {
			return doing("join the control group", err)
		}
	}
	if err := setLimits(s); err != nil {
		return err
	}
	if u := s.User; u != nil {
		if err := setUser(u); err != nil {
			return err
		}
	}
	return dieWithParent()
}

// setUser is for ever.
func setUser(u *User) error {
	if err := syscall.Setgroups(u.Groups); err != nil {
		return doing("set groups", err)
	}
	if err := syscall.Setgid(u.GID); err != nil {
		return doing("become group "+strconv.Itoa(u.GID), err)
	}
	if err := syscall.Setuid(u.UID); err != nil {
		return doing("become user "+strconv.Itoa(u.UID), err)
	}
	return nil
}

// limit lowers what the kernel allows this process and its children, the hard limit with the soft one.
func limit(what int, name string, n uint64) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(what, &now); err != nil {
		return doing("read the limit of "+name, err)
	}
	if n > uint64(now.Max) && os.Geteuid() != 0 {
		return errors.New("set the limit of " + name + ": this process itself may have no more than " + strconv.FormatUint(uint64(now.Max), 10))
	}
	if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return doing("set the limit of "+name, err)
	}
	return nil
}

// lookPath finds a command as a shell would with the program's own PATH.
func lookPath(name string, env []string) (string, error) {
	if index(name, '/') >= 0 {
		return name, nil
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, e := range env {
		if v, ok := cutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for more := true; more; {
		var dir string
		dir, path, more = cut(path, ':')
		if dir == "" || dir[0] != '/' { // of the working directory: no
			continue
		}
		candidate := dir + "/" + name
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", errors.New("start " + strconv.Quote(name) + ": not found in PATH")
}
