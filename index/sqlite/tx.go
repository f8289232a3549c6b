package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"iod/document"
	"iod/index"
	"iod/index/pack"
	"iod/key"
)

// tx is index.Tx within one SQLite transaction.
type tx struct {
	s        *Store
	t        *sql.Tx
	named    named
	standing map[key.AccountID]*standing // as read or written by this transaction
	combos   map[int64]int               // by how much their numbers change
	areas    map[int64]int               // likewise
	prices   map[int64]int               // likewise
	times    map[int64]int               // likewise
	terms    map[string]int              // likewise
	tallies  map[string]int              // likewise
	newTerms map[string]int64            // words that have a number and no row yet
	nextTerm int64                       // of the next word; 0: not known yet
	ahead    *pack.Ahead                 // what is to be written; nil: not known
	bound    map[*sql.Stmt]*sql.Stmt     // statements as of this transaction
}

// standing is a listing as it is in the store.
type standing struct {
	index.Listing
	document int64
}

func (s *Store) begin(t *sql.Tx) *tx {
	return &tx{s: s, t: t, standing: map[key.AccountID]*standing{}, combos: map[int64]int{}, areas: map[int64]int{}, prices: map[int64]int{},
		times: map[int64]int{}, terms: map[string]int{}, tallies: map[string]int{}, newTerms: map[string]int64{}, bound: map[*sql.Stmt]*sql.Stmt{}}
}

func (x *tx) exec(ctx context.Context, stmt *sql.Stmt, args ...any) (sql.Result, error) {
	return x.bind(stmt).ExecContext(context.WithoutCancel(ctx), args...)
}

func (x *tx) row(ctx context.Context, stmt *sql.Stmt, args ...any) *sql.Row {
	return x.bind(stmt).QueryRowContext(context.WithoutCancel(ctx), args...)
}

// bind returns a statement as one of this transaction. What it does takes microseconds, and watching for the end of a context, which the
// transaction does anyhow, would take as long again.
func (x *tx) bind(stmt *sql.Stmt) *sql.Stmt {
	b := x.bound[stmt]
	if b == nil {
		b = x.t.Stmt(stmt)
		x.bound[stmt] = b
	}
	return b
}

// finish writes what was counted.
func (x *tx) finish(ctx context.Context) error {
	err := errors.Join(
		changed(x.combos, func(id int64, by int) error { return x.do(ctx, x.s.stmts.count, by, id) }),
		changed(x.areas, func(square int64, by int) error {
			return x.counted(ctx, x.s.stmts.area, x.s.stmts.dropArea, by, square)
		}),
		changed(x.prices, func(step int64, by int) error {
			return x.counted(ctx, x.s.stmts.step, x.s.stmts.dropStep, by, ofPrice, step)
		}),
		changed(x.times, func(step int64, by int) error {
			return x.counted(ctx, x.s.stmts.step, x.s.stmts.dropStep, by, ofTime, step)
		}),
		x.writeTerms(ctx),
		changed(x.tallies, func(what string, by int) error { return x.do(ctx, x.s.stmts.tally, by, what) }),
	)
	if err != nil {
		return fmt.Errorf("write counts: %w", err)
	}
	return nil
}

// changed writes the counts that change, in the order of what they count, so that neighbours are written together.
func changed[K cmp.Ordered](counts map[K]int, write func(K, int) error) error {
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		if counts[k] == 0 {
			continue
		}
		if err := write(k, counts[k]); err != nil {
			return err
		}
	}
	return nil
}

// counted changes a count. One of none has no row: so rows do not depend on where transactions end.
func (x *tx) counted(ctx context.Context, change, drop *sql.Stmt, by int, of ...any) error {
	err := x.do(ctx, change, append(slices.Clone(of), by)...)
	if err == nil && by < 0 {
		err = x.do(ctx, drop, of...)
	}
	return err
}

func (x *tx) do(ctx context.Context, stmt *sql.Stmt, args ...any) error {
	_, err := x.exec(ctx, stmt, args...)
	return err
}

