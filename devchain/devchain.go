// Package devchain is a development chain in one process: the JSON-RPC, metadata, extrinsics, events and pallets
// of peaq (System, Timestamp, Balances, TransactionPayment, Utility, PeaqDid, PeaqRbac), for tests and demonstrations.
//
// Clients cannot tell it from a node of peaq's first runtime as far as they go through those pallets: names, indices, types,
// fees, checks, errors and events are those of the real runtime, proven against data recorded from it. What differs:
//
//   - Blocks have no consensus and no seal. Header roots are plain hash commitments; nothing can be proven from them.
//   - Fees are burnt; peaq's distribution of rewards and its other pallets are absent.
//   - Timestamp.MinimumPeriod is not enforced, so that instant blocks can follow each other at once.
//   - Weights that the recorded data do not tell are estimates of the same order.
//
// With a FinalityLag of 0 a transaction's "finalized" follows its "inBlock" so fast that an application on the polkadot.js API may
// be told the last one only: wait for either. Without new blocks finality does not move on: an instant chain with a lag
// needs further transactions, or dev_newBlock.
//
// Beside the methods of a Substrate node there are dev_newBlock, dev_setBalance, dev_setStorage, dev_reorg,
// dev_setFinalityLag, dev_stall and dev_upgrade, as methods of Chain and over RPC, where each takes one object (see devMethods).
//
// Browsers may connect from any page (the server sends Access-Control-Allow-Origin: * and accepts every WebSocket origin),
// as wallets and explorers need it. It holds nobody's secrets, but listen on loopback only.
package devchain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"iod/key"
	"iod/scale"
)

// Options says how a chain runs. The zero value is an instant chain in memory with the development accounts endowed.
type Options struct {
	Dir         string                     // state on disk; "" keeps it in memory
	BlockTime   time.Duration              // 0: a block at once when a transaction arrives
	Manual      bool                       // no blocks but those of NewBlock and the other dev_ calls
	FinalityLag uint32                     // how many blocks behind the best one finality is; 0: finalised at once (see below)
	GenesisHash *[32]byte                  // overrides the hash of block 0
	SpecVersion uint32                     // 0 means 1
	TxVersion   uint32                     // 0 means 1
	Endowed     map[key.AccountID]*big.Int // planck; nil: the development accounts
	Now         func() time.Time           // nil: time.Now
	Log         *slog.Logger               // nil: discarded

	// BlockHash overrides the hash of the block with the number, to replay recorded chains; nil or false leaves it.
	BlockHash func(number uint32) (hash [32]byte, ok bool)
}

// Chain is a running development chain. All methods are safe for concurrent use.
type Chain struct {
	o       Options
	log     *slog.Logger
	genesis [32]byte

	mu       sync.RWMutex
	led      *ledger
	pool     *pool
	hub      *hub
	included map[[32]byte][]*pooled // what the blocks that are not final hold
	lag      uint32
	serial   uint64 // number of blocks ever made, so that no two are alike

	kick   chan struct{} // a transaction arrived
	stop   context.CancelFunc
	done   sync.WaitGroup
	broken chan struct{} // closed when the state can no longer be written
	failed error         // then says why

	server *server
}

// ErrClosed is the error of a chain that was closed.
var ErrClosed = errors.New("devchain: chain is closed")

