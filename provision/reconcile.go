package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"iod/access"
	"iod/audit"
	"iod/chain"
	"iod/clock"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// Pauses between tries of what can fail for a while; each is varied by half.
const (
	firstRetry = time.Second
	lastRetry  = 2 * time.Minute
	poorRetry  = 10 * time.Minute // with an empty account; funds are noticed at once by its storage entry
	// safety is the longest time without a look: nodes tell of changes in the blocks that they make best, and may leave out those
	// of other blocks of a fork that won.
	safety = 6 * time.Hour
)

// reconciler keeps the document as the manifest wants it. Three things make it look at the chain: a change of a watched storage
// entry, the fate of its own transaction, and the time.
type reconciler struct {
	client    *chain.Client
	self      *key.Pair
	displaced func() bool
	log       *slog.Logger
	note      func(audit.Entry)
	clock     *clock.Clock
	state     *state

	keeper  keeper
	wake    chan struct{} // something changed
	rewatch chan struct{} // other entries are to be watched
	poor    atomic.Bool   // waiting for funds: a change of the own account is news
	said    string        // the last decision's reason that was logged
	warned  []string      // by the plan's warnings, once each
	tasks   sync.WaitGroup

	mu       sync.Mutex
	manifest *Manifest
	owner    key.AccountID
	view     view
	token    *chain.Properties // nil: not asked yet
}

// view is what a reconciler last saw of the chain and did about it.
type view struct {
	checked  time.Time // by the steady clock; zero: it has not looked yet
	stale    bool      // the manifest is another one since
	number   uint32    // of the block
	time     time.Time // of the block
	do       verb
	why      string
	reason   string // of the plan
	changes  []Change
	warnings []string
	err      error // of the last look, or of the publication
	vouched  bool
	sequence uint64 // of the genuine document that stands; 0: none
	validity uint32
	pace     time.Duration // of blocks; 0: not measured
	balance  *chain.Balance
	poor     bool // the last publication could not be paid
}

// set makes the reconciler go by a manifest.
func (r *reconciler) set(m *Manifest, owner key.AccountID) {
	r.mu.Lock()
	other := r.manifest != nil && r.owner != owner
	r.manifest, r.owner, r.view.stale = m, owner, true
	r.mu.Unlock()
	if other {
		signal(r.rewatch)
	}
	signal(r.wake)
}

func (r *reconciler) wanted() (*Manifest, key.AccountID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifest, r.owner
}

// show changes what the reconciler tells of itself.
func (r *reconciler) show(change func(*view)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.view)
}

func (r *reconciler) look() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view
}

