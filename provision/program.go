package provision

import (
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"iod/document"
	"iod/supervise"
	"iod/update"
)

// Program is one [[program]]. What the manifest leaves out is zero.
type Program struct {
	Name    string
	Command []string
	Dir     string
	Env     []string // KEY=VALUE
	EnvFile string   // absolute
	Secrets []supervise.Secret
	User    string
	After   []string
	Ready   *supervise.Ready
	Alive   *supervise.Alive
	Stop    supervise.Stop
	Restart supervise.Policy
	Limits  supervise.Limits
	Log     supervise.LogLimits
	Update  *update.Version
}

// managed is the program as package update keeps it.
func (p Program) managed() update.Program {
	return update.Program{Want: p.Update, Program: supervise.Program{Name: p.Name, Command: p.Command, Dir: p.Dir, Env: p.Env, EnvFile: p.EnvFile,
		Secrets: p.Secrets, User: p.User, After: p.After, Ready: p.Ready, Alive: p.Alive, Stop: p.Stop, Policy: p.Restart, Limits: p.Limits, Log: p.Log}}
}

// managed are the manifest's programs as package update keeps them.
func (m *Manifest) managed() []update.Program {
	all := make([]update.Program, len(m.Programs))
	for i, p := range m.Programs {
		all[i] = p.managed()
	}
	return all
}

type programFile struct {
	Name    string            `toml:"name"`
	Command []string          `toml:"command"`
	Dir     string            `toml:"dir"`
	Env     map[string]string `toml:"env"`
	EnvFile string            `toml:"env_file"`
	Secrets map[string]string `toml:"secrets"`
	User    string            `toml:"user"`
	After   []string          `toml:"after"`
	Ready   *readyFile        `toml:"ready"`
	Alive   *aliveFile        `toml:"alive"`
	Stop    stopFile          `toml:"stop"`
	Restart restartFile       `toml:"restart"`
	Limits  limitsFile        `toml:"limits"`
	Log     logFile           `toml:"log"`
	Update  *updateFile       `toml:"update"`
}

type readyFile struct {
	Port   int    `toml:"port"`
	HTTP   string `toml:"http"`
	Topic  string `toml:"topic"`
	Line   string `toml:"line"`
	Within string `toml:"within"`
}

type aliveFile struct {
	Port     int    `toml:"port"`
	HTTP     string `toml:"http"`
	Topic    string `toml:"topic"`
	Every    string `toml:"every"`
	Timeout  string `toml:"timeout"`
	Failures *int   `toml:"failures"`
}

type stopFile struct {
	Signal string `toml:"signal"`
	Grace  string `toml:"grace"`
}

type restartFile struct {
	Min     string `toml:"min"`
	Max     string `toml:"max"`
	Healthy string `toml:"healthy"`
}

type limitsFile struct {
	Memory    string `toml:"memory"`
	CPU       string `toml:"cpu"`
	Files     *int64 `toml:"files"`
	Processes *int64 `toml:"processes"`
}

type logFile struct {
	Size  string `toml:"size"`
	Files *int   `toml:"files"`
}

type updateFile struct {
	Version  string `toml:"version"`
	URL      string `toml:"url"`
	Path     string `toml:"path"`
	SHA256   string `toml:"sha256"`
	MaxSize  string `toml:"max_size"`
	Strategy string `toml:"strategy"`
	Within   string `toml:"within"`
}

