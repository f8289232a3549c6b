package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"iod/chain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

const (
	readTimeout = 15 * time.Second       // of one round of reads
	firstPause  = 250 * time.Millisecond // after a failure of the chain; doubles
	longPause   = 4 * time.Second        // how often a link is used while it is down is up to the client
)

var (
	errBehind = errors.New("the endpoint is behind a finalised block that was seen before")
	errStill  = errors.New("the endpoint stands still")
)

// party is the judge's work for one account that waits or holds passes. One goroutine, run, does it all:
//
//	read what access depends on at the best block ──► end passes that no longer hold
//	watch those entries ──► a change: decide anew; what it makes unknown is read; once a lease all is read again,
//	                        since a watch may leave out what only inner blocks of a reorganisation change
//	somebody waits and the best block says yes ──► confirm at a finalised block ──► hand out passes
//
// When the chain fails it begins again after a pause; meanwhile the leases run, and what was granted before is granted again (see
// recall).
type party struct {
	j       *Judge
	account key.AccountID
	wake    chan struct{} // somebody joined, left or released

	// Guarded by j.mu.
	waiters  []*waiter
	passes   map[*Pass]struct{}
	fresh    time.Time // when the node last told how things stand
	watching bool      // so that an answered probe means that nothing has changed
	lost     bool      // the chain did not answer when it was asked last

	// Of run alone.
	best   State // of the watched entries, as of the best block
	meta   *metadata.Metadata
	keys   map[string]fact // the watched entries
	last   time.Time       // when all was read last
	number uint32          // of the block at which it was
}

// believed is when the account's state was last known to be as it is here. The caller holds j.mu.
func (p *party) believed() time.Time {
	if p.watching && p.j.answer.After(p.fresh) {
		return p.j.answer
	}
	return p.fresh
}

// end ends the passes for which why gives a reason. The caller holds j.mu.
func (p *party) end(why func(*Pass) error) {
	for pass := range p.passes {
		err := why(pass)
		if err == nil {
			continue
		}
		delete(p.passes, pass)
		p.j.passes--
		pass.err = fmt.Errorf("access of %s to %s: %w", pass.Account, pass.Stream, err)
		close(pass.done)
		p.j.tell(Event{Kind: Withdrawn, Account: pass.Account, Stream: pass.Stream, Reason: err.Error()})
		p.j.log.Info("access ended", "account", pass.Account.String(), "stream", pass.Stream, "reason", err.Error())
	}
}

// leave takes a request out again.
func (p *party) leave(w *waiter) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.j.pending--
	}
	signal(p.wake)
}

func (p *party) run(ctx context.Context) {
	defer func() {
		p.j.mu.Lock()
		defer p.j.mu.Unlock()
		p.end(func(*Pass) error { return ErrStopped })
	}()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		began := p.j.o.Now()
		p.j.mu.Lock()
		nudged := p.j.nudged
		p.j.mu.Unlock()
		err := p.follow(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.j.log.Warn("access: cannot follow the chain", "account", p.account.String(), "error", err)
		p.lose()
		if p.j.o.Now().Sub(began) > longPause || errors.As(err, new(*chain.UnreachableError)) { // then the client paces itself
			pause = firstPause
		}
		if !p.sleep(ctx, pause, nudged) {
			return
		}
	}
}

// sleep reports false when there is nothing left to do. A nudge since the last time of following ends it.
func (p *party) sleep(ctx context.Context, d time.Duration, nudged <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-nudged:
			return true
		case <-p.wake:
			if p.idle() {
				return false
			}
		}
	}
}

// idle takes the party out of the judge when nobody needs it.
func (p *party) idle() bool {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	if len(p.waiters) > 0 || len(p.passes) > 0 {
		return false
	}
	delete(p.j.parties, p.account)
	return true
}

// wanted returns the permissions that matter and their streams. Those remembered matter too: what is seen of them while somebody
// else keeps the party busy must not be forgotten.
func (p *party) wanted() (permissions []rbac.ID, streams []string) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	add := func(id rbac.ID, stream string) {
		if !slices.Contains(permissions, id) {
			permissions, streams = append(permissions, id), append(streams, stream)
		}
	}
	for pass := range p.passes {
		add(pass.permission, pass.Stream)
	}
	for _, w := range p.waiters {
		add(w.permission, w.stream)
	}
	for id, y := range p.j.memory.of[p.account] {
		add(id, y.stream)
	}
	return permissions, streams
}

// notice is one step of a watch; err ends it.
type notice struct {
	change chain.StorageChange
	err    error
}

// verdict is what confirm found at a finalised block.
type verdict struct {
	state  State
	number uint32
	err    error
}

