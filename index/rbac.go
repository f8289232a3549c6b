package index

import (
	"context"

	"iod/access"
	"iod/key"
	"iod/pallet/rbac"
)

// Entity is an owner's role, permission or group: of iod's own scheme or of any other, with whatever name.
type Entity struct {
	Owner key.AccountID
	access.Ref
	Name  string // as the owner last wrote it: not necessarily UTF-8
	Since Point  // when it was made, or first seen
	Until *Point // when it was disabled, which is for good; nil: it is enabled
}

// Link is a time in which a holder held something: a user a role or a group, a group a role, a role a permission.
type Link struct {
	Owner key.AccountID
	rbac.Assignment
	Since Point
	Until *Point // when it was taken back; nil: it stands
}

// Deed is one line of an owner's RBAC history. Owner is its signer, too: the pallet lets nobody else change what is an owner's (behind a
// proxy it is the account in whose name the call ran).
type Deed struct {
	ID         int64 // given by the store, ascending
	Owner      key.AccountID
	Verb       rbac.Verb
	Ref        access.Ref      // of the verbs of entities
	Name       string          // for rbac.EntityAdded and EntityUpdated
	Assignment rbac.Assignment // for rbac.Assigned and Unassigned
	At         Point
}

// Rights is the reading of who may what.
type Rights interface {
	// Access returns the times in which accounts could use the device's streams by the owner's arrangement: see Grant. Streams
	// that nobody ever could use have none. access.ErrTooMuch: the arrangement is too large, or changed too often, to be told.
	Access(ctx context.Context, owner, device key.AccountID, streams []string) ([]Grant, error)
	// Entities returns an owner's entities by kind and id, those after a place (nil: from the first).
	Entities(ctx context.Context, owner key.AccountID, after *access.Ref, limit int) ([]Entity, error)
	// Links returns an owner's links, those that stand and those of the past, by relation, held, holder and time; those after a
	// place (nil: from the first).
	Links(ctx context.Context, owner key.AccountID, after *Link, limit int) ([]Link, error)
	// Deeds returns an owner's RBAC history, newest first, with an ID below before (0: from the newest).
	Deeds(ctx context.Context, owner key.AccountID, before int64, limit int) ([]Deed, error)
}

// RightsTx is the writing of who may what within a transaction.
type RightsTx interface {
	// Entity returns an owner's entity; nil when there has never been one.
	Entity(ctx context.Context, owner key.AccountID, r access.Ref) (*Entity, error)
	// PutEntity writes an entity in the place of what was known of it.
	PutEntity(ctx context.Context, e Entity) error
	// Link returns the link that stands for an assignment; nil when none does.
	Link(ctx context.Context, owner key.AccountID, a rbac.Assignment) (*Link, error)
	// PutLink writes a link, in the place of the one with the same assignment and the same Since if there is one.
	PutLink(ctx context.Context, l Link) error
	// RecordDeed adds a line of RBAC history; its ID is given by the store.
	RecordDeed(ctx context.Context, d Deed) error
}

// deedOf is an event of the RBAC pallet without its place.
func deedOf(e rbac.Event) Deed {
	return Deed{Owner: e.Owner, Verb: e.Verb, Ref: access.Ref{Kind: e.Kind, ID: e.Entity}, Name: e.Name, Assignment: e.Assignment}
}

// arrange applies what an owner did. Events are the truth: one that contradicts what is known, as an index that began in the middle
// of the history meets, corrects it.
func arrange(ctx context.Context, tx RightsTx, d Deed) error {
	if err := tx.RecordDeed(ctx, d); err != nil {
		return err
	}
	if d.Verb == rbac.Assigned || d.Verb == rbac.Unassigned {
		return relink(ctx, tx, d)
	}
	cur, err := tx.Entity(ctx, d.Owner, d.Ref)
	if err != nil {
		return err
	}
	next := Entity{Owner: d.Owner, Ref: d.Ref, Name: d.Name, Since: d.At}
	if cur != nil && d.Verb != rbac.EntityAdded {
		next = *cur
	}
	switch d.Verb {
	case rbac.EntityUpdated:
		next.Name = d.Name
	case rbac.EntityDisabled:
		if next.Until == nil {
			next.Until = &d.At
		}
	}
	return tx.PutEntity(ctx, next)
}

func relink(ctx context.Context, tx RightsTx, d Deed) error {
	cur, err := tx.Link(ctx, d.Owner, d.Assignment)
	switch {
	case err != nil:
		return err
	case d.Verb == rbac.Assigned && cur == nil:
		return tx.PutLink(ctx, Link{Owner: d.Owner, Assignment: d.Assignment, Since: d.At})
	case d.Verb == rbac.Unassigned && cur != nil:
		cur.Until = &d.At
		return tx.PutLink(ctx, *cur)
	}
	return nil
}
