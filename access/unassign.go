package access

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"slices"

	"iod/metadata"
	"iod/pallet/rbac"
)

// The pallet keeps what a holder holds in the order of assignment, and yet looks for what is to be unassigned by Rust's
// binary_search, which is meant for sorted lists. So it misses some assignments that are there and answers
// AssignmentDoesNotExist. What it misses depends on the order, and on the version of Rust that built the runtime. Therefore
// unassignments are planned here as a walk over lists: others that are found are taken out first, until what is to go is
// found, and assigned back; all in one batch_all, so that nobody is without them in any block.

// search is a binary search of n items for one of them: probe compares the item at a position with the one wanted.
type search func(n int, probe func(at int) int) (at int, found bool)

// searchEager is slice::binary_search of Rust 1.52 to 1.81, which stops when it meets the item. peaq's recorded runtime has it.
func searchEager(n int, probe func(int) int) (int, bool) {
	left, right := 0, n
	for left < right {
		mid := left + (right-left)/2
		switch c := probe(mid); {
		case c < 0:
			left = mid + 1
		case c > 0:
			right = mid
		default:
			return mid, true
		}
	}
	return left, false
}

// searchWhole is that of Rust before 1.52 and since 1.82, which goes on to the end and may walk away from the item.
func searchWhole(n int, probe func(int) int) (int, bool) {
	if n == 0 {
		return 0, false
	}
	base := 0
	for size := n; size > 1; {
		half := size / 2
		if probe(base+half) <= 0 {
			base += half
		}
		size -= half
	}
	return base, probe(base) == 0
}

var everySearch = []search{searchEager, searchWhole}

// finds reports whether a search of the list for the item at a position meets it there.
func finds(s search, list []uint16, at int) bool {
	got, ok := s(len(list), func(i int) int { return cmp.Compare(list[i], list[at]) })
	return ok && got == at
}

// misled counts the probes that would lead a search for the item at a position elsewhere.
func misled(s search, list []uint16, at int) (n int) {
	s(len(list), func(i int) int {
		if cmp.Compare(list[i], list[at]) != cmp.Compare(i, at) {
			n++
		}
		return cmp.Compare(i, at)
	})
	return n
}

// step is one call: an assignment that is taken out of a list, or put at its end.
type step struct {
	id  rbac.ID
	add bool
}

// shuffle is a change of what one holder holds in one relation. Its items are the ranks of the ids, so that they compare as the ids do.
type shuffle struct {
	ids      []rbac.ID // by rank
	list     []uint16
	drop     map[uint16]bool
	want     []uint16 // that the list holds in the end, in order
	pads     []uint16 // that may be in the list meanwhile, greatest first
	searches []search // all of which must find what is taken out
}

func newShuffle(list, drop, add, pads []rbac.ID, searches ...search) *shuffle {
	s := &shuffle{drop: map[uint16]bool{}, searches: searches}
	s.ids = slices.Concat(list, add, pads)
	slices.SortFunc(s.ids, func(a, b rbac.ID) int { return bytes.Compare(a[:], b[:]) })
	s.ids = slices.Compact(s.ids)
	rank := func(id rbac.ID) uint16 {
		i, _ := slices.BinarySearchFunc(s.ids, id, func(a, b rbac.ID) int { return bytes.Compare(a[:], b[:]) })
		return uint16(i)
	}
	for _, id := range list {
		r := rank(id)
		s.list = append(s.list, r)
		if slices.Contains(drop, id) {
			s.drop[r] = true
		} else {
			s.want = append(s.want, r)
		}
	}
	for _, id := range add {
		s.want = append(s.want, rank(id))
	}
	for _, id := range pads {
		s.pads = append(s.pads, rank(id))
	}
	return s
}

// finds reports whether every search finds the item at a position.
func (s *shuffle) finds(list []uint16, at int) bool {
	for _, f := range s.searches {
		if !finds(f, list, at) {
			return false
		}
	}
	return true
}

// place is a list on the way, and how the walk came there.
type place struct {
	list []uint16
	by   step
	from *place
	cost int // of the calls so far and of those that are surely needed yet
	rest int // of those needed yet; for nearest, of those so far
}

// places is a heap: the cheapest first, of them the one nearest to the end.
type places []*place

func (p places) Len() int { return len(p) }
func (p places) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(p[i].cost, p[j].cost), cmp.Compare(p[i].rest, p[j].rest)) < 0
}
func (p places) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *places) Push(x any)   { *p = append(*p, x.(*place)) }
func (p *places) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// Bounds of the search for a plan: of the longest list for which the fewest calls are looked for, and of the lists looked at.
const (
	shortList    = 8
	shortPlaces  = 1 << 13
	longPlaces   = 1 << 13
	searchedPads = 16
)

