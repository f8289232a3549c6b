package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// columns are what scan reads of a listing l.
const columns = `l.rank, l.account, l.status, l.state, l.reason, l.vouched, l.floor, l.sequence, l.data_type, l.location, l.body,
	l.signer, l.expires, l.own_validity, l.ended_block, l.presence, l.presence_who, l.presence_at, l.first_at, l.updated_at`

// scan reads a row of columns, and what follows them into more.
func scan(row interface{ Scan(...any) error }, more ...any) (*index.Listing, error) {
	var (
		l                              index.Listing
		account, signer, who           []byte
		floor, sequence                int64
		text, presence, first, updated string
	)
	d := &l.Device
	err := row.Scan(append([]any{&l.Rank, &account, &l.Status, &l.State, &l.Reason, &l.Vouched, &floor, &sequence, &d.DataType, &d.Location, &text,
		&signer, &l.Expires, &l.ByOwn, &l.EndedBlock, &l.Presence, &who, &presence, &first, &updated}, more...)...)
	if err != nil {
		return nil, err
	}
	a, err := accountOf(account)
	if err != nil {
		return nil, err
	}
	l.Account, d.Account, l.Floor, d.Sequence = *a, *a, uint64(floor), uint64(sequence)
	if l.Signer, err = accountOf(signer); err != nil {
		return nil, err
	}
	if l.PresenceWho, err = accountOf(who); err != nil {
		return nil, err
	}
	if l.Updated, err = decodePoint(updated); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		point *index.Point
		text  string
	}{{&l.First, first}, {&l.PresenceAt, presence}} {
		if x.text == updated { // so it is mostly
			*x.point = l.Updated
		} else if *x.point, err = decodePoint(x.text); err != nil {
			return nil, err
		}
	}
	return &l, decodeBody(text, d)
}

