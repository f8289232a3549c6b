package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"iod/index"
	"iod/index/pack"
	"iod/key"
)

// listingColumns are what listingRow reads of a listing l.
const listingColumns = "l.rank, l.account, l.data_type, l.location, l.body"

type listingRow struct {
	rank               index.Rank
	account            []byte
	dataType, location string
	body               []byte
}

func (r *listingRow) into() []any {
	return []any{&r.rank, (*view)(&r.account), &r.dataType, &r.location, (*view)(&r.body)}
}

// view is a column's bytes as they came, good until the next row.
type view []byte

// ScanBytes keeps the bytes without copying them.
func (v *view) ScanBytes(b []byte) error {
	*v = b
	return nil
}

// listing makes a listing of what was read.
func (r *listingRow) listing() (*index.Listing, error) {
	a, err := accountOf(r.account)
	if err != nil || a == nil {
		return nil, errors.Join(err, errBody)
	}
	l := &index.Listing{Rank: r.rank, Account: *a}
	l.Device.DataType, l.Device.Location = uncolumn(r.dataType), uncolumn(r.location)
	return l, decodeBody(r.body, l)
}

// listingWith is listing with its document, which is packed.
func (r *listingRow) listingWith(packed []byte) (*index.Listing, error) {
	l, err := r.listing()
	if err != nil {
		return nil, err
	}
	l.Raw, err = pack.Unpack(packed)
	return l, err
}

// found is a listing, with its document if that is asked for.
func (r *listingRow) found(packed []byte, raw bool) (*index.Listing, error) {
	if raw {
		return r.listingWith(packed)
	}
	return r.listing()
}

// rows asks on one of the reading connections. One that turns out to be dead is replaced once for each connection there may be.
func rows[T any](ctx context.Context, s *Store, read func(pgx.CollectableRow) (T, error), q string, args ...any) ([]T, error) {
	for try := int32(0); ; try++ {
		all, err := collect(ctx, s, read, q, args...)
		if err == nil {
			return all, nil
		}
		if err = slow(ctx, err); !errors.Is(err, index.ErrUnavailable) || ctx.Err() != nil || try > s.read.Stat().MaxConns() || s.down(ctx) {
			return nil, err
		}
	}
}

func collect[T any](ctx context.Context, s *Store, read func(pgx.CollectableRow) (T, error), q string, args ...any) ([]T, error) {
	r, err := s.read.Query(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(r, read)
}

// down tells whether the server does not take connections.
func (s *Store) down(ctx context.Context) bool {
	c, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return true
	}
	c.Close(ctx) //nolint:errcheck // it answered
	return false
}

func readListing(row pgx.CollectableRow) (*index.Listing, error) {
	var r listingRow
	if err := row.Scan(r.into()...); err != nil {
		return nil, err
	}
	return r.listing()
}

func readListingWithRaw(row pgx.CollectableRow) (*index.Listing, error) {
	var r listingRow
	var raw view
	if err := row.Scan(append(r.into(), &raw)...); err != nil {
		return nil, err
	}
	return r.listingWith(raw)
}

