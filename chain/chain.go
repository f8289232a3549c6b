// Package chain is a client of a Substrate chain over its JSON-RPC. Reads are pinned at a block; transactions are
// built from the runtime's metadata alone and followed to finality.
//
//	Client   endpoints with failover: one connection at a time, in order of preference
//	Block    the state as of one block: storage, runtime calls, events, extrinsics, balances
//	Tx       a submitted transaction, followed to the best block and to finality
//	Offline  builds and signs transactions without a node
//
// Whatever a node answers is bounded in size and time and checked where it can be; a node that is silent, on another network or
// breaks the protocol is left for the next, and put off with growing, jittered pauses. Only legacy methods that every Substrate
// node has are used (chain_*, state_*, author_*, system_*).
package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"iod/chain/rpc"
)

// Options tells Dial what to connect to.
type Options struct {
	Endpoints []string     // ws://, wss://, http://, https://, in order of preference
	Genesis   Hash         // when not zero, any other network is refused
	Cache     string       // directory for metadata by runtime version; empty: memory only
	Log       *slog.Logger // nil: silent
	// KeepAlive is how long a quiet WebSocket connection is left alone before it is pinged. Zero means one minute. With a larger
	// KeepAliveMax the client finds out, for each endpoint, how much longer the path to it bears.
	KeepAlive    time.Duration
	KeepAliveMax time.Duration
	// Timeout bounds the wait for any one answer of a node, connecting included; an endpoint that exceeds it is left for
	// the next. Zero means 20 seconds.
	Timeout time.Duration
	// Retry bounds how long a read, a fee estimate or a submission goes on looking for a connection after it lost one or found
	// every endpoint put off; what each endpoint's pause exceeds is not waited for. Zero means 5 seconds, less none.
	Retry time.Duration
	// Patience is how long following finality bears with a node that stands still or is behind another, before it looks for one
	// that is further. Zero means 30 seconds.
	Patience time.Duration
	// MaxAnswer bounds one answer of a node in bytes. Zero means 32 MiB.
	MaxAnswer int64
	// Dial replaces the network; nil: the machine's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Moment returns the time by which an endpoint's certificate of a validity is judged; nil: now, by the machine's clock.
	Moment func(notBefore, notAfter time.Time) time.Time
	// Lean leaves the documentation texts of metadata out of memory, for small machines: DispatchError.Docs is then empty.
	Lean bool

	backoff time.Duration // for tests: the first back-off and the polling interval
	climb   time.Duration // for tests: between looks for a preferred endpoint
}

// Client is a connection to a chain through any of several endpoints. It is safe for concurrent use.
type Client struct {
	o          Options
	log        *slog.Logger
	rpcOptions rpc.Options
	backoff    time.Duration
	poll       time.Duration // of heads where there are no subscriptions
	patience   time.Duration // with a node that is behind the one before
	climb      time.Duration // between looks for a preferred endpoint
	hurry      time.Duration // for an endpoint while there are others to try
	eager      time.Duration // between tries of an endpoint while somebody asks
	doubtful   time.Duration // of silence, after which a connection is to prove that it lives
	hashes     atomic.Bool   // the chain hashes headers as header.hash does
	asked      atomic.Uint64 // reads so far, which tell whether the client is idle
	ctx        context.Context
	cancel     context.CancelFunc
	wg         sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	endpoints  []*endpoint
	current    *session
	connecting *attempt
	woken      chan struct{} // closed and replaced to wake who waits for an endpoint
	genesis    Hash
	heard      time.Time // of sessions that were left
	heardFrom  string
	properties *Properties

	runtimes runtimes
	accounts accounts
	tracker  tracker
	finality finality
}

// Dial connects to the first endpoint that answers for the wanted network. If none does, the error is an *UnreachableError that
// lists each endpoint with its reason.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("connect to chain: no endpoint is given")
	}
	c := &Client{o: o, log: o.Log, genesis: o.Genesis, backoff: firstBackoff, poll: time.Second, patience: behindFor, climb: climbEvery, hurry: inHurry,
		eager: eagerFor, doubtful: doubtAfter, woken: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if o.backoff > 0 {
		c.backoff, c.poll, c.patience, c.hurry = o.backoff, o.backoff, 50*o.backoff, 100*o.backoff
	}
	if o.climb > 0 {
		c.climb = o.climb
	}
	if o.Patience > 0 {
		c.patience = o.Patience
	}
	if c.o.Retry == 0 {
		c.o.Retry = retryFor
	}
	if o.Timeout > 0 {
		c.hurry = min(c.hurry, o.Timeout)
	}
	c.rpcOptions = rpc.Options{Timeout: o.Timeout, KeepAlive: o.KeepAlive, MaxAnswer: o.MaxAnswer, Dial: o.Dial, Moment: o.Moment}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.endpoints = c.ranked(nil, o.Endpoints)
	c.runtimes.c, c.tracker.c, c.finality.c = c, c, c
	if _, err := c.session(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connect to chain: %w", err)
	}
	return c, nil
}

