// Package supervise keeps child processes alive. What to do after an exit is a pure function, Next; whether a program that does not
// answer is dead is Pulse.Beat; what other programs come to mean is Supervisor.Apply's difference. The rest of the package does it.
//
//	                 start             ready                exit
//	Waiting ──────────────▶ Starting ───────▶ Running ─────────────▶ Waiting, for as long as Next says,
//	  ▲ for those in After     │ exit, or not     │ not alive,         and for those in After
//	  │                        │ ready in time    │ Apply, ctx ends
//	  └────────────────────────┴──── Stopping ◀───┘
//
// Stopping: Stop.Signal to the program's group; after Stop.Grace SIGKILL to everything that it started. Each program has a shepherd
// (package shepherd), so that also what changed its session is found, and nothing is left when this process is killed. Where
// control groups of version 2 can be written each run has one, with its limits. When everything is killed at once, the next
// supervisor with the same directory ends what is left.
//
// # Changing programs
//
//	s := supervise.New(supervise.Options{Programs: programs, Dir: stateDir})
//	go s.Run(ctx)
//	err := s.Apply(ctx, others) // stops, starts and restarts only what differs, in order
//	err = s.Try(ctx, next, supervise.TryOptions{Within: time.Minute}) // keeps another version of a program if it becomes ready
//	s.Status()                  // what every program does
//
// Run makes the process a child subreaper and takes every child in a foreign session that it did not start itself for what a killed
// shepherd left: other code of the process must not start children with Setsid.
package supervise

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a Supervisor. Only Programs is needed.
type Options struct {
	Programs []Program
	Dir      string        // for state: captured output, the last exits, a lock; empty: nothing is kept on disk
	Log      *slog.Logger  // nil: slog.Default()
	OnEvent  func(Event)   // called in order for each program, by its goroutine; must not block for long
	Output   func(Line)    // takes the programs' lines, from several goroutines; nil, and no Dir: they go to Log at level info
	Grace    time.Duration // between SIGTERM and SIGKILL where the program does not say; default 5 s
}

// tailLines is how many lines Tail remembers of a program.
const tailLines = 64

// Supervisor runs programs and starts them again when they end.
type Supervisor struct {
	o      Options
	id     string // tells its programs from other processes
	lock   *os.File
	groups *groups
	launch func(ctx context.Context, p *Program, group string) (launched, error)
	ask    func(context.Context, Probe) error

	applying sync.RWMutex // Apply and the end of Run exclude everything, tries exclude those

	begun chan struct{} // closed when the programs are started

	mu        sync.Mutex
	phase     phase
	wanted    []Program // in the order of Status
	instances map[string]*instance
	trials    map[string]*instance
	aborts    map[*instance]context.CancelCauseFunc // of tries
	logs      map[string]*logWriter
	changed   chan struct{} // closed and replaced when a program becomes ready, or another
}

type phase int

const (
	fresh phase = iota
	claiming
	running
	ending
)

// New returns a supervisor. Run reports programs that cannot be supervised.
func New(o Options) *Supervisor {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	s := &Supervisor{o: o, id: rand.Text(), groups: &groups{}, ask: ask, wanted: o.Programs, instances: map[string]*instance{},
		trials: map[string]*instance{}, aborts: map[*instance]context.CancelCauseFunc{}, logs: map[string]*logWriter{},
		changed: make(chan struct{}), begun: make(chan struct{})}
	if abs, err := filepath.Abs(o.Dir); err == nil && o.Dir != "" {
		sum := sha256.Sum256([]byte(abs)) // the same after a restart
		s.id = hex.EncodeToString(sum[:8])
	}
	s.launch = s.start
	return s
}

// Run starts all programs and keeps them alive until ctx ends; then it stops them, waits for all of them, and returns nil.
// It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	s.mu.Lock()
	was, programs := s.phase, s.wanted
	s.phase = max(was, claiming)
	s.mu.Unlock()
	if was != fresh {
		return errors.New("supervise: run twice")
	}
	if err := Check(programs); err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	stopAdopting := adopt(s.o.Log)
	defer stopAdopting()
	if err := s.claim(ctx); err != nil {
		s.o.Log.Warn("a supervisor before this one may have left something", "err", err)
	}
	defer s.release()
	s.mu.Lock()
	s.phase = running
	for _, p := range s.wanted {
		s.add(p, nil)
	}
	s.mu.Unlock()
	close(s.begun)
	<-ctx.Done()
	s.end()
	return nil
}

// end stops everything.
func (s *Supervisor) end() {
	s.mu.Lock()
	s.phase = ending
	s.abortTries(ErrChanged)
	s.mu.Unlock()
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	all := make([]*instance, 0, len(s.instances))
	for _, i := range s.instances {
		all = append(all, i)
	}
	s.mu.Unlock()
	s.stop(all)
	for _, w := range s.logs {
		w.close()
	}
}

// claimPatience is how long the programs of a supervisor that was killed are waited for.
const claimPatience = abandonGrace + 3*time.Second

// claim waits until nothing is left of an earlier supervisor with the same directory.
func (s *Supervisor) claim(ctx context.Context) (err error) {
	if s.o.Dir != "" {
		if s.lock, err = lockFile(ctx, filepath.Join(s.o.Dir, "programs.lock")); err != nil && ctx.Err() != nil {
			return nil
		}
		if n := endMarked(envSupervisor + "=" + s.id); n > 0 {
			s.o.Log.Warn("ended what an earlier supervisor left", "processes", n)
		}
	}
	g := openGroups(s.id)
	s.mu.Lock()
	s.groups = g
	s.mu.Unlock()
	s.o.Log.Debug("control groups", "dir", g.dir, "without", g.why)
	return err
}