// Listing returns the account's listing; nil when there has never been one.
func (x *tx) Listing(ctx context.Context, a key.AccountID) (*index.Listing, error) {
	st, err := x.stands(ctx, a)
	if err != nil || st == nil {
		return nil, err
	}
	l := st.Listing
	return &l, nil
}

func (x *tx) stands(ctx context.Context, a key.AccountID) (*standing, error) {
	if st := x.standing[a]; st != nil {
		return st, nil
	}
	var st standing
	l, err := scanOne(x.row(ctx, x.s.stmts.get, a[:]), &st.document)
	if err != nil {
		return nil, fmt.Errorf("read listing %v: %w", a, err)
	}
	if l == nil {
		return nil, nil
	}
	st.Listing = *l
	x.standing[a] = &st
	return &st, nil
}

// Put writes a listing and what it is found by.
func (x *tx) Put(ctx context.Context, l *index.Listing) error {
	if err := x.put(ctx, l); err != nil {
		return fmt.Errorf("write listing %v: %w", l.Account, err)
	}
	return nil
}

func (x *tx) put(ctx context.Context, l *index.Listing) error {
	old, err := x.stands(ctx, l.Account)
	if err != nil {
		return err
	}
	now := standing{Listing: *l}
	if old == nil || old.Updated != l.Updated {
		if now.Rank, err = x.rank(ctx, l.Updated.Time); err != nil {
			return err
		}
	} else {
		now.Rank = old.Rank
	}
	if old == nil || !bytes.Equal(old.Raw, l.Raw) {
		if now.document, err = x.document(ctx, l.Raw); err != nil {
			return err
		}
	} else {
		now.document = old.document
	}
	stays := old != nil && old.sameOffers(&now)
	if old != nil && !stays {
		if err := x.unlist(ctx, old); err != nil {
			return err
		}
	}
	if err := x.write(ctx, old, &now); err != nil {
		return err
	}
	x.standing[l.Account] = &now
	if stays {
		return nil
	}
	return x.list(ctx, &now)
}

// sameOffers reports whether a listing is found by the same as another.
func (s *standing) sameOffers(o *standing) bool {
	return s.Rank == o.Rank && s.Status == o.Status && s.State == o.State && s.Vouched == o.Vouched && reflect.DeepEqual(s.Device, o.Device)
}

// write writes the row of a listing.
func (x *tx) write(ctx context.Context, old, now *standing) error {
	shown, rest, vouch, err := encodeListing(&now.Listing)
	if err != nil {
		return err
	}
	var owner any
	if a := now.Owner(); a != nil {
		if owner, err = x.ownerID(ctx, *a, true); err != nil {
			return err
		}
	}
	values := []any{string(now.Status), now.State == document.Verified, owner, now.Expires, now.document, vouch, shown, rest, now.Rank}
	if old != nil && old.Rank == now.Rank {
		_, err = x.exec(ctx, x.s.stmts.update, values...)
		return err
	}
	if old != nil {
		if _, err := x.exec(ctx, x.s.stmts.drop, old.Rank); err != nil {
			return err
		}
	}
	_, err = x.exec(ctx, x.s.stmts.insert, append(values, now.Account[:])...)
	return err
}

// rank returns the next rank of the time.
func (x *tx) rank(ctx context.Context, t time.Time) (index.Rank, error) {
	for first, last := index.FirstRank(t), index.LastRank(t); ; first, last = last+1, last+(last-first)+1 {
		var newest sql.NullInt64
		if err := x.row(ctx, x.s.stmts.lastRank, first, last).Scan(&newest); err != nil {
			return 0, fmt.Errorf("read ranks: %w", err)
		}
		switch {
		case !newest.Valid:
			return first, nil
		case index.Rank(newest.Int64) < last:
			return index.Rank(newest.Int64) + 1, nil
		case last == math.MaxInt64:
			return 0, errors.New("there are no ranks left")
		}
	}
}

