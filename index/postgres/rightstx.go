package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"iod/access"
	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

type entityKey struct {
	owner key.AccountID
	access.Ref
}

type assignmentKey struct {
	owner key.AccountID
	rbac.Assignment
}

type linkKey struct {
	assignmentKey
	block, event uint32 // of Since
}

// rightsRows are what a transaction knows and is told of who may what.
type rightsRows struct {
	owners   map[key.AccountID]int64 // 0: there is none
	moments  map[uint32]bool         // that are in the database or on the way to it
	entities map[entityKey]*index.Entity
	standing map[assignmentKey]*index.Link

	newOwners   []key.AccountID
	newMoments  []index.Point
	putEntities []entityKey
	entitySet   map[entityKey]bool
	putLinks    []linkKey
	links       map[linkKey]index.Link
	deeds       []index.Deed
}

func (r *rightsRows) init() {
	if r.owners == nil {
		*r = rightsRows{owners: map[key.AccountID]int64{}, moments: map[uint32]bool{}, entities: map[entityKey]*index.Entity{},
			standing: map[assignmentKey]*index.Link{}, entitySet: map[entityKey]bool{}, links: map[linkKey]index.Link{}}
	}
}

// ownerID returns the id of an owner; 0 when there is none and it is not to be made.
func (x *tx) ownerID(ctx context.Context, a key.AccountID, make bool) (int64, error) {
	r := &x.rights
	r.init()
	id, known := r.owners[a]
	if !known {
		all, err := pgx.CollectRows(query(ctx, x.t, "SELECT id FROM owner WHERE account = $1", a[:]), pgx.RowTo[int64])
		if err != nil {
			return 0, fmt.Errorf("owner %v: %w", a, err)
		}
		if len(all) > 0 {
			id = all[0]
		}
	}
	if id == 0 && make {
		x.owner++
		id = x.owner
		r.newOwners = append(r.newOwners, a)
	}
	r.owners[a] = id
	return id, nil
}

// query asks within a transaction; an error comes with the rows.
func query(ctx context.Context, t pgx.Tx, q string, args ...any) pgx.Rows {
	rows, err := t.Query(ctx, q, args...)
	if err != nil && rows == nil {
		return errRows{err: err}
	}
	return rows
}

// errRows are none, for a reason.
type errRows struct {
	pgx.Rows
	err error
}

func (errRows) Next() bool   { return false }
func (errRows) Close()       {}
func (e errRows) Err() error { return e.err }

// moment makes sure that a point's block can be named.
func (x *tx) moment(p index.Point) {
	if r := &x.rights; !r.moments[p.Block] {
		r.moments[p.Block] = true
		r.newMoments = append(r.newMoments, p)
	}
}

// Entity returns an owner's entity; nil when there has never been one.
func (x *tx) Entity(ctx context.Context, owner key.AccountID, ref access.Ref) (*index.Entity, error) {
	x.rights.init()
	k := entityKey{owner, ref}
	e, known := x.rights.entities[k]
	if !known {
		id, err := x.ownerID(ctx, owner, false)
		if err != nil || id == 0 {
			return nil, err
		}
		all, err := pgx.CollectRows(query(ctx, x.t, "SELECT "+entityColumns+" WHERE e.owner = $1 AND e.kind = $2 AND e.id = $3", id, int16(ref.Kind), ref.ID[:]), readEntity)
		if err != nil {
			return nil, fmt.Errorf("read %s %s of %v: %w", ref.Kind, ref.ID, owner, err)
		}
		if len(all) > 0 {
			e = &all[0]
		}
		x.rights.entities[k] = e
	}
	if e == nil {
		return nil, nil
	}
	one := *e
	return &one, nil
}

// PutEntity writes an entity in the place of what was known of it.
func (x *tx) PutEntity(ctx context.Context, e index.Entity) error {
	if _, err := x.ownerID(ctx, e.Owner, true); err != nil {
		return fmt.Errorf("write %s %s of %v: %w", e.Kind, e.ID, e.Owner, err)
	}
	x.moment(e.Since)
	if e.Until != nil {
		x.moment(*e.Until)
	}
	k := entityKey{e.Owner, e.Ref}
	x.rights.entities[k] = &e
	if !x.rights.entitySet[k] {
		x.rights.entitySet[k] = true
		x.rights.putEntities = append(x.rights.putEntities, k)
	}
	return nil
}