// fewest returns the fewest steps by A*, in which calls that are surely needed count from the beginning; ok is false when there is no
// way, or the bound stops the search.
func (s *shuffle) fewest() (steps []step, ok bool) {
	if len(s.list) > shortList {
		return nil, false
	}
	start := &place{list: s.list, rest: s.rest(s.list)}
	start.cost = start.rest
	open, seen := places{start}, map[string]int{}
	for n := 0; len(open) > 0 && n < shortPlaces; n++ {
		p := heap.Pop(&open).(*place)
		if p.rest == 0 {
			return p.steps(), true
		}
		for _, next := range s.next(p) {
			k := listKey(next.list)
			if cost, was := seen[k]; was && cost <= next.cost {
				continue
			}
			seen[k] = next.cost
			heap.Push(&open, next)
		}
	}
	return nil, false
}

func listKey(list []uint16) string {
	b := make([]byte, 0, 2*len(list))
	for _, x := range list {
		b = binary.LittleEndian.AppendUint16(b, x)
	}
	return string(b)
}

func (p *place) steps() (out []step) {
	for ; p.from != nil; p = p.from {
		out = append(out, p.by)
	}
	slices.Reverse(out)
	return out
}

// rest is how many calls are needed from a list on if each is found: what must go goes, what must be there comes.
func (s *shuffle) rest(list []uint16) int {
	n := 0
	for _, x := range list {
		if s.drop[x] || slices.Contains(s.pads, x) {
			n++
		}
	}
	for _, x := range s.want {
		if !slices.Contains(list, x) {
			n++
		}
	}
	return n
}

// next returns the places one step away.
func (s *shuffle) next(p *place) (out []*place) {
	spent := p.cost - p.rest
	add := func(list []uint16, x uint16, more bool, cost int) {
		q := &place{list: list, from: p, by: step{s.ids[x], more}, rest: s.rest(list)}
		q.cost = spent + cost + q.rest
		out = append(out, q)
	}
	for i, x := range p.list {
		if s.finds(p.list, i) {
			add(slices.Concat(p.list[:i], p.list[i+1:]), x, false, 1)
		}
	}
	for _, x := range s.want {
		if !slices.Contains(p.list, x) {
			add(append(slices.Clone(p.list), x), x, true, 1)
		}
	}
	for _, x := range s.pads {
		if !slices.Contains(p.list, x) {
			add(append(slices.Clone(p.list), x), x, true, 2) // it may have to be made first
		}
	}
	return out
}

// trail collects steps while they are made.
type trail struct {
	s     *shuffle
	list  []uint16
	steps []step
}

func (t *trail) add(x uint16) {
	t.list = append(t.list, x)
	t.steps = append(t.steps, step{t.s.ids[x], true})
}

func (t *trail) remove(at int) {
	t.steps = append(t.steps, step{t.s.ids[t.list[at]], false})
	t.list = slices.Delete(t.list, at, at+1)
}

// droppable returns where something is that must go and is found, and whether anything must go at all.
func (t *trail) droppable() (at int, left bool) {
	for i, x := range t.list {
		if t.s.drop[x] {
			if left = true; t.s.finds(t.list, i) {
				return i, true
			}
		}
	}
	return -1, left
}

// follow makes the steps that led to a place.
func (t *trail) follow(p *place) {
	t.steps = append(t.steps, p.steps()...)
	t.list = slices.Clone(p.list)
}

// restore takes the pads out, which every search finds from the last on, and puts back what is missing.
func (t *trail) restore() []step {
	for n := len(t.list); n > 0 && slices.Contains(t.s.pads, t.list[n-1]); n-- {
		t.remove(n - 1)
	}
	for _, x := range t.s.want {
		if !slices.Contains(t.list, x) {
			t.add(x)
		}
	}
	return t.steps
}

// byNearest looks for few steps in long lists: again and again, by breadth, for the nearest list in which something is found that
// must go. On the way things are only taken out and pads put in; everything is put right in the end.
func (s *shuffle) byNearest() (steps []step, ok bool) {
	t := &trail{s: s, list: slices.Clone(s.list)}
	for {
		at, left := t.droppable()
		if !left {
			return t.restore(), true
		}
		if at < 0 {
			p := s.nearest(t.list)
			if p == nil {
				return nil, false
			}
			t.follow(p)
			at, _ = t.droppable()
		}
		t.remove(at)
	}
}

// nearest returns a near list in which something is found that must go, or nil. It goes first where few probes mislead.
func (s *shuffle) nearest(from []uint16) *place {
	open, seen := places{{list: from, cost: s.obstacles(from)}}, map[string]bool{}
	for len(open) > 0 && len(seen) < longPlaces {
		p := heap.Pop(&open).(*place)
		if at, _ := (&trail{s: s, list: p.list}).droppable(); at >= 0 {
			return p
		}
		try := func(list []uint16, by step) {
			if k := listKey(list); !seen[k] {
				seen[k] = true
				q := &place{list: list, by: by, from: p, rest: p.rest + 1}
				q.cost = q.rest + 2*s.obstacles(list)
				heap.Push(&open, q)
			}
		}
		for i, x := range p.list {
			if !slices.Contains(s.pads, x) && s.finds(p.list, i) {
				try(slices.Concat(p.list[:i], p.list[i+1:]), step{s.ids[x], false})
			}
		}
		for i := len(s.pads) - 1; i >= 0; i-- { // they stand in rising order
			if x := s.pads[i]; !slices.Contains(p.list, x) {
				try(append(slices.Clone(p.list), x), step{s.ids[x], true})
				break
			}
		}
	}
	return nil
}

