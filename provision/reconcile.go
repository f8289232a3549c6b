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
	"iod/chain"
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
	manifest  *Manifest
	client    *chain.Client
	self      *key.Pair
	owner     key.AccountID
	displaced func() bool
	log       *slog.Logger

	keeper keeper
	wake   chan struct{} // something changed
	poor   atomic.Bool   // waiting for funds: a change of the own account is news
	said   string        // the last decision's reason that was logged
	warned []string      // by the plan's warnings, once each
	tasks  sync.WaitGroup
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
	b, err := r.client.Best(ctx)
	if err != nil {
		return 0, err
	}
	actual, err := Observe(ctx, b, r.manifest, r.self.Account())
	if err != nil {
		return 0, err
	}
	if r.keeper.pending != nil {
		if actual.Nonce, err = nonce(ctx, b, r.self.Account()); err != nil {
			return 0, err
		}
	}
	actual = r.keeper.known(actual)
	plan, err := MakePlan(r.manifest, r.self.Account(), r.self.NodeKey().ID(), actual)
	if err != nil {
		return 0, err
	}
	fresh := !r.keeper.settled
	d := r.keeper.decide(plan, actual, r.displaced(), time.Now())
	r.report(d, plan, actual, fresh)
	switch d.do {
	case publish, heal:
		r.poor.Store(true) // before it is known, so that no funds are missed
		err := r.publish(ctx, d.do, plan, results)
		var poor *chain.ErrCannotPay
		r.poor.Store(errors.As(err, &poor))
		return r.renewal(ctx, b, actual), err
	case hold, yield:
		if d.until.IsZero() {
			return safety, nil
		}
		return max(time.Until(d.until), 0), nil
	}
	return r.renewal(ctx, b, actual), nil
}

// report tells the log what was decided, once each.
func (r *reconciler) report(d decision, p *Plan, a Actual, fresh bool) {
	if d.do == heal {
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
	if left := time.Until(r.keeper.after); left > retry {
		retry = left
	}
	retry = vary(retry)
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
	began := time.Now()
	tx, raw, err := submit(ctx, r.client, r.self, p)
	if err != nil {
		return err
	}
	r.keeper.paid(do, began)
	out, err := tx.InBest(ctx)
	if err != nil {
		r.keeper.failed(err, time.Now())
		return fmt.Errorf("publish the device's document: %w", err)
	}
	pending := r.keeper.published(p, raw, out.Number, tx.Nonce())
	r.tasks.Go(func() {
		out, err := tx.Finalised(ctx)
		if err == nil {
			r.published(p, &Applied{Outcome: out, Raw: raw, Took: time.Since(began)})
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
		r.keeper.failed(done.err, time.Now())
		r.log.Warn(MsgWaiting, "err", fmt.Errorf("publish the device's document: %w", done.err), "hint", advice(done.err, r.self.Account()))
	}
}

func (r *reconciler) published(p *Plan, done *Applied) {
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
		keys, funds, err := r.watched(ctx)
		if err == nil {
			for change, failed := range r.client.WatchStorage(ctx, keys) {
				if err = failed; err != nil {
					break
				}
				retry = firstRetry
				if r.news(change, string(funds)) {
					signal(r.wake)
				}
			}
		}
		if ctx.Err() != nil {
			return
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

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// news reports whether a change is of more than the balance, or of that while it is waited for.
func (r *reconciler) news(c chain.StorageChange, funds string) bool {
	for _, kv := range c.Changes {
		if string(kv.Key) != funds || r.poor.Load() {
			return true
		}
	}
	return false
}

// watched returns the storage keys that the document depends on, and which of them is that of the account's funds.
func (r *reconciler) watched(ctx context.Context) (keys [][]byte, funds []byte, err error) {
	b, err := r.client.Best(ctx)
	if err != nil {
		return nil, nil, err
	}
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, nil, err
	}
	self := r.self.Account()
	own, err := did.StorageKey(m, self, document.DeviceAttribute)
	if err != nil {
		return nil, nil, fmt.Errorf("storage key of the document: %w", err)
	}
	if funds, err = m.StorageKey("System", "Account", self); err != nil {
		return nil, nil, fmt.Errorf("storage key of the account: %w", err)
	}
	keys = [][]byte{own, funds}
	if r.owner != self {
		vouch, err := did.StorageKey(m, r.owner, access.VouchAttribute(self))
		if err != nil {
			return nil, nil, fmt.Errorf("storage key of the vouch: %w", err)
		}
		keys = append(keys, vouch)
	}
	return keys, funds, nil
}

// renewal is when to look again although nothing changes: in time for the document's validity, by the chain's own pace of late.
func (r *reconciler) renewal(ctx context.Context, b *chain.Block, a Actual) time.Duration {
	valid := r.manifest.Device.ValidFor
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
