package index

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"iod/access"
	"iod/key"
	"iod/pallet/rbac"
)

// Grant is a time in which an account could use a stream, without a break. What happens within one block counts by its end.
type Grant struct {
	Stream  string
	Account key.AccountID
	Since   Point  // FromState: since then at the latest
	Until   *Point // nil: it can as of the cursor
	Via     []Via  // the ways by which it can, or could at the end
}

// Via is a way by which an account reaches a stream's permission.
type Via struct {
	access.Path
	Whole     bool   // by the device's group: streams added later are included
	GroupName string // as the owner named them; empty without a group
	RoleName  string
}

// The bounds of what Access looks at.
const (
	maxGrantRows  = 1 << 17 // links and entities that ever led to one of the streams
	maxGrantSteps = 1 << 21 // decisions made anew
)

// Graph is what Access asks of a store, within one snapshot.
type Graph interface {
	// LinksTo returns the owner's links of a relation in which one of held is held, those of the past included; at most most.
	LinksTo(ctx context.Context, owner key.AccountID, r rbac.Relation, held []rbac.ID, most int) ([]Link, error)
	// EntitiesBy returns those of the owner's entities of a kind that have one of the ids.
	EntitiesBy(ctx context.Context, owner key.AccountID, k rbac.Kind, ids []rbac.ID) ([]Entity, error)
}

// Access tells from a store's rows who could use a device's streams, and when: what Rights.Access answers. It follows the links
// backwards from the streams' permissions, and lets package access decide.
func Access(ctx context.Context, g Graph, owner, device key.AccountID, streams []string) ([]Grant, error) {
	permissions := make([]rbac.ID, len(streams))
	for i, s := range streams {
		permissions[i] = access.EntityID(owner, device, s, rbac.Permission)
	}
	w := walk{ctx: ctx, g: g, owner: owner}
	roles := w.back(rbac.RolePermission, permissions)
	groups := w.back(rbac.GroupRole, roles)
	w.back(rbac.UserRole, roles)
	w.back(rbac.UserGroup, groups)
	w.entities(rbac.Permission, permissions)
	w.entities(rbac.Role, roles)
	w.entities(rbac.Group, groups)
	if w.err != nil {
		return nil, fmt.Errorf("access to %s by %s: %w", device, owner, w.err)
	}
	s := sweep{state: access.NewState(owner), open: map[subject]*Grant{}, names: map[access.Ref]string{},
		users: map[key.AccountID]bool{}, streams: streams, permissions: permissions, all: access.EntityID(owner, device, "", rbac.Group)}
	grants, err := s.run(w.turns)
	if err != nil {
		return nil, fmt.Errorf("access to %s by %s: %w", device, owner, err)
	}
	return grants, nil
}

// walk collects what leads to some permissions. Its first error sticks.
type walk struct {
	ctx   context.Context
	g     Graph
	owner key.AccountID
	turns []turn
	rows  int
	err   error
}

// turn is a change of an arrangement at a point: of an entity or of a link.
type turn struct {
	at     Point
	begins bool
	entity *Entity
	link   *Link
}

func (w *walk) take(since Point, until *Point, e *Entity, l *Link) {
	w.turns = append(w.turns, turn{since, true, e, l})
	if until != nil {
		w.turns = append(w.turns, turn{*until, false, e, l})
	}
}

// back takes the links in which any of held is held, and returns the holders.
func (w *walk) back(r rbac.Relation, held []rbac.ID) (holders []rbac.ID) {
	if w.err != nil || len(held) == 0 {
		return nil
	}
	var links []Link
	if links, w.err = w.g.LinksTo(w.ctx, w.owner, r, held, maxGrantRows-w.rows+1); w.err != nil {
		return nil
	}
	if w.rows += len(links); w.rows > maxGrantRows {
		w.err = fmt.Errorf("%w: more than %d assignments lead to its streams", access.ErrTooMuch, maxGrantRows)
		return nil
	}
	seen := map[rbac.ID]bool{}
	for i := range links {
		l := &links[i]
		w.take(l.Since, l.Until, nil, l)
		if !seen[l.Holder] {
			seen[l.Holder] = true
			holders = append(holders, l.Holder)
		}
	}
	return holders
}

func (w *walk) entities(k rbac.Kind, ids []rbac.ID) {
	if w.err != nil || len(ids) == 0 {
		return
	}
	var all []Entity
	if all, w.err = w.g.EntitiesBy(w.ctx, w.owner, k, ids); w.err != nil {
		return
	}
	for i := range all {
		w.take(all[i].Since, all[i].Until, &all[i], nil)
	}
}