// unlist takes back what list did for the listing as it was.
func (x *tx) unlist(ctx context.Context, l *standing) error {
	if l.Status != index.Live {
		x.tallies["ended"]--
		return nil
	}
	rows, err := x.bind(x.s.stmts.offers).QueryContext(ctx, l.Rank)
	if err != nil {
		return err
	}
	type offer struct {
		combo int64
		cell  sql.NullInt64
		price []byte
	}
	offers, err := collect(rows, "offers", func(rows *sql.Rows) (o offer, err error) { return o, rows.Scan(&o.combo, &o.cell, &o.price) })
	if err != nil {
		return err
	}
	if _, err := x.exec(ctx, x.s.stmts.dropOffers, l.Rank); err != nil {
		return err
	}
	for _, o := range offers {
		price, err := unpackPrice(o.price)
		if err != nil {
			return err
		}
		x.countOffer(o.combo, o.cell, price, l.Rank, -1)
	}
	x.tallies["offers"] -= len(offers)
	if _, err := x.exec(ctx, x.s.stmts.dropLegacy, l.Rank); err != nil {
		return err
	}
	if err := x.unsay(ctx, l.Rank, l.Words()); err != nil {
		return err
	}
	x.countLive(l.State, -1)
	return nil
}

// list makes a live listing findable.
func (x *tx) list(ctx context.Context, l *standing) error {
	if l.Status != index.Live {
		x.tallies["ended"]++
		return nil
	}
	var lat, lon, cell sql.NullInt64
	if a, b, ok := l.Place(); ok {
		y, x := index.E7(a), index.E7(b)
		lat, lon, cell = some(int64(y)), some(int64(x)), some(cellOf(y, x))
	}
	offers, combos := l.Offers(), []int64{}
	for i, o := range offers {
		combo, parts, err := x.combo(ctx, o)
		if err != nil {
			return err
		}
		_, err = x.exec(ctx, x.s.stmts.offer, l.Rank, i, parts[0], parts[1], parts[2], combo, packPriceOrNil(o.Price), l.State == document.Verified, lat, lon, cell)
		if err != nil {
			return err
		}
		x.countOffer(combo, cell, o.Price, l.Rank, 1)
		if !slices.Contains(combos, combo) {
			combos = append(combos, combo)
		}
	}
	x.tallies["offers"] += len(offers)
	if err := x.say(ctx, l.Rank, l.Words(), combos); err != nil {
		return err
	}
	d := &l.Device
	if _, err := x.exec(ctx, x.s.stmts.legacy, l.Rank, d.DataType, d.Location, legacyPrice(d.PriceAccess), legacyPrice(d.PricePin)); err != nil {
		return err
	}
	x.countLive(l.State, 1)
	return nil
}

func some(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }

// countOffer notes an offer in all counts, or that it is there no more.
func (x *tx) countOffer(combo int64, cell sql.NullInt64, price *index.Price, rank index.Rank, by int) {
	x.combos[combo] += by
	x.times[timeStep(rank)] += by
	if price != nil {
		x.prices[priceStep(*price)] += by
	}
	if !cell.Valid {
		return
	}
	for depth := leastArea; depth <= mostArea; depth += 2 {
		x.areas[areaOf(cell.Int64, depth)] += by
	}
}

func (x *tx) countLive(state document.State, by int) {
	if state == document.Verified {
		x.tallies["verified"] += by
	}
	x.tallies["live"] += by
}

// legacyPrice is a price as the existing marketplace understands it: none is zero.
func legacyPrice(s string) []byte {
	p, err := index.ParsePrice(s)
	if err != nil {
		p = index.Price{}
	}
	return packPrice(p)
}

// Foresee begins to pack documents.
func (x *tx) Foresee(documents [][]byte) {
	x.ahead.Close()
	x.ahead = pack.NewAhead(documents)
}