var userName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]{0,31}\$?|[0-9]{1,10})$`)

func (c *checker) programs(files []programFile) []Program {
	if len(files) > maxPrograms {
		c.complain("program", "%d programs are more than %d", len(files), maxPrograms)
		return nil
	}
	var out []Program
	for i := range files {
		f := &files[i]
		path := fmt.Sprintf("program[%d]", i)
		if !document.ValidStreamName(f.Name) || strings.HasPrefix(f.Name, "-") {
			c.name(path, "program", f.Name)
		} else if slices.ContainsFunc(out, func(p Program) bool { return p.Name == f.Name }) {
			c.complain(path+".name", "program name %q stands twice", f.Name)
		}
		out = append(out, c.program(path, f))
	}
	c.order(out)
	return out
}

func (c *checker) program(path string, f *programFile) Program {
	p := Program{Name: f.Name, Command: slices.Clone(f.Command), Dir: c.dir, EnvFile: c.file(f.EnvFile), User: f.User, After: f.After}
	if len(f.Command) == 0 || f.Command[0] == "" {
		c.complain(path+".command", "program %q has no command: command = [\"./program\", \"--flag\"]", f.Name)
	} else if strings.ContainsRune(f.Command[0], os.PathSeparator) {
		p.Command[0] = c.file(f.Command[0])
	}
	if f.Dir != "" {
		p.Dir = c.file(f.Dir)
	}
	for name, text := range map[string]string{"command": strings.Join(f.Command, ""), "dir": f.Dir, "env_file": f.EnvFile} {
		if strings.ContainsRune(text, 0) {
			c.complain(path+"."+name, "program %q: %s has a NUL in it", f.Name, name)
		}
	}
	if f.User != "" && !userName.MatchString(f.User) {
		c.complain(path+".user", "program %q: user = %.40q is neither the name nor the number of a user", f.Name, f.User)
	}
	c.environment(path, f, &p)
	c.checks(path, f, &p)
	c.ending(path, f, &p)
	c.bounds(path, f, &p)
	if f.Update != nil {
		p.Update = c.update(path+".update", f.Name, f.Update)
	}
	return p
}

// environment takes in variables and secrets.
func (c *checker) environment(path string, f *programFile, p *Program) {
	valid := func(at, name string) {
		switch {
		case !envName.MatchString(name) || strings.ContainsRune(f.Env[name], 0):
			c.complain(at, "program %q: %q is not the name of an environment variable", f.Name, name)
		case strings.HasPrefix(name, "IOD_"):
			c.complain(at, "program %q: %s: names that begin with IOD_ are iod's own", f.Name, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Env)) {
		valid(path+".env."+name, name)
		p.Env = append(p.Env, name+"="+f.Env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Secrets)) {
		at := path + ".secrets." + name
		valid(at, name)
		if _, both := f.Env[name]; both {
			c.complain(at, "program %q: %s stands in env and in secrets", f.Name, name)
		}
		if file := f.Secrets[name]; file == "" || strings.ContainsRune(file, 0) {
			c.complain(at, "program %q: %s names no file: secrets = {%s = \"file\"}, with the value in a file of mode 0600", f.Name, name, name)
		}
		p.Secrets = append(p.Secrets, supervise.Secret{Name: name, File: c.file(f.Secrets[name])})
	}
}

// checks takes in how a program is asked whether it is ready, and alive.
func (c *checker) checks(path string, f *programFile, p *Program) {
	if r := f.Ready; r != nil {
		at := path + ".ready"
		p.Ready = &supervise.Ready{Probe: supervise.Probe{Port: r.Port, HTTP: r.HTTP, Topic: r.Topic, Line: r.Line},
			Within: c.duration(at+".within", r.Within, 100*time.Millisecond, 24*time.Hour)}
		if err := p.Ready.Check(true); err != nil {
			c.complain(at+"."+probeKey(p.Ready.Probe), "program %q: ready: %v", f.Name, err)
		}
	}
	if a := f.Alive; a != nil {
		at := path + ".alive"
		p.Alive = &supervise.Alive{Probe: supervise.Probe{Port: a.Port, HTTP: a.HTTP, Topic: a.Topic},
			Every:    c.duration(at+".every", a.Every, time.Second, 24*time.Hour),
			Timeout:  c.duration(at+".timeout", a.Timeout, 100*time.Millisecond, time.Hour),
			Failures: int(number(c, at+".failures", a.Failures, 1, 1000))}
		if err := p.Alive.Check(false); err != nil {
			c.complain(at+"."+probeKey(p.Alive.Probe), "program %q: alive: %v", f.Name, err)
		}
	}
}

// probeKey is the key that a probe is written with.
func probeKey(p supervise.Probe) string {
	switch {
	case p.HTTP != "":
		return "http"
	case p.Topic != "":
		return "topic"
	case p.Line != "":
		return "line"
	}
	return "port"
}

// signals are those that may ask a program to end.
var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "KILL": syscall.SIGKILL}

// ending takes in how a program is stopped and started again.
func (c *checker) ending(path string, f *programFile, p *Program) {
	if f.Stop.Signal != "" {
		sig, ok := signals[strings.TrimPrefix(f.Stop.Signal, "SIG")]
		if !ok {
			c.complain(path+".stop.signal", "signal = %.40q is none of %s", f.Stop.Signal, strings.Join(slices.Sorted(maps.Keys(signals)), ", "))
		}
		p.Stop.Signal = sig
	}
	p.Stop.Grace = c.duration(path+".stop.grace", f.Stop.Grace, time.Millisecond, 10*time.Minute)
	r, at := f.Restart, path+".restart"
	p.Restart = supervise.Policy{Min: c.duration(at+".min", r.Min, 100*time.Millisecond, time.Hour), Max: c.duration(at+".max", r.Max, time.Second, 24*time.Hour),
		Healthy: c.duration(at+".healthy", r.Healthy, time.Second, 24*time.Hour)}
	if p.Restart.Min > 0 && p.Restart.Max > 0 && p.Restart.Min > p.Restart.Max {
		c.complain(at+".min", "min = %q is longer than max = %q", r.Min, r.Max)
	}
}

// bounds takes in what a program and its output may use.
func (c *checker) bounds(path string, f *programFile, p *Program) {
	l, at := f.Limits, path+".limits"
	p.Limits = supervise.Limits{Memory: uint64(c.size(at+".memory", l.Memory, 1<<20, 1<<46)), CPU: c.share(at+".cpu", l.CPU),
		Files: uint64(number(c, at+".files", l.Files, 8, 1<<20)), Processes: uint64(number(c, at+".processes", l.Processes, 1, 1<<20))}
	p.Log = supervise.LogLimits{Size: c.size(path+".log.size", f.Log.Size, 16<<10, 1<<30), Files: int(number(c, path+".log.files", f.Log.Files, 2, 100))}
}

func (c *checker) update(path, name string, f *updateFile) *update.Version {
	v := &update.Version{Name: f.Version, URL: f.URL, Path: c.file(f.Path), Beside: f.Strategy == "beside",
		Most: c.size(path+".max_size", f.MaxSize, 1, 1<<34), Within: c.duration(path+".within", f.Within, 100*time.Millisecond, 24*time.Hour)}
	sum, err := update.ParseSum(f.SHA256)
	switch {
	case f.SHA256 == "":
		c.complain(path+".sha256", "program %q: update has no sha256: what is fetched is run only if it is exactly what you named; get it with sha256sum FILE", name)
	case err != nil:
		c.complain(path+".sha256", "program %q: sha256: %v", name, err)
	}
	v.Sum = sum
	if f.Strategy != "" && f.Strategy != "replace" && f.Strategy != "beside" {
		c.complain(path+".strategy", "program %q: strategy = %.40q is neither \"replace\" nor \"beside\"", name, f.Strategy)
	}
	if f.Version == "" {
		c.complain(path+".version", "program %q: update has no version: give it a name, as in version = \"1.2.0\"", name)
	}
	if err == nil && f.Version != "" {
		if err := v.Check(); err != nil {
			c.complain(path, "program %q: update: %v", name, err)
		}
	}
	return v
}

// order complains about programs that wait for what does not come.
func (c *checker) order(programs []Program) {
	names := make([]supervise.Program, len(programs))
	for i, p := range programs {
		names[i] = supervise.Program{Name: p.Name, After: p.After}
		for n, other := range p.After {
			if !slices.ContainsFunc(programs, func(q Program) bool { return q.Name == other }) {
				c.complain(fmt.Sprintf("program[%d].after[%d]", i, n), "program %q is to start after %.64q, which is no program here", p.Name, other)
			}
		}
	}
	if cycle := supervise.Cycle(names); cycle != nil {
		i := slices.IndexFunc(programs, func(p Program) bool { return p.Name == cycle[0] })
		c.complain(fmt.Sprintf("program[%d].after", max(i, 0)), "programs wait for each other: %s", strings.Join(cycle, " after "))
	}
}

// duration reads a time such as "30s"; 0 when there is none.
func (c *checker) duration(path, s string, least, most time.Duration) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		c.complain(path, "%s = %.40q is not a duration from %q to %q", lastKey(path), s, brief(least), brief(most))
	}
	return d
}

// brief writes a duration without the zeros at its end.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// number checks a number; 0 when there is none.
func number[T int | int64](c *checker, path string, n *T, least, most T) T {
	if n == nil {
		return 0
	}
	if *n < least || *n > most {
		c.complain(path, "%s = %d is not between %d and %d", lastKey(path), *n, least, most)
	}
	return *n
}

var (
	sizeForm = regexp.MustCompile(`^([0-9]{1,15})\s*(B|KiB|MiB|GiB|kB|MB|GB)$`)
	units    = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1e3, "MB": 1e6, "GB": 1e9}
)

// size reads bytes, such as "64MiB"; 0 when there are none.
func (c *checker) size(path, s string, least, most int64) int64 {
	if s == "" {
		return 0
	}
	var n int64
	if m := sizeForm.FindStringSubmatch(s); m != nil {
		if v, err := strconv.ParseInt(m[1], 10, 64); err == nil && v <= math.MaxInt64/units[m[2]] {
			n = v * units[m[2]]
		}
	}
	if n < least || n > most {
		c.complain(path, "%s = %.40q is not a size from %q to %q", lastKey(path), s, sizeText(least), sizeText(most))
	}
	return n
}

// sizeText writes a size in the largest unit that fits.
func sizeText(n int64) string {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if n >= units[unit] && n%units[unit] == 0 {
			return strconv.FormatInt(n/units[unit], 10) + unit
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// share reads a part of a core, such as "50%"; 0 when there is none.
func (c *checker) share(path, s string) float64 {
	if s == "" {
		return 0
	}
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || !percent || n < 1 || n > 100*4096 {
		c.complain(path, "cpu = %.40q is not a share of one core such as \"50%%\"; \"200%%\" are two cores", s)
	}
	return float64(n) / 100
}
