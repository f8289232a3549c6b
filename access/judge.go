package access

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"iod/chain"
	"iod/key"
	"iod/pallet/rbac"
)

// Why a pass ended or a knock was refused; test for them with errors.Is.
var (
	ErrRevoked  = errors.New("access was revoked")
	ErrLease    = errors.New("no chain endpoint has been reached for the time of the lease")
	ErrStopped  = errors.New("the judge has stopped")
	ErrBusy     = errors.New("too many requests are pending")
	ErrNoStream = errors.New("no such stream")
)

// View is the chain's state as of one block.
type View interface {
	rbac.Block
	Position() (hash chain.Hash, number uint32)
}

// Chain is what the judge needs of a chain client; OnChain makes one of a *chain.Client.
type Chain interface {
	Best(ctx context.Context) (View, error)
	Finalised(ctx context.Context) (View, error)
	At(ctx context.Context, h chain.Hash) (View, error)
	// WaitFinalised returns the view at a finalised block as soon as one of at least that number is there.
	WaitFinalised(ctx context.Context, number uint32) (View, error)
	WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error]
	Probe(ctx context.Context) error // the node answers
}

// OnChain adapts a client.
func OnChain(c *chain.Client) Chain { return onChain{c} }

// JudgeOptions tell a Judge what to judge by. Zero limits mean the defaults.
type JudgeOptions struct {
	Chain   Chain
	Owner   key.AccountID
	Device  key.AccountID
	Streams func(name string) bool // which streams there are; nil: all that have a valid name
	Lease   time.Duration          // how long answers last when no endpoint can be reached; 0: 10 minutes
	Log     *slog.Logger           // nil: silent

	MaxPending           int // requests that wait for a grant, in total; 0: 1024
	MaxPendingPerAccount int // 0: 8
	MaxAccounts          int // accounts that are watched at the same time; 0: 900, below the usual limit of subscriptions
}

// Judge answers whether accounts may use streams of one device, and withdraws its answers.
type Judge struct{}

// NewJudge returns a Judge, which answers while Run runs.
func NewJudge(o JudgeOptions) *Judge { panic("access: to be written") }

// Run keeps the judge's promises until ctx ends; then all passes end, and it returns nil.
func (j *Judge) Run(ctx context.Context) error { panic("access: to be written") }

// Admit returns a Pass as soon as the account may use the stream. While it may not, Admit blocks, since a grant may come,
// until ctx ends; then it returns ctx's error.
func (j *Judge) Admit(ctx context.Context, account key.AccountID, stream string) (*Pass, error) {
	panic("access: to be written")
}

// Pass is a granted request. Release it when its session is over.
type Pass struct{}

// Done is closed when access is withdrawn.
func (p *Pass) Done() <-chan struct{} { panic("access: to be written") }

// Err says why Done was closed: ErrRevoked, ErrLease or ErrStopped, wrapped; nil before.
func (p *Pass) Err() error { panic("access: to be written") }

// Release gives the pass back.
func (p *Pass) Release() { panic("access: to be written") }

type onChain struct{ c *chain.Client }
type onBlock struct{ *chain.Block }

func (b onBlock) Position() (chain.Hash, uint32) { return b.Hash, b.Number }

func (o onChain) Best(ctx context.Context) (View, error)      { return viewOf(o.c.Best(ctx)) }
func (o onChain) Finalised(ctx context.Context) (View, error) { return viewOf(o.c.Finalised(ctx)) }
func (o onChain) At(ctx context.Context, h chain.Hash) (View, error) {
	return viewOf(o.c.BlockAt(ctx, h))
}
func (o onChain) WaitFinalised(ctx context.Context, number uint32) (View, error) {
	return viewOf(o.c.WaitFinalised(ctx, number))
}
func (o onChain) WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error] {
	return o.c.WatchStorage(ctx, keys)
}
func (o onChain) Probe(ctx context.Context) error { return o.c.Probe(ctx) }

func viewOf(b *chain.Block, err error) (View, error) {
	if err != nil {
		return nil, err
	}
	return onBlock{b}, nil
}
