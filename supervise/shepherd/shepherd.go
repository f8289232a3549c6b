// Package shepherd is the small process between a supervisor and one program: it starts the program, tells how it ended, and
// does not end itself before everything that the program started is gone. So a supervisor that is killed, even by SIGKILL, leaves
// no orphan, and programs that fork, change their session and clear their environment are found all the same: whatever loses
// its parent comes to the shepherd, which is a child subreaper, and cannot leave the tree below it.
//
//	supervisor ──── spec, "stop 15 5000" (descriptor 3) ───▶ shepherd ──── spec ───▶ starter ── exec ──▶ program
//	           ◀─── started, exited, gone (descriptor 4) ───          ◀── why not ──
//
// When descriptor 3 ends without a stop, the supervisor is dead: the shepherd stops the program as the spec says. When the
// shepherd is killed, the kernel kills the program, and the rest of its tree goes to the supervisor, if that is a subreaper.
//
// The starter is the program's process before exec: it joins the control group, sets limits and changes the user, so that the
// program never runs without them.
//
// Both are this very executable, and live in this package's init function. Go initialises packages as soon as what they import is, in the
// order of their names; this one imports little, so that it comes before most others of a large program: a
// shepherd costs about 0.7 MB of memory of its own, and milliseconds. Linking this package is enough; whoever starts a process
// with such a name (argv[0]) gets a shepherd.
package shepherd

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// The names (argv[0]) by which a process becomes what it is to be; a program's name follows.
const (
	Name        = "iod: keeps "
	starterName = "iod: starts "
)

// The descriptors of a shepherd beside its output, which is the program's.
const (
	commandsFD = 3
	reportsFD  = 4
	lockFD     = 5 // optional: a file lock that is held until nothing of the program is left
)

// MaxSpec bounds an encoded Spec in bytes.
const MaxSpec = 1 << 20

// Spec says what to start and how.
type Spec struct {
	Name      string
	Command   []string // the first is a path, a relative one from Dir, or is looked up in the PATH of Env
	Dir       string   // absolute
	Env       []string // KEY=VALUE, all of it
	User      *User    // nil: as the supervisor
	Files     uint64   // most open files; 0: as the supervisor may
	Processes uint64   // most processes of the user; 0: as the supervisor may
	Memory    uint64   // most resident bytes of the whole tree, looked at every WatchInterval; 0: not watched
	Group     string   // directory of the control group (version 2) to join, or empty
	Signal    syscall.Signal
	Grace     time.Duration // between Signal and SIGKILL, when the supervisor is dead
}

// User is whom a program runs as.
type User struct {
	UID, GID int
	Groups   []int
}

// WatchInterval is how often the memory of a tree is looked at where no control group does so.
const WatchInterval = 2 * time.Second

// Encode writes a spec as it goes through descriptor 3: entries key=value, each ended by a NUL, and a NUL. Texts with a NUL
// in them are an error.
func (s *Spec) Encode() ([]byte, error) {
	var b []byte
	bad := false
	put := func(key string, values ...string) {
		for _, v := range values {
			bad = bad || index(v, 0) >= 0
			b = append(b, key+"="+v+"\x00"...)
		}
	}
	number := func(key string, n int64) { put(key, strconv.FormatInt(n, 10)) }
	put("name", s.Name)
	put("command", s.Command...)
	put("dir", s.Dir)
	put("env", s.Env...)
	if s.User != nil {
		number("uid", int64(s.User.UID))
		number("gid", int64(s.User.GID))
		for _, g := range s.User.Groups {
			number("group", int64(g))
		}
	}
	number("files", int64(s.Files))
	number("processes", int64(s.Processes))
	number("memory", int64(s.Memory))
	put("cgroup", s.Group)
	number("signal", int64(s.Signal))
	number("grace", int64(s.Grace))
	b = append(b, 0)
	if bad || len(b) > MaxSpec {
		return nil, errors.New("program " + strconv.Quote(s.Name) + ": its description has a NUL byte or is larger than 1 MiB")
	}
	return b, nil
}

// decode parses what Encode wrote.
func decode(text []byte) (*Spec, error) {
	s := &Spec{}
	for rest, more := string(text), true; more; {
		var entry string
		entry, rest, more = cut(rest, 0)
		key, value, ok := cut(entry, '=')
		if !ok && entry != "" {
			return nil, errors.New("entry " + strconv.Quote(key))
		}
		if err := s.set(key, value); err != nil {
			return nil, doing("entry "+strconv.Quote(key), err)
		}
	}
	if len(s.Command) == 0 {
		return nil, errors.New("no command")
	}
	return s, nil
}

func (s *Spec) set(key, value string) error {
	switch key {
	case "":
		return nil
	case "name":
		s.Name = value
		return nil
	case "command":
		s.Command = append(s.Command, value)
		return nil
	case "dir":
		s.Dir = value
		return nil
	case "env":
		s.Env = append(s.Env, value)
		return nil
	case "cgroup":
		s.Group = value
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return err
	}
	if s.User == nil && (key == "uid" || key == "gid" || key == "group") {
		s.User = &User{}
	}
	switch key {
	case "uid":
		s.User.UID = int(n)
	case "gid":
		s.User.GID = int(n)
	case "group":
		s.User.Groups = append(s.User.Groups, int(n))
	case "files":
		s.Files = uint64(n)
	case "processes":
		s.Processes = uint64(n)
	case "memory":
		s.Memory = uint64(n)
	case "signal":
		s.Signal = syscall.Signal(n)
	case "grace":
		s.Grace = time.Duration(n)
	default:
		return errors.New("unknown")
	}
	return nil
}

