// Package chain is a client of a Substrate chain over its JSON-RPC. Reads are pinned at a block; transactions are
// built from the runtime's metadata alone and followed to finality.
package chain

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"iod/key"
	"iod/metadata"
)

// Options tells Dial what to connect to.
type Options struct {
	Endpoints []string     // ws://, wss://, http://, https://, in order of preference
	Genesis   Hash         // when not zero, any other network is refused
	Cache     string       // directory for metadata by runtime version; empty: memory only
	Log       *slog.Logger // nil: silent
	// KeepAlive is how long a quiet WebSocket connection is left alone before it is pinged. Zero means one minute.
	KeepAlive time.Duration
	// Timeout bounds the wait for any one answer of a node, connecting included; an endpoint that exceeds it is left for
	// the next. Zero means 20 seconds.
	Timeout time.Duration
	// MaxAnswer bounds one answer of a node in bytes. Zero means 32 MiB.
	MaxAnswer int64
}

// Client is a connection to a chain through any of several endpoints. It is safe for concurrent use.
type Client struct{}

// Dial connects to the first endpoint that answers for the wanted network.
func Dial(ctx context.Context, o Options) (*Client, error) { panic("chain: to be written") }

// Close ends the connection and everything that follows the chain over it.
func (c *Client) Close() error { panic("chain: to be written") }

// Genesis returns the hash of block 0: the network's identity.
func (c *Client) Genesis() Hash { panic("chain: to be written") }

// LastHeard returns when a node last answered anything, ping included, and from which endpoint.
func (c *Client) LastHeard() (time.Time, string) { panic("chain: to be written") }

// Best returns the best block's view.
func (c *Client) Best(ctx context.Context) (*Block, error) { panic("chain: to be written") }

// Finalised returns the newest finalised block's view.
func (c *Client) Finalised(ctx context.Context) (*Block, error) { panic("chain: to be written") }

// BlockAt returns the view at a block hash.
func (c *Client) BlockAt(ctx context.Context, h Hash) (*Block, error) { panic("chain: to be written") }

// BlockByNumber returns the view at the canonical block of that number.
func (c *Client) BlockByNumber(ctx context.Context, n uint32) (*Block, error) {
	panic("chain: to be written")
}

// FollowFinalised yields every finalised block from number from on, ascending and without a gap, across reconnects and
// failovers, until ctx ends or the consumer stops. An error that it yields is final.
func (c *Client) FollowFinalised(ctx context.Context, from uint32) iter.Seq2[*Block, error] {
	panic("chain: to be written")
}

// FollowBest yields each new best block; blocks may be skipped and replaced by others.
func (c *Client) FollowBest(ctx context.Context) iter.Seq2[*Block, error] {
	panic("chain: to be written")
}

// KeyValue is an entry of the state. Value is nil when the key is absent.
type KeyValue struct {
	Key   []byte
	Value []byte
}

// WaitFinalised returns the view at the canonical block of that number as soon as it is finalised. It subscribes to finalised
// heads only while it waits.
func (c *Client) WaitFinalised(ctx context.Context, number uint32) (*Block, error) {
	panic("chain: to be written")
}

// Probe asks a node for the least that proves that it answers.
func (c *Client) Probe(ctx context.Context) error { panic("chain: to be written") }

// Properties are what a chain says about its token and addresses; absent ones have Substrate's defaults.
type Properties struct {
	SS58Prefix    uint16 // 42 when the chain does not say
	TokenDecimals uint8  // at most 38
	TokenSymbol   string // printable, at most 16 bytes
}

// Properties returns the chain's properties, asked once.
func (c *Client) Properties(ctx context.Context) (Properties, error) { panic("chain: to be written") }

// StorageChange says what some watched keys hold as of a best block.
type StorageChange struct {
	Block   Hash
	Changes []KeyValue
}

// WatchStorage yields the current values of the keys, then each change in the best chain, by state_subscribeStorage. After a
// reconnect it yields the current values anew. It costs nothing while nothing changes.
func (c *Client) WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[StorageChange, error] {
	panic("chain: to be written")
}

