package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"iod/access"
	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

type scanner interface{ Scan(...any) error }

// moment is a point as columns.
type moment struct {
	block, milli, extrinsic, event sql.NullInt64
	hash                           []byte
	state                          sql.NullBool
}

func (m *moment) dst() []any {
	return []any{&m.block, &m.hash, &m.milli, &m.state, &m.extrinsic, &m.event}
}

func (m *moment) point() (p index.Point, err error) {
	if len(m.hash) != len(index.Hash{}) {
		return p, fmt.Errorf("a block hash of %d bytes", len(m.hash))
	}
	p = index.Point{Block: uint32(m.block.Int64), Hash: index.Hash(m.hash), Extrinsic: int32(m.extrinsic.Int64),
		Event: uint32(m.event.Int64), FromState: m.state.Bool}
	if m.milli.Int64 != 0 {
		p.Time = time.UnixMilli(m.milli.Int64).UTC()
	}
	return p, nil
}

// pointOrNil is the point of what may not be there.
func (m *moment) pointOrNil() (*index.Point, error) {
	if !m.block.Valid {
		return nil, nil
	}
	p, err := m.point()
	return &p, err
}

func idOf(b []byte) (id rbac.ID, err error) {
	if len(b) != len(id) {
		return id, fmt.Errorf("an id of %d bytes", len(b))
	}
	return rbac.ID(b), nil
}

func scanEntity(row scanner) (e index.Entity, err error) {
	var owner, id, name []byte
	var since, until moment
	if err := row.Scan(slices.Concat([]any{&owner, &e.Kind, &id, &name}, since.dst(), until.dst())...); err != nil {
		return e, err
	}
	a, errOwner := accountOf(owner)
	e.ID, err = idOf(id)
	e.Name = string(name)
	var errSince, errUntil error
	e.Since, errSince = since.point()
	e.Until, errUntil = until.pointOrNil()
	if err := errors.Join(errOwner, err, errSince, errUntil); err != nil {
		return e, err
	}
	e.Owner = *a
	return e, nil
}

func scanLink(row scanner) (l index.Link, err error) {
	var owner, holder, held []byte
	var since, until moment
	if err := row.Scan(slices.Concat([]any{&owner, &l.Relation, &holder, &held}, since.dst(), until.dst())...); err != nil {
		return l, err
	}
	a, errOwner := accountOf(owner)
	var errHeld, errSince, errUntil error
	l.Holder, err = idOf(holder)
	l.Held, errHeld = idOf(held)
	l.Since, errSince = since.point()
	l.Until, errUntil = until.pointOrNil()
	if err := errors.Join(errOwner, err, errHeld, errSince, errUntil); err != nil {
		return l, err
	}
	l.Owner = *a
	return l, nil
}

// Access returns the times in which accounts could use the device's streams by the owner's arrangement.
func (s *Store) Access(ctx context.Context, owner, device key.AccountID, streams []string) ([]index.Grant, error) {
	t, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("access to %v: %w", device, err)
	}
	defer t.Rollback() //nolint:errcheck // nothing was written
	return index.Access(ctx, graph{t}, owner, device, streams)
}

// graph is index.Graph within a transaction.
type graph struct{ t *sql.Tx }

// someIDs bounds the ids of one question.
const someIDs = 256

