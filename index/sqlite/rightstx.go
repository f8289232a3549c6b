package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"iod/access"
	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

// rightsStatements are those of index.RightsTx.
type rightsStatements struct {
	owner, newOwner, moment   *sql.Stmt
	entity, putEntity         *sql.Stmt
	link, putLink, insertDeed *sql.Stmt
}

// The columns of entities e and links l with the blocks s and u of their ends, as scanEntity and scanLink read them.
const (
	entityColumns = `o.account, e.kind, e.id, e.name, e.since_block, s.hash, s.time, s.state, e.since_extrinsic, e.since_event,
		e.until_block, u.hash, u.time, u.state, e.until_extrinsic, e.until_event
		FROM entity e JOIN owner o ON o.id = e.owner JOIN moment s ON s.block = e.since_block LEFT JOIN moment u ON u.block = e.until_block`
	linkColumns = `o.account, l.relation, l.holder, l.held, l.since_block, s.hash, s.time, s.state, l.since_extrinsic, l.since_event,
		l.until_block, u.hash, u.time, u.state, l.until_extrinsic, l.until_event
		FROM link l JOIN owner o ON o.id = l.owner JOIN moment s ON s.block = l.since_block LEFT JOIN moment u ON u.block = l.until_block`
)

func (s *rightsStatements) list() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&s.owner:    "SELECT id FROM owner WHERE account = ?",
		&s.newOwner: "INSERT INTO owner (account) VALUES (?)",
		&s.moment:   "INSERT INTO moment (block, hash, time, state) VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
		&s.entity:   "SELECT " + entityColumns + " WHERE e.owner = ? AND e.kind = ? AND e.id = ?",
		&s.putEntity: `INSERT INTO entity (owner, kind, id, name, since_block, since_extrinsic, since_event, until_block, until_extrinsic, until_event)
			VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET (name, since_block, since_extrinsic, since_event, until_block, until_extrinsic, until_event) =
			(excluded.name, excluded.since_block, excluded.since_extrinsic, excluded.since_event, excluded.until_block, excluded.until_extrinsic, excluded.until_event)`,
		&s.link: "SELECT " + linkColumns + " WHERE l.owner = ? AND l.relation = ? AND l.held = ? AND l.holder = ? AND l.until_block IS NULL",
		&s.putLink: `INSERT INTO link (owner, relation, holder, held, since_block, since_extrinsic, since_event, until_block, until_extrinsic, until_event)
			VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET (until_block, until_extrinsic, until_event) =
			(excluded.until_block, excluded.until_extrinsic, excluded.until_event)`,
		&s.insertDeed: "INSERT INTO deed (owner, verb, what, id1, id2, name, block, extrinsic, event) VALUES (?,?,?,?,?,?,?,?,?)",
	}
}

// named remembers which block was named last within a transaction: mostly the next row has the same.
type named struct {
	block int64 // one more than the number; 0: none yet
}

// ownerID returns the id of an owner; 0 when there is none and it is not to be made.
func (x *tx) ownerID(ctx context.Context, a key.AccountID, make bool) (int64, error) {
	if id, ok := x.s.names.owners[a]; ok {
		return id, nil
	}
	var id int64
	err := x.row(ctx, x.s.stmts.rights.owner, a[:]).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		if !make {
			return 0, nil
		}
		var res sql.Result
		if res, err = x.exec(ctx, x.s.stmts.rights.newOwner, a[:]); err == nil {
			id, err = res.LastInsertId()
		}
	}
	if err != nil {
		return 0, fmt.Errorf("owner %v: %w", a, err)
	}
	remember(&x.s.names.owners, a, id)
	return id, nil
}

// moment makes sure that a point's block can be named.
func (x *tx) moment(ctx context.Context, p index.Point) error {
	if x.named.block == int64(p.Block)+1 {
		return nil
	}
	if _, err := x.exec(ctx, x.s.stmts.rights.moment, p.Block, p.Hash[:], milli(p.Time), p.FromState); err != nil {
		return fmt.Errorf("block %d: %w", p.Block, err)
	}
	x.named.block = int64(p.Block) + 1
	return nil
}

