package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/blake2b"

	"iod/document"
	"iod/index"
	"iod/key"
)

// progress is the row of that name as a transaction found it, and as it leaves it.
type progress struct {
	epoch                           int64
	cursor                          *index.Cursor
	change, aside, deed, owner      int64
	combo                           int32
	live, verified, ended, setAside int64
}

// tx is index.Tx within one transaction. What it is told to write it keeps, and sends all at once: at the end, and before it asks for
// what that may change.
type tx struct {
	s *Store
	t pgx.Tx
	progress
	moved    *move
	anchors  []index.Cursor // that were passed by
	held     map[key.AccountID]*held
	dirty    []*held                   // in the order in which they were put
	tops     map[index.Rank]index.Rank // the highest rank of a millisecond, by the first there can be, as far as known
	left     map[index.Rank]bool       // milliseconds whose ranks the database does not know yet to have been given up
	docs     map[[32]byte][]byte
	docOrder [][32]byte
	history  []entry
	asides   []aside
	rights   rightsRows
	combos   map[combo]int32 // that the database has, as far as known
}

// held is an account's listing as the transaction has it, and what is written of it.
type held struct {
	l     *index.Listing // nil: there has never been one
	body  []byte
	doc   [32]byte
	dirty bool

	written bool       // there is a row of it
	listed  bool       // and rows of its offers and words,
	rank    index.Rank // by this rank
	stale   bool       // which are not what they should be
}

type move struct {
	now  index.Cursor
	head uint32
}

type entry struct {
	index.Entry
	id  int64
	doc []byte
}

type aside struct {
	index.Aside
	id int64
}

func newTx(s *Store, t pgx.Tx) *tx {
	return &tx{s: s, t: t, held: map[key.AccountID]*held{}, tops: map[index.Rank]index.Rank{}, left: map[index.Rank]bool{}, docs: map[[32]byte][]byte{}, combos: map[combo]int32{}}
}

// begin waits for its turn and makes sure that it is this process's.
func (x *tx) begin(ctx context.Context) error {
	var number *int64
	var hash, genesis []byte
	err := x.t.QueryRow(ctx, `SELECT epoch, genesis, number, hash, change, aside, combo, deed, owner, live, verified, ended, set_aside FROM progress FOR UPDATE`).
		Scan(&x.epoch, &genesis, &number, &hash, &x.change, &x.aside, &x.combo, &x.deed, &x.owner, &x.live, &x.verified, &x.ended, &x.setAside)
	switch {
	case err != nil:
		return fmt.Errorf("read the cursor: %w", err)
	case number != nil && len(hash) != 32:
		return errors.New("read the cursor: a hash is not of 32 bytes")
	case number != nil:
		x.cursor = &index.Cursor{Number: uint32(*number), Hash: index.Hash(hash)}
	}
	if e := x.s.epoch.Load(); e != 0 && e != x.epoch {
		return fmt.Errorf("begin to write: %w", index.ErrOtherWriter)
	}
	return nil
}

// Listing returns the account's listing; nil when there has never been one.
func (x *tx) Listing(ctx context.Context, a key.AccountID) (*index.Listing, error) {
	h, err := x.hold(ctx, a)
	if err != nil || h.l == nil {
		return nil, err
	}
	l := *h.l
	return &l, nil
}

func (x *tx) hold(ctx context.Context, a key.AccountID) (*held, error) {
	if h := x.held[a]; h != nil {
		return h, nil
	}
	rows, err := x.t.Query(ctx, "SELECT "+listingColumns+", d.raw, d.hash FROM listing l JOIN document d ON d.hash = l.document WHERE l.account = $1", a[:])
	if err != nil {
		return nil, fmt.Errorf("read listing %v: %w", a, err)
	}
	h := &held{}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*index.Listing, error) {
		var r listingRow
		var raw, hash view
		if err := row.Scan(append(r.into(), &raw, &hash)...); err != nil {
			return nil, err
		}
		copy(h.doc[:], hash)
		return r.listingWith(raw)
	})
	if err != nil {
		return nil, fmt.Errorf("read listing %v: %w", a, err)
	}
	if len(all) == 1 {
		l := all[0]
		h.l, h.written, h.listed, h.rank = l, true, l.Status == index.Live, l.Rank
	}
	x.held[a] = h
	return h, nil
}

// Put writes a listing, its offers and its words.
func (x *tx) Put(ctx context.Context, l *index.Listing) error {
	if err := x.put(ctx, l); err != nil {
		return fmt.Errorf("write listing %v: %w", l.Account, err)
	}
	return nil
}

func (x *tx) put(ctx context.Context, given *index.Listing) error {
	h, err := x.hold(ctx, given.Account)
	if err != nil {
		return err
	}
	l := *given
	if l.Raw == nil {
		l.Raw = []byte{}
	}
	body, err := encodeBody(&l)
	if err != nil {
		return err
	}
	if h.l != nil && samePoint(h.l.Updated, l.Updated) {
		l.Rank = h.l.Rank
	} else if l.Rank, err = x.nextRank(ctx, h, l.Updated); err != nil {
		return err
	}
	x.count(h.l, -1)
	x.count(&l, 1)
	doc := blake2b.Sum256(l.Raw)
	if h.l == nil || doc != h.doc {
		x.document(doc, l.Raw)
	}
	h.stale = h.stale || h.l == nil || l.Rank != h.rank || doc != h.doc || l.State != h.l.State || l.Vouched != h.l.Vouched || !sameDevice(&h.l.Device, &l.Device)
	h.l, h.body, h.doc = &l, body, doc
	if !h.dirty {
		h.dirty = true
		x.dirty = append(x.dirty, h)
	}
	return nil
}

