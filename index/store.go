package index

import (
	"context"
	"errors"
	"time"

	"iod/document"
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
	// Put writes a listing in the place of the account's former one.
	Put(ctx context.Context, l *Listing) error
	// Record adds a line of history.
	Record(ctx context.Context, e Entry) error
	// SetAside keeps what is not believed; its ID is given by the store.
	SetAside(ctx context.Context, a Aside) error
	// Due returns the live listings whose validity ended before the block, the earliest and then by account, and the next
	// block before which there will be none (Never: no listing has an end).
	Due(ctx context.Context, block uint32) (ended []key.AccountID, next uint32, err error)
	// Advance moves the cursor from was (nil: not set) to now; head is the newest finalised block that is known.
	Advance(ctx context.Context, was *Cursor, now Cursor, head uint32) error
}

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
	// Search returns live listings, the last updated first.
	Search(ctx context.Context, q Query) ([]*Listing, error)
	// Legacy is Search in the form of the existing marketplace.
	Legacy(ctx context.Context, q LegacyQuery) ([]*Listing, error)
	// History returns an account's history, newest first, at most limit lines, without Raw.
	History(ctx context.Context, a key.AccountID, limit int) ([]Entry, error)
	// Asides returns what is set aside, newest first, with an ID below before (0: from the newest).
	Asides(ctx context.Context, before int64, limit int) ([]Aside, error)
}

// Query is a search. Zero fields don't narrow it.
type Query struct {
	Text               string // each word must begin a word of what the document says
	DataType           string // of an offer, exactly
	Kind               string
	Unit               string
	MinPrice, MaxPrice *Price // of an offer; those without a price don't match
	Owner              *key.AccountID
	State              document.State // Verified or Unverified
	Near               *Near
	After              *Mark // the page after this listing
	Limit              int   // at most MaxLimit; 0: DefaultLimit
	Raw                bool  // answer with Listing.Raw
}

// Near narrows a search to a circle on the globe.
type Near struct{ Lat, Lon, Km float64 }

// Mark is a listing's place in the order of Search.
type Mark struct {
	UpdatedMilli int64
	Account      key.AccountID
}

// MarkOf returns the place of a listing.
func MarkOf(l *Listing) Mark {
	m := Mark{Account: l.Account}
	if !l.Updated.Time.IsZero() {
		m.UpdatedMilli = l.Updated.Time.UnixMilli()
	}
	return m
}

// The sizes of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// LegacyQuery is a search in the form of the existing marketplace. With an Account all else is ignored.
type LegacyQuery struct {
	Account *key.AccountID
	Filters []LegacyFilter
	Limit   int
	Offset  int
}

// LegacyFilter compares a field of the document.
type LegacyFilter struct {
	Field string // data_type, location, price_access, price_pin
	Op    string // =, <, >
	Text  string // for data_type and location, compared bytewise
	Price Price  // for prices
}
