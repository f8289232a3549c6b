// Package update keeps an owner's programs alive, like package supervise, and at the version that the manifest names.
//
//	manifest ── Version{Name, Sum, URL or Path} ──▶ Next (pure): Fetch │ Try │ Nothing │ Refuse │ Condemn
//	                                                  │
//	  fetch, resumed by ranges ─▶ SHA-256 ─▶ executable ─▶ versions/<sum>
//	                                                  │
//	  State.Begin, on disk ─▶ Supervisor.Try ─▶ ready: Keep │ not: Fail, and the old one runs ─▶ on disk
//
// What runs is always a version that stood its trial and is whole on disk (its SHA-256 is computed anew when the device starts), else
// the one before, else the command of the manifest. Each step leaves the disk so that power may fail after it; a version whose
// trial ends three times with the device is not tried again, nor is one that failed, until the manifest names another one.
//
// # Use
//
//	k := update.New(update.Options{Programs: programs, Dir: stateDir, Log: log})
//	go k.Run(ctx)
//	err := k.Apply(ctx, others) // only what differs is restarted; nothing is when they are refused
//	k.Status()
package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"iod/supervise"
)

// Options of a Keeper. Programs and Dir are needed.
type Options struct {
	Programs []Program
	Dir      string                // for state
	Log      *slog.Logger          // nil: slog.Default()
	OnEvent  func(supervise.Event) // as in supervise.Options
	Output   func(supervise.Line)  // as in supervise.Options
	Grace    time.Duration         // as in supervise.Options
	Client   *http.Client          // nil: NewClient(nil)

	// Changed is called when a status changed otherwise than by an Event; nil: it is not.
	Changed func()
}

// Phase is how far a program's update is.
type Phase string

// The phases of an update.
const (
	UpToDate Phase = "up to date"
	Fetching Phase = "fetching"
	Resting  Phase = "waiting to fetch again"
	Testing  Phase = "trying"
	Failed   Phase = "failed" // the version named is not run; see Failed
	Undone   Phase = "waiting to try again"
)

// Update is the state of a program's version.
type Update struct {
	Want     string    `json:"want"`
	Sum      Sum       `json:"sha256"`
	Phase    Phase     `json:"phase"`
	Done     int64     `json:"done_bytes,omitempty"`
	Total    int64     `json:"total_bytes,omitempty"` // 0: not known
	Err      string    `json:"error,omitempty"`
	NextTry  time.Time `json:"next_try,omitzero"`
	Previous string    `json:"previous,omitempty"` // the version before the one that runs
	Failed   []Failure `json:"failed,omitempty"`
}

// Status is a program at a moment.
type Status struct {
	supervise.ProgramStatus
	Update *Update `json:"update,omitempty"` // nil: the manifest names no version
}

// Keeper runs programs and their updates.
type Keeper struct {
	o     Options
	disk  disk
	fetch fetcher
	sup   supervisor

	changing sync.Mutex // one change at a time

	mu       sync.Mutex
	ctx      context.Context // of Run; nil before
	programs []*program
	workers  sync.WaitGroup
	stop     context.CancelFunc // of the workers
}

// supervisor is what a Keeper needs of supervise.Supervisor.
type supervisor interface {
	Run(ctx context.Context) error
	Apply(ctx context.Context, programs []supervise.Program) error
	Try(ctx context.Context, next supervise.Program, o supervise.TryOptions) error
	Status() []supervise.ProgramStatus
	Tail(name string) []supervise.Line
}

// program is a Program and what became of its versions. Fields but spec and store are guarded by the Keeper's mu.
type program struct {
	spec   Program
	store  *store
	state  State
	dirty  bool // state is not on disk yet
	now    *Ref // the version that the supervisor has; nil: the command of the manifest
	status Update
}

// New returns a keeper. Run reports programs that cannot be kept.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Client == nil {
		o.Client = NewClient(nil)
	}
	k := &Keeper{o: o, disk: realDisk{}, fetch: fetcher{o.Client, stallTime}}
	k.sup = supervise.New(supervise.Options{Dir: o.Dir, Log: o.Log, OnEvent: o.OnEvent, Output: o.Output, Grace: o.Grace})
	return k
}

