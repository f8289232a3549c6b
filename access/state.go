package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// maxFacts bounds what is read of an owner's arrangement for one decision.
const maxFacts = 4096

// maxRounds is how many requests a decision may take: what the account holds, the roles of its groups, their permissions.
const maxRounds = 3

// ErrTooMuch says that an arrangement is too large to be judged.
var ErrTooMuch = errors.New("too many groups, roles and permissions to judge")

// Ref names an entity of the owner's.
type Ref struct {
	Kind rbac.Kind
	ID   rbac.ID
}

// Holding asks what a holder holds in a relation.
type Holding struct {
	Relation rbac.Relation
	Holder   rbac.ID
}

// State is what is known of an owner's entities and assignments as of one block. What has no key in a map was not looked
// at; a nil entity does not exist, an empty list holds nothing.
type State struct {
	Owner    key.AccountID
	Entities map[Ref]*rbac.Entity
	Held     map[Holding][]rbac.ID
}

// NewState returns a State in which nothing is known.
func NewState(owner key.AccountID) State {
	return State{Owner: owner, Entities: map[Ref]*rbac.Entity{}, Held: map[Holding][]rbac.ID{}}
}

// enabled reports whether an entity is known, exists and is enabled.
func (s State) enabled(k rbac.Kind, id rbac.ID) bool {
	e := s.Entities[Ref{k, id}]
	return e != nil && e.Enabled
}

func (s State) exists(k rbac.Kind, id rbac.ID) bool { return s.Entities[Ref{k, id}] != nil }

func (s State) holds(r rbac.Relation, holder, held rbac.ID) bool {
	return slices.Contains(s.Held[Holding{r, holder}], held)
}

func (s State) size() int { return len(s.Entities) + len(s.Held) }

// fact is one entry of the chain's state that a decision depends on: an entity, or what a holder holds.
type fact struct {
	held     bool
	kind     rbac.Kind
	relation rbac.Relation
	id       rbac.ID
}

func entityFact(k rbac.Kind, id rbac.ID) fact   { return fact{kind: k, id: id} }
func heldFact(r rbac.Relation, id rbac.ID) fact { return fact{held: true, relation: r, id: id} }

func (f fact) key(m *metadata.Metadata, owner key.AccountID) ([]byte, error) {
	if f.held {
		return rbac.AssignmentKey(m, owner, f.relation, f.id)
	}
	return rbac.EntityKey(m, owner, f.kind, f.id)
}

func (s State) knows(f fact) (ok bool) {
	if f.held {
		_, ok = s.Held[Holding{f.relation, f.id}]
	} else {
		_, ok = s.Entities[Ref{f.kind, f.id}]
	}
	return ok
}

// learn decodes a stored value into the state. A pair that stands under another holder's key is left out, as is an entity
// under another id's: a node that mixes entries up must not open anything.
func (s State) learn(m *metadata.Metadata, f fact, raw []byte) error {
	if !f.held {
		e, err := rbac.DecodeEntity(m, raw)
		if err == nil && e != nil && e.ID != f.id {
			err = fmt.Errorf("entry of %s %s holds %s", f.kind, f.id, e.ID)
		}
		if err != nil {
			return err
		}
		s.Entities[Ref{f.kind, f.id}] = e
		return nil
	}
	all, err := rbac.DecodeAssignments(m, f.relation, raw)
	if err != nil {
		return err
	}
	held := make([]rbac.ID, 0, len(all))
	for _, a := range all {
		if a.Holder == f.id {
			held = append(held, a.Held)
		}
	}
	s.Held[Holding{f.relation, f.id}] = held
	return nil
}

// walk visits every fact on which account's access to the permissions depends, as far as the state goes: f is called for
// each, known or not. A decision is a function of the facts visited, so only a change among them can change it.
func (s State) walk(account key.AccountID, permissions []rbac.ID, f func(fact)) {
	user := rbac.UserID(account)
	f(heldFact(rbac.UserRole, user))
	f(heldFact(rbac.UserGroup, user))
	roles := slices.Clone(s.Held[Holding{rbac.UserRole, user}])
	for _, g := range s.Held[Holding{rbac.UserGroup, user}] {
		f(entityFact(rbac.Group, g))
		if e, known := s.Entities[Ref{rbac.Group, g}]; known && (e == nil || !e.Enabled) {
			continue
		}
		f(heldFact(rbac.GroupRole, g))
		roles = append(roles, s.Held[Holding{rbac.GroupRole, g}]...)
	}
	reached := false
	for _, r := range roles {
		f(entityFact(rbac.Role, r))
		if e, known := s.Entities[Ref{rbac.Role, r}]; known && (e == nil || !e.Enabled) {
			continue
		}
		f(heldFact(rbac.RolePermission, r))
		reached = reached || slices.ContainsFunc(s.Held[Holding{rbac.RolePermission, r}], func(p rbac.ID) bool {
			return slices.Contains(permissions, p)
		})
	}
	for _, p := range permissions {
		if reached || s.knows(entityFact(rbac.Permission, p)) {
			f(entityFact(rbac.Permission, p))
		}
	}
}