// follow does the party's work until nobody needs it (nil) or the chain fails.
func (p *party) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f := &following{party: p, ctx: ctx, again: time.NewTimer(p.j.leaseTime()), stopWatch: func() {}, stopConfirm: func() {}}
	defer f.again.Stop()
	defer f.tasks.Wait()
	defer cancel()
	defer p.setWatching(false)
	err := p.refresh(ctx)
	for err == nil && !p.idle() {
		err = f.step()
	}
	return err
}

// following is one time of following the chain: the watch and the confirmation that are under way.
type following struct {
	*party
	ctx   context.Context // of this time, ended with it
	tasks sync.WaitGroup
	again *time.Timer // when all is to be read again

	watched     map[string]fact
	notices     chan notice
	stopWatch   context.CancelFunc
	verdicts    chan verdict // nil: no confirmation is under way
	stopConfirm context.CancelFunc
}

func (f *following) step() error {
	if len(f.track()) > 0 {
		if err := f.refresh(f.ctx); err != nil {
			return err
		}
	}
	if !covers(f.watched, f.keys) {
		f.rewatch()
	}
	f.reconfirm()
	f.refuse()
	f.again.Reset(f.last.Add(f.j.leaseTime()).Sub(f.j.o.Now()))
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-f.wake:
		return nil
	case <-f.again.C:
		return f.refresh(f.ctx)
	case n := <-f.notices:
		if n.err != nil {
			return n.err
		}
		return f.apply(f.ctx, n.change)
	case v := <-f.verdicts:
		f.stopConfirm()
		f.verdicts = nil
		if v.err != nil {
			return v.err
		}
		if f.stale() {
			if err := f.refresh(f.ctx); err != nil {
				return err
			}
		}
		f.admit(v)
		return nil
	}
}

// rewatch watches what is to be watched now. The new watch begins with all values, so nothing is missed in between.
func (f *following) rewatch() {
	f.stopWatch()
	f.setWatching(false)
	f.watched, f.notices = f.keys, make(chan notice)
	keys := make([][]byte, 0, len(f.keys))
	for k := range f.keys {
		keys = append(keys, []byte(k))
	}
	ctx, cancel := context.WithCancel(f.ctx)
	f.stopWatch = cancel
	notices := f.notices
	f.tasks.Go(func() { f.watch(ctx, keys, notices) })
}

// reconfirm sees to it that a confirmation is under way exactly while the best block grants somebody what they wait for.
func (f *following) reconfirm() {
	hopes := f.hopes()
	switch {
	case len(hopes) == 0 && f.verdicts != nil:
		f.stopConfirm()
		f.verdicts = nil
	case len(hopes) > 0 && f.verdicts == nil:
		ctx, cancel := context.WithCancel(f.ctx)
		f.stopConfirm = cancel
		verdicts, facts := make(chan verdict, 1), f.facts()
		f.verdicts = verdicts
		f.tasks.Go(func() { verdicts <- f.confirm(ctx, hopes, facts) })
	}
}

func covers(have, want map[string]fact) bool {
	for k := range want {
		if _, ok := have[k]; !ok {
			return false
		}
	}
	return have != nil
}

func (p *party) setWatching(on bool) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	p.fresh = p.believed()
	p.watching = on
}

