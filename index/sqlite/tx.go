package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"golang.org/x/crypto/blake2b"

	"iod/document"
	"iod/index"
	"iod/key"
)

// statements are prepared once on the writing connection.
type statements struct {
	get, old, insert, update      *sql.Stmt
	lastRank                      *sql.Stmt
	dropOffers, offer             *sql.Stmt
	dropWords, words              *sql.Stmt
	findDocument, document        *sql.Stmt
	history, aside, tally         *sql.Stmt
	due, nextDue, cursor, advance *sql.Stmt
	anchor, dropAnchors           *sql.Stmt
	rights                        rightsStatements
}

const written = `account, status, state, reason, vouched, owner, floor, sequence, data_type, location, lat, lon,
	price_access, price_pin, body, document, signer, expires, own_validity, ended_block, presence, presence_who,
	presence_at, first_at, updated_at, updated, rank`

func (s *statements) list() map[**sql.Stmt]string {
	all := map[**sql.Stmt]string{
		&s.get:    "SELECT " + columns + ", d.raw FROM listing l JOIN document d ON d.id = l.document WHERE l.account = ?",
		&s.old:    "SELECT id, status, state, rank, updated_at FROM listing WHERE account = ?",
		&s.insert: "INSERT INTO listing (" + written + ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		&s.update: "UPDATE listing SET (" + written + ") = (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE id = ?",

		&s.lastRank: "SELECT max(rank) FROM listing WHERE rank BETWEEN ? AND ?",

		&s.dropOffers: "DELETE FROM offer WHERE listing = ?",
		&s.offer:      "INSERT INTO offer (listing, position, updated, account, kind, data_type, unit, price) VALUES (?,?,?,?,?,?,?,?)",
		&s.dropWords:  "DELETE FROM words WHERE rowid = ?",
		&s.words:      "INSERT INTO words (rowid, said) VALUES (?, ?)",

		&s.findDocument: "SELECT id FROM document WHERE hash = ?",
		&s.document:     "INSERT INTO document (hash, raw) VALUES (?, ?)",
		&s.history:      "INSERT INTO history (account, action, who, state, sequence, document, block, at) VALUES (?,?,?,?,?,?,?,?)",
		&s.aside:        "INSERT INTO set_aside (account, who, reason, size, raw, block, at) VALUES (?,?,?,?,?,?,?)",
		&s.tally:        "UPDATE tally SET n = n + ? WHERE what = ?",

		&s.due:     "SELECT account FROM listing WHERE status = 'live' AND expires < ? ORDER BY expires, account",
		&s.nextDue: "SELECT min(expires) FROM listing WHERE status = 'live' AND expires >= ?",
		&s.cursor:  "SELECT number, hash FROM progress WHERE id = 1",
		&s.advance: "UPDATE progress SET number = ?, hash = ?, head = ?, committed = ? WHERE id = 1",

		&s.anchor: "INSERT OR REPLACE INTO anchor (number, hash) VALUES (?, ?)",
		&s.dropAnchors: fmt.Sprintf(`DELETE FROM anchor WHERE number <= ?1 - %[1]d AND (number %% %[1]d > 0 OR number <= ?1 - %[2]d)
			AND (number %% %[2]d > 0 OR number <= ?1 - %[3]d)`, index.Anchors, index.Anchors*index.Anchors, index.Anchors*index.Anchors*index.Anchors),
	}
	maps.Copy(all, s.rights.list())
	return all
}

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for stmt, q := range s.list() {
		var err error
		if *stmt, err = db.PrepareContext(ctx, q); err != nil {
			return errors.Join(fmt.Errorf("prepare %q: %w", q, err), s.close())
		}
	}
	return nil
}

func (s *statements) close() error {
	var err error
	for stmt := range s.list() {
		if *stmt != nil {
			err = errors.Join(err, (*stmt).Close())
		}
	}
	return err
}

// tx is index.Tx within one SQLite transaction.
type tx struct {
	s     *Store
	t     *sql.Tx
	named named
}

func (x *tx) exec(ctx context.Context, stmt *sql.Stmt, args ...any) (sql.Result, error) {
	return x.t.StmtContext(ctx, stmt).ExecContext(ctx, args...)
}

func (x *tx) row(ctx context.Context, stmt *sql.Stmt, args ...any) *sql.Row {
	return x.t.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
}

// Listing returns the account's listing; nil when there has never been one.
func (x *tx) Listing(ctx context.Context, a key.AccountID) (*index.Listing, error) {
	l, err := scanOne(x.row(ctx, x.s.stmts.get, a[:]))
	if err != nil {
		return nil, fmt.Errorf("read listing %v: %w", a, err)
	}
	return l, nil
}

// Put writes a listing, its offers and its words.
func (x *tx) Put(ctx context.Context, l *index.Listing) error {
	if err := x.put(ctx, l); err != nil {
		return fmt.Errorf("write listing %v: %w", l.Account, err)
	}
	return nil
}

