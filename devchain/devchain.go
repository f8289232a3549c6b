// Package devchain is a development chain in one process: the JSON-RPC, metadata, extrinsics, events and pallets
// of peaq (System, Timestamp, Balances, TransactionPayment, Utility, PeaqDid, PeaqRbac), for tests and demonstrations.
package devchain

import (
	"context"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"time"

	"iod/key"
)

// Options says how a chain runs. The zero value is an instant chain in memory with the development accounts endowed.
type Options struct {
	Dir         string                     // state on disk; "" keeps it in memory
	BlockTime   time.Duration              // 0: a block at once when a transaction arrives
	FinalityLag uint32                     // how many blocks behind the best one finality is; 0: finalised at once
	GenesisHash *[32]byte                  // overrides the hash of block 0
	SpecVersion uint32                     // 0 means 1
	TxVersion   uint32                     // 0 means 1
	Endowed     map[key.AccountID]*big.Int // planck; nil: the development accounts
	Now         func() time.Time           // nil: time.Now
	Log         *slog.Logger               // nil: discarded
}

// Chain is a running development chain.
type Chain struct{}

// New opens or makes the chain. Close it.
func New(o Options) (*Chain, error) { return nil, errors.New("devchain: to be written") }

// Serve answers JSON-RPC over HTTP POST and WebSocket on ln until ctx is done, then closes ln.
func (c *Chain) Serve(ctx context.Context, ln net.Listener) error {
	return errors.New("devchain: to be written")
}

// Close stops block production and closes the state.
func (c *Chain) Close() error { return nil }