// Link returns the link that stands for an assignment; nil when none does.
func (x *tx) Link(ctx context.Context, owner key.AccountID, a rbac.Assignment) (*index.Link, error) {
	x.rights.init()
	k := assignmentKey{owner, a}
	l, known := x.rights.standing[k]
	if !known {
		id, err := x.ownerID(ctx, owner, false)
		if err != nil || id == 0 {
			return nil, err
		}
		all, err := pgx.CollectRows(query(ctx, x.t, "SELECT "+linkColumns+" WHERE l.owner = $1 AND l.relation = $2 AND l.held = $3 AND l.holder = $4 AND l.until_block IS NULL",
			id, int16(a.Relation), a.Held[:], a.Holder[:]), readLink)
		if err != nil {
			return nil, fmt.Errorf("read a %s of %v: %w", a.Relation, owner, err)
		}
		if len(all) > 0 {
			l = &all[0]
		}
		x.rights.standing[k] = l
	}
	if l == nil {
		return nil, nil
	}
	one := *l
	return &one, nil
}

// PutLink writes a link, in the place of the one with the same assignment and Since.
func (x *tx) PutLink(ctx context.Context, l index.Link) error {
	if _, err := x.ownerID(ctx, l.Owner, true); err != nil {
		return fmt.Errorf("write a %s of %v: %w", l.Relation, l.Owner, err)
	}
	x.moment(l.Since)
	a := assignmentKey{l.Owner, l.Assignment}
	if x.rights.standing[a] = &l; l.Until != nil {
		x.moment(*l.Until)
		x.rights.standing[a] = nil
	}
	k := linkKey{a, l.Since.Block, l.Since.Event}
	if _, ok := x.rights.links[k]; !ok {
		x.rights.putLinks = append(x.rights.putLinks, k)
	}
	x.rights.links[k] = l
	return nil
}

// RecordDeed adds a line of RBAC history.
func (x *tx) RecordDeed(ctx context.Context, d index.Deed) error {
	if _, err := x.ownerID(ctx, d.Owner, true); err != nil {
		return fmt.Errorf("write what %v did: %w", d.Owner, err)
	}
	x.moment(d.At)
	x.deed++
	d.ID = x.deed
	x.rights.deeds = append(x.rights.deeds, d)
	return nil
}

// ends are columns of beginnings and ends.
type ends struct {
	sinceBlock, sinceEvent, untilBlock, untilEvent []*int64
	sinceExtrinsic, untilExtrinsic                 []*int32
}

func (e *ends) add(since index.Point, until *index.Point) {
	add(&e.sinceBlock, ptr(int64(since.Block)))
	add(&e.sinceEvent, ptr(int64(since.Event)))
	add(&e.sinceExtrinsic, ptr(since.Extrinsic))
	if until == nil {
		add(&e.untilBlock, nil)
		add(&e.untilEvent, nil)
		add(&e.untilExtrinsic, nil)
		return
	}
	add(&e.untilBlock, ptr(int64(until.Block)))
	add(&e.untilEvent, ptr(int64(until.Event)))
	add(&e.untilExtrinsic, ptr(until.Extrinsic))
}

func (e *ends) columns() []any {
	return []any{e.sinceBlock, e.sinceEvent, e.sinceExtrinsic, e.untilBlock, e.untilEvent, e.untilExtrinsic}
}

func ptr[T any](x T) *T { return &x }

// queueRights queues what waits to be written.
func (x *tx) queueRights(b *pgx.Batch) {
	r := &x.rights
	var accounts, hashes [][]byte
	var ids, blocks, times []int64
	var fromState []bool
	for _, a := range r.newOwners {
		add(&accounts, a[:])
		add(&ids, r.owners[a])
	}
	for _, p := range r.newMoments {
		add(&blocks, int64(p.Block))
		add(&times, milli(p.Time))
		add(&hashes, p.Hash[:])
		add(&fromState, p.FromState)
	}
	owners := table{"INSERT INTO owner (id, account) SELECT * FROM unnest($1::bigint[], $2::bytea[])", []any{ids, accounts}, len(ids)}
	owners.write(b)
	moments := table{"INSERT INTO moment (block, time, hash, state) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::boolean[]) ON CONFLICT DO NOTHING",
		[]any{blocks, times, hashes, fromState}, len(blocks)}
	moments.write(b)
	r.newOwners, r.newMoments = nil, nil
	x.queueEntities(b)
	x.queueLinks(b)
	x.queueDeeds(b)
}

