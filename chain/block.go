package chain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"iod/chain/rpc"
	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// eventsKey is the storage key of System.Events: it is the same on every chain.
var eventsKey = func() hexBytes {
	a, b := metadata.Twox128([]byte("System")), metadata.Twox128([]byte("Events"))
	return append(a[:], b[:]...)
}()

// Block is a view of the chain's state as of one block. It is safe for concurrent use; its fields are not to be changed.
type Block struct {
	Hash   Hash
	Parent Hash
	Number uint32

	c       *Client
	mu      sync.Mutex
	runtime *Runtime
	raw     []byte // System.Events, once known
	have    bool
	events  []metadata.Event
	reading chan struct{} // holds a token: who takes it may read events, so that many waiting read once
}

func (c *Client) newBlock(hash Hash, h *header) *Block {
	b := &Block{Hash: hash, Parent: h.Parent, Number: uint32(h.Number), c: c, reading: make(chan struct{}, 1)}
	b.reading <- struct{}{}
	return b
}

// Best returns the best block's view.
func (c *Client) Best(ctx context.Context) (*Block, error) {
	var h *header
	b := (*Block)(nil)
	err := c.on(ctx, func(s *session) error {
		if err := s.conn.Call(ctx, &h, "chain_getHeader"); err != nil {
			return err
		}
		if h == nil {
			return fmt.Errorf("%w: no best block", rpc.ErrProtocol)
		}
		hash, h, err := s.resolve(ctx, h)
		if err == nil {
			b = c.newBlock(hash, h)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("best block: %w", err)
	}
	return b, nil
}

// Finalised returns the newest finalised block's view.
func (c *Client) Finalised(ctx context.Context) (*Block, error) {
	b := (*Block)(nil)
	err := c.on(ctx, func(s *session) error {
		hash, h, err := s.finalisedHead(ctx)
		if err == nil {
			b = c.newBlock(hash, h)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finalised block: %w", err)
	}
	return b, nil
}

// finalisedHead asks for the newest finalised block.
func (s *session) finalisedHead(ctx context.Context) (Hash, *header, error) {
	hash, err := s.hash(ctx, "chain_getFinalizedHead")
	if err != nil {
		return Hash{}, nil, err
	}
	h, err := s.header(ctx, hash)
	if errors.Is(err, ErrNotFound) {
		return Hash{}, nil, fmt.Errorf("%w: node does not have the block %v that it calls final", rpc.ErrProtocol, hash)
	}
	return hash, h, err
}

// header asks for a block's header, and learns from it whether this chain hashes headers as header.hash does.
func (s *session) header(ctx context.Context, hash Hash) (*header, error) {
	var h *header
	if err := s.conn.Call(ctx, &h, "chain_getHeader", hash); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("block %v: %w", hash, ErrNotFound)
	}
	if len(h.Digest.Logs) > maxLogs {
		return nil, fmt.Errorf("%w: header with %d digest items", rpc.ErrProtocol, len(h.Digest.Logs))
	}
	return h, s.learn(hash, h)
}

// learn compares a header with its block's hash. Once a chain is seen to hash headers as header.hash does, one that does not
// match is a lie. Block 0 says nothing: a fork of a chain may have taken another's.
func (s *session) learn(hash Hash, h *header) error {
	switch match := h.hash() == hash; {
	case h.Number == 0:
	case match:
		if s.hashing.CompareAndSwap(0, 1) {
			s.proof.Store(true)
		}
	case s.hashing.Load() == 1:
		return fmt.Errorf("%w: header does not hash to block %v", rpc.ErrProtocol, hash)
	default:
		s.hashing.Store(2)
	}
	return nil
}

// resolve finds the hash of a header that came without one.
func (s *session) resolve(ctx context.Context, h *header) (Hash, *header, error) {
	if s.hashing.Load() == 1 && h.Number != 0 {
		return h.hash(), h, nil
	}
	var hash *Hash
	if err := s.conn.Call(ctx, &hash, "chain_getBlockHash", uint32(h.Number)); err != nil {
		return Hash{}, nil, err
	}
	if hash == nil {
		return Hash{}, nil, fmt.Errorf("block %d: %w", h.Number, ErrNotFound)
	}
	if *hash == h.hash() {
		return *hash, h, s.learn(*hash, h)
	}
	known, err := s.header(ctx, *hash)
	if err == nil && known.Number != h.Number {
		err = fmt.Errorf("%w: block %d instead of %d", rpc.ErrProtocol, known.Number, h.Number)
	}
	return *hash, known, err
}

// BlockAt returns the view at a block hash; ErrNotFound when the node has no such block.
func (c *Client) BlockAt(ctx context.Context, hash Hash) (*Block, error) {
	b := (*Block)(nil)
	err := c.on(ctx, func(s *session) error {
		h, err := s.header(ctx, hash)
		if err == nil {
			b = c.newBlock(hash, h)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("block %v: %w", hash, err)
	}
	return b, nil
}

// BlockByNumber returns the view at the canonical block of that number; ErrNotFound when there is none yet.
func (c *Client) BlockByNumber(ctx context.Context, n uint32) (*Block, error) {
	b := (*Block)(nil)
	err := c.on(ctx, func(s *session) error {
		var hash *Hash
		if err := s.conn.Call(ctx, &hash, "chain_getBlockHash", n); err != nil {
			return err
		}
		if hash == nil {
			return ErrNotFound
		}
		h, err := s.header(ctx, *hash)
		if err == nil && uint32(h.Number) != n {
			err = fmt.Errorf("%w: its header is of block %d", rpc.ErrProtocol, h.Number)
		}
		if err == nil {
			b = c.newBlock(*hash, h)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", n, err)
	}
	return b, nil
}

// Runtime returns the runtime version that executed the block: that of its parent's state.
func (b *Block) Runtime(ctx context.Context) (Runtime, error) {
	b.mu.Lock()
	known := b.runtime
	b.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	v, err := b.c.runtimes.version(ctx, b.codeAt())
	if err != nil {
		return Runtime{}, err
	}
	b.setRuntime(v)
	return v, nil
}

// codeAt is the block whose state holds the code that executed b.
func (b *Block) codeAt() Hash {
	if b.Number == 0 {
		return b.Hash
	}
	return b.Parent
}

func (b *Block) setRuntime(v Runtime) {
	b.mu.Lock()
	b.runtime = &v
	b.mu.Unlock()
}

// Metadata returns the metadata of the runtime version that executed the block.
func (b *Block) Metadata(ctx context.Context) (*metadata.Metadata, error) {
	v, err := b.Runtime(ctx)
	if err != nil {
		return nil, err
	}
	return b.c.runtimes.metadata(ctx, v.SpecVersion, b.codeAt())
}

// Call runs a runtime API at the block: method as in "AccountNonceApi_account_nonce", SCALE parameters, SCALE result.
func (b *Block) Call(ctx context.Context, method string, params []byte) ([]byte, error) {
	var out *hexBytes
	err := b.c.on(ctx, func(s *session) error {
		err := s.conn.Call(ctx, &out, "state_call", method, hexBytes(params), b.Hash)
		if err == nil && out == nil {
			err = fmt.Errorf("%w: state_call answers nothing", rpc.ErrProtocol)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("runtime call %s at block %d: %w", method, b.Number, err)
	}
	return *out, nil
}

// RawEvents returns the undecoded value of System.Events at the block. Blocks from FollowFinalised hold it already.
func (b *Block) RawEvents(ctx context.Context) ([]byte, error) {
	b.mu.Lock()
	raw, have := b.raw, b.have
	b.mu.Unlock()
	if have {
		return raw, nil
	}
	got, err := b.Raw(ctx, eventsKey)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	b.setEvents(got[0].Value)
	return got[0].Value, nil
}

func (b *Block) setEvents(raw []byte) {
	b.mu.Lock()
	b.raw, b.have = raw, true
	b.mu.Unlock()
}

// Events reads and decodes the events of the block. What metadata cannot make sense of is an *EventsError; whether a node tells
// another block's events nothing here can show. The slice is shared: do not change it.
func (b *Block) Events(ctx context.Context) ([]metadata.Event, error) {
	select {
	case <-b.reading:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { b.reading <- struct{}{} }()
	if b.events != nil {
		return b.events, nil
	}
	raw, err := b.RawEvents(ctx)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	events, err := m.DecodeEvents(raw)
	if err != nil {
		return nil, &EventsError{Block: b.Hash, Number: b.Number, Err: err}
	}
	b.events = events
	return events, nil
}

// body is a block as nodes write it.
type body struct {
	Block struct {
		Header     header         `json:"header"`
		Extrinsics list[hexBytes] `json:"extrinsics"`
	} `json:"block"`
}

func (s *session) body(ctx context.Context, hash Hash) (*body, error) {
	var x *body
	if err := s.conn.Call(ctx, &x, "chain_getBlock", hash); err != nil {
		return nil, err
	}
	if x == nil {
		return nil, fmt.Errorf("block %v: %w", hash, ErrNotFound)
	}
	if len(x.Block.Header.Digest.Logs) > maxLogs {
		return nil, fmt.Errorf("%w: header with %d digest items", rpc.ErrProtocol, len(x.Block.Header.Digest.Logs))
	}
	return x, s.learn(hash, &x.Block.Header)
}

// Extrinsics returns the raw extrinsics of the block, each without its length prefix.
func (b *Block) Extrinsics(ctx context.Context) ([][]byte, error) {
	var x *body
	err := b.c.on(ctx, func(s *session) (err error) {
		x, err = s.body(ctx, b.Hash)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("extrinsics of block %d: %w", b.Number, err)
	}
	out := make([][]byte, len(x.Block.Extrinsics))
	for i, raw := range x.Block.Extrinsics {
		r := scale.NewReader(raw)
		out[i] = r.Vec()
		if err := r.End(); err != nil {
			return nil, fmt.Errorf("extrinsic %d of block %d: %w", i, b.Number, err)
		}
	}
	return out, nil
}

// Time returns the block's Timestamp.Now.
func (b *Block) Time(ctx context.Context) (time.Time, error) {
	v, err := b.Storage(ctx, "Timestamp", "Now")
	if err != nil {
		return time.Time{}, err
	}
	ms, ok := v.(uint64)
	if !ok || ms > 1<<53 {
		return time.Time{}, fmt.Errorf("Timestamp.Now of block %d is %v, not milliseconds", b.Number, v)
	}
	return time.UnixMilli(int64(ms)), nil
}

// Balance is what an account holds.
type Balance struct{ Free, Reserved, Frozen Planck }

// Balance reads an account's balance at the block; an account that does not exist holds nothing.
func (b *Block) Balance(ctx context.Context, a key.AccountID) (Balance, error) {
	all, err := b.Balances(ctx, a)
	if err != nil {
		return Balance{}, err
	}
	return all[0], nil
}

// Balances is Balance for several accounts in one request.
func (b *Block) Balances(ctx context.Context, accounts ...key.AccountID) ([]Balance, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([][]byte, len(accounts))
	for i, a := range accounts {
		if keys[i], err = m.StorageKey("System", "Account", a); err != nil {
			return nil, fmt.Errorf("balance of %s: %w", a, err)
		}
	}
	entries, err := b.Raw(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("balances: %w", err)
	}
	out := make([]Balance, len(accounts))
	for i, e := range entries {
		v, err := m.DecodeStorage("System", "Account", e.Value)
		if err != nil {
			return nil, fmt.Errorf("balance of %s: %w", accounts[i], err)
		}
		if out[i], err = balanceOf(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DecodeBalance reads a balance from a raw entry of System.Account; nil: the account does not exist.
func DecodeBalance(m *metadata.Metadata, raw []byte) (Balance, error) {
	v, err := m.DecodeStorage("System", "Account", raw)
	if err != nil {
		return Balance{}, err
	}
	return balanceOf(v)
}

func balanceOf(v any) (Balance, error) {
	info, ok := v.(metadata.Fields)
	data, _ := info.Get("data")
	fields, ok2 := data.(metadata.Fields)
	if !ok || !ok2 {
		return Balance{}, errors.New("System.Account holds no balance that this client knows")
	}
	var out Balance
	for _, p := range []struct {
		dst   *Planck
		names []string
	}{{&out.Free, []string{"free"}}, {&out.Reserved, []string{"reserved"}}, {&out.Frozen, []string{"frozen", "misc_frozen", "fee_frozen"}}} {
		for _, name := range p.names {
			v, _ := fields.Get(name)
			n, ok := v.(*big.Int)
			if !ok {
				continue
			}
			if x, err := PlanckFromBig(n); err == nil && x.Cmp(*p.dst) > 0 {
				*p.dst = x // older runtimes have two kinds of frozen, of which the greater counts
			}
		}
	}
	return out, nil
}
