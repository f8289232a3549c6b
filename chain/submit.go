package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"iod/chain/rpc"
	"iod/key"
	"iod/metadata"
	"iod/scale"
)

const (
	defaultPeriod = 64
	// tries bounds how often Submit makes a transaction anew.
	tries = 4
	// fresh is how long what is needed for signing is taken to be current; a node refuses what has changed since.
	fresh = 6 * time.Second
)

// TxOptions tune a transaction; the zero value is right for most: mortal (64 blocks), next nonce, no tip.
type TxOptions struct {
	Tip      Planck
	Immortal bool
	Period   uint64  // mortality in blocks, a power of two; 0: 64
	Nonce    *uint32 // nil: the next one
}

// Tx is a submitted transaction. The client follows it from its submission on, whether or not somebody waits.
type Tx struct {
	Hash Hash

	c       *Client
	from    key.AccountID
	acc     *account
	nonce   uint32
	raw     []byte
	since   uint32  // a finalised block's number at the time of signing: it is in none up to that
	death   uint64  // number of the first block in which it is not valid; 0: immortal
	runtime Runtime // that it was signed for

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	best    *place
	final   *place
	err     error
	stale   bool // a node said that the nonce is used
	unseen  int  // best blocks since it was last sent
}

// place is where a transaction stands.
type place struct {
	block *Block
	index uint32
}

// Nonce returns the nonce that the transaction was signed with.
func (t *Tx) Nonce() uint32 { return t.nonce }

// signing is what transactions are signed with for some seconds.
type signing struct {
	offline *Offline
	number  uint32 // of the finalised block that eras start from
	hash    Hash
	at      time.Time
}

// Offline returns what builds and signs transactions for the chain as it is now.
func (c *Client) Offline(ctx context.Context) (*Offline, error) {
	s, err := c.signing(ctx, true)
	if err != nil {
		return nil, err
	}
	return s.offline, nil
}