// obstacles is how many probes mislead where they are fewest.
func (s *shuffle) obstacles(list []uint16) int {
	least := len(list)
	for i, x := range list {
		if s.drop[x] {
			n := 0
			for _, f := range s.searches {
				n += misled(f, list, i)
			}
			least = min(least, n)
		}
	}
	return least
}

// byProbe takes out what searchEager looks at first, which it always finds, until what must go is found. It needs no pads, but
// many calls.
func (s *shuffle) byProbe() []step {
	t := &trail{s: s, list: slices.Clone(s.list)}
	for {
		at, left := t.droppable()
		if !left {
			return t.restore()
		}
		if at < 0 {
			at = len(t.list) / 2
		}
		t.remove(at)
	}
}

// byPads works for every search and every list: with as many pads behind the list as it has items but two, the first probe
// meets the last item, and all further ones pads, which are greater. So the list is taken apart from its end. The last pad is always found.
func (s *shuffle) byPads() []step {
	t := &trail{s: s, list: slices.Clone(s.list)}
	pads := max(0, len(t.list)-2)
	for i := pads; i > 0; i-- {
		t.add(s.pads[i-1])
	}
	for items := len(s.list); ; items-- {
		if !slices.ContainsFunc(t.list[:items], func(x uint16) bool { return s.drop[x] }) {
			break
		}
		for ; pads > max(0, items-2); pads-- {
			t.remove(len(t.list) - 1)
		}
		t.remove(items - 1)
	}
	return t.restore()
}

// padID returns the id of an entity that stands in a list for a moment; it is greater than what hashes give.
func padID(i int) rbac.ID {
	id := rbac.ID(bytes.Repeat([]byte{0xff}, len(rbac.ID{})))
	binary.BigEndian.PutUint16(id[len(id)-2:], ^uint16(i))
	return id
}

// padsFor returns n pads, greatest first.
func padsFor(n int) []rbac.ID {
	pads := make([]rbac.ID, n)
	for i := range pads {
		pads[i] = padID(i)
	}
	return pads
}

const padName = "iod: only for changing the order of assignments"

// regrouping is a change of what a user holds in a relation.
type regrouping struct {
	relation  rbac.Relation
	user      rbac.ID
	list      []rbac.ID // as stored
	drop, add []rbac.ID
}

func (r regrouping) kind() rbac.Kind {
	if r.relation == rbac.UserRole {
		return rbac.Role
	}
	return rbac.Group
}

// pads returns enough of them for every way of planning, greatest first.
func (r regrouping) pads() []rbac.ID { return padsFor(max(searchedPads, len(r.list))) }

// steps returns the plan, and whether it holds whichever search the runtime has. Padded plans always do.
func (r regrouping) steps(padded bool) (steps []step, certain bool, err error) {
	if padded {
		steps, err = r.padded()
		return steps, true, err
	}
	all, eager := newShuffle(r.list, r.drop, r.add, nil, everySearch...), newShuffle(r.list, r.drop, r.add, nil, searchEager)
	for _, s := range []*shuffle{all, eager} {
		for _, way := range []func() ([]step, bool){s.fewest, s.byNearest} {
			if steps, ok := way(); ok {
				return steps, s == all, nil
			}
		}
	}
	return eager.byProbe(), false, nil
}

func (r regrouping) padded() ([]step, error) {
	pads := r.pads()
	for _, id := range r.list {
		if bytes.Compare(id[:], pads[len(pads)-1][:]) >= 0 {
			return nil, fmt.Errorf("%s %s: the id is too great for others to be put behind it", r.kind(), id)
		}
	}
	if steps, ok := newShuffle(r.list, r.drop, r.add, pads[:3], everySearch...).fewest(); ok {
		return steps, nil
	}
	if steps, ok := newShuffle(r.list, r.drop, r.add, pads[:searchedPads], everySearch...).byNearest(); ok {
		return steps, nil
	}
	return newShuffle(r.list, r.drop, r.add, pads, everySearch...).byPads(), nil
}

// calls returns the plan as calls. Pads that do not exist in the state are made first.
func (r regrouping) calls(current State, padded bool) (calls []metadata.Call, certain bool, err error) {
	if len(r.drop)+len(r.add) == 0 {
		return nil, true, nil
	}
	steps, certain, err := r.steps(padded)
	if err != nil {
		return nil, false, err
	}
	made := map[rbac.ID]bool{}
	for _, id := range r.pads() {
		made[id] = !padded || current.exists(r.kind(), id)
	}
	for _, s := range steps {
		if exists, pad := made[s.id]; s.add && pad && !exists {
			call, err := rbac.Add(r.kind(), s.id, padName)
			if err != nil {
				return nil, false, err
			}
			calls = append(calls, call)
			made[s.id] = true
		}
		a := rbac.Assignment{Relation: r.relation, Holder: r.user, Held: s.id}
		if s.add {
			calls = append(calls, rbac.Assign(a))
		} else {
			calls = append(calls, rbac.Unassign(a))
		}
	}
	return calls, certain, nil
}