// document keeps the bytes and returns their id.
func (x *tx) document(ctx context.Context, raw []byte) (int64, error) {
	packed, err := x.ahead.Pack(raw)
	if err != nil {
		return 0, err
	}
	res, err := x.exec(ctx, x.s.stmts.document, packed)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// documentOf returns the id of the bytes, which the account's listing mostly has.
func (x *tx) documentOf(ctx context.Context, a key.AccountID, raw []byte) (int64, error) {
	st, err := x.stands(ctx, a)
	if err != nil {
		return 0, err
	}
	if st != nil && bytes.Equal(st.Raw, raw) {
		return st.document, nil
	}
	return x.document(ctx, raw)
}

// Record adds a line of history.
func (x *tx) Record(ctx context.Context, e index.Entry) error {
	var doc any
	if e.Action == index.Published {
		id, err := x.documentOf(ctx, e.Account, e.Raw)
		if err != nil {
			return fmt.Errorf("write history of %v: %w", e.Account, err)
		}
		doc = id
	}
	who := blob(e.Who)
	if e.Who != nil && *e.Who == e.Account {
		who = itself
	}
	_, err := x.exec(ctx, x.s.stmts.history, e.Account[:], string(e.Action), who, string(e.State), int64(e.Sequence), doc, packPoint(e.At))
	if err != nil {
		return fmt.Errorf("write history of %v: %w", e.Account, err)
	}
	return nil
}

// itself stands in history.who for the account whose history it is.
var itself = []byte{0}

// SetAside keeps what is not believed.
func (x *tx) SetAside(ctx context.Context, a index.Aside) error {
	at, err := encodePoint(a.At)
	if err != nil {
		return err
	}
	raw := a.Raw
	if raw == nil {
		raw = []byte{}
	}
	if _, err := x.exec(ctx, x.s.stmts.aside, blob(a.Account), blob(a.Who), a.Reason, a.Size, raw, a.At.Block, at); err != nil {
		return fmt.Errorf("set a document aside: %w", err)
	}
	x.tallies["set_aside"]++
	return nil
}

// Due returns the live listings whose validity ended before the block.
func (x *tx) Due(ctx context.Context, block uint32) (ended []key.AccountID, next uint32, err error) {
	rows, err := x.t.StmtContext(ctx, x.s.stmts.due).QueryContext(ctx, block)
	if err != nil {
		return nil, 0, fmt.Errorf("read ended listings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, 0, fmt.Errorf("read ended listings: %w", err)
		}
		a, err := accountOf(b)
		if err != nil {
			return nil, 0, fmt.Errorf("read ended listings: %w", err)
		}
		ended = append(ended, *a)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read ended listings: %w", err)
	}
	var n sql.NullInt64
	if err := x.row(ctx, x.s.stmts.nextDue, block).Scan(&n); err != nil {
		return nil, 0, fmt.Errorf("read the next end of a listing: %w", err)
	}
	if !n.Valid {
		return ended, index.Never, nil
	}
	return ended, uint32(n.Int64), nil
}

// Advance moves the cursor.
func (x *tx) Advance(ctx context.Context, was *index.Cursor, anchors []index.Cursor, head uint32) error {
	now := anchors[len(anchors)-1]
	var number sql.NullInt64
	var hash []byte
	if err := x.row(ctx, x.s.stmts.cursor).Scan(&number, &hash); err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	if number.Valid != (was != nil) || was != nil && (uint32(number.Int64) != was.Number || string(hash) != string(was.Hash[:])) {
		return fmt.Errorf("move the cursor: %w", index.ErrOtherWriter)
	}
	if _, err := x.exec(ctx, x.s.stmts.advance, now.Number, now.Hash[:], head, x.s.now().UnixMilli()); err != nil {
		return fmt.Errorf("move the cursor: %w", err)
	}
	for _, a := range anchors {
		if _, err := x.exec(ctx, x.s.stmts.anchor, a.Number, a.Hash[:]); err != nil {
			return fmt.Errorf("write anchor: %w", err)
		}
	}
	if _, err := x.exec(ctx, x.s.stmts.dropAnchors, now.Number); err != nil {
		return fmt.Errorf("drop old anchors: %w", err)
	}
	return nil
}