// LinksTo returns the links in which one of held is held.
func (g graph) LinksTo(ctx context.Context, owner key.AccountID, r rbac.Relation, held []rbac.ID, most int) ([]index.Link, error) {
	var all []index.Link
	for some := range slices.Chunk(held, someIDs) {
		more, err := someOf(ctx, g.t, "SELECT "+linkColumns+" WHERE o.account = ? AND l.relation = ? AND l.held IN ", owner, r, some, most-len(all), scanLink)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// EntitiesBy returns the entities of a kind with one of the ids.
func (g graph) EntitiesBy(ctx context.Context, owner key.AccountID, k rbac.Kind, ids []rbac.ID) ([]index.Entity, error) {
	var all []index.Entity
	for some := range slices.Chunk(ids, someIDs) {
		more, err := someOf(ctx, g.t, "SELECT "+entityColumns+" WHERE o.account = ? AND e.kind = ? AND e.id IN ", owner, k, some, len(some), scanEntity)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

func someOf[T any](ctx context.Context, t *sql.Tx, text string, owner key.AccountID, what any, ids []rbac.ID, most int, scan func(scanner) (T, error)) ([]T, error) {
	args := []any{owner[:], what}
	for i := range ids {
		args = append(args, ids[i][:])
	}
	rows, err := t.QueryContext(ctx, text+"(?"+strings.Repeat(",?", len(ids)-1)+") LIMIT ?", append(args, max(most, 0))...)
	if err != nil {
		return nil, err
	}
	return collect(rows, "an owner's arrangement", func(rows *sql.Rows) (T, error) { return scan(rows) })
}

// Entities returns an owner's entities by kind and id.
func (s *Store) Entities(ctx context.Context, owner key.AccountID, after *access.Ref, limit int) ([]index.Entity, error) {
	text, args := " WHERE o.account = ?", []any{owner[:]}
	if after != nil {
		text, args = text+" AND (e.kind, e.id) > (?, ?)", append(args, after.Kind, after.ID[:])
	}
	return query(ctx, s, fmt.Sprint("entities of ", owner), func(rows *sql.Rows) (index.Entity, error) { return scanEntity(rows) },
		"SELECT "+entityColumns+text+" ORDER BY e.kind, e.id LIMIT ?", append(args, page(limit))...)
}

// Links returns an owner's links by relation, held, holder and time.
func (s *Store) Links(ctx context.Context, owner key.AccountID, after *index.Link, limit int) ([]index.Link, error) {
	text, args := " WHERE o.account = ?", []any{owner[:]}
	if after != nil {
		text += " AND (l.relation, l.held, l.holder, l.since_block, l.since_event) > (?, ?, ?, ?, ?)"
		args = append(args, after.Relation, after.Held[:], after.Holder[:], after.Since.Block, after.Since.Event)
	}
	return query(ctx, s, fmt.Sprint("links of ", owner), func(rows *sql.Rows) (index.Link, error) { return scanLink(rows) },
		"SELECT "+linkColumns+text+" ORDER BY l.relation, l.held, l.holder, l.since_block, l.since_event LIMIT ?",
		append(args, page(limit))...)
}

// Deeds returns an owner's RBAC history, newest first.
func (s *Store) Deeds(ctx context.Context, owner key.AccountID, before int64, limit int) ([]index.Deed, error) {
	return query(ctx, s, fmt.Sprint("what ", owner, " did"), func(rows *sql.Rows) (index.Deed, error) {
		d := index.Deed{Owner: owner}
		var at moment
		var what uint8
		var id1, id2, name []byte
		if err := rows.Scan(append([]any{&d.ID, &d.Verb, &what, &id1, &id2, &name}, at.dst()...)...); err != nil {
			return d, err
		}
		first, err := idOf(id1)
		if err != nil {
			return d, err
		}
		if d.At, err = at.point(); err != nil {
			return d, err
		}
		if d.Verb != rbac.Assigned && d.Verb != rbac.Unassigned {
			d.Ref, d.Name = access.Ref{Kind: rbac.Kind(what), ID: first}, string(name)
			return d, nil
		}
		d.Assignment = rbac.Assignment{Relation: rbac.Relation(what), Holder: first}
		d.Assignment.Held, err = idOf(id2)
		return d, err
	}, `SELECT d.id, d.verb, d.what, d.id1, d.id2, d.name, d.block, m.hash, m.time, m.state, d.extrinsic, d.event
		FROM deed d JOIN owner o ON o.id = d.owner JOIN moment m ON m.block = d.block
		WHERE o.account = ? AND d.id < ? ORDER BY d.id DESC LIMIT ?`, owner[:], below(before), page(limit))
}