func (x *tx) queueEntities(b *pgx.Batch) {
	r := &x.rights
	var owners []int64
	var kinds []int16
	var ids, names [][]byte
	var at ends
	for _, k := range r.putEntities {
		e := r.entities[k]
		add(&owners, r.owners[k.owner])
		add(&kinds, int16(k.Kind))
		add(&ids, e.ID[:])
		add(&names, []byte(e.Name))
		at.add(e.Since, e.Until)
	}
	t := table{`INSERT INTO entity (owner, kind, id, name, since_block, since_event, since_extrinsic, until_block, until_event, until_extrinsic)
		SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::integer[], $8::bigint[], $9::bigint[], $10::integer[])
		ON CONFLICT (owner, kind, id) DO UPDATE SET name = EXCLUDED.name, since_block = EXCLUDED.since_block, since_event = EXCLUDED.since_event,
			since_extrinsic = EXCLUDED.since_extrinsic, until_block = EXCLUDED.until_block, until_event = EXCLUDED.until_event, until_extrinsic = EXCLUDED.until_extrinsic`,
		append([]any{owners, kinds, ids, names}, at.columns()...), len(owners)}
	t.write(b)
	r.putEntities = nil
	clear(r.entitySet)
}

func (x *tx) queueLinks(b *pgx.Batch) {
	r := &x.rights
	var owners []int64
	var relations []int16
	var helds, holders [][]byte
	var at ends
	for _, k := range r.putLinks {
		l := r.links[k]
		add(&owners, r.owners[k.owner])
		add(&relations, int16(l.Relation))
		add(&helds, l.Held[:])
		add(&holders, l.Holder[:])
		at.add(l.Since, l.Until)
	}
	t := table{`INSERT INTO link (owner, relation, held, holder, since_block, since_event, since_extrinsic, until_block, until_event, until_extrinsic)
		SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::integer[], $8::bigint[], $9::bigint[], $10::integer[])
		ON CONFLICT (owner, relation, held, holder, since_block, since_event) DO UPDATE SET
			until_block = EXCLUDED.until_block, until_event = EXCLUDED.until_event, until_extrinsic = EXCLUDED.until_extrinsic`,
		append([]any{owners, relations, helds, holders}, at.columns()...), len(owners)}
	t.write(b)
	r.putLinks = nil
	clear(r.links)
}

func (x *tx) queueDeeds(b *pgx.Batch) {
	r := &x.rights
	var ids, owners, blocks, events []int64
	var extrinsics []int32
	var verbs, whats []int16
	var first, second, names [][]byte
	for _, d := range r.deeds {
		add(&ids, d.ID)
		add(&owners, r.owners[d.Owner])
		add(&blocks, int64(d.At.Block))
		add(&events, int64(d.At.Event))
		add(&extrinsics, d.At.Extrinsic)
		add(&verbs, int16(d.Verb))
		what, id1, id2, name := int16(d.Ref.Kind), d.Ref.ID, []byte(nil), []byte(nil)
		switch d.Verb {
		case rbac.Assigned, rbac.Unassigned:
			what, id1, id2 = int16(d.Assignment.Relation), d.Assignment.Holder, d.Assignment.Held[:]
		case rbac.EntityAdded, rbac.EntityUpdated:
			name = []byte(d.Name)
		}
		add(&whats, what)
		add(&first, id1[:])
		add(&second, id2)
		add(&names, name)
	}
	t := table{`INSERT INTO deed (id, owner, block, event, extrinsic, verb, what, id1, id2, name)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::smallint[], $7::smallint[], $8::bytea[], $9::bytea[], $10::bytea[])`,
		[]any{ids, owners, blocks, events, extrinsics, verbs, whats, first, second, names}, len(ids)}
	t.write(b)
	r.deeds = nil
}