// Get returns an account's listing, live or ended; nil when there has never been one.
func (s *Store) Get(ctx context.Context, a key.AccountID) (*index.Listing, error) {
	all, err := s.Listings(ctx, []key.AccountID{a}, true)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

// Listings returns the listings of accounts in the order asked for.
func (s *Store) Listings(ctx context.Context, accounts []key.AccountID, raw bool) ([]*index.Listing, error) {
	q, read := "SELECT "+listingColumns+" FROM listing l WHERE l.account = ANY($1::bytea[])", readListing
	if raw {
		q = "SELECT " + listingColumns + ", d.raw FROM listing l JOIN document d ON d.hash = l.document WHERE l.account = ANY($1::bytea[])"
		read = readListingWithRaw
	}
	wanted := make([][]byte, len(accounts))
	for i := range accounts {
		wanted[i] = accounts[i][:]
	}
	found, err := rows(ctx, s, read, q, wanted)
	if err != nil {
		return nil, fmt.Errorf("read listings: %w", err)
	}
	by := make(map[key.AccountID]*index.Listing, len(found))
	for _, l := range found {
		by[l.Account] = l
	}
	all := make([]*index.Listing, 0, len(found))
	for _, a := range accounts {
		if l := by[a]; l != nil {
			all = append(all, l)
		}
	}
	return all, nil
}

var errProgress = errors.New("its row of progress is missing")

// State tells how far the store has come.
func (s *Store) State(ctx context.Context) (index.State, error) {
	all, err := rows(ctx, s, func(row pgx.CollectableRow) (index.State, error) {
		var st index.State
		var genesis, hash []byte
		var start, head, committed int64
		var fromState bool
		var number *int64
		if err := row.Scan(&genesis, &start, &fromState, &number, &hash, &head, &committed, &st.Change, &st.Live, &st.Verified, &st.Ended, &st.SetAside); err != nil {
			return st, err
		}
		switch {
		case genesis == nil:
			return st, nil
		case len(genesis) != 32 || number != nil && len(hash) != 32:
			return st, errors.New("a hash is not of 32 bytes")
		case number != nil:
			st.Cursor = &index.Cursor{Number: uint32(*number), Hash: index.Hash(hash)}
		}
		st.Origin = &index.Origin{Genesis: index.Hash(genesis), Start: uint32(start), FromState: fromState}
		st.Head, st.Committed = uint32(head), time.UnixMilli(committed).UTC()
		return st, nil
	}, "SELECT genesis, start, from_state, number, hash, head, committed, change, live, verified, ended, set_aside FROM progress")
	if err == nil && len(all) != 1 {
		err = errProgress
	}
	if err != nil {
		return index.State{}, fmt.Errorf("read the state of the index: %w", err)
	}
	return all[0], nil
}

// Anchor returns the newest block at or below limit whose hash the store still knows.
func (s *Store) Anchor(ctx context.Context, limit uint32) (index.Cursor, bool, error) {
	all, err := rows(ctx, s, func(row pgx.CollectableRow) (c index.Cursor, err error) {
		var hash []byte
		if err := row.Scan(&c.Number, &hash); err != nil {
			return c, err
		}
		if len(hash) != 32 {
			return c, errors.New("a hash is not of 32 bytes")
		}
		c.Hash = index.Hash(hash)
		return c, nil
	}, "SELECT number, hash FROM anchor WHERE number <= $1 ORDER BY number DESC LIMIT 1", limit)
	if err != nil || len(all) == 0 {
		if err != nil {
			err = fmt.Errorf("read anchor: %w", err)
		}
		return index.Cursor{}, false, err
	}
	return all[0], true, nil
}

const entryColumns = "id, account, action, who, state, sequence, at"

func readEntry(row pgx.CollectableRow) (index.Entry, error) {
	var e index.Entry
	var account, who, at []byte
	var action, state int
	var sequence int64
	if err := row.Scan(&e.ID, &account, &action, &who, &state, &sequence, &at); err != nil {
		return e, err
	}
	a, err := accountOf(account)
	if err != nil || a == nil || action < 0 || action >= len(actions) || state < 0 || state >= len(states) {
		return e, errors.Join(err, errBody)
	}
	e.Account, e.Action, e.State, e.Sequence = *a, actions[action], states[state], uint64(sequence)
	if who != nil && len(who) == 0 {
		who = account
	}
	if e.Who, err = accountOf(who); err != nil {
		return e, err
	}
	e.At, err = decodePoint(at)
	return e, err
}

// History returns an account's history, newest first.
func (s *Store) History(ctx context.Context, a key.AccountID, before int64, limit int) ([]index.Entry, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	all, err := rows(ctx, s, readEntry, "SELECT "+entryColumns+" FROM history WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3", a[:], before, page(limit))
	if err != nil {
		return nil, fmt.Errorf("read history of %v: %w", a, err)
	}
	return all, nil
}

// Changes returns the history of all accounts, oldest first.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]index.Entry, error) {
	all, err := rows(ctx, s, readEntry, "SELECT "+entryColumns+" FROM history WHERE id > $1 ORDER BY id LIMIT $2", after, page(limit))
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return all, nil
}