// Block is a view of the chain's state as of one block.
type Block struct {
	Hash   Hash
	Parent Hash
	Number uint32
}

// Metadata returns the metadata of the block's runtime version.
func (b *Block) Metadata(ctx context.Context) (*metadata.Metadata, error) {
	panic("chain: to be written")
}

// Storage reads and decodes one entry; nil when it is absent and has no default.
func (b *Block) Storage(ctx context.Context, pallet, item string, keys ...any) (any, error) {
	panic("chain: to be written")
}

// Raw reads entries by their whole keys in one request; absent ones have a nil Value.
func (b *Block) Raw(ctx context.Context, keys ...[]byte) ([]KeyValue, error) {
	panic("chain: to be written")
}

// Entries yields all entries of a map (below the given leading keys), page by page.
func (b *Block) Entries(ctx context.Context, pallet, item string, keys ...any) iter.Seq2[KeyValue, error] {
	panic("chain: to be written")
}

// Call runs a runtime API at the block: method as in "AccountNonceApi_account_nonce", SCALE parameters, SCALE result.
func (b *Block) Call(ctx context.Context, method string, params []byte) ([]byte, error) {
	panic("chain: to be written")
}

// Events reads and decodes the events of the block.
func (b *Block) Events(ctx context.Context) ([]metadata.Event, error) { panic("chain: to be written") }

// RawEvents returns the undecoded value of System.Events at the block. Blocks from FollowFinalised hold it already.
func (b *Block) RawEvents(ctx context.Context) ([]byte, error) { panic("chain: to be written") }

// Extrinsics returns the raw extrinsics of the block, each without its length prefix.
func (b *Block) Extrinsics(ctx context.Context) ([][]byte, error) { panic("chain: to be written") }

// Time returns the block's Timestamp.Now.
func (b *Block) Time(ctx context.Context) (time.Time, error) { panic("chain: to be written") }

// TxOptions tune a transaction; the zero value is right for most: mortal (64 blocks), next nonce, no tip.
type TxOptions struct {
	Tip      Planck
	Immortal bool
	Period   uint64  // mortality in blocks, a power of two; 0: 64
	Nonce    *uint32 // nil: the next one
}

// Tx is a submitted transaction.
type Tx struct{ Hash Hash }

// Outcome is what a transaction did in a block.
type Outcome struct {
	Block  Hash
	Number uint32
	Index  uint32           // of the extrinsic in the block
	Events []metadata.Event // of this extrinsic only
	Fee    Planck           // what was withdrawn for it
}

// Submit signs a call and sends it. It returns once a node took it into its pool.
func (c *Client) Submit(ctx context.Context, from *key.Pair, call metadata.Call, o TxOptions) (*Tx, error) {
	panic("chain: to be written")
}

// InBest waits until the transaction is in a best block. A failed dispatch is a *DispatchError along with its Outcome.
func (t *Tx) InBest(ctx context.Context) (*Outcome, error) { panic("chain: to be written") }

// Finalised waits until the transaction is in a finalised block; it is sent again when a reorganisation drops it.
func (t *Tx) Finalised(ctx context.Context) (*Outcome, error) { panic("chain: to be written") }

// DispatchError is a call's failure by the names in metadata.
type DispatchError struct {
	Pallet string // empty for errors that no pallet declares (BadOrigin, Token, …)
	Name   string
	Docs   string
}

func (e *DispatchError) Error() string { panic("chain: to be written") }

// EstimateFee returns the fee of a call as the node computes it, before anything is signed for real.
func (c *Client) EstimateFee(ctx context.Context, from key.Public, call metadata.Call) (Planck, error) {
	panic("chain: to be written")
}

// Balance is what an account holds.
type Balance struct{ Free, Reserved, Frozen Planck }

// Balance reads an account's balance at the block.
func (b *Block) Balance(ctx context.Context, a key.AccountID) (Balance, error) {
	panic("chain: to be written")
}