// subject is an account and a stream's place.
type subject struct {
	account key.AccountID
	stream  int
}

// sweep goes through an arrangement's changes in their order and notes when an account's access begins and ends.
type sweep struct {
	streams     []string
	permissions []rbac.ID
	all         rbac.ID // the device's group
	state       access.State
	names       map[access.Ref]string
	users       map[key.AccountID]bool // who ever held anything
	open        map[subject]*Grant
	done        []Grant
	steps       int
}

func (s *sweep) run(turns []turn) ([]Grant, error) {
	slices.SortStableFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.at.Block, b.at.Block), cmp.Compare(a.at.Event, b.at.Event))
	})
	for len(turns) > 0 {
		n := 1
		for n < len(turns) && turns[n].at.Block == turns[0].at.Block {
			n++
		}
		if err := s.block(turns[:n]); err != nil {
			return nil, err
		}
		turns = turns[n:]
	}
	for _, g := range s.open {
		s.done = append(s.done, *g)
	}
	order := map[string]int{}
	for i, name := range s.streams {
		order[name] = i
	}
	slices.SortFunc(s.done, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(order[a.Stream], order[b.Stream]), bytes.Compare(a.Account[:], b.Account[:]),
			cmp.Compare(a.Since.Block, b.Since.Block))
	})
	return s.done, nil
}

// block applies the changes of one block, then decides anew for those whom they touch.
func (s *sweep) block(turns []turn) error {
	var shared *Point // of the last change that touches everybody
	own := map[key.AccountID]Point{}
	for i := range turns {
		t := &turns[i]
		if user := s.apply(t); user != nil {
			own[*user] = t.at
		} else {
			shared = &t.at
		}
	}
	if shared == nil {
		for u, at := range own {
			if err := s.decide(u, at); err != nil {
				return err
			}
		}
		return nil
	}
	for u := range s.users {
		at := *shared
		if mine, ok := own[u]; ok && mine.Event > at.Event {
			at = mine
		}
		if err := s.decide(u, at); err != nil {
			return err
		}
	}
	return nil
}

// apply makes a change, and returns the user whom alone it touches; nil: it may touch everybody.
func (s *sweep) apply(t *turn) *key.AccountID {
	if e := t.entity; e != nil {
		s.state.Entities[e.Ref] = &rbac.Entity{ID: e.ID, Name: e.Name, Enabled: t.begins}
		s.names[e.Ref] = e.Name
		return nil
	}
	h := access.Holding{Relation: t.link.Relation, Holder: t.link.Holder}
	if t.begins {
		s.state.Held[h] = append(s.state.Held[h], t.link.Held)
	} else {
		s.state.Held[h] = slices.DeleteFunc(s.state.Held[h], func(id rbac.ID) bool { return id == t.link.Held })
	}
	if t.link.Relation != rbac.UserRole && t.link.Relation != rbac.UserGroup {
		return nil
	}
	user := key.AccountID(t.link.Holder)
	s.users[user] = true
	return &user
}

// decide notes what has become of an account's access as of a point.
func (s *sweep) decide(a key.AccountID, at Point) error {
	if s.steps += len(s.streams); s.steps > maxGrantSteps {
		return fmt.Errorf("%w: the arrangement changed too often for so many accounts", access.ErrTooMuch)
	}
	for i, name := range s.streams {
		who := subject{a, i}
		paths, g := access.Paths(s.state, a, s.permissions[i]), s.open[who]
		switch {
		case len(paths) > 0:
			if g == nil {
				g = &Grant{Stream: name, Account: a, Since: at}
				s.open[who] = g
			}
			g.Via = s.ways(paths)
		case g != nil:
			g.Until = &at
			s.done = append(s.done, *g)
			delete(s.open, who)
		}
	}
	return nil
}

func (s *sweep) ways(paths []access.Path) []Via {
	out := make([]Via, len(paths))
	for i, p := range paths {
		v := Via{Path: p, RoleName: s.names[access.Ref{Kind: rbac.Role, ID: p.Role}]}
		if p.Group != nil {
			v.Whole, v.GroupName = *p.Group == s.all, s.names[access.Ref{Kind: rbac.Group, ID: *p.Group}]
		}
		out[i] = v
	}
	return out
}