// scanOne reads a listing with its document; nil when there is none.
func scanOne(row *sql.Row) (*index.Listing, error) {
	var raw []byte
	l, err := scan(row, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l.Raw = raw
	return l, nil
}

// Get returns an account's listing, live or ended; nil when there has never been one.
func (s *Store) Get(ctx context.Context, a key.AccountID) (*index.Listing, error) {
	l, err := scanOne(s.read.QueryRowContext(ctx,
		"SELECT "+columns+", d.raw FROM listing l JOIN document d ON d.id = l.document WHERE l.account = ?", a[:]))
	if err != nil {
		return nil, fmt.Errorf("read listing %v: %w", a, err)
	}
	return l, nil
}

// Listings returns the listings of accounts in the order asked for.
func (s *Store) Listings(ctx context.Context, accounts []key.AccountID, raw bool) ([]*index.Listing, error) {
	var all []*index.Listing
	for _, a := range accounts {
		l, err := s.Get(ctx, a)
		if err != nil {
			return nil, err
		}
		if l == nil {
			continue
		}
		if !raw {
			l.Raw = nil
		}
		all = append(all, l)
	}
	return all, nil
}

// State tells how far the store has come.
func (s *Store) State(ctx context.Context) (index.State, error) {
	var st index.State
	var genesis, hash []byte
	var start, head, committed int64
	var fromState bool
	var number sql.NullInt64
	t, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return st, fmt.Errorf("read the state of the index: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // nothing was written
	err = t.QueryRowContext(ctx, "SELECT genesis, start, from_state, number, hash, head, committed FROM progress WHERE id = 1").
		Scan(&genesis, &start, &fromState, &number, &hash, &head, &committed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return st, nil
	case err != nil:
		return st, fmt.Errorf("read the state of the index: %w", err)
	case len(genesis) != 32 || number.Valid && len(hash) != 32:
		return st, errors.New("read the state of the index: a hash is not of 32 bytes")
	}
	st.Origin = &index.Origin{Genesis: index.Hash(genesis), Start: uint32(start), FromState: fromState}
	if number.Valid {
		st.Cursor = &index.Cursor{Number: uint32(number.Int64), Hash: index.Hash(hash)}
	}
	st.Head, st.Committed = uint32(head), time.UnixMilli(committed).UTC()
	for what, n := range map[string]*uint64{"live": &st.Live, "verified": &st.Verified, "ended": &st.Ended, "set_aside": &st.SetAside} {
		if err := t.QueryRowContext(ctx, "SELECT n FROM tally WHERE what = ?", what).Scan(n); err != nil {
			return st, fmt.Errorf("read the state of the index: count of %s: %w", what, err)
		}
	}
	if err := t.QueryRowContext(ctx, "SELECT ifnull(max(id), 0) FROM history").Scan(&st.Change); err != nil {
		return st, fmt.Errorf("read the state of the index: newest change: %w", err)
	}
	return st, nil
}

// Anchor returns the newest block at or below limit whose hash the store still knows.
func (s *Store) Anchor(ctx context.Context, limit uint32) (index.Cursor, bool, error) {
	var c index.Cursor
	var hash []byte
	err := s.read.QueryRowContext(ctx, "SELECT number, hash FROM anchor WHERE number <= ? ORDER BY number DESC LIMIT 1", limit).
		Scan(&c.Number, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err == nil && len(hash) != 32 {
		err = errors.New("a hash is not of 32 bytes")
	}
	if err != nil {
		return c, false, fmt.Errorf("read anchor: %w", err)
	}
	c.Hash = index.Hash(hash)
	return c, true, nil
}

// History returns an account's history, newest first.
func (s *Store) History(ctx context.Context, a key.AccountID, before int64, limit int) ([]index.Entry, error) {
	all, err := s.entries(ctx, "WHERE account = ? AND id < ? ORDER BY id DESC LIMIT ?", a[:], below(before), page(limit))
	if err != nil {
		return nil, fmt.Errorf("read history of %v: %w", a, err)
	}
	return all, nil
}

// Changes returns the history of all accounts, oldest first.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]index.Entry, error) {
	all, err := s.entries(ctx, "WHERE id > ? ORDER BY id LIMIT ?", after, page(limit))
	if err != nil {
		return nil, fmt.Errorf("read changes after %d: %w", after, err)
	}
	return all, nil
}

func (s *Store) entries(ctx context.Context, which string, args ...any) ([]index.Entry, error) {
	rows, err := s.query(ctx, "SELECT id, account, action, who, state, sequence, at FROM history "+which, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, "history", func(rows *sql.Rows) (e index.Entry, err error) {
		var account, who []byte
		var state, at string
		var sequence int64
		if err := rows.Scan(&e.ID, &account, &e.Action, &who, &state, &sequence, &at); err != nil {
			return e, err
		}
		e.State, e.Sequence = document.State(state), uint64(sequence)
		a, err := accountOf(account)
		if err != nil {
			return e, err
		}
		e.Account = *a
		if e.Who, err = accountOf(who); err != nil {
			return e, err
		}
		e.At, err = decodePoint(at)
		return e, err
	})
}

// below is an ID that all to be read are below: 0 stands for the newest.
func below(before int64) int64 {
	if before <= 0 {
		return math.MaxInt64
	}
	return before
}

// Asides returns what is set aside, newest first, with an ID below before (0: from the newest).
func (s *Store) Asides(ctx context.Context, before int64, limit int) ([]index.Aside, error) {
	rows, err := s.read.QueryContext(ctx,
		"SELECT id, account, who, reason, size, raw, at FROM set_aside WHERE id < ? ORDER BY id DESC LIMIT ?", below(before), page(limit))
	if err != nil {
		return nil, fmt.Errorf("read what is set aside: %w", err)
	}
	return collect(rows, "what is set aside", func(rows *sql.Rows) (index.Aside, error) {
		var a index.Aside
		var account, who []byte
		var at string
		if err := rows.Scan(&a.ID, &account, &who, &a.Reason, &a.Size, &a.Raw, &at); err != nil {
			return a, err
		}
		var err error
		if a.Account, err = accountOf(account); err != nil {
			return a, err
		}
		if a.Who, err = accountOf(who); err != nil {
			return a, err
		}
		a.At, err = decodePoint(at)
		return a, err
	})
}

func collect[T any](rows *sql.Rows, what string, read func(*sql.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		x, err := read(rows)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		all = append(all, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
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
