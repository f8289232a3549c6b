package index

import (
	"context"
	"errors"
	"iter"
	"time"

	"iod/key"
)

// ErrOtherWriter is returned by Tx.Advance when another process has moved the cursor.
var ErrOtherWriter = errors.New("another process writes this index: end one of the two, or name another database")

// Store keeps listings with their history. One process writes; any number may read. Its implementations pass the suite in
// index/storetest. Errors are of the store, never of a document.
type Store interface {
	Reader
	// Update runs f in one transaction: all of it happens, or nothing.
	Update(ctx context.Context, f func(Tx) error) error
	// Reset empties the store and notes which chain it is going to follow.
	Reset(ctx context.Context, o Origin) error
	// Close ends reading and writing.
	Close() error
}

// Tx is the writing half of a Store within a transaction.
type Tx interface {
	// Listing returns the account's listing, live or ended; nil when there has never been one.
	Listing(ctx context.Context, a key.AccountID) (*Listing, error)
	// Put writes a listing in the place of the account's former one. Its Device has passed Check.
	Put(ctx context.Context, l *Listing) error
	// Record adds a line of history.
	Record(ctx context.Context, e Entry) error
	// SetAside keeps what is not believed; its ID is given by the store.
	SetAside(ctx context.Context, a Aside) error
	// Due returns the live listings whose validity ended before the block, the earliest and then by account, and the next
	// block before which there will be none (Never: no listing has an end).
	Due(ctx context.Context, block uint32) (ended []key.AccountID, next uint32, err error)
	// Advance moves the cursor from was (nil: not set) to the last of anchors; head is the newest finalised block that is known.
	// Anchor tells the anchors from then on, as long as the bounds at Anchors allow.
	Advance(ctx context.Context, was *Cursor, anchors []Cursor, head uint32) error
	RightsTx
}

// Foreseeing is a Tx that is glad to know beforehand which documents it will be given, most of them and in this order, so that another
// processor can make them ready. Nobody changes them before the transaction ends.
type Foreseeing interface{ Foresee(documents [][]byte) }

// Origin says which chain a store follows, and from where.
type Origin struct {
	Genesis   Hash
	Start     uint32 // first block walked, or the block whose state was read
	FromState bool
}

// State is how far a store has come.
type State struct {
	Origin    *Origin // nil: an empty store
	Cursor    *Cursor // nil: the state is being read
	Head      uint32  // the newest finalised block known when the cursor last moved
	Committed time.Time
	Change    int64 // ID of the newest line of history; 0: there is none
	Live      uint64
	Verified  uint64 // of Live
	Ended     uint64
	SetAside  uint64
}

// Reader is the reading half of a Store. Answers are of a committed state.
type Reader interface {
	// State tells how far the store has come.
	State(ctx context.Context) (State, error)
	// Anchor returns the newest block at or below max whose hash the store still knows.
	Anchor(ctx context.Context, max uint32) (Cursor, bool, error)
	// Get returns an account's listing, live or ended; nil when there has never been one.
	Get(ctx context.Context, a key.AccountID) (*Listing, error)
	// Listings returns the listings of accounts, live or ended, in the order asked for; those that have never been are left out.
	Listings(ctx context.Context, accounts []key.AccountID, raw bool) ([]*Listing, error)
	// Search returns live listings. A query that makes no sense is ErrQuery, one that takes too long ErrTooBroad.
	Search(ctx context.Context, q Query) (Page, error)
	// Legacy is Search in the form of the existing marketplace, the last updated first.
	Legacy(ctx context.Context, q LegacyQuery) ([]*Listing, error)
	// History returns an account's history, newest first, with an ID below before (0: from the newest), at most limit lines, without Raw.
	History(ctx context.Context, a key.AccountID, before int64, limit int) ([]Entry, error)
	// Changes returns the history of all accounts, oldest first, with an ID above after, at most limit lines, without Raw.
	Changes(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Matching returns the live listings whose words match a text as in Query.Text, at most that many, in no order. all is false when
	// there are more.
	Matching(ctx context.Context, text string, most int) (ranks []Rank, all bool, err error)
	// Columns yields every live listing with a rank above after, in order of rank, as of one committed state. An error is yielded last.
	Columns(ctx context.Context, after Rank) iter.Seq2[Row, error]
	// Rows returns the same of some accounts; ended listings come with Live false, and those that have never been are left out.
	Rows(ctx context.Context, accounts []key.AccountID) ([]Row, error)
	// Asides returns what is set aside, newest first, with an ID below before (0: from the newest).
	Asides(ctx context.Context, before int64, limit int) ([]Aside, error)
	Rights
}
