package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"iod/document"
	"iod/index"
	"iod/index/pack"
	"iod/key"
)

// columns are what scan reads of a listing l.
const columns = "l.rank, l.shown, l.rest, l.vouch"

// scan reads a row of columns, and what follows them into more.
func scan(row scanner, more ...any) (*index.Listing, error) {
	var rank index.Rank
	var shown, rest, vouch []byte
	if err := row.Scan(append([]any{&rank, &shown, &rest, &vouch}, more...)...); err != nil {
		return nil, err
	}
	l, err := decodeListing(shown, rest, vouch)
	if err != nil {
		return nil, err
	}
	l.Rank = rank
	return l, nil
}

// scanOne reads a listing with its document; nil when there is none.
func scanOne(row scanner, more ...any) (*index.Listing, error) {
	var raw []byte
	l, err := scan(row, append([]any{&raw}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l.Raw, err = pack.Unpack(raw)
	return l, err
}

// Get returns an account's listing, live or ended; nil when there has never been one.
func (s *Store) Get(ctx context.Context, a key.AccountID) (*index.Listing, error) {
	all, err := query(ctx, s, "listing", func(rows *sql.Rows) (*index.Listing, error) { return scanOne(rows) },
		"SELECT "+columns+", d.raw FROM listing l JOIN document d ON d.id = l.document WHERE l.account = ?", a[:])
	if err != nil {
		return nil, fmt.Errorf("read listing %v: %w", a, err)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all[0], nil
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
	all, err := query(ctx, s, "the state of the index", scanState, `SELECT genesis, start, from_state, number, hash, head, committed,
		(SELECT n FROM tally WHERE what = 'live'), (SELECT n FROM tally WHERE what = 'verified'), (SELECT n FROM tally WHERE what = 'ended'),
		(SELECT n FROM tally WHERE what = 'set_aside'), ifnull((SELECT max(id) FROM history), 0) FROM progress WHERE id = 1`)
	if err != nil || len(all) == 0 {
		return index.State{}, err
	}
	return all[0], nil
}

func scanState(rows *sql.Rows) (st index.State, err error) {
	var genesis, hash []byte
	var start, head, committed int64
	var fromState bool
	var number sql.NullInt64
	err = rows.Scan(&genesis, &start, &fromState, &number, &hash, &head, &committed, &st.Live, &st.Verified, &st.Ended, &st.SetAside, &st.Change)
	if err != nil {
		return st, err
	}
	if len(genesis) != 32 || number.Valid && len(hash) != 32 {
		return st, errors.New("a hash is not of 32 bytes")
	}
	st.Origin = &index.Origin{Genesis: index.Hash(genesis), Start: uint32(start), FromState: fromState}
	if number.Valid {
		st.Cursor = &index.Cursor{Number: uint32(number.Int64), Hash: index.Hash(hash)}
	}
	st.Head, st.Committed = uint32(head), time.UnixMilli(committed).UTC()
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
	return query(ctx, s, "history", func(rows *sql.Rows) (e index.Entry, err error) {
		var account, who, at []byte
		var state string
		var sequence int64
		if err := rows.Scan(&e.ID, &account, &e.Action, &who, &state, &sequence, &at); err != nil {
			return e, err
		}
		e.State, e.Sequence = document.State(state), uint64(sequence)
		a, err := accountOf(account)
		if err != nil {
			return e, err
		}
		if e.Account = *a; bytes.Equal(who, itself) {
			who = account
		}
		if e.Who, err = accountOf(who); err != nil {
			return e, err
		}
		e.At, err = unpackPoint(at)
		return e, err
	}, "SELECT id, account, action, who, state, sequence, at FROM history "+which, args...)
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