// run reconciles until ctx ends.
func (r *reconciler) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.tasks.Wait()
	defer cancel()
	r.tasks.Go(func() { r.watch(ctx) })
	results := make(chan result, 1)
	for retry := firstRetry; ; {
		next, err := r.step(ctx, results)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			retry = firstRetry
		default:
			next = r.complain(err, retry)
			retry = min(2*retry, lastRetry)
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-r.wake:
		case done := <-results:
			r.ended(done)
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step looks once and acts on it. It returns when to look again if nothing happens.
func (r *reconciler) step(ctx context.Context, results chan<- result) (time.Duration, error) {
	// The best block, so that a stranger's change is healed within a block.
	m, _ := r.wanted()
	r.keeper.limit = m.MaxHeals
	b, err := r.client.Best(ctx)
	if err != nil {
		return 0, err
	}
	actual, err := Observe(ctx, b, m, r.self.Account())
	if err != nil {
		return 0, err
	}
	if err := r.tick(ctx, b, actual.Time); err != nil {
		return 0, err
	}
	if r.keeper.pending != nil {
		if actual.Nonce, err = nonce(ctx, b, r.self.Account()); err != nil {
			return 0, err
		}
	}
	actual = r.keeper.known(actual)
	plan, err := MakePlan(m, r.self.Account(), r.self.NodeKey().ID(), actual)
	if err != nil {
		return 0, err
	}
	fresh := !r.keeper.settled
	d := r.keeper.decide(plan, actual, r.displaced(), r.clock.Steady())
	r.report(m, d, plan, actual, fresh)
	switch d.do {
	case publish, heal:
		r.poor.Store(true) // before it is known, so that no funds are missed
		err := r.publish(ctx, d.do, plan, results)
		var poor *chain.ErrCannotPay
		r.poor.Store(errors.As(err, &poor))
		r.show(func(v *view) { v.poor, v.err = poor != nil, err })
		return r.renewal(ctx, m, b, actual), err
	case hold, yield:
		if d.until.IsZero() {
			return safety, nil
		}
		return max(d.until.Sub(r.clock.Steady()), 0), nil
	}
	return r.renewal(ctx, m, b, actual), nil
}

// tick tells the clock what time it is on the chain.
func (r *reconciler) tick(ctx context.Context, b *chain.Block, now time.Time) error {
	m, err := b.Metadata(ctx)
	if err != nil {
		return err
	}
	r.clock.Observe(now, access.Clocked(m))
	r.state.seen(now, r.clock.Steady())
	if r.properties() == nil {
		if p, err := r.client.Properties(ctx); err == nil {
			r.mu.Lock()
			r.token = &p
			r.mu.Unlock()
		}
	}
	return nil
}

// properties are the chain's; nil while they are not known.
func (r *reconciler) properties() *chain.Properties {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token
}

// report tells the log what was decided, once each.
func (r *reconciler) report(m *Manifest, d decision, p *Plan, a Actual, fresh bool) {
	r.show(func(v *view) {
		balance, pace, poor := v.balance, v.pace, v.poor
		*v = view{checked: r.clock.Steady(), number: a.Number, time: a.Time, do: d.do, why: d.why, reason: p.Reason, changes: p.Changes,
			warnings: p.Warnings, vouched: p.device.Vouch != "", balance: balance, pace: pace, poor: poor && d.do != rest, stale: m != r.manifest}
		if p.genuine {
			v.sequence, v.validity = p.sequence, a.Attribute.Validity
		}
	})
	if d.do == heal {
		r.note(audit.Entry{Kind: audit.Disturbed, Block: a.Number, Reason: p.Reason})
		r.log.Warn(MsgDisturbed, "number", a.Number, "reason", p.Reason)
	}
	if d.do == rest && fresh {
		r.log.Info(MsgUpToDate, "number", a.Number)
	}
	for _, w := range p.Warnings {
		if !slices.Contains(r.warned, w) {
			r.warned = append(r.warned, w)
			r.log.Warn(w)
		}
	}
	if d.why == r.said {
		return
	}
	r.said = d.why
	switch {
	case d.do == yield:
		r.note(audit.Entry{Kind: audit.Conflict, Block: a.Number, Reason: d.why})
		r.log.Error(MsgConflict, "reason", d.why, "hint", conflictHint)
	case d.do == hold && d.quiet:
		r.log.Debug(MsgWaiting, "err", d.why)
	case d.do == hold:
		r.log.Warn(MsgWaiting, "err", d.why, "disturbance", p.Reason)
	}
}

const conflictHint = "give each device a key of its own, or stop one of the two"

// complain reports an error and returns when to try again.
func (r *reconciler) complain(err error, retry time.Duration) time.Duration {
	var poor *chain.ErrCannotPay
	if errors.As(err, &poor) {
		retry = poorRetry
	}
	if left := r.keeper.after.Sub(r.clock.Steady()); left > retry {
		retry = left
	}
	retry = vary(retry)
	r.show(func(v *view) { v.err = err })
	r.log.Warn(MsgWaiting, "err", err, "retry", retry.Round(time.Millisecond).String(), "hint", advice(err, r.self.Account()))
	return retry
}

// vary spreads what many devices would do at once over half to one and a half of d.
func vary(d time.Duration) time.Duration { return d/2 + rand.N(d+1) }

// result is what became of a publication.
type result struct {
	pending *publication
	err     error
}

// publish sends the plan's transaction and waits for it in a best block. Whether that becomes final is seen to beside: the result
// comes later.
func (r *reconciler) publish(ctx context.Context, do verb, p *Plan, results chan<- result) error {
	began := r.clock.Steady()
	tx, raw, err := submit(ctx, r.client, r.self, p)
	if err != nil {
		return err
	}
	r.keeper.paid(do, began)
	out, err := tx.InBest(ctx)
	if err != nil {
		r.keeper.failed(err, r.clock.Steady())
		return fmt.Errorf("publish the device's document: %w", err)
	}
	pending := r.keeper.published(p, raw, out.Number, tx.Nonce())
	r.tasks.Go(func() {
		out, err := tx.Finalised(ctx)
		if err == nil {
			r.published(p, &Applied{Outcome: out, Raw: raw, Took: r.clock.Steady().Sub(began)})
		}
		select {
		case results <- result{pending, err}:
		case <-ctx.Done():
		}
	})
	return nil
}

// ended takes the news of a publication's end; what to do about it is decided by looking again.
func (r *reconciler) ended(done result) {
	if done.pending != nil {
		r.keeper.ended(done.pending, done.err == nil)
	}
	if done.err != nil {
		r.keeper.failed(done.err, r.clock.Steady())
		r.show(func(v *view) { v.err = done.err })
		r.log.Warn(MsgWaiting, "err", fmt.Errorf("publish the device's document: %w", done.err), "hint", advice(done.err, r.self.Account()))
	}
}

func (r *reconciler) published(p *Plan, done *Applied) {
	r.state.paid(fee{r.clock.Now().UTC(), done.Outcome.Fee})
	r.note(audit.Entry{Kind: audit.Published, Block: done.Outcome.Number, Reason: p.Reason})
	names := make([]string, len(p.Changes))
	for i, c := range p.Changes {
		names[i] = c.Field
	}
	r.log.Info(MsgPublished, "did", r.self.Account().DID(), "number", done.Outcome.Number, "block", done.Outcome.Block.String(),
		"fee_planck", done.Outcome.Fee.String(), "took", done.Took.Round(time.Millisecond).String(), "reason", p.Reason, "changes", names)
}

// watch wakes the reconciler at each change of what the document depends on, and when a connection is back. It costs nothing while
// nothing changes.
func (r *reconciler) watch(ctx context.Context) {
	for retry := firstRetry; ctx.Err() == nil; retry = min(2*retry, lastRetry) {
		worked, err := r.watchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked {
			retry = firstRetry
		}
		if err == nil {
			continue // something else is to be watched
		}
		r.log.Debug("the watch of the document ended", "err", err)
		timer := time.NewTimer(vary(retry))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// watchOnce watches until that fails, or until other entries are to be watched: then the error is nil. worked tells whether anything
// came.
func (r *reconciler) watchOnce(ctx context.Context) (worked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := r.watched(ctx)
	if err != nil {
		return false, err
	}
	other := false
	var guard sync.WaitGroup
	defer guard.Wait()
	defer cancel()
	guard.Go(func() {
		select {
		case <-r.rewatch:
			other = true
			cancel()
		case <-ctx.Done():
		}
	})
	for change, failed := range r.client.WatchStorage(ctx, w.keys) {
		if failed != nil {
			err = failed
			break
		}
		worked = true
		if r.news(change, w) {
			signal(r.wake)
		}
	}
	cancel()
	guard.Wait()
	if other {
		return worked, nil
	}
	return worked, err
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// news reports whether a change is of more than the balance, or of that while it is waited for.
func (r *reconciler) news(c chain.StorageChange, w watched) (news bool) {
	for _, kv := range c.Changes {
		if string(kv.Key) != w.funds {
			news = true
			continue
		}
		news = news || r.poor.Load()
		if b, err := chain.DecodeBalance(w.meta, kv.Value); err == nil {
			r.show(func(v *view) { v.balance = &b })
		}
	}
	return news
}

// watched are the storage keys that the document depends on.
type watched struct {
	keys  [][]byte
	funds string // the one of the account's funds
	meta  *metadata.Metadata
}

func (r *reconciler) watched(ctx context.Context) (w watched, err error) {
	b, err := r.client.Best(ctx)
	if err != nil {
		return w, err
	}
	if w.meta, err = b.Metadata(ctx); err != nil {
		return w, err
	}
	self := r.self.Account()
	own, err := did.StorageKey(w.meta, self, document.DeviceAttribute)
	if err != nil {
		return w, fmt.Errorf("storage key of the document: %w", err)
	}
	funds, err := w.meta.StorageKey("System", "Account", self)
	if err != nil {
		return w, fmt.Errorf("storage key of the account: %w", err)
	}
	w.keys, w.funds = [][]byte{own, funds}, string(funds)
	if _, owner := r.wanted(); owner != self {
		vouch, err := did.StorageKey(w.meta, owner, access.VouchAttribute(self))
		if err != nil {
			return w, fmt.Errorf("storage key of the vouch: %w", err)
		}
		w.keys = append(w.keys, vouch)
	}
	return w, nil
}

// renewal is when to look again although nothing changes: in time for the document's validity, by the chain's own pace of late.
func (r *reconciler) renewal(ctx context.Context, m *Manifest, b *chain.Block, a Actual) time.Duration {
	valid := m.Device.ValidFor
	if valid == 0 {
		return safety
	}
	const sample = 100
	pace := 6 * time.Second
	if back := min(max(b.Number, 1)-1, sample); back > 0 { // block 0 has no time
		if old, err := r.client.BlockByNumber(ctx, b.Number-back); err == nil {
			if then, err := old.Time(ctx); err == nil && then.Unix() > 0 {
				pace = min(max(a.Time.Sub(then)/time.Duration(back), 100*time.Millisecond), time.Minute)
			}
		}
	}
	r.show(func(v *view) { v.pace = pace })
	validity := b.Number + valid // as when it is published now
	if r.keeper.settled {
		validity = r.keeper.validity
	}
	return min(renewal(valid, validity, b.Number, pace), safety)
}

// advice says what a person can do about an error.
func advice(err error, account key.AccountID) string {
	var poor *chain.ErrCannotPay
	var dispatch *chain.DispatchError
	switch {
	case errors.As(err, &poor):
		return fmt.Sprintf("send some PEAQ to %s, the device's account; it is published as soon as they arrive (on a development chain: iod account faucet %s)", account, account)
	case errors.As(err, &dispatch):
		return "the chain refuses to change the document: on this network somebody else may own the attribute's name; this is tried again, ever more rarely"
	case errors.Is(err, chain.ErrWrongNetwork):
		return "the endpoints in rpc belong to different networks: leave only those of one"
	case errors.Is(err, chain.ErrNonceTaken):
		return "another program sends transactions with this key; give each device a key of its own"
	case errors.Is(err, metadata.ErrNotFound):
		return "this network has no DIDs as peaq has them: are the endpoints in rpc those of peaq?"
	case errors.Is(err, errSequence):
		return "make a new key: iod key new"
	}
	return "the programs run on; this is tried again"
}
