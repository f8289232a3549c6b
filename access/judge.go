package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// Why a pass ended or a request was refused; test for them with errors.Is.
var (
	ErrRevoked  = errors.New("access was revoked")
	ErrLease    = errors.New("no chain endpoint has answered for the time of the lease")
	ErrStopped  = errors.New("the judge has stopped")
	ErrBusy     = errors.New("too many requests are pending")
	ErrNoStream = errors.New("no such stream")
)

// DefaultLease is how long answers last when no chain endpoint can be reached.
const DefaultLease = 10 * time.Minute

// JudgeOptions tell a Judge what to judge by. Zero limits mean the defaults.
type JudgeOptions struct {
	Chain   Chain
	Owner   key.AccountID
	Device  key.AccountID
	Streams func(name string) bool // which streams there are; nil: all that have a valid name
	Lease   time.Duration          // 0: DefaultLease
	Log     *slog.Logger           // nil: silent
	// Now is a clock that goes on evenly, whatever happens to the machine's, which leases are measured by; nil: time.Now.
	Now func() time.Time
	// OnEvent is told what the judge decides. It must neither block nor call the judge. nil: nobody is.
	OnEvent func(Event)

	MaxPending           int // requests that wait for a grant, in total; 0: 1024
	MaxPendingPerAccount int // 0: 8
	// MaxAccounts is how many accounts are watched at the same time, and how many answers are remembered for an outage of the
	// chain; 0: 900, below nodes' usual limit of subscriptions.
	MaxAccounts int
}

// Judge answers whether accounts may use the streams of one device, and withdraws its answers. For each account that waits
// or holds a pass, one party (see there) watches the few storage entries that its access depends on; with none, the judge does nothing and
// costs nothing. It takes grants from finalised blocks, revocations already from best ones.
//
// Its answers are leases: they last while a node is heard of, by notifications or, when all is quiet, by asking for its best block
// each third of the lease. An end of all answers for the time of the lease ends every pass, and so does a node that stands still (see
// pace). One that stood still already before this process saw it go on is believed. Within its lease a yes also serves new requests
// of the same account for the same stream while the chain does not answer, even after the last pass was given back.
type Judge struct {
	o   JudgeOptions
	log *slog.Logger

	ready chan struct{} // closed when Run has begun
	done  chan struct{} // closed when Run has ended
	kick  chan struct{} // the first pass is out, the first yes remembered, or the lease another

	lease  atomic.Int64 // a time.Duration
	wanted atomic.Int64 // another one, which SetLease asked for

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	stopped bool            // no party may begin any more
	wg      sync.WaitGroup  // of parties and flights
	nudged  chan struct{}   // closed and replaced by Nudge
	flights map[uint32]*flight
	parties map[key.AccountID]*party
	memory  memory
	pending int
	passes  int
	answer  time.Time // when the probe was sent that was answered last
	final   uint32    // highest finalised block seen: an endpoint behind it is not believed
	clocked bool      // the runtime makes blocks by the clock
	pace    pace
}

// NewJudge returns a Judge, which answers while Run runs.
func NewJudge(o JudgeOptions) *Judge {
	o.Lease = cmp.Or(o.Lease, DefaultLease)
	o.MaxPending = cmp.Or(o.MaxPending, 1024)
	o.MaxPendingPerAccount = cmp.Or(o.MaxPendingPerAccount, 8)
	o.MaxAccounts = cmp.Or(o.MaxAccounts, 900)
	if o.Streams == nil {
		o.Streams = document.ValidStreamName
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &Judge{o: o, log: o.Log, ready: make(chan struct{}), done: make(chan struct{}), kick: make(chan struct{}, 1),
		parties: map[key.AccountID]*party{}, flights: map[uint32]*flight{}, nudged: make(chan struct{}), pace: pace{window: o.Lease / 3},
		memory: memory{limit: o.MaxAccounts, of: map[key.AccountID]map[rbac.ID]yes{}}}
	j.lease.Store(int64(o.Lease))
	j.wanted.Store(int64(o.Lease))
	return j
}

// leaseTime is how long answers last.
func (j *Judge) leaseTime() time.Duration { return time.Duration(j.lease.Load()) }

// SetLease changes how long answers last, those given already included. Before a shorter one counts the chain is asked once, so that
// it ends nothing that the chain still bears out.
func (j *Judge) SetLease(d time.Duration) {
	j.wanted.Store(int64(cmp.Or(d, DefaultLease)))
	signal(j.kick)
}

// Nudge says that the chain may be reached again: what waits before it asks once more asks at once.
func (j *Judge) Nudge() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.nudged)
	j.nudged = make(chan struct{})
}

// adopt makes the wanted lease the one that counts.
func (j *Judge) adopt() {
	d := j.wanted.Load()
	if j.lease.Swap(d) == d {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pace.window = time.Duration(d) / 3
	for _, p := range j.parties {
		signal(p.wake)
	}
}

// Run keeps the judge's promises until ctx ends; then all passes end, and it returns nil. It can run once.
func (j *Judge) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.mu.Lock()
	if j.ctx != nil {
		j.mu.Unlock()
		return errors.New("run judge: it runs already, or has run")
	}
	j.ctx = ctx
	j.mu.Unlock()
	close(j.ready)
	j.keepLeases(ctx)
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
	j.wg.Wait()
	close(j.done)
	return nil
}

// longNap is the longest sleep while leases run: timers stand still while the machine does, leases do not.
const longNap = 15 * time.Second