func init() {
	if len(os.Args) == 0 {
		return
	}
	if _, ok := cutPrefix(os.Args[0], starterName); ok {
		os.NewFile(reportsFD, "reports").WriteString(start().Error())
		os.Exit(127)
	}
	if _, ok := cutPrefix(os.Args[0], Name); ok {
		if err := run(); err != nil {
			os.NewFile(reportsFD, "reports").WriteString("failed " + oneLine(err) + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// shepherd is the process' state. One goroutine has it.
type shepherd struct {
	spec    *Spec
	reports *os.File
	pid     int // of the program
	ended   bool
	stop    bool      // told to stop, or the program ended by itself: what is left of it must go
	kill    time.Time // when what is left is killed
	over    bool      // it had more memory than it may
	alone   bool      // the supervisor is dead
}

// stopping is a command to stop.
type stopping struct {
	signal syscall.Signal
	grace  time.Duration
	dead   bool // the supervisor is
}

// run is the life of a shepherd.
func run() error {
	for fd := commandsFD; fd <= lockFD; fd++ {
		syscall.CloseOnExec(fd)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD)
	// Ends come through descriptor 3 only: systemd sends SIGTERM to everything that a service left. Notify rather than Ignore:
	// the program would inherit what is ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE,
		syscall.SIGUSR1, syscall.SIGUSR2)
	adopt()
	s := &shepherd{reports: os.NewFile(reportsFD, "reports")}
	commands := os.NewFile(commandsFD, "commands")
	raw, rest, err := readSpec(commands)
	if err != nil {
		return err
	}
	if s.spec, err = decode(raw); err != nil {
		return doing("read what to start", err)
	}
	if err := s.start(raw); err != nil {
		return err
	}
	s.say("started", strconv.Itoa(s.pid))
	s.attend(signals, listen(commands, rest, stopping{s.spec.Signal, s.spec.Grace, true}))
	if s.alone {
		removeGroup(s.spec.Group)
	}
	return nil
}

func (s *shepherd) say(words ...string) {
	line := ""
	for _, w := range words {
		line += w + " "
	}
	s.reports.WriteString(line[:len(line)-1] + "\n")
}

// readSpec reads up to the two NULs that end a spec.
func readSpec(r io.Reader) (spec, rest []byte, err error) {
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		for i := max(len(all)-n-1, 0); i+1 < len(all); i++ {
			if all[i] == 0 && all[i+1] == 0 {
				return all[:i], all[i+2:], nil
			}
		}
		if err != nil || len(all) > MaxSpec {
			return nil, nil, doing("read what to start", errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
}

// listen reads commands, lines such as "stop 15 5000" (signal, milliseconds). Their end is one, too.
func listen(r io.Reader, first []byte, dead stopping) <-chan stopping {
	commands := make(chan stopping)
	go func() { // lives as long as the process
		buf := make([]byte, 256)
		for rest := string(first); ; {
			line, more, found := cut(rest, '\n')
			if found {
				if c, ok := parseStop(line); ok {
					commands <- c
				}
				rest = more
				continue
			}
			n, err := r.Read(buf)
			if err != nil || len(rest) > len(buf) {
				commands <- dead
				return
			}
			rest += string(buf[:n])
		}
	}()
	return commands
}

func parseStop(line string) (c stopping, ok bool) {
	rest, ok := cutPrefix(line, "stop ")
	sig, ms, found := cut(rest, ' ')
	n, err := strconv.Atoi(sig)
	m, merr := strconv.Atoi(ms)
	return stopping{syscall.Signal(n), time.Duration(m) * time.Millisecond, false}, ok && found && err == nil && merr == nil
}

// Of the time that a tree may take to end.
const (
	pollInterval = 100 * time.Millisecond // at which it is looked at while it should end; mostly SIGCHLD comes first
	killPatience = 2 * time.Second        // after SIGKILL; what is left then hangs in the kernel
)

// attend waits until nothing of the program is left.
func (s *shepherd) attend(signals <-chan os.Signal, commands <-chan stopping) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	pace := func() {
		switch {
		case s.stop:
			tick.Reset(pollInterval)
		case s.spec.Memory > 0:
			tick.Reset(WatchInterval)
		}
	}
	for pace(); ; {
		select {
		case c := <-commands:
			s.alone = s.alone || c.dead
			if !s.ended {
				syscall.Kill(-s.pid, c.signal)
			}
			s.end(c.grace)
			pace()
		case <-signals:
		case <-tick.C:
			s.watch()
		}
		s.reap()
		if s.ended && !s.stop {
			s.end(s.spec.Grace)
			terminate(s.pid)
			pace()
		}
		if s.stop && s.finish() {
			return
		}
	}
}

// end begins the end, or brings it nearer.
func (s *shepherd) end(grace time.Duration) {
	if at := time.Now().Add(grace); !s.stop || at.Before(s.kill) {
		s.stop, s.kill = true, at
	}
}

// watch ends a tree that has too much memory.
func (s *shepherd) watch() {
	if s.spec.Memory == 0 || s.stop || resident() <= s.spec.Memory {
		return
	}
	s.over = true
	s.end(0)
}

// reap takes ended processes off the process table, and tells of the program.
func (s *shepherd) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if pid == s.pid {
			s.ended = true
			s.say("exited", strconv.Itoa(int(status)), strconv.FormatBool(s.over))
			if s.stop {
				terminate(s.pid)
			}
		}
	}
}

// finish ends what is left when its time is over, and reports whether nothing is left, or what is left cannot be ended.
func (s *shepherd) finish() bool {
	left := 0
	if late := time.Since(s.kill); late >= 0 {
		left = kill(s.pid, s.spec.Group)
		s.reap()
		if (left > 0 || !s.ended) && late < killPatience {
			return false
		}
	} else if left = living(s.pid); left > 0 || !s.ended {
		return false
	}
	s.say("gone", strconv.Itoa(left))
	return true
}