// sameDevice compares all that offers and words are made of.
func sameDevice(a, b *document.Device) bool {
	var x, y encoder
	x.device(a, a.Account)
	y.device(b, b.Account)
	return a.DataType == b.DataType && a.Location == b.Location && string(x.b) == string(y.b)
}

// nextRank gives a rank to what was published at a point: one more than the highest of its millisecond, which h may have itself.
func (x *tx) nextRank(ctx context.Context, h *held, at index.Point) (index.Rank, error) {
	for first, last := index.FirstRank(at.Time), index.LastRank(at.Time); ; first, last = last+1, last+(last-first)+1 {
		top, known := x.tops[first]
		if !known {
			var err error
			if top, err = x.top(ctx, first, last); err != nil {
				return 0, err
			}
		}
		switch {
		case top < last:
			x.tops[first] = top + 1
			if h.l != nil {
				x.leave(h.l.Rank, first)
			}
			return top + 1, nil
		case last == math.MaxInt64:
			return 0, errors.New("there are no ranks left")
		}
	}
}

// leave notes that a listing gives up a rank for one of the millisecond that begins with now.
func (x *tx) leave(r, now index.Rank) {
	first := r - r%(index.LastRank(time.Time{})+1)
	if first == now {
		return
	}
	x.left[first] = true
	if x.tops[first] == r {
		delete(x.tops, first)
	}
}

// top is the highest rank of a millisecond; the one before the first when there is none.
func (x *tx) top(ctx context.Context, first, last index.Rank) (index.Rank, error) {
	if x.left[first] { // the database has not been told yet
		if err := x.flush(ctx); err != nil {
			return 0, err
		}
	}
	var newest *index.Rank
	if err := x.t.QueryRow(ctx, "SELECT max(rank) FROM listing WHERE rank BETWEEN $1 AND $2", first, last).Scan(&newest); err != nil {
		return 0, fmt.Errorf("read ranks: %w", err)
	}
	if newest == nil {
		return first - 1, nil
	}
	return *newest, nil
}

// count keeps the tallies.
func (x *tx) count(l *index.Listing, by int64) {
	switch {
	case l == nil:
	case l.Status != index.Live:
		x.ended += by
	default:
		x.live += by
		if l.State == document.Verified {
			x.verified += by
		}
	}
}

// document takes bytes to be written under their hash.
func (x *tx) document(hash [32]byte, raw []byte) {
	if _, ok := x.docs[hash]; !ok {
		x.docs[hash] = raw
		x.docOrder = append(x.docOrder, hash)
	}
}

// Record adds a line of history.
func (x *tx) Record(_ context.Context, e index.Entry) error {
	if code(actions, e.Action) < 0 || code(states, e.State) < 0 {
		return fmt.Errorf("write history of %v: an entry that is %q and %q", e.Account, e.Action, e.State)
	}
	x.change++
	line := entry{Entry: e, id: x.change}
	if e.Action == index.Published {
		h := blake2b.Sum256(e.Raw)
		x.document(h, e.Raw)
		line.doc = h[:]
	}
	x.history = append(x.history, line)
	return nil
}

// SetAside keeps what is not believed.
func (x *tx) SetAside(_ context.Context, a index.Aside) error {
	x.aside++
	x.setAside++
	x.asides = append(x.asides, aside{a, x.aside})
	return nil
}

// Due returns the live listings whose validity ended before the block.
func (x *tx) Due(ctx context.Context, block uint32) (ended []key.AccountID, next uint32, err error) {
	if err := x.flush(ctx); err != nil {
		return nil, 0, err
	}
	rows, err := x.t.Query(ctx, "SELECT account FROM listing WHERE live AND expires < 4294967295 AND expires < $1 ORDER BY expires, account", block)
	if err != nil {
		return nil, 0, fmt.Errorf("read ended listings: %w", err)
	}
	ended, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (key.AccountID, error) {
		var b []byte
		if err := row.Scan(&b); err != nil {
			return key.AccountID{}, err
		}
		a, err := accountOf(b)
		if err != nil || a == nil {
			return key.AccountID{}, errors.Join(err, errBody)
		}
		return *a, nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read ended listings: %w", err)
	}
	var n *int64
	if err := x.t.QueryRow(ctx, "SELECT min(expires) FROM listing WHERE live AND expires < 4294967295 AND expires >= $1", block).Scan(&n); err != nil {
		return nil, 0, fmt.Errorf("read the next end of a listing: %w", err)
	}
	if n == nil {
		return ended, index.Never, nil
	}
	return ended, uint32(*n), nil
}

// Advance moves the cursor.
func (x *tx) Advance(_ context.Context, was *index.Cursor, anchors []index.Cursor, head uint32) error {
	if (was == nil) != (x.cursor == nil) || was != nil && *was != *x.cursor {
		return fmt.Errorf("move the cursor: %w", index.ErrOtherWriter)
	}
	now := anchors[len(anchors)-1]
	x.cursor, x.moved = &now, &move{now, head}
	x.anchors = append(x.anchors, anchors...)
	return nil
}