var errNotTried = errors.New("not tried")

// Close ends the connection and everything that follows the chain over it.
func (c *Client) Close() error {
	c.mu.Lock()
	s := c.current
	c.closed, c.current = true, nil
	c.cancel()
	if s != nil {
		c.leaveLocked(s, ErrClosed)
	}
	c.mu.Unlock()
	if s != nil {
		_ = s.conn.Close()
	}
	c.wg.Wait()
	return nil
}

// Genesis returns the hash of block 0: the network's identity.
func (c *Client) Genesis() Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.genesis
}

// LastHeard returns when a node last sent anything, ping included, and its endpoint without credentials.
func (c *Client) LastHeard() (time.Time, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.current; s != nil {
		if t := s.conn.LastHeard(); t.After(c.heard) {
			return t, s.ep.shown
		}
	}
	return c.heard, c.heardFrom
}

// Probe asks a node for the least that proves that it answers: the hash of its finalised head.
func (c *Client) Probe(ctx context.Context) error {
	return c.on(ctx, func(s *session) error {
		_, err := s.hash(ctx, "chain_getFinalizedHead")
		return err
	})
}

// Properties are what a chain says about its token and addresses; absent ones have Substrate's defaults.
type Properties struct {
	SS58Prefix    uint16 // 42 when the chain does not say
	TokenDecimals uint8  // at most 38
	TokenSymbol   string // printable, at most 16 bytes
}

// Properties returns the chain's properties, asked once. Values out of bounds are an error.
func (c *Client) Properties(ctx context.Context) (Properties, error) {
	c.mu.Lock()
	p := c.properties
	c.mu.Unlock()
	if p != nil {
		return *p, nil
	}
	var raw map[string]json.RawMessage
	if err := c.call(ctx, &raw, "system_properties"); err != nil {
		return Properties{}, fmt.Errorf("chain's properties: %w", err)
	}
	if raw == nil {
		return Properties{}, fmt.Errorf("chain's properties: %w: node answers nothing", rpc.ErrProtocol)
	}
	got, err := parseProperties(raw)
	if err != nil {
		return Properties{}, fmt.Errorf("chain's properties: %w", err)
	}
	c.mu.Lock()
	c.properties = &got
	c.mu.Unlock()
	return got, nil
}

// parseProperties reads single values and lists, of which the first counts: chains write both.
func parseProperties(raw map[string]json.RawMessage) (Properties, error) {
	p := Properties{SS58Prefix: 42}
	var prefix, decimals *uint64
	var symbol *string
	for name, dst := range map[string]any{"ss58Format": &prefix, "tokenDecimals": &decimals, "tokenSymbol": &symbol} {
		v := raw[name]
		var list []json.RawMessage
		if json.Unmarshal(v, &list) == nil && len(list) > 0 {
			v = list[0]
		}
		if len(v) == 0 || string(v) == "[]" {
			continue
		}
		if err := json.Unmarshal(v, dst); err != nil {
			return p, fmt.Errorf("%w: %s: %w", rpc.ErrProtocol, name, err)
		}
	}
	if prefix != nil {
		if *prefix > 16383 {
			return p, fmt.Errorf("address prefix %d is over 16383", *prefix)
		}
		p.SS58Prefix = uint16(*prefix)
	}
	if decimals != nil {
		if *decimals > 38 {
			return p, fmt.Errorf("%d decimals are over 38", *decimals)
		}
		p.TokenDecimals = uint8(*decimals)
	}
	if symbol != nil {
		if len(*symbol) > 16 || strings.ContainsFunc(*symbol, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			return p, fmt.Errorf("token symbol %.40q is too long or not printable", *symbol)
		}
		p.TokenSymbol = *symbol
	}
	return p, nil
}
