package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options say what Run follows and keeps.
type Options struct {
	Source Source
	Store  Store
	// From is the block at which a new index starts to walk the history; nil reads the state of the newest finalised block
	// instead. An index that exists continues where it was, whatever From says.
	From *uint32
	// Rebuild throws away what the store holds.
	Rebuild bool
	Log     *slog.Logger   // nil: silent
	Notify  func(Progress) // called after commits, at most once a second while behind; nil: nobody
	// Patience is how long a store that fails is tried again before Run gives up, the cursor unmoved. Zero: a minute.
	Patience time.Duration
}

// Phase is what the index is busy with.
type Phase string

// The phases of an index.
const (
	ReadingState Phase = "state"
	CatchingUp   Phase = "history"
	Following    Phase = "following" // has taken in all that is final
)

// Progress tells how far the index is.
type Progress struct {
	Phase     Phase
	Block     uint32        // taken in, or whose state is read
	Head      uint32        // newest finalised block that is known
	Done      uint64        // entries read from the state, or blocks taken in by this run
	Total     uint64        // about how many there will be; 0: not known
	Rate      float64       // of Done, each second
	Remaining time.Duration // 0: none, or not known
}

// The causes for which Run refuses to go on with what the store holds.
var (
	ErrOtherChain = errors.New("the index holds another chain")
	ErrChainReset = errors.New("the chain is not the one that was indexed")
)

// Run keeps the store in step with the chain until ctx ends; then it returns nil. It may be killed at any moment: the next run
// continues without gap or repeat.
func Run(ctx context.Context, o Options) error {
	r := &runner{Options: o, now: time.Now}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Patience == 0 {
		r.Patience = time.Minute
	}
	err := r.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type runner struct {
	Options
	now    func() time.Time
	cursor *Cursor // as committed; nil: none yet
	head   uint32
	due    uint32 // no live listing ends before a block below this one
	meter  meter
	lost   int // undecodable events taken in by this run
}

func (r *runner) run(ctx context.Context) error {
	head, err := r.Source.Finalised(ctx)
	if err != nil {
		return err
	}
	r.head = head.Number
	st, err := r.Store.State(ctx)
	if err != nil {
		return err
	}
	if r.Rebuild || st.Origin == nil || st.Cursor == nil && st.Origin.Genesis == r.Source.Genesis() {
		return r.begin(ctx, head)
	}
	if err := r.checkChain(ctx, st, head); err != nil {
		return err
	}
	r.cursor = st.Cursor
	r.Log.Info("index continues", "block", st.Cursor.Number, "head", head.Number)
	return r.follow(ctx, st.Cursor.Number+1)
}

// begin starts an index anew: from the state as of head, or walking from o.From.
func (r *runner) begin(ctx context.Context, head Cursor) error {
	origin := Origin{Genesis: r.Source.Genesis(), Start: head.Number, FromState: true}
	if r.From != nil {
		origin.Start, origin.FromState = *r.From, false
	}
	if err := r.Store.Reset(ctx, origin); err != nil {
		return fmt.Errorf("empty the index: %w", err)
	}
	if !origin.FromState {
		r.Log.Info("index walks the history", "from", origin.Start, "head", head.Number)
		return r.follow(ctx, origin.Start)
	}
	r.Log.Info("index reads the state", "block", head.Number)
	if err := r.readState(ctx, head); err != nil {
		return err
	}
	return r.follow(ctx, head.Number+1)
}

// checkChain makes sure that the chain holds the blocks that the store has taken in.
func (r *runner) checkChain(ctx context.Context, st State, head Cursor) error {
	if g := r.Source.Genesis(); st.Origin.Genesis != g {
		return fmt.Errorf("%w: it follows the chain with genesis %v, and this one has %v: "+
			"give the endpoint of the indexed chain, another database, or --rebuild to begin anew", ErrOtherChain, st.Origin.Genesis, g)
	}
	for told := false; ; told = true {
		if err := r.checkAnchor(ctx, st.Cursor.Number, head.Number); err != nil || head.Number >= st.Cursor.Number {
			return err
		}
		if !told {
			r.Log.Warn("the node is behind the index, which waits for it", "node", head.Number, "index", st.Cursor.Number)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(behindEvery):
		}
		var err error
		if head, err = r.Source.Finalised(ctx); err != nil {
			return err
		}
		r.head = head.Number
	}
}

// behindEvery is how often a node that is behind the index is asked how far it is.
const behindEvery = time.Second

// checkAnchor compares the newest block that both the store and the node know.
func (r *runner) checkAnchor(ctx context.Context, indexed, head uint32) error {
	known, ok, err := r.Store.Anchor(ctx, min(head, indexed))
	if err != nil {
		return err
	}
	if !ok || known.Number == 0 && indexed > 0 { // that block 0 is the same is known already
		return fmt.Errorf("%w, or its node is far behind: the index has block %d and the node knows %d final: "+
			"wait for the node, or begin anew with --rebuild", ErrChainReset, indexed, head)
	}
	h, err := r.Source.HashAt(ctx, known.Number)
	if err != nil {
		return err
	}
	if h != known.Hash {
		return resetError(known.Number, known.Hash, h)
	}
	return nil
}

func resetError(n uint32, indexed, have Hash) error {
	return fmt.Errorf("%w: block %d was %v and is %v: was the chain wiped or started anew? --rebuild begins the index anew",
		ErrChainReset, n, indexed, have)
}
