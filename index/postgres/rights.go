package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"iod/access"
	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

// The columns of entities e and links l with the blocks s and u of their ends, as readEntity and readLink read them.
const (
	entityColumns = `o.account, e.kind, e.id, e.name, e.since_block, s.hash, s.time, s.state, e.since_extrinsic, e.since_event,
		e.until_block, u.hash, u.time, u.state, e.until_extrinsic, e.until_event
		FROM entity e JOIN owner o ON o.id = e.owner JOIN moment s ON s.block = e.since_block LEFT JOIN moment u ON u.block = e.until_block`
	linkColumns = `o.account, l.relation, l.holder, l.held, l.since_block, s.hash, s.time, s.state, l.since_extrinsic, l.since_event,
		l.until_block, u.hash, u.time, u.state, l.until_extrinsic, l.until_event
		FROM link l JOIN owner o ON o.id = l.owner JOIN moment s ON s.block = l.since_block LEFT JOIN moment u ON u.block = l.until_block`
)

// moment is a point as columns.
type moment struct {
	block, milli, event *int64
	extrinsic           *int32
	hash                []byte
	state               *bool
}

func (m *moment) into() []any {
	return []any{&m.block, &m.hash, &m.milli, &m.state, &m.extrinsic, &m.event}
}

func (m *moment) point() (*index.Point, error) {
	if m.block == nil {
		return nil, nil
	}
	if len(m.hash) != len(index.Hash{}) || m.milli == nil || m.state == nil || m.extrinsic == nil || m.event == nil {
		return nil, fmt.Errorf("block %d is not known", *m.block)
	}
	return &index.Point{Block: uint32(*m.block), Hash: index.Hash(m.hash), Time: timeOf(*m.milli), Extrinsic: *m.extrinsic, Event: uint32(*m.event), FromState: *m.state}, nil
}

func idOf(b []byte) (id rbac.ID, err error) {
	if len(b) != len(id) {
		return id, fmt.Errorf("an id of %d bytes", len(b))
	}
	return rbac.ID(b), nil
}

// lasting is what entities and links have in common.
type lasting struct {
	owner        []byte
	what         int16
	since, until moment
}

func (t *lasting) points() (owner key.AccountID, since index.Point, until *index.Point, err error) {
	a, errA := accountOf(t.owner)
	s, errS := t.since.point()
	until, errU := t.until.point()
	if err := errors.Join(errA, errS, errU); err != nil || a == nil || s == nil {
		return owner, since, nil, errors.Join(err, errBody)
	}
	return *a, *s, until, nil
}

func readEntity(row pgx.CollectableRow) (e index.Entity, err error) {
	var t lasting
	var id, name []byte
	if err := row.Scan(append(append([]any{&t.owner, &t.what, &id, &name}, t.since.into()...), t.until.into()...)...); err != nil {
		return e, err
	}
	if e.Owner, e.Since, e.Until, err = t.points(); err != nil {
		return e, err
	}
	e.Kind, e.Name = rbac.Kind(t.what), string(name)
	e.ID, err = idOf(id)
	return e, err
}

func readLink(row pgx.CollectableRow) (l index.Link, err error) {
	var t lasting
	var holder, held []byte
	if err := row.Scan(append(append([]any{&t.owner, &t.what, &holder, &held}, t.since.into()...), t.until.into()...)...); err != nil {
		return l, err
	}
	if l.Owner, l.Since, l.Until, err = t.points(); err != nil {
		return l, err
	}
	l.Relation = rbac.Relation(t.what)
	if l.Holder, err = idOf(holder); err != nil {
		return l, err
	}
	l.Held, err = idOf(held)
	return l, err
}

// Access returns the times in which accounts could use the device's streams by the owner's arrangement.
func (s *Store) Access(ctx context.Context, owner, device key.AccountID, streams []string) (grants []index.Grant, err error) {
	err = pgx.BeginTxFunc(ctx, s.read, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) (err error) {
		grants, err = index.Access(ctx, graph{t}, owner, device, streams)
		return err
	})
	if err != nil {
		return nil, slow(ctx, err)
	}
	return grants, nil
}

// graph is index.Graph within a transaction.
type graph struct{ t pgx.Tx }

func bytesOf(ids []rbac.ID) [][]byte {
	all := make([][]byte, len(ids))
	for i := range ids {
		all[i] = ids[i][:]
	}
	return all
}