func (x *tx) put(ctx context.Context, l *index.Listing) error {
	args, err := x.values(ctx, l)
	if err != nil {
		return err
	}
	var id int64
	var rank index.Rank
	var status, state, updated string
	err = x.row(ctx, x.s.stmts.old, l.Account[:]).Scan(&id, &status, &state, &rank, &updated)
	if now := args[len(args)-2]; err == nil && updated != now || errors.Is(err, sql.ErrNoRows) {
		var failed error
		if rank, failed = x.rank(ctx, l.Updated.Time); failed != nil {
			return failed
		}
	}
	args = append(args, rank)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		res, err := x.exec(ctx, x.s.stmts.insert, args...)
		if err != nil {
			return err
		}
		if id, err = res.LastInsertId(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if _, err := x.exec(ctx, x.s.stmts.update, append(args, id)...); err != nil {
			return err
		}
		if err := x.unlist(ctx, id, status, state); err != nil {
			return err
		}
	}
	return x.list(ctx, id, l)
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
func (x *tx) unlist(ctx context.Context, id int64, status, state string) error {
	if index.Status(status) != index.Live {
		return x.count(ctx, "ended", -1)
	}
	if _, err := x.exec(ctx, x.s.stmts.dropOffers, id); err != nil {
		return err
	}
	if _, err := x.exec(ctx, x.s.stmts.dropWords, id); err != nil {
		return err
	}
	return x.countLive(ctx, document.State(state), -1)
}

// list makes a live listing findable.
func (x *tx) list(ctx context.Context, id int64, l *index.Listing) error {
	if l.Status != index.Live {
		return x.count(ctx, "ended", 1)
	}
	for i, o := range l.Offers() {
		var price any
		if o.Price != nil {
			price = o.Price[:]
		}
		if _, err := x.exec(ctx, x.s.stmts.offer, id, i, milli(l.Updated.Time), l.Account[:], o.Kind, o.DataType, o.Unit, price); err != nil {
			return err
		}
	}
	if _, err := x.exec(ctx, x.s.stmts.words, id, l.Words()); err != nil {
		return err
	}
	return x.countLive(ctx, l.State, 1)
}

func (x *tx) countLive(ctx context.Context, state document.State, by int) error {
	if state == document.Verified {
		if err := x.count(ctx, "verified", by); err != nil {
			return err
		}
	}
	return x.count(ctx, "live", by)
}

func (x *tx) count(ctx context.Context, what string, by int) error {
	_, err := x.exec(ctx, x.s.stmts.tally, by, what)
	return err
}

// values are a listing's columns in the order of written.
func (x *tx) values(ctx context.Context, l *index.Listing) ([]any, error) {
	doc, err := x.document(ctx, l.Raw)
	if err != nil {
		return nil, err
	}
	text, err := encodeBody(&l.Device)
	if err != nil {
		return nil, err
	}
	var points [3]string
	for i, p := range []index.Point{l.PresenceAt, l.First, l.Updated} {
		if points[i], err = encodePoint(p); err != nil {
			return nil, err
		}
	}
	var lat, lon any
	if a, b, ok := l.Place(); ok {
		lat, lon = a, b
	}
	d := &l.Device
	return []any{
		l.Account[:], string(l.Status), string(l.State), l.Reason, l.Vouched, blob(l.Owner()), int64(l.Floor), int64(d.Sequence),
		d.DataType, d.Location, lat, lon, priceColumn(d.PriceAccess), priceColumn(d.PricePin), text, doc, blob(l.Signer),
		l.Expires, l.ByOwn, l.EndedBlock, string(l.Presence), blob(l.PresenceWho),
		points[0], points[1], points[2], milli(l.Updated.Time),
	}, nil
}

// priceColumn is a price as the existing marketplace understands it: none is zero.
func priceColumn(s string) []byte {
	p, err := index.ParsePrice(s)
	if err != nil {
		p = index.Price{}
	}
	return p[:]
}

// document returns the id of the bytes, which are kept once.
func (x *tx) document(ctx context.Context, raw []byte) (int64, error) {
	sum := blake2b.Sum256(raw)
	var id int64
	err := x.row(ctx, x.s.stmts.findDocument, sum[:]).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	if raw == nil {
		raw = []byte{}
	}
	res, err := x.exec(ctx, x.s.stmts.document, sum[:], raw)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// Record adds a line of history.
func (x *tx) Record(ctx context.Context, e index.Entry) error {
	at, err := encodePoint(e.At)
	if err != nil {
		return err
	}
	var doc any
	if e.Action == index.Published {
		if doc, err = x.document(ctx, e.Raw); err != nil {
			return fmt.Errorf("write history of %v: %w", e.Account, err)
		}
	}
	_, err = x.exec(ctx, x.s.stmts.history, e.Account[:], string(e.Action), blob(e.Who), string(e.State), int64(e.Sequence), doc, e.At.Block, at)
	if err != nil {
		return fmt.Errorf("write history of %v: %w", e.Account, err)
	}
	return nil
}

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
	return x.count(ctx, "set_aside", 1)
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