// Asides returns what is set aside, newest first, with an ID below before (0: from the newest).
func (s *Store) Asides(ctx context.Context, before int64, limit int) ([]index.Aside, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	all, err := rows(ctx, s, func(row pgx.CollectableRow) (a index.Aside, err error) {
		var account, who, at []byte
		if err := row.Scan(&a.ID, &account, &who, &a.Reason, &a.Size, &a.Raw, &at); err != nil {
			return a, err
		}
		a.Reason = uncolumn(a.Reason)
		if a.Account, err = accountOf(account); err != nil {
			return a, err
		}
		if a.Who, err = accountOf(who); err != nil {
			return a, err
		}
		a.At, err = decodePoint(at)
		return a, err
	}, "SELECT id, account, who, reason, size, raw, at FROM set_aside WHERE id < $1 ORDER BY id DESC LIMIT $2", before, page(limit))
	if err != nil {
		return nil, fmt.Errorf("read what is set aside: %w", err)
	}
	return all, nil
}

// page keeps the size of an answer within bounds.
func page(limit int) int {
	if limit <= 0 {
		return index.DefaultLimit
	}
	return min(limit, index.MaxLimit)
}

// Rows returns the columns of some listings.
func (s *Store) Rows(ctx context.Context, accounts []key.AccountID) ([]index.Row, error) {
	listings, err := s.Listings(ctx, accounts, false)
	if err != nil {
		return nil, err
	}
	all := make([]index.Row, len(listings))
	for i, l := range listings {
		r := index.Row{Rank: l.Rank, Account: l.Account, Live: l.Status == index.Live, State: l.State, Owner: l.Owner(), Updated: l.Updated.Time}
		r.Lat, r.Lon, r.Placed = l.Place()
		if r.Live {
			r.Offers = l.Offers()
			for i := range r.Offers {
				r.Offers[i].Name, r.Offers[i].Period = "", ""
			}
			r.Words = index.Briefs(l.Words())
		}
		all[i] = r
	}
	return all, nil
}