// New opens or makes the chain and starts to make blocks. Close it. A chain that is already in Dir goes on as it was:
// GenesisHash must be its own, and Endowed, SpecVersion and TxVersion are not looked at.
func New(o Options) (*Chain, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Chain{o: o, log: o.Log, led: newLedger(), pool: newPool(), hub: newHub(),
		included: map[[32]byte][]*pooled{}, lag: o.FinalityLag, kick: make(chan struct{}, 1), broken: make(chan struct{})}
	c.server = newServer(c)
	if o.Dir != "" {
		if err := c.open(o.Dir); err != nil {
			return nil, err
		}
	}
	if err := c.makeGenesis(); err != nil {
		return nil, errors.Join(err, c.closeLog())
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	if !o.Manual {
		c.done.Add(1)
		go c.produce(ctx)
	}
	return c, nil
}

func (c *Chain) open(dir string) error {
	log, err := openLog(dir, func(payload []byte, at int64) error {
		c.serial++
		return c.led.load(payload, at)
	})
	if err != nil {
		return err
	}
	c.led.log = log
	c.led.state.read = log.read
	for _, b := range c.led.canon {
		if b.number+recentBlocks < c.led.head().number {
			b.extrinsics = nil
		}
	}
	return nil
}

// makeGenesis makes block 0, or checks the one that was loaded.
func (c *Chain) makeGenesis() error {
	if len(c.led.canon) > 0 {
		c.genesis = c.led.canon[0].id
		if c.o.GenesisHash != nil && *c.o.GenesisHash != c.genesis {
			return fmt.Errorf("devchain: state in %s is of the chain with genesis %s, not %s",
				c.o.Dir, hexHash(c.genesis), hexHash(*c.o.GenesisHash))
		}
		return nil
	}
	rt := runtime{spec: max(c.o.SpecVersion, 1), tx: max(c.o.TxVersion, 1)}
	endowed := c.o.Endowed
	if endowed == nil {
		var err error
		if endowed, err = developmentAccounts(); err != nil {
			return err
		}
	}
	if err := checkEndowment(endowed); err != nil {
		return err
	}
	changes := genesisState(rt, endowed)
	h := header{stateRoot: stateCommitment([32]byte{}, changes), extrinsicsRoot: commitment(), digest: []byte{0}}
	c.genesis = h.hash()
	if c.o.GenesisHash != nil {
		c.genesis = *c.o.GenesisHash
	}
	_, err := c.led.push(blockRecord{hash: c.genesis, header: h, changes: changes})
	c.led.head().changes = nil
	return err
}

func checkEndowment(endowed map[key.AccountID]*big.Int) error {
	total := new(big.Int)
	for id, value := range endowed {
		if value == nil || value.Cmp(existentialDeposit) < 0 {
			return fmt.Errorf("devchain: endow %s with %v: less than the existential deposit of %s planck", id, value, existentialDeposit)
		}
		if total.Add(total, value).Cmp(maxBalance) > 0 {
			return errors.New("devchain: endow accounts: the sum is more than 128 bits")
		}
	}
	return nil
}

func stateCommitment(parent [32]byte, changes []change) [32]byte {
	b := parent[:]
	for _, x := range changes {
		b = scale.AppendVec(scale.AppendStr(b, x.key), x.value)
	}
	return commitment(b)
}

// developmentAccounts gives a million PEAQ to each of the well-known accounts.
func developmentAccounts() (map[key.AccountID]*big.Int, error) {
	all := map[key.AccountID]*big.Int{}
	add := func(s key.Scheme, uri string) error {
		pair, err := key.FromURI(s, uri)
		if err != nil {
			return fmt.Errorf("devchain: development account %s: %w", uri, err)
		}
		all[pair.Account()] = new(big.Int).Mul(big.NewInt(1_000_000), unit)
		return nil
	}
	errs := []error{add(key.Ed25519, "//Alice"), add(key.Ecdsa, "//Alice")}
	for _, name := range []string{"//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie"} {
		errs = append(errs, add(key.Sr25519, name), add(key.Sr25519, name+"//stash"))
	}
	return all, errors.Join(errs...)
}

// Close stops making blocks, ends Serve and closes the state.
func (c *Chain) Close() error {
	c.stop()
	c.done.Wait()
	c.server.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.fail(ErrClosed)
	}
	return c.closeLog()
}

func (c *Chain) closeLog() error {
	if c.led.log == nil {
		return nil
	}
	return c.led.log.close()
}

// fail stops the chain for good; the lock is held.
func (c *Chain) fail(err error) {
	if c.failed == nil {
		c.failed = err
		close(c.broken)
	}
}
