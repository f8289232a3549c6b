package supervise

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Program is one child process to keep alive. Only Name and Command are needed.
type Program struct {
	Name    string   // unique; appears in logs, events and the child's IOD_PROGRAM
	Command []string // argv; the first is a path (a relative one starts at Dir) or is looked up in PATH
	Version string   // shown by Status, and the child's IOD_VERSION
	Dir     string   // working directory; empty: that of this process

	Env     []string // KEY=VALUE on top of this process's environment, from which IOD_* and what systemd meant for it are removed
	EnvFile string   // file of lines KEY=VALUE that only its owner may read; read at each start
	Secrets []Secret // files that only their owner may read, each the value of a variable; read at each start

	User   string   // name or number to run as; empty: as this process, and only root may say another
	After  []string // programs that are ready before this one is started
	Ready  *Ready   // nil: ready once started
	Alive  *Alive   // nil: only its exit is noticed
	Stop   Stop
	Policy Policy
	Limits Limits
	Log    LogLimits
}

// Secret is a file's content, less the line end after it, as the variable Name.
type Secret struct{ Name, File string }

// Probe is a question that a program answers by doing its work. Exactly one field is set. Addresses are of this machine's
// loopback, so that no network that is away makes a program look dead.
type Probe struct {
	Port  int    // a TCP port of 127.0.0.1 or [::1] accepts
	HTTP  string // GET of this URL answers with a status of 200 to 399
	Topic string // mqtt://127.0.0.1:1883/a/#: a message that is not a retained one arrives
	Line  string // the program writes a line that matches this regular expression; for Ready only
}

// Ready says when a program counts as ready: programs after it are started then. One that is not ready in time is stopped
// and started again by the policy.
type Ready struct {
	Probe
	Within time.Duration // default 1 min
}

// Alive says how a program that is ready is asked whether it still works. After Failures failed answers in a row it is started
// again by the policy.
type Alive struct {
	Probe
	Every    time.Duration // default 30 s
	Timeout  time.Duration // of one answer; default 5 s
	Failures int           // default 3
}

// Stop says how a program is asked to end.
type Stop struct {
	Signal syscall.Signal // to its process group; default SIGTERM
	Grace  time.Duration  // after which everything that is left is killed; default Options.Grace
}

// Limits bound what a program and all that it starts may use. Zero: no limit. Status says what is enforced, and how.
type Limits struct {
	Memory    uint64  // bytes
	CPU       float64 // cores: 0.5 is half of one
	Files     uint64  // open files of each process
	Processes uint64
}

// LogLimits bound the captured output on disk.
type LogLimits struct {
	Size  int64 // bytes of one file; default 1 MiB
	Files int   // default 4
}

// Defaults and bounds.
const (
	defaultWithin   = time.Minute
	defaultEvery    = 30 * time.Second
	defaultTimeout  = 5 * time.Second
	defaultFailures = 3
	defaultGrace    = 5 * time.Second
	defaultLogSize  = 1 << 20
	defaultLogFiles = 4
	leastLogSize    = 16 << 10
	mostLogFiles    = 100
)

// withDefaults fills in what was left out.
func (p Program) withDefaults(grace time.Duration) Program {
	if p.Stop.Signal == 0 {
		p.Stop.Signal = syscall.SIGTERM
	}
	if p.Stop.Grace <= 0 {
		p.Stop.Grace = grace
	}
	if p.Ready != nil {
		r := *p.Ready
		r.Within = orElse(r.Within, defaultWithin)
		p.Ready = &r
	}
	if p.Alive != nil {
		a := *p.Alive
		a.Every, a.Timeout = orElse(a.Every, defaultEvery), orElse(a.Timeout, defaultTimeout)
		a.Failures = orElse(a.Failures, defaultFailures)
		p.Alive = &a
	}
	p.Log.Size = max(orElse(p.Log.Size, defaultLogSize), leastLogSize)
	p.Log.Files = min(orElse(p.Log.Files, defaultLogFiles), mostLogFiles)
	p.Policy = p.Policy.withDefaults()
	return p
}

func orElse[T int | int64 | time.Duration](v, other T) T {
	if v <= 0 {
		return other
	}
	return v
}

// sameProcess reports whether a process that was started for a is as good as one for b. The rest (when to restart, how to ask, how much
// to log) can change under it.
func sameProcess(a, b Program) bool {
	for _, p := range []*Program{&a, &b} {
		p.After, p.Ready, p.Alive, p.Stop, p.Policy, p.Log = nil, nil, nil, Stop{}, Policy{}, LogLimits{}
		p.Env, p.Secrets = slices.Clip(append([]string{}, p.Env...)), append([]Secret{}, p.Secrets...)
	}
	return reflect.DeepEqual(a, b)
}

// nameForm is what a program's name may be, since files and control groups are called so.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// Check returns what makes programs impossible to supervise, all of it: a missing, repeated or hostile name, no command, an
// environment entry without "=", NUL anywhere, programs that wait for each other, probes that are none. Whether the command, the user and
// the secrets exist shows when it is started.
func Check(programs []Program) error {
	var errs []error
	seen := map[string]bool{}
	for i, p := range programs {
		switch {
		case p.Name == "":
			errs = append(errs, fmt.Errorf("program %d has no name", i+1))
		case !nameForm.MatchString(p.Name):
			errs = append(errs, fmt.Errorf("program name %.80q: 1 to 64 letters, digits, dots, hyphens or underscores, the first no dot or hyphen", p.Name))
		case seen[p.Name]:
			errs = append(errs, fmt.Errorf("program %q is there twice", p.Name))
		}
		seen[p.Name] = true
		errs = append(errs, p.check()...)
	}
	if err := CheckOrder(programs); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Program) check() (errs []error) {
	complain := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("program %q "+format, append([]any{p.Name}, args...)...))
	}
	if len(p.Command) == 0 || p.Command[0] == "" {
		complain("has no command")
	}
	for _, e := range p.Env {
		if key, _, ok := strings.Cut(e, "="); !ok || key == "" {
			complain("has the environment entry %q that is not KEY=VALUE", key)
		}
	}
	for _, text := range slices.Concat([]string{p.Name, p.Dir, p.User, p.Version, p.EnvFile}, p.Command, p.Env) {
		if strings.IndexByte(text, 0) >= 0 {
			complain("has a NUL byte in its description")
			break
		}
	}
	if p.User != "" {
		if err := checkUser(p.User); err != nil {
			complain("cannot run as %q: %w", p.User, err)
		}
	}
	if p.Ready != nil {
		if err := p.Ready.Check(true); err != nil {
			complain("ready: %w", err)
		}
	}
	if p.Alive != nil {
		if err := p.Alive.Check(false); err != nil {
			complain("alive: %w", err)
		}
	}
	if !(p.Limits.CPU >= 0 && p.Limits.CPU <= 4096) {
		complain("may not have %g cores", p.Limits.CPU)
	}
	return errs
}

// ErrNotRoot says that only root may run programs as another user.
var ErrNotRoot = errors.New("only root may run a program as another user: run iod as root, or leave user out")

func checkUser(name string) error {
	u, err := lookUpUser(name)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 && u.UID != os.Geteuid() {
		return ErrNotRoot
	}
	return nil
}
