// Package atlas holds every live listing in memory, column by column, for what a database is slow at: counting over a
// million of them, by any filter, for numbers beside a search (Count), for what there is to choose from (Facets), and for maps
// (Clusters, Tile).
//
// # How it is kept
//
//	account ──▶ table ──▶ block and row            block: up to 1,024 listings that are neighbours on a Hilbert curve over the
//	                                                      globe, with their extent; a column an array; listings without a
//	 order   ──▶ blocks by place on the curve              place have blocks of their own
//
// An updated listing is marked dead where it was and added where it belongs now. A block that is full, or has too many dead, is
// written anew, parted, or joined with its neighbour. So every query scans arrays, skips the blocks whose extent it does not
// touch, and takes those as a whole that lie within one cell of a map.
//
// What the offers are of (data type, unit, kind) is one number into a dictionary, so a filter is one look at a table of the size of
// the dictionary. Prices are 64-bit keys in the order of the prices; the few that need more digits are kept beside. Places are
// of a ten-millionth of a degree: one centimetre.
//
// # How true it is
//
// The atlas follows the store's changes (package feed), a fraction of a second behind. An answer is of one moment between two batches of
// changes. The words of listings have numbers, too, but for addresses and what there is no room for: what begins like one of those
// is looked up in the store. When that matches more than the atlas is willing to fetch, and while listings are read anew after the store was
// reset, Exact is false: there are at least so many.
package atlas

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"iod/index"
	"iod/index/feed"
)

// ErrLoading is returned while the listings are read for the first time.
var ErrLoading = errors.New("the listings are being read into memory; try again in a few seconds")

// Options tune an Atlas. The zero value is right for most.
type Options struct {
	Hub *feed.Hub        // tells of the store's changes, and is run by somebody else; nil: Run runs one
	Log *slog.Logger     // nil: silent
	Now func() time.Time // for Facets.Ages; nil: time.Now
	// MaxMatches is how many listings that match a text are fetched from the store, where it must be asked. 0: 50,000.
	MaxMatches int
}

// Atlas counts listings. It may be used by any number of goroutines.
type Atlas struct {
	store index.Reader
	Options

	mu      sync.RWMutex
	columns *columns
	version uint64      // grows with every change of the columns
	change  int64       // the newest line of history that the columns take into account
	loaded  atomic.Bool // the listings were read once
	partial atomic.Bool // they are being read anew

	pool   sync.Pool // of *scratch
	facets memory[Facets]
}

// New returns an Atlas of a store. It answers ErrLoading until Run has read the listings.
func New(store index.Reader, o Options) *Atlas {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxMatches == 0 {
		o.MaxMatches = 50_000
	}
	return &Atlas{store: store, Options: o, columns: newColumns(), pool: sync.Pool{New: func() any { return new(scratch) }}}
}

// Ready says whether questions are answered.
func (a *Atlas) Ready() bool { return a.loaded.Load() }

// Len is how many live listings the atlas holds.
func (a *Atlas) Len() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.columns.live
}

// Count is a number of listings.
type Count struct {
	N     int
	Exact bool // false: there are at least N
}

// Count tells how many listings a search finds in all. Order, After, Limit and Raw don't matter.
func (a *Atlas) Count(ctx context.Context, q index.Query) (Count, error) {
	s, err := a.open(ctx, &q)
	if err != nil {
		return Count{}, err
	}
	defer a.close(s)
	n := 0
	for _, b := range a.columns.order {
		if b := a.columns.blocks[b]; s.plan.rows(b, &s.rows) && s.plan.offered(b, &s.rows) {
			n += s.rows.count()
		}
	}
	return Count{n, s.exact}, nil
}

// scratch is what one question needs and the next can use again.
type scratch struct {
	plan   plan
	exact  bool
	rows   bitmap
	tally  tally
	grid   grid
	key    []byte
	finder finder
	words  wording
}

// open compiles a query and locks the columns against changes; close must follow.
func (a *Atlas) open(ctx context.Context, q *index.Query) (*scratch, error) {
	s, known, err := a.begin(q)
	if err != nil || known {
		return s, err
	}
	ranks, all, err := a.store.Matching(ctx, q.Text, a.MaxMatches)
	if err != nil {
		a.pool.Put(s)
		return nil, err
	}
	a.mu.RLock()
	s.exact = all && !a.partial.Load()
	s.plan.compile(a.columns, q)
	s.plan.listed = true
	s.plan.ranks.fill(ranks)
	return s, nil
}

// begin is open for what the columns alone tell. What they don't is not known, and nothing is locked then.
func (a *Atlas) begin(q *index.Query) (s *scratch, known bool, err error) {
	if err := q.Check(); err != nil {
		return nil, false, err
	}
	if !a.loaded.Load() {
		return nil, false, ErrLoading
	}
	terms := index.Terms(q.Text)
	terms = terms[:min(len(terms), index.MaxTerms)]
	s = a.pool.Get().(*scratch)
	a.mu.RLock()
	if q.Text != "" && (len(terms) == 0 || !s.words.set(&a.columns.words, terms)) {
		a.mu.RUnlock()
		return s, false, nil
	}
	s.exact = !a.partial.Load()
	s.plan.compile(a.columns, q)
	if q.Text != "" {
		s.plan.spoken = &s.words
	}
	return s, true, nil
}

func (a *Atlas) close(s *scratch) {
	a.mu.RUnlock()
	a.pool.Put(s)
}