// signing returns current signing data. The finalised head is where eras start from, so that no reorganisation ends a transaction.
func (c *Client) signing(ctx context.Context, anew bool) (*signing, error) {
	a := &c.accounts
	a.mu.Lock()
	cached := a.signing
	a.mu.Unlock()
	if !anew && cached != nil && time.Since(cached.at) < fresh {
		return cached, nil
	}
	s, v, best, err := c.askSigning(ctx)
	if err != nil {
		return nil, fmt.Errorf("state of the chain to sign for: %w", err)
	}
	if cached != nil && cached.offline.runtime == v {
		s.offline = cached.offline
	} else {
		m, err := c.runtimes.metadata(ctx, v.SpecVersion, best)
		if err != nil {
			return nil, err
		}
		if s.offline, err = NewOffline(m, c.Genesis(), v); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	a.signing = s
	a.mu.Unlock()
	return s, nil
}

// askSigning asks for the finalised head, and for the version of the code in the best block's state.
func (c *Client) askSigning(ctx context.Context) (*signing, Runtime, Hash, error) {
	var v *Runtime
	var head, best *Hash
	reqs := []*rpc.Request{{Method: "chain_getFinalizedHead", Result: &head}, {Method: "state_getRuntimeVersion", Result: &v},
		{Method: "chain_getBlockHash", Result: &best}}
	var h *header
	err := c.on(ctx, func(s *session) error {
		if err := s.batch(ctx, reqs...); err != nil {
			return err
		}
		if err := firstError(reqs); err != nil {
			return err
		}
		if v == nil || best == nil || head == nil {
			return fmt.Errorf("%w: node does not tell its runtime version, best and finalised block", rpc.ErrProtocol)
		}
		var err error
		h, err = s.header(ctx, *head)
		return err
	})
	if err != nil {
		return nil, Runtime{}, Hash{}, err
	}
	return &signing{number: uint32(h.Number), hash: *head, at: time.Now()}, *v, *best, nil
}

// Submit signs a call and sends it. It returns once a node took it into its pool. Metadata that a runtime upgrade made stale is
// renewed before signing; a nonce that another client of the same key took meanwhile is replaced, some times, before that is an
// error (ErrNonceTaken). An account without means is an *ErrCannotPay.
func (c *Client) Submit(ctx context.Context, from *key.Pair, call metadata.Call, o TxOptions) (*Tx, error) {
	acc := c.accounts.of(from.Account())
	select {
	case <-acc.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.ctx.Done():
		return nil, ErrClosed
	}
	defer func() { acc.turn <- struct{}{} }()
	var err error
	for try := range tries {
		var t *Tx
		if t, err = c.prepare(ctx, acc, from, call, o, try > 0); err != nil {
			break
		}
		if err = c.send(ctx, t); err == nil {
			return t, nil
		}
		if !c.again(ctx, t, err, try, o.Nonce == nil) {
			break
		}
		c.log.Info("transaction is made anew", "account", from.Account(), "nonce", t.nonce, "reason", err)
	}
	if errors.Is(err, errStaleNonce) {
		err = fmt.Errorf("%w: %w", ErrNonceTaken, err)
	}
	return nil, fmt.Errorf("submit %s.%s: %w", call.Pallet, call.Name, err)
}

// again judges whether a refused transaction is to be made anew: when what it was signed with was out of date.
func (c *Client) again(ctx context.Context, t *Tx, err error, try int, anyNonce bool) bool {
	switch {
	case errors.Is(err, errAncient), errors.Is(err, ErrBadProof):
		return true
	case errors.Is(err, errStaleNonce):
		return anyNonce
	}
	var answered *rpc.Error
	if try > 0 || !errors.As(err, &answered) {
		return false
	}
	// Refused for any other reason: a runtime that was upgraded since the version was asked for may not even decode it.
	now, err := c.signing(ctx, true)
	return err == nil && now.offline.runtime != t.runtime
}

// prepare signs a transaction with the next nonce. anew: what was believed of the chain proved wrong, so ask.
func (c *Client) prepare(ctx context.Context, acc *account, from *key.Pair, call metadata.Call, o TxOptions, anew bool) (*Tx, error) {
	sg, err := c.signing(ctx, anew)
	if err != nil {
		return nil, err
	}
	t := &Tx{c: c, from: from.Account(), acc: acc, since: sg.number, runtime: sg.offline.runtime, changed: make(chan struct{})}
	p := Params{Tip: o.Tip}
	if !o.Immortal {
		p.Era = Era{Period: o.Period, Number: sg.number, Hash: sg.hash}
		if o.Period == 0 {
			p.Era.Period = defaultPeriod
		}
		t.death = p.Era.death()
	}
	if t.nonce, err = c.pickNonce(ctx, acc, t.from, o, anew); err != nil {
		return nil, fmt.Errorf("nonce of %s: %w", t.from, err)
	}
	p.Nonce = t.nonce
	if t.raw, err = sg.offline.Sign(from, call, p); err != nil {
		return nil, err
	}
	t.Hash = ExtrinsicHash(t.raw)
	return t, nil
}

func (c *Client) pickNonce(ctx context.Context, acc *account, id key.AccountID, o TxOptions, ask bool) (n uint32, err error) {
	if o.Nonce != nil {
		return *o.Nonce, nil
	}
	if n, ok := acc.local(); ok && !ask {
		return n, nil
	}
	err = c.on(ctx, func(s *session) error {
		n, err = s.nextNonce(ctx, id)
		return err
	})
	return acc.choose(n), err
}

// send hands a transaction to a node. The tracker knows it before, so that no block with it can be missed.
//
// If the connection breaks it is not known whether the node got it, so the same bytes are sent again, never others: then a nonce
// that is used up is most likely our own, and the tracker finds out. While no node can be reached the tracker goes on trying. Only
// if the caller's context ends in that moment is it left open whether the transaction will be.
func (c *Client) send(ctx context.Context, t *Tx) error {
	t.acc.use(t.nonce)
	if !c.tracker.add(t) {
		t.acc.done(t.nonce, false)
		return ErrClosed
	}
	sent := false
	var verdict error
	err := c.on(ctx, func(s *session) error {
		_, err := s.hash(ctx, "author_submitExtrinsic", hexBytes(t.raw))
		var answered *rpc.Error
		if errors.As(err, &answered) {
			verdict = refusal(err, t.from)
			return nil
		}
		sent = sent || err != nil
		return err
	})
	taken := verdict == nil || errors.Is(verdict, errImported) || sent && errors.Is(verdict, errStaleNonce)
	switch {
	case t.placed() || err == nil && taken:
		return nil
	case err != nil && sent && ctx.Err() == nil:
		t.hurry()
		return nil
	case err == nil:
		err = verdict
	}
	c.tracker.drop(t)
	t.acc.done(t.nonce, false)
	return err
}

// EstimateFee returns the fee of a call as the node computes it, before anything is signed for real. It is without a tip, and of
// the best block: fees follow how full blocks are, by millionths from one block to the next.
func (c *Client) EstimateFee(ctx context.Context, from key.Public, call metadata.Call) (Planck, error) {
	info, err := c.dispatchInfo(ctx, from, call)
	if err != nil {
		return Planck{}, err
	}
	return parseFee(info.raw)
}

// dispatchInfo is what a node computes of a call before anything is signed for real.
type dispatchInfo struct {
	raw    []byte // RuntimeDispatchInfo
	length int    // of the extrinsic, bytes
	meta   *metadata.Metadata
}

func (c *Client) dispatchInfo(ctx context.Context, from key.Public, call metadata.Call) (dispatchInfo, error) {
	sg, err := c.signing(ctx, false)
	if err != nil {
		return dispatchInfo{}, err
	}
	o := sg.offline
	enc, err := o.meta.EncodeCall(call)
	if err != nil {
		return dispatchInfo{}, fmt.Errorf("encode call %s.%s: %w", call.Pallet, call.Name, err)
	}
	sig := make([]byte, 64, 65)
	if from.Scheme() == key.Ecdsa {
		sig = sig[:65]
	}
	nonce, err := c.pickNonce(ctx, c.accounts.of(from.Account()), from.Account(), TxOptions{}, false)
	if err != nil {
		return dispatchInfo{}, fmt.Errorf("nonce of %s: %w", from.Account(), err)
	}
	x, err := o.assemble(from, sig, enc, Params{Nonce: nonce, Era: Era{Period: defaultPeriod, Number: sg.number, Hash: sg.hash}})
	if err != nil {
		return dispatchInfo{}, err
	}
	var out hexBytes
	params := scale.AppendU32(append([]byte(nil), x...), uint32(len(x)))
	if err := c.call(ctx, &out, "state_call", "TransactionPaymentApi_query_info", hexBytes(params)); err != nil {
		return dispatchInfo{}, fmt.Errorf("estimate fee of %s.%s: %w", call.Pallet, call.Name, err)
	}
	return dispatchInfo{out, len(x), o.meta}, nil
}

// The size of RuntimeDispatchInfo, bytes: weight (u64, or two compact numbers), class (u8), fee (u128).
const feeSize, leastInfo, mostInfo = 16, 16 + 1 + 2, 16 + 1 + 18

// parseFee reads the fee, which is what is last.
func parseFee(b []byte) (Planck, error) {
	if len(b) < leastInfo || len(b) > mostInfo {
		return Planck{}, fmt.Errorf("%w: dispatch information of %d bytes", rpc.ErrProtocol, len(b))
	}
	return PlanckFromBig(scale.NewReader(b[len(b)-feeSize:]).Big(feeSize))
}