// Run runs the programs until ctx ends and everything has stopped; then it returns nil. It may be called once.
func (k *Keeper) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	k.mu.Lock()
	if k.ctx != nil {
		k.mu.Unlock()
		return errors.New("update: run twice")
	}
	k.ctx = inner
	first := k.o.Programs
	k.mu.Unlock()
	if err := k.Apply(ctx, first); err != nil {
		return err
	}
	err := k.sup.Run(ctx)
	cancel()
	k.changing.Lock()
	defer k.changing.Unlock()
	k.halt()
	return err
}

// Apply makes other programs, or other versions of them, the ones to keep. It returns when all that is to stop has stopped, or an
// error, and then nothing is changed; versions are fetched and tried afterwards.
func (k *Keeper) Apply(ctx context.Context, programs []Program) error {
	if err := Check(programs); err != nil {
		return fmt.Errorf("change programs: %w", err)
	}
	k.changing.Lock()
	defer k.changing.Unlock()
	k.mu.Lock()
	old, running := k.programs, k.ctx
	if running == nil {
		k.o.Programs = slices.Clone(programs)
		k.mu.Unlock()
		return nil
	}
	k.mu.Unlock()
	k.halt()
	next, plain := make([]*program, len(programs)), make([]supervise.Program, len(programs))
	for i, p := range programs {
		next[i] = k.open(p)
		plain[i] = next[i].runs()
	}
	err := k.sup.Apply(ctx, plain)
	if err != nil {
		next = old
	}
	if err == nil {
		k.sweep(programs)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.programs = next
	workCtx, stop := context.WithCancel(running)
	k.stop = stop
	for _, p := range next {
		if p.spec.Want != nil {
			k.workers.Go(func() { k.work(workCtx, p) })
		}
	}
	return err
}

// sweep removes the versions of programs that have none any more.
func (k *Keeper) sweep(programs []Program) {
	names, _ := k.disk.List(filepath.Join(k.o.Dir, "programs"))
	for _, name := range names {
		if slices.ContainsFunc(programs, func(p Program) bool { return p.Name == name && p.Want != nil }) {
			continue
		}
		s := newStore(k.disk, filepath.Join(k.o.Dir, "programs", name))
		s.prune(nil)
		k.disk.Remove(filepath.Join(s.dir, "state"))
	}
}

// halt stops what is being fetched and tried, and waits for it.
func (k *Keeper) halt() {
	k.mu.Lock()
	stop := k.stop
	k.mu.Unlock()
	if stop != nil {
		stop()
	}
	k.workers.Wait()
}

// open reads what is known of a program.
func (k *Keeper) open(p Program) *program {
	o := &program{spec: p, store: newStore(k.disk, filepath.Join(k.o.Dir, "programs", p.Name))}
	if p.Want == nil {
		return o
	}
	o.status = Update{Want: p.Want.Name, Sum: p.Want.Sum, Phase: Undone}
	var err error
	if o.state, err = o.store.load(); err != nil {
		k.o.Log.Warn("a program's versions are unknown", "program", p.Name, "err", err)
	}
	return o
}

// runs is what is to run now. The caller holds mu, or is the only one to know p.
func (p *program) runs() supervise.Program {
	if p.spec.Want != nil {
		if r := p.state.Runs(p.store.has); r != nil {
			p.now = &Ref{r.Name, r.Sum}
			if r.Sum == p.spec.Want.Sum {
				p.now.Name = p.spec.Want.Name // the manifest may call it otherwise now
			}
			return p.as(*p.now)
		}
	}
	return p.spec.Program
}

// as is the program at a version.
func (p *program) as(r Ref) supervise.Program {
	v := p.spec.Program
	v.Command = append([]string{p.store.path(r.Sum)}, v.Command[1:]...)
	v.Version = r.Name
	return v
}

// work brings a program to its version. It ends when there is nothing more to do.
func (k *Keeper) work(ctx context.Context, p *program) {
	want := p.spec.Want
	log := k.o.Log.With("program", p.spec.Name, "version", want.Name)
	for n := 0; ctx.Err() == nil; {
		k.mu.Lock()
		st, dirty, now := p.state, p.dirty, p.now
		k.mu.Unlock()
		var err error
		step := Next(want, st, p.store.has, now)
		if dirty {
			step = record
		}
		switch step {
		case record:
			err = k.settle(p, st)
		case Nothing:
			p.store.prune(st.Needs(want))
			k.note(p, UpToDate, nil, time.Time{})
			return
		case Refuse:
			p.store.prune(st.Needs(want))
			f := st.failure(want.Sum)
			log.Warn("version is not tried again", "failed", f.At, "reason", f.Reason)
			k.note(p, Failed, errors.New(f.Reason), time.Time{})
			return
		case Condemn:
			err = k.settle(p, st.Fail(Ref{want.Name, want.Sum}, vanished, time.Now()))
		case Fetch:
			k.note(p, Fetching, nil, time.Time{})
			if err = k.bring(ctx, p); err == nil {
				log.Info("version fetched", "from", want.source())
			}
		case Try:
			k.note(p, Testing, nil, time.Time{})
			err = k.try(ctx, p, st, log)
		}
		if n++; err == nil {
			n = 0
		} else if !k.rest(ctx, p, n, err, log) {
			return
		}
	}
}

// bring fetches a version, once.
func (k *Keeper) bring(ctx context.Context, p *program) error {
	return k.fetch.fetch(ctx, p.store, p.spec.Want, func(done, total int64) {
		k.mu.Lock()
		p.status.Done, p.status.Total = done, total
		k.mu.Unlock()
	})
}

// rest waits after a failure.
func (k *Keeper) rest(ctx context.Context, p *program, n int, err error, log *slog.Logger) bool {
	if ctx.Err() != nil {
		return false
	}
	kind, phase := noRoom, Undone
	var known *fetchError
	if errors.As(err, &known) {
		kind, phase = known.trouble, Resting
	}
	wait := pause(kind, n, mathrand.Float64())
	log.Warn("version waits", "err", err, "retry", wait.Round(time.Millisecond).String())
	k.note(p, phase, err, time.Now().Add(wait))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try tries a version that is whole on disk.
func (k *Keeper) try(ctx context.Context, p *program, st State, log *slog.Logger) error {
	want := p.spec.Want
	ref := Ref{want.Name, want.Sum}
	begun := st.Begin(ref)
	if err := p.store.save(begun); err != nil {
		return err
	}
	within := want.Within
	switch {
	case within > 0:
	case p.spec.Ready == nil:
		within = defaultSteady
	default:
		within = defaultWithin
	}
	log.Info("version is tried", "beside", want.Beside, "within", within)
	err := k.sup.Try(ctx, p.as(ref), supervise.TryOptions{Beside: want.Beside, Within: within})
	var failed *supervise.TrialError
	switch {
	case err == nil:
		log.Info("version is kept")
		k.mu.Lock()
		p.now = &ref
		k.mu.Unlock()
		return k.settle(p, begun.Keep(ref))
	case errors.As(err, &failed) && !stopped(ctx):
		log.Error("version has failed; the one before runs", "reason", failed.Reason)
		return k.settle(p, begun.Fail(ref, failed.Reason, time.Now()))
	default:
		return errors.Join(err, k.settle(p, begun.GiveUp()))
	}
}

// stopTime is how much sooner a program may hear than iod that the machine or the service stops.
var stopTime = 500 * time.Millisecond

// stopped reports whether a program may have ended because everything does.
func stopped(ctx context.Context) bool {
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	}
}

// settle remembers a state, on disk first. What happened is remembered in memory all the same.
func (k *Keeper) settle(p *program, st State) error {
	err := p.store.save(st)
	k.mu.Lock()
	p.state, p.dirty = st, err != nil
	k.mu.Unlock()
	return err
}

// note shows how far an update is.
func (k *Keeper) note(p *program, phase Phase, err error, next time.Time) {
	k.mu.Lock()
	p.status.Phase, p.status.NextTry, p.status.Err = phase, next, ""
	if err != nil {
		p.status.Err = err.Error()
	}
	k.mu.Unlock()
	if k.o.Changed != nil {
		k.o.Changed()
	}
}

// Status returns the programs in the order of the last Apply.
func (k *Keeper) Status() []Status {
	plain := k.sup.Status()
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Status, len(plain))
	for i, st := range plain {
		all[i].ProgramStatus = st
		for _, p := range k.programs {
			if p.spec.Name != st.Name || p.spec.Want == nil {
				continue
			}
			u := p.status
			u.Failed = slices.Clone(p.state.Failed)
			if p.state.Previous != nil {
				u.Previous = p.state.Previous.Name
			}
			all[i].Update = &u
		}
	}
	return all
}

// Tail returns the last lines of a program, oldest first, at most 64.
func (k *Keeper) Tail(name string) []supervise.Line { return k.sup.Tail(name) }