// need returns the visited facts (each once) and those of them that are unknown.
func (s State) need(accounts []key.AccountID, permissions []rbac.ID) (visited, unknown []fact) {
	seen := map[fact]bool{}
	for _, a := range accounts {
		s.walk(a, permissions, func(f fact) {
			if seen[f] {
				return
			}
			seen[f] = true
			visited = append(visited, f)
			if !s.knows(f) {
				unknown = append(unknown, f)
			}
		})
	}
	return visited, unknown
}

// fill reads facts into the state, in one request.
func (s State) fill(ctx context.Context, b rbac.Block, facts []fact) error {
	if s.size()+len(facts) > maxFacts {
		return fmt.Errorf("%w: more than %d entries", ErrTooMuch, maxFacts)
	}
	if len(facts) == 0 {
		return nil
	}
	m, err := b.Metadata(ctx)
	if err != nil {
		return err
	}
	keys := make([][]byte, len(facts))
	for i, f := range facts {
		if keys[i], err = f.key(m, s.Owner); err != nil {
			return err
		}
	}
	kvs, err := b.Raw(ctx, keys...)
	if err != nil {
		return err
	}
	if len(kvs) != len(facts) {
		return fmt.Errorf("%d values for %d keys", len(kvs), len(facts))
	}
	for i, kv := range kvs {
		if err := s.learn(m, facts[i], kv.Value); err != nil {
			return err
		}
	}
	return nil
}

// complete reads what is unknown of the facts that the accounts' access to the permissions depends on, together with hints:
// facts that will most likely be needed, so that one request does for the arrangement that this package sets up.
func (s State) complete(ctx context.Context, b rbac.Block, accounts []key.AccountID, permissions []rbac.ID, hints []fact) error {
	for _, id := range permissions {
		hints = append(hints[:len(hints):len(hints)], entityFact(rbac.Permission, id))
	}
	for round := 0; ; round++ {
		_, unknown := s.need(accounts, permissions)
		for _, f := range hints {
			if round == 0 && !s.knows(f) && !slices.Contains(unknown, f) {
				unknown = append(unknown, f)
			}
		}
		if len(unknown) == 0 {
			return nil
		}
		if round == maxRounds {
			return fmt.Errorf("%w: not read in %d requests", ErrTooMuch, maxRounds)
		}
		if err := s.fill(ctx, b, unknown); err != nil {
			return err
		}
	}
}

// setupFacts are the facts of the arrangement that this package makes for a device.
func setupFacts(owner, device key.AccountID, streams []string) []fact {
	all := EntityID(owner, device, "", rbac.Group)
	facts := []fact{entityFact(rbac.Group, all), heldFact(rbac.GroupRole, all)}
	for _, name := range streams {
		id := idsOf(owner, device, name)
		facts = append(facts,
			entityFact(rbac.Permission, id.permission), entityFact(rbac.Role, id.role), entityFact(rbac.Group, id.group),
			heldFact(rbac.RolePermission, id.role), heldFact(rbac.GroupRole, id.group))
	}
	return facts
}

// Read returns what is known at the block of the owner's entities for a device and its streams, and of every way by which
// the accounts reach the streams. It takes one request where the owner has arranged nothing else, and at most three.
func Read(ctx context.Context, b rbac.Block, owner, device key.AccountID, streams []string, accounts ...key.AccountID) (State, error) {
	if err := checkStreams(streams); err != nil {
		return State{}, fmt.Errorf("read access to %s: %w", device, err)
	}
	s := NewState(owner)
	permissions := make([]rbac.ID, len(streams))
	for i, name := range streams {
		permissions[i] = EntityID(owner, device, name, rbac.Permission)
	}
	if err := s.complete(ctx, b, accounts, permissions, setupFacts(owner, device, streams)); err != nil {
		return State{}, fmt.Errorf("read access to %s: %w", device, err)
	}
	return s, nil
}