// LinksTo returns the links in which one of held is held.
func (g graph) LinksTo(ctx context.Context, owner key.AccountID, r rbac.Relation, held []rbac.ID, most int) ([]index.Link, error) {
	return pgx.CollectRows(query(ctx, g.t, "SELECT "+linkColumns+" WHERE o.account = $1 AND l.relation = $2 AND l.held = ANY($3::bytea[]) LIMIT $4",
		owner[:], int16(r), bytesOf(held), max(most, 0)), readLink)
}

// EntitiesBy returns the entities of a kind with one of the ids.
func (g graph) EntitiesBy(ctx context.Context, owner key.AccountID, k rbac.Kind, ids []rbac.ID) ([]index.Entity, error) {
	return pgx.CollectRows(query(ctx, g.t, "SELECT "+entityColumns+" WHERE o.account = $1 AND e.kind = $2 AND e.id = ANY($3::bytea[])",
		owner[:], int16(k), bytesOf(ids)), readEntity)
}

// Entities returns an owner's entities by kind and id.
func (s *Store) Entities(ctx context.Context, owner key.AccountID, after *access.Ref, limit int) ([]index.Entity, error) {
	text, args := " WHERE o.account = $1", []any{owner[:], page(limit)}
	if after != nil {
		text, args = text+" AND (e.kind, e.id) > ($3, $4)", append(args, int16(after.Kind), after.ID[:])
	}
	all, err := rows(ctx, s, readEntity, "SELECT "+entityColumns+text+" ORDER BY e.kind, e.id LIMIT $2", args...)
	if err != nil {
		return nil, fmt.Errorf("read entities of %v: %w", owner, err)
	}
	return all, nil
}

// Links returns an owner's links by relation, held, holder and time.
func (s *Store) Links(ctx context.Context, owner key.AccountID, after *index.Link, limit int) ([]index.Link, error) {
	text, args := " WHERE o.account = $1", []any{owner[:], page(limit)}
	if after != nil {
		text += " AND (l.relation, l.held, l.holder, l.since_block, l.since_event) > ($3, $4, $5, $6, $7)"
		args = append(args, int16(after.Relation), after.Held[:], after.Holder[:], int64(after.Since.Block), int64(after.Since.Event))
	}
	all, err := rows(ctx, s, readLink, "SELECT "+linkColumns+text+" ORDER BY l.relation, l.held, l.holder, l.since_block, l.since_event LIMIT $2", args...)
	if err != nil {
		return nil, fmt.Errorf("read links of %v: %w", owner, err)
	}
	return all, nil
}

// Deeds returns an owner's RBAC history, newest first.
func (s *Store) Deeds(ctx context.Context, owner key.AccountID, before int64, limit int) ([]index.Deed, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	all, err := rows(ctx, s, func(row pgx.CollectableRow) (index.Deed, error) { return readDeed(row, owner) },
		`SELECT d.id, d.verb, d.what, d.id1, d.id2, d.name, d.block, m.hash, m.time, m.state, d.extrinsic, d.event
		FROM deed d JOIN owner o ON o.id = d.owner JOIN moment m ON m.block = d.block
		WHERE o.account = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3`, owner[:], before, page(limit))
	if err != nil {
		return nil, fmt.Errorf("read what %v did: %w", owner, err)
	}
	return all, nil
}

func readDeed(row pgx.CollectableRow, owner key.AccountID) (index.Deed, error) {
	d := index.Deed{Owner: owner}
	var at moment
	var verb, what int16
	var id1, id2, name []byte
	if err := row.Scan(append([]any{&d.ID, &verb, &what, &id1, &id2, &name}, at.into()...)...); err != nil {
		return d, err
	}
	first, err := idOf(id1)
	if err != nil {
		return d, err
	}
	p, err := at.point()
	if err != nil || p == nil {
		return d, errors.Join(err, errBody)
	}
	d.At, d.Verb = *p, rbac.Verb(verb)
	if d.Verb != rbac.Assigned && d.Verb != rbac.Unassigned {
		d.Ref, d.Name = access.Ref{Kind: rbac.Kind(what), ID: first}, string(name)
		return d, nil
	}
	d.Assignment = rbac.Assignment{Relation: rbac.Relation(what), Holder: first}
	d.Assignment.Held, err = idOf(id2)
	return d, err
}