// keepLeases probes the chain while passes are out, ends those whose lease has run out and forgets yeses when theirs has.
func (j *Judge) keepLeases(ctx context.Context) {
	var probe chan bool // of the probe under way
	defer func() {
		if probe != nil {
			<-probe
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next time.Time // of the next probe
	was := false       // passes were out
	for {
		now := j.o.Now()
		wait, out, held := j.expire(now)
		if out && !was {
			next = now.Add(j.leaseTime() / 3)
		}
		was = out
		if !out || j.wanted.Load() > j.lease.Load() {
			j.adopt()
		} else if j.wanted.Load() < j.lease.Load() {
			next = now
		}
		if out && probe == nil && !now.Before(next) {
			c := make(chan bool, 1)
			go func() { c <- j.probe(ctx) }()
			probe = c
		}
		if out && probe == nil {
			wait = min(wait, next.Sub(now))
		}
		var tick <-chan time.Time
		if held {
			timer.Reset(min(wait, longNap))
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		case <-j.kick:
		case answered := <-probe:
			j.adopt()
			probe, next = nil, j.o.Now().Add(j.leaseTime()/3)
			if !answered {
				next = j.o.Now().Add(j.leaseTime() / 30)
			}
		}
	}
}

func (j *Judge) probe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, j.leaseTime()/6)
	defer cancel()
	sent := j.o.Now()
	best, err := j.o.Chain.Best(ctx)
	if err == nil {
		err = j.current(best.Number())
	}
	if err != nil {
		j.log.Warn("access: chain does not answer", "error", err)
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if sent.After(j.answer) {
		j.answer = sent
	}
	return true
}

// knows notes what the runtime's metadata tells the judge.
func (j *Judge) knows(m *metadata.Metadata) {
	c := Clocked(m)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clocked = c
}

// expire ends the passes whose lease has run out and forgets such yeses. It tells when to look again, if there is any of either, and
// whether passes are out.
func (j *Judge) expire(now time.Time) (wait time.Duration, out, held bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	lease := j.leaseTime()
	wait = lease
	if oldest := j.memory.expire(now.Add(-lease)); !oldest.IsZero() {
		wait, held = min(wait, oldest.Add(lease).Sub(now)), true
	}
	for _, p := range j.parties {
		p.end(func(pass *Pass) error {
			left := pass.known().Add(lease).Sub(now)
			if left <= 0 {
				return ErrLease
			}
			wait, out, held = min(wait, left), true, true
			return nil
		})
	}
	return wait, out, held
}

// Admit returns a Pass as soon as the account may use the stream. While it may not, Admit blocks, since a grant may come,
// until ctx ends; then it returns ctx's error. Requests beyond the limits are refused with ErrBusy.
func (j *Judge) Admit(ctx context.Context, account key.AccountID, stream string) (*Pass, error) {
	return j.admit(ctx, account, stream, j.tell)
}

// admit is Admit; refused is told, once and with j.mu held, that the answer is no as things stand.
func (j *Judge) admit(ctx context.Context, account key.AccountID, stream string, refused func(Event)) (*Pass, error) {
	if !document.ValidStreamName(stream) || !j.o.Streams(stream) {
		return nil, fmt.Errorf("admit %s: %w", account, ErrNoStream)
	}
	select {
	case <-j.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w := &waiter{stream: stream, permission: EntityID(j.o.Owner, j.o.Device, stream, rbac.Permission), got: make(chan *Pass, 1), refused: refused}
	p, err := j.join(account, w)
	if err != nil {
		return nil, fmt.Errorf("admit %s to %s: %w", account, stream, err)
	}
	select {
	case pass := <-w.got:
		return pass, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-j.done:
		err = fmt.Errorf("admit %s to %s: %w", account, stream, ErrStopped)
	}
	p.leave(w)
	select {
	case pass := <-w.got: // it came at the same moment
		pass.Release()
	default:
	}
	return nil, err
}

// join puts a request into its account's party, which is started if there is none.
func (j *Judge) join(account key.AccountID, w *waiter) (*party, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return nil, ErrStopped
	}
	p := j.parties[account]
	if j.pending >= j.o.MaxPending || p == nil && len(j.parties) >= j.o.MaxAccounts || p != nil && len(p.waiters) >= j.o.MaxPendingPerAccount {
		return nil, ErrBusy
	}
	if p == nil {
		p = &party{j: j, account: account, wake: make(chan struct{}, 1), passes: map[*Pass]struct{}{}}
		j.parties[account] = p
		j.wg.Go(func() { p.run(j.ctx) })
	}
	p.waiters = append(p.waiters, w)
	j.pending++
	p.recall()
	signal(p.wake)
	return p, nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// waiter is a request that waits for its pass.
type waiter struct {
	stream     string
	permission rbac.ID
	got        chan *Pass
	refused    func(Event)
	told       bool // that it was refused
}

// Pass is a granted request. Release it when its session is over.
type Pass struct {
	Account key.AccountID
	Stream  string
	Block   uint32 // the finalised block by which it was granted

	party      *party
	permission rbac.ID
	since      time.Time // when it was known to be right at the time it was granted
	done       chan struct{}
	err        error // set before done is closed
}

// Done is closed when access is withdrawn.
func (p *Pass) Done() <-chan struct{} { return p.done }

// Err says why Done was closed: ErrRevoked, ErrLease or ErrStopped, wrapped; nil before, and after Release.
func (p *Pass) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Release gives the pass back. It does not close Done. More than one Release is harmless. The answer that it holds is remembered for
// the rest of its lease, should the chain be gone when the account asks again.
func (p *Pass) Release() {
	j := p.party.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, out := p.party.passes[p]; out {
		j.remember(p)
		delete(p.party.passes, p)
		j.passes--
		signal(p.party.wake)
	}
}