func (p *party) watch(ctx context.Context, keys [][]byte, out chan<- notice) {
	send := func(n notice) bool {
		select {
		case out <- n:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for change, err := range p.j.o.Chain.WatchStorage(ctx, keys) {
		if !send(notice{change, err}) || err != nil {
			return
		}
	}
	send(notice{err: errors.New("the watch of storage has ended")})
}

// refresh reads what access depends on at the best block and settles by it.
func (p *party) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	asked := p.j.o.Now()
	view, err := p.j.o.Chain.Best(ctx)
	if err != nil {
		return err
	}
	if err := p.j.current(view.Number()); err != nil {
		return err
	}
	m, err := view.Metadata(ctx)
	if err != nil {
		return err
	}
	state, err := p.read(ctx, view, nil)
	if err != nil {
		return err
	}
	p.best, p.meta, p.last, p.number = state, m, asked, view.Number()
	p.j.knows(m)
	p.track()
	p.settle(asked)
	return nil
}

// read reads all that the account's access to what is wanted depends on. hints are facts to be read at once; nil: the usual ones.
func (p *party) read(ctx context.Context, view View, hints []fact) (State, error) {
	permissions, streams := p.wanted()
	if hints == nil {
		hints = setupFacts(p.j.o.Owner, p.j.o.Device, streams)
	}
	state := NewState(p.j.o.Owner)
	err := state.complete(ctx, view, []key.AccountID{p.account}, permissions, hints)
	return state, err
}

// track cuts the state down to the facts on which access depends, which are those to watch, and returns those that are unknown.
func (p *party) track() []fact {
	permissions, _ := p.wanted()
	visited, unknown := p.best.need([]key.AccountID{p.account}, permissions)
	kept := NewState(p.best.Owner)
	keys := make(map[string]fact, len(visited))
	for _, f := range visited {
		if !p.best.knows(f) {
			continue
		}
		if f.held {
			h := Holding{f.relation, f.id}
			kept.Held[h] = p.best.Held[h]
		} else {
			r := Ref{f.kind, f.id}
			kept.Entities[r] = p.best.Entities[r]
		}
		k, err := f.key(p.meta, p.j.o.Owner)
		if err != nil {
			unknown = append(unknown, f)
			continue
		}
		keys[string(k)] = f
	}
	p.best, p.keys = kept, keys
	return unknown
}

func (p *party) facts() []fact {
	facts := make([]fact, 0, len(p.keys))
	for _, f := range p.keys {
		facts = append(facts, f)
	}
	return facts
}

// settle ends the passes and forgets the yeses that the state does not bear, and notes when it was so; zero: the chain did not say.
func (p *party) settle(when time.Time) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	p.fresh = later(p.fresh, when)
	p.lost = p.lost && when.IsZero()
	for id := range p.j.memory.of[p.account] {
		if ok, _ := Decide(p.best, p.account, id); !ok {
			p.j.memory.drop(p.account, id)
		}
	}
	p.end(func(pass *Pass) error {
		if ok, why := Decide(p.best, p.account, pass.permission); !ok {
			return fmt.Errorf("%w: %s", ErrRevoked, why)
		}
		return nil
	})
}

// apply takes a change of watched entries in the best chain. What leads to entries unknown so far is read first, since they may
// give what the change takes away; when they cannot be read, it is gone.
func (p *party) apply(ctx context.Context, c chain.StorageChange) error {
	var failed error
	for _, kv := range c.Changes {
		f, ok := p.keys[string(kv.Key)]
		if !ok {
			continue // of a watch that is wider than needed now
		}
		if err := p.best.learn(p.meta, f, kv.Value); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	p.setWatching(true)
	if failed == nil && len(p.track()) == 0 {
		p.settle(p.j.o.Now())
		return nil
	}
	if err := p.refresh(ctx); err != nil {
		if failed == nil {
			p.settle(time.Time{})
		}
		return err
	}
	return nil
}

// stale reports whether the node has not told for long how things stand: while nobody holds a pass, nobody probes.
func (p *party) stale() bool {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	return p.j.o.Now().Sub(p.believed()) > p.j.leaseTime()/3
}

// hopes returns the permissions that somebody waits for and the best block grants.
func (p *party) hopes() (permissions []rbac.ID) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	for _, w := range p.waiters {
		if ok, _ := Decide(p.best, p.account, w.permission); ok && !slices.Contains(permissions, w.permission) {
			permissions = append(permissions, w.permission)
		}
	}
	return permissions
}

// confirm looks for a finalised block that grants any of the permissions, as the best block does. It looks at each one that
// becomes final, as long as it takes: which block holds the grant is not known, and a reorganisation may move it.
func (p *party) confirm(ctx context.Context, permissions []rbac.ID, facts []fact) verdict {
	view, err := p.j.o.Chain.Finalised(ctx)
	for err == nil {
		number := view.Number()
		if err = p.j.reached(number); err != nil {
			break
		}
		var state State
		if state, err = p.readFinal(ctx, view, facts); err != nil {
			break
		}
		if slices.ContainsFunc(permissions, func(id rbac.ID) bool { ok, _ := Decide(state, p.account, id); return ok }) {
			return verdict{state: state, number: number}
		}
		// Finality may have gone on by several blocks since.
		if view, err = p.j.o.Chain.Finalised(ctx); err != nil {
			break
		}
		if view.Number() <= number {
			view, err = p.j.waitFinalised(ctx, number+1)
		}
	}
	return verdict{err: err}
}

func (p *party) readFinal(ctx context.Context, view View, facts []fact) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return p.read(ctx, view, facts)
}

// admit hands out passes to those who wait for what both the finalised and the best block grant.
func (p *party) admit(v verdict) {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		final, path := Decide(v.state, p.account, w.permission)
		if best, _ := Decide(p.best, p.account, w.permission); !final || !best {
			return false
		}
		p.hand(w, yes{w.stream, p.believed(), v.number}, path)
		return true
	})
}