// Columns yields every live listing as of one committed state.
func (s *Store) Columns(ctx context.Context, after index.Rank) iter.Seq2[index.Row, error] {
	return func(yield func(index.Row, error) bool) {
		stopped := false
		err := s.columns(ctx, after, func(r index.Row) bool {
			stopped = !yield(r, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(index.Row{}, fmt.Errorf("read columns: %w", advised(err)))
		}
	}
}

func (s *Store) columns(ctx context.Context, after index.Rank, yield func(index.Row) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// It lasts too long for a connection that answers searches.
	c, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read from
	if _, err := c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off;"+
		" SET LOCAL enable_seqscan = off; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0"); err != nil {
		return err
	}
	combos, err := readCombos(ctx, c)
	if err != nil {
		return err
	}
	// By rank upwards, which for each listing is from the last offer to the first.
	found, err := c.Query(ctx, `SELECT o.rank, l.account, l.owner, l.updated, o.lat, o.lon, o.state, o.combo, o.price, t.words::text
		FROM offer o JOIN listing l ON l.rank = o.rank LEFT JOIN said t ON t.rank = o.rank AND o.position = 0 WHERE o.rank > $1 ORDER BY o.rank, o.position`, after)
	if err != nil {
		return err
	}
	defer found.Close()
	var last index.Row
	for found.Next() {
		r, err := combos.row(found)
		if err != nil {
			return err
		}
		if r.Rank == last.Rank && last.Live {
			last.Offers, last.Words = append(last.Offers, r.Offers...), r.Words
			continue
		}
		if slices.Reverse(last.Offers); last.Live && !yield(last) {
			return nil
		}
		last = r
	}
	if err := found.Err(); err != nil {
		return err
	}
	if slices.Reverse(last.Offers); last.Live {
		yield(last)
	}
	return nil
}

// combos are what offers are of, by id.
type combos map[int32]index.Offer

func readCombos(ctx context.Context, c *pgx.Conn) (combos, error) {
	rows, err := c.Query(ctx, "SELECT id, data_type, kind, unit FROM combo")
	if err != nil {
		return nil, err
	}
	all := combos{}
	var id int32
	var o index.Offer
	_, err = pgx.ForEachRow(rows, []any{&id, &o.DataType, &o.Kind, &o.Unit}, func() error {
		all[id] = index.Offer{DataType: uncolumn(o.DataType), Kind: uncolumn(o.Kind), Unit: uncolumn(o.Unit)}
		return nil
	})
	return all, err
}

func (c combos) row(found pgx.Rows) (index.Row, error) {
	r := index.Row{Live: true}
	var account, owner, price, words view
	var updated int64
	var lat, lon *float64
	var state int
	var id int32
	if err := found.Scan(&r.Rank, &account, &owner, &updated, &lat, &lon, &state, &id, &price, &words); err != nil {
		return r, err
	}
	a, err := accountOf(account)
	o, known := c[id]
	if err != nil || a == nil || state < 0 || state >= len(states) || !known {
		return r, errors.Join(err, errBody)
	}
	if r.Owner, err = accountOf(owner); err != nil {
		return r, err
	}
	r.Account, r.State, r.Updated = *a, states[state], timeOf(updated)
	if lat != nil && lon != nil {
		r.Lat, r.Lon, r.Placed = *lat, *lon, true
	}
	o.Price, err = priceOf(price)
	r.Offers, r.Words = []index.Offer{o}, wordsOf(words)
	return r, err
}

// wordsOf reads the text of a tsvector of terms, which are letters and numbers: each in quotes, with spaces between.
func wordsOf(text []byte) (words []string) {
	words = make([]string, 0, bytes.Count(text, []byte{' '})+1)
	for _, w := range strings.Fields(string(text)) {
		if w = index.Brief(strings.Trim(w, "'")); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}

func priceOf(b []byte) (*index.Price, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) != len(index.Price{}) {
		return nil, fmt.Errorf("a price of %d bytes", len(b))
	}
	p := index.Price(b)
	return &p, nil
}

// Matching returns the live listings whose words match.
func (s *Store) Matching(ctx context.Context, text string, most int) (ranks []index.Rank, all bool, err error) {
	terms := index.Terms(text)
	if len(terms) == 0 {
		return nil, true, nil
	}
	ranks, err = rows(ctx, s, pgx.RowTo[index.Rank], "SELECT s.rank FROM said s WHERE s.words @@ $1::text::tsquery LIMIT $2", tsquery(terms), most+1)
	if err != nil {
		return nil, false, fmt.Errorf("search words: %w", err)
	}
	return ranks[:min(len(ranks), most)], len(ranks) <= most, nil
}

var errFilter = errors.New("no such filter")

// legacyFields are the columns that the existing marketplace filters by.
var legacyFields = map[string]struct {
	column string
	price  bool
}{
	"data_type": {"l.data_type", false}, "location": {"l.location", false},
	"price_access": {"l.price_access", true}, "price_pin": {"l.price_pin", true},
}

var legacyOps = map[string]bool{"=": true, "<": true, ">": true}

// Legacy is Search in the form of the existing marketplace.
func (s *Store) Legacy(ctx context.Context, q index.LegacyQuery) ([]*index.Listing, error) {
	if q.Account != nil {
		found, err := s.Listings(ctx, []key.AccountID{*q.Account}, false)
		return slices.DeleteFunc(found, func(l *index.Listing) bool { return l.Status != index.Live }), err
	}
	text, args := "SELECT "+listingColumns+" FROM listing l WHERE l.live", []any{}
	for _, f := range q.Filters {
		field, known := legacyFields[f.Field]
		if !known || !legacyOps[f.Op] {
			return nil, fmt.Errorf("search %.40q %.10q: %w", f.Field, f.Op, errFilter)
		}
		if args = append(args, column(f.Text)); field.price {
			args[len(args)-1] = legacyPrice(f.Price)
		}
		text += fmt.Sprintf(" AND %s %s $%d", field.column, f.Op, len(args))
	}
	if q.Limit <= 0 {
		return nil, nil
	}
	text += fmt.Sprintf(" ORDER BY l.rank DESC LIMIT $%d OFFSET $%d", len(args)+1, len(args)+2)
	found, err := rows(ctx, s, readListing, text, append(args, min(q.Limit, index.MaxLimit), max(q.Offset, 0))...)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return found, nil
}