// ends are the columns of the beginning and the end of something, whose blocks can be named thereafter.
func (x *tx) ends(ctx context.Context, since index.Point, until *index.Point) ([]any, error) {
	cols := []any{since.Block, since.Extrinsic, since.Event, nil, nil, nil}
	if err := x.moment(ctx, since); err != nil {
		return nil, err
	}
	if until != nil {
		cols[3], cols[4], cols[5] = until.Block, until.Extrinsic, until.Event
		return cols, x.moment(ctx, *until)
	}
	return cols, nil
}

// Entity returns an owner's entity; nil when there has never been one.
func (x *tx) Entity(ctx context.Context, owner key.AccountID, r access.Ref) (*index.Entity, error) {
	id, err := x.ownerID(ctx, owner, false)
	if err != nil || id == 0 {
		return nil, err
	}
	e, err := scanEntity(x.row(ctx, x.s.stmts.rights.entity, id, r.Kind, r.ID[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s of %v: %w", r.Kind, r.ID, owner, err)
	}
	return &e, nil
}

// PutEntity writes an entity in the place of what was known of it.
func (x *tx) PutEntity(ctx context.Context, e index.Entity) error {
	id, err := x.ownerID(ctx, e.Owner, true)
	if err == nil {
		var cols []any
		if cols, err = x.ends(ctx, e.Since, e.Until); err == nil {
			_, err = x.exec(ctx, x.s.stmts.rights.putEntity, append([]any{id, e.Kind, e.ID[:], []byte(e.Name)}, cols...)...)
		}
	}
	if err != nil {
		return fmt.Errorf("write %s %s of %v: %w", e.Kind, e.ID, e.Owner, err)
	}
	return nil
}

// Link returns the link that stands for an assignment; nil when none does.
func (x *tx) Link(ctx context.Context, owner key.AccountID, a rbac.Assignment) (*index.Link, error) {
	id, err := x.ownerID(ctx, owner, false)
	if err != nil || id == 0 {
		return nil, err
	}
	l, err := scanLink(x.row(ctx, x.s.stmts.rights.link, id, a.Relation, a.Held[:], a.Holder[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a %s of %v: %w", a.Relation, owner, err)
	}
	return &l, nil
}

// PutLink writes a link, in the place of the one with the same assignment and Since.
func (x *tx) PutLink(ctx context.Context, l index.Link) error {
	id, err := x.ownerID(ctx, l.Owner, true)
	if err == nil {
		var cols []any
		if cols, err = x.ends(ctx, l.Since, l.Until); err == nil {
			_, err = x.exec(ctx, x.s.stmts.rights.putLink, append([]any{id, l.Relation, l.Holder[:], l.Held[:]}, cols...)...)
		}
	}
	if err != nil {
		return fmt.Errorf("write a %s of %v: %w", l.Relation, l.Owner, err)
	}
	return nil
}

// RecordDeed adds a line of RBAC history.
func (x *tx) RecordDeed(ctx context.Context, d index.Deed) error {
	id, err := x.ownerID(ctx, d.Owner, true)
	if err == nil {
		err = x.moment(ctx, d.At)
	}
	if err == nil {
		what, id1, id2, name := any(d.Ref.Kind), d.Ref.ID[:], any(nil), any(nil)
		switch d.Verb {
		case rbac.Assigned, rbac.Unassigned:
			what, id1, id2 = d.Assignment.Relation, d.Assignment.Holder[:], d.Assignment.Held[:]
		case rbac.EntityAdded, rbac.EntityUpdated:
			name = []byte(d.Name)
		}
		_, err = x.exec(ctx, x.s.stmts.rights.insertDeed, id, d.Verb, what, id1, id2, name, d.At.Block, d.At.Extrinsic, d.At.Event)
	}
	if err != nil {
		return fmt.Errorf("write what %v did: %w", d.Owner, err)
	}
	return nil
}