func (s *Supervisor) release() {
	s.groups.close()
	if s.lock != nil {
		s.lock.Close()
	}
}

// lockFile takes the lock that each shepherd holds as long as it lives.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the programs: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		if time.Since(start) > claimPatience || !errors.Is(err, unix.EWOULDBLOCK) || ctx.Err() != nil {
			f.Close()
			return nil, fmt.Errorf("lock the programs %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Apply makes other programs the ones to keep alive: it stops those that are gone, starts new ones, and restarts those whose process would
// be another one (command, environment, user, limits, version); a changed policy, check or log limit needs no restart. It
// returns when all that is to stop has stopped and the rest is on its way, or an error, and then nothing is changed. Programs that
// cannot be supervised are refused whole. Tries that are under way are given up. Before Run it sets what Run starts.
func (s *Supervisor) Apply(ctx context.Context, programs []Program) error {
	if err := Check(programs); err != nil {
		return fmt.Errorf("change programs: %w", err)
	}
	s.mu.Lock()
	if s.phase < running {
		s.wanted = slices.Clone(programs)
		s.mu.Unlock()
		return nil
	}
	s.abortTries(ErrChanged)
	s.mu.Unlock()
	s.applying.Lock()
	defer s.applying.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("change programs: %w", err)
	}
	s.mu.Lock()
	if s.phase != running {
		s.mu.Unlock()
		return errors.New("change programs: the supervisor stops")
	}
	d := difference(s.wanted, programs)
	var stop []*instance
	for _, name := range d.stop {
		stop = append(stop, s.instances[name])
	}
	s.wanted = slices.Clone(programs)
	for _, p := range programs {
		if slices.Contains(d.soft, p.Name) {
			s.instances[p.Name].change(p.withDefaults(s.o.Grace))
		}
	}
	s.mu.Unlock()
	s.stop(stop)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range programs {
		if old := s.instances[p.Name]; slices.Contains(d.start, p.Name) {
			s.add(p, old)
		}
	}
	for name := range s.instances {
		if !slices.ContainsFunc(programs, func(p Program) bool { return p.Name == name }) {
			delete(s.instances, name)
		}
	}
	s.broadcast()
	return nil
}

// abortTries gives up what is being tried. The caller holds mu.
func (s *Supervisor) abortTries(why error) {
	for _, abort := range s.aborts {
		abort(why)
	}
}

// add makes an instance of a program and starts its life. old is the one before, of which some memory stays. The caller holds mu.
func (s *Supervisor) add(p Program, old *instance) *instance {
	i := s.newInstance(p, old)
	s.instances[p.Name] = i
	s.live(i)
	return i
}

// live starts the life of an instance. The caller holds mu.
func (s *Supervisor) live(i *instance) {
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	go func() { // stop waits for it
		defer close(i.done)
		s.keep(ctx, i)
		cancel()
	}()
}

// stop stops instances, each after those that come after it, and waits for them.
func (s *Supervisor) stop(all []*instance) {
	s.mu.Lock()
	dependants := map[*instance][]*instance{}
	for _, i := range all {
		for _, j := range all {
			if slices.Contains(j.spec.After, i.spec.Name) {
				dependants[i] = append(dependants[i], j)
			}
		}
	}
	s.mu.Unlock()
	var stopping sync.WaitGroup
	for _, i := range all {
		stopping.Go(func() {
			for _, j := range dependants[i] {
				<-j.done
			}
			i.cancel()
			<-i.done
		})
	}
	stopping.Wait()
}

// broadcast wakes those that wait for other programs. The caller holds mu.
func (s *Supervisor) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// missing says for which programs another one waits; empty: for none. The caller holds mu.
func (s *Supervisor) missing(p *Program) string {
	var names []string
	for _, name := range p.After {
		if i := s.instances[name]; i == nil || i.status.State != Running {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Status returns the programs in the order of the last Apply, or of Options.
func (s *Supervisor) Status() []ProgramStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ProgramStatus, 0, len(s.wanted))
	for _, p := range s.wanted {
		i := s.instances[p.Name]
		if i == nil {
			all = append(all, ProgramStatus{Name: p.Name, Version: p.Version, State: Waiting, Why: "the supervisor has not begun"})
			continue
		}
		st := s.statusOf(i)
		if t := s.trials[p.Name]; t != nil {
			trial := s.statusOf(t)
			st.Trial = &trial
		}
		all = append(all, st)
	}
	return all
}

// statusOf copies an instance's status. The caller holds mu.
func (s *Supervisor) statusOf(i *instance) ProgramStatus {
	st := i.status
	st.Exits = slices.Clone(i.exits)
	st.Looping = st.Looping && (st.State != Running || time.Since(i.ready) < i.spec.Policy.Healthy)
	if i.pulse != (Pulse{}) {
		p := i.pulse
		st.Alive = &p
	}
	st.Limits = limited(i.spec.Limits, s.groups.controllers, s.groups.why, i.spec.User != "")
	if i.log != nil {
		st.Log = i.log.status()
		st.Log.Dropped += i.flow.total
	}
	return st
}

// Tail returns the last lines of a program, oldest first, at most 64.
func (s *Supervisor) Tail(name string) []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.instances[name]; i != nil {
		return slices.Clone(i.tail)
	}
	return nil
}
