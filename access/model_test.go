package access

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"iod/chain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

var recordedMetadata = sync.OnceValues(func() (*metadata.Metadata, error) {
	b, err := os.ReadFile("../../shared/peaq/metadata-v14.scale")
	if err != nil {
		return nil, err
	}
	return metadata.Parse(b)
})

func meta(t testing.TB) *metadata.Metadata {
	t.Helper()
	m, err := recordedMetadata()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pallet is a model of the RBAC pallet of one owner, with the pallet's own checks and faults.
type pallet struct {
	m        *metadata.Metadata
	owner    key.AccountID
	entities map[Ref]rbac.Entity
	held     map[Holding][]rbac.ID // in the order of assignment
	find     func(list []rbac.ID, id rbac.ID) int
}

func newPallet(m *metadata.Metadata, owner key.AccountID) *pallet {
	return &pallet{m: m, owner: owner, entities: map[Ref]rbac.Entity{}, held: map[Holding][]rbac.ID{}, find: findEager}
}

func (p *pallet) clone() *pallet {
	q := &pallet{p.m, p.owner, maps.Clone(p.entities), maps.Clone(p.held), p.find}
	for h, list := range q.held {
		q.held[h] = slices.Clone(list)
	}
	return q
}

func (p *pallet) holds(a rbac.Assignment) bool {
	return slices.Contains(p.held[Holding{a.Relation, a.Holder}], a.Held)
}

// findEager is the slice::binary_search of Rust 1.52 to 1.81, written down apart from the planner's.
func findEager(list []rbac.ID, id rbac.ID) int {
	size, left, right := len(list), 0, len(list)
	for left < right {
		mid := left + size/2
		c := bytes.Compare(list[mid][:], id[:])
		if c == 0 {
			return mid
		}
		if c < 0 {
			left = mid + 1
		} else {
			right = mid
		}
		size = right - left
	}
	return -1
}

// findWhole is that of earlier and later Rust.
func findWhole(list []rbac.ID, id rbac.ID) int {
	if len(list) == 0 {
		return -1
	}
	size, base := len(list), 0
	for size > 1 {
		half := size / 2
		mid := base + half
		if bytes.Compare(list[mid][:], id[:]) != 1 {
			base = mid
		}
		size -= half
	}
	if list[base] == id {
		return base
	}
	return -1
}

// run executes calls all or none, through their SCALE bytes.
func (p *pallet) run(calls ...metadata.Call) error {
	next := p.clone()
	for _, c := range calls {
		b, err := p.m.EncodeCall(c)
		if err != nil {
			return err
		}
		if c, err = p.m.DecodeCall(b); err != nil {
			return err
		}
		if err := next.execute(c); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	*p = *next
	return nil
}

func (p *pallet) execute(c metadata.Call) error {
	id := func(name string) (out rbac.ID) {
		v, _ := c.Args.Get(name)
		copy(out[:], v.([]byte))
		return out
	}
	for k, kind := range map[string]rbac.Kind{"role": rbac.Role, "permission": rbac.Permission, "group": rbac.Group} {
		ref := Ref{kind, rbac.ID{}}
		if v, ok := c.Args.Get(k + "_id"); ok {
			copy(ref.ID[:], v.([]byte))
		}
		e, exists := p.entities[ref]
		switch c.Name {
		case "add_" + k:
			if exists {
				return errors.New("EntityAlreadyExist")
			}
			p.entities[ref] = rbac.Entity{ID: ref.ID, Enabled: true}
			return nil
		case "disable_" + k:
			if !exists || !e.Enabled {
				return errors.New("EntityDisabled")
			}
			e.Enabled = false
			p.entities[ref] = e
			return nil
		}
	}
	var a rbac.Assignment
	var need []Ref
	switch {
	case suffix(c.Name, "role_to_user"):
		a, need = rbac.Assignment{Relation: rbac.UserRole, Holder: id("user_id"), Held: id("role_id")}, []Ref{{rbac.Role, id("role_id")}}
	case suffix(c.Name, "user_to_group"):
		a, need = rbac.Assignment{Relation: rbac.UserGroup, Holder: id("user_id"), Held: id("group_id")}, []Ref{{rbac.Group, id("group_id")}}
	case suffix(c.Name, "role_to_group"):
		a = rbac.Assignment{Relation: rbac.GroupRole, Holder: id("group_id"), Held: id("role_id")}
		need = []Ref{{rbac.Role, a.Held}, {rbac.Group, a.Holder}}
	case suffix(c.Name, "permission_to_role"):
		a = rbac.Assignment{Relation: rbac.RolePermission, Holder: id("role_id"), Held: id("permission_id")}
		need = []Ref{{rbac.Permission, a.Held}, {rbac.Role, a.Holder}}
	default:
		return errors.New("unknown call")
	}
	h := Holding{a.Relation, a.Holder}
	if c.Name[0] == 'u' {
		i := p.find(p.held[h], a.Held)
		if i < 0 {
			return errMissed
		}
		if p.held[h] = slices.Delete(p.held[h], i, i+1); len(p.held[h]) == 0 {
			delete(p.held, h)
		}
		return nil
	}
	for _, r := range need {
		if _, ok := p.entities[r]; !ok {
			return errors.New("EntityDoesNotExist")
		}
	}
	if p.holds(a) {
		return errors.New("AssignmentAlreadyExist")
	}
	p.held[h] = append(p.held[h], a.Held)
	return nil
}

var errMissed = errors.New("AssignmentDoesNotExist")

func suffix(s, end string) bool { return s == "assign_"+end || s == "unassign_"+end }

// storage renders the pallet's entries that the judge reads.
func (p *pallet) storage(t testing.TB) map[string][]byte {
	t.Helper()
	kv := map[string][]byte{}
	put := func(k []byte, err error, item string, v any) {
		if err != nil {
			t.Fatal(err)
		}
		id, _, err := p.m.StorageType(rbac.Pallet, item)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := p.m.Encode(id, v)
		if err != nil {
			t.Fatal(err)
		}
		kv[string(k)] = raw
	}
	for r, e := range p.entities {
		k, err := rbac.EntityKey(p.m, p.owner, r.Kind, r.ID)
		put(k, err, "KeysLookUpStore", metadata.Fields{{Name: "id", Value: e.ID[:]}, {Name: "name", Value: []byte(e.Name)}, {Name: "enabled", Value: e.Enabled}})
	}
	names := map[rbac.Relation][3]string{rbac.UserRole: {"Role2UserStore", "user", "role"}, rbac.UserGroup: {"User2GroupStore", "user", "group"},
		rbac.GroupRole: {"Role2GroupStore", "group", "role"}, rbac.RolePermission: {"Permission2RoleStore", "role", "permission"}}
	for h, held := range p.held {
		n := names[h.Relation]
		list := make([]any, len(held))
		for i, id := range held {
			list[i] = metadata.Fields{{Name: n[1], Value: h.Holder[:]}, {Name: n[2], Value: id[:]}}
		}
		k, err := rbac.AssignmentKey(p.m, p.owner, h.Relation, h.Holder)
		put(k, err, n[0], list)
	}
	return kv
}

// fakeChain is a chain whose blocks a test makes one by one.
type fakeChain struct {
	t testing.TB
	m *metadata.Metadata

	mu        sync.Mutex
	changed   chan struct{} // closed and made anew at each change
	blocks    []*fakeBlock  // the best chain
	finalised int
	serial    uint64
	down      error // what every call answers, when set
	flaky     bool  // calls fail, watches work
	dead      bool  // watches stay silent, as on a connection that nobody has noticed to be gone
	deaf      bool  // watches miss the changes of this time for good, as those of inner blocks of a reorganisation
	requests  map[string]int
	watches   int
	mostKeys  int
}

type fakeBlock struct {
	c      *fakeChain
	hash   chain.Hash
	number uint32
	kv     map[string][]byte
}

func newFakeChain(t testing.TB) *fakeChain {
	c := &fakeChain{t: t, m: meta(t), changed: make(chan struct{}), requests: map[string]int{}}
	c.push(nil, true)
	return c
}

// push makes a block with the state after the best one, finalised or not.
func (c *fakeChain) push(kv map[string][]byte, final bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.append(kv)
	if final {
		c.finalised = len(c.blocks) - 1
	}
	c.notify()
}

func (c *fakeChain) append(kv map[string][]byte) {
	c.serial++
	b := &fakeBlock{c: c, number: uint32(len(c.blocks)), kv: kv}
	binary.LittleEndian.PutUint64(b.hash[:], c.serial)
	c.blocks = append(c.blocks, b)
}

// reorganise replaces the last n blocks by others with the given states.
func (c *fakeChain) reorganise(n int, states ...map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks = c.blocks[:len(c.blocks)-n]
	for _, kv := range states {
		c.append(kv)
	}
	c.notify()
}

func (c *fakeChain) finalise() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finalised = len(c.blocks) - 1
	c.notify()
}

func (c *fakeChain) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.notify()
}

func (c *fakeChain) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *fakeChain) request(name string) error {
	c.requests[name]++
	if c.flaky {
		return errors.New("flaky")
	}
	return c.down
}

func (c *fakeChain) count(names ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		n += c.requests[name]
	}
	return n
}

func (c *fakeChain) Best(context.Context) (View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[len(c.blocks)-1], c.request("best")
}

func (c *fakeChain) Finalised(context.Context) (View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[c.finalised], c.request("finalised")
}

func (c *fakeChain) WaitFinalised(ctx context.Context, number uint32) (View, error) {
	c.set(func() { c.requests["wait"]++ })
	for {
		c.mu.Lock()
		if c.down != nil {
			defer c.mu.Unlock()
			return nil, c.down
		}
		if c.finalised >= int(number) {
			defer c.mu.Unlock()
			return c.blocks[number], nil
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *fakeChain) WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error] {
	return func(yield func(chain.StorageChange, error) bool) {
		c.mu.Lock()
		c.watches++
		c.mostKeys = max(c.mostKeys, len(keys))
		c.requests["watch"]++
		c.mu.Unlock()
		defer c.set(func() { c.watches-- })
		last := map[string]string{}
		first := true
		for {
			c.mu.Lock()
			head, changed, err, dead, deaf := c.blocks[len(c.blocks)-1], c.changed, c.down, c.dead, c.deaf
			c.mu.Unlock()
			change := chain.StorageChange{Block: head.hash}
			for _, k := range keys {
				v, ok := head.kv[string(k)]
				now := fmt.Sprint(ok, v)
				if first || last[string(k)] != now {
					change.Changes = append(change.Changes, chain.KeyValue{Key: k, Value: v})
				}
				if err == nil && !dead {
					last[string(k)] = now
				}
			}
			switch {
			case err != nil:
				yield(chain.StorageChange{}, err)
				return
			case len(change.Changes) > 0 && !dead && !deaf:
				first = false
				if !yield(change, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (b *fakeBlock) Number() uint32                                       { return b.number }
func (b *fakeBlock) Metadata(context.Context) (*metadata.Metadata, error) { return b.c.m, nil }

func (b *fakeBlock) Raw(_ context.Context, keys ...[]byte) ([]chain.KeyValue, error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if err := b.c.request("raw"); err != nil {
		return nil, err
	}
	out := make([]chain.KeyValue, len(keys))
	for i, k := range keys {
		out[i] = chain.KeyValue{Key: k, Value: b.kv[string(k)]}
	}
	return out, nil
}

var (
	owner  = key.AccountID{0x0a}
	device = key.AccountID{0x0d}
	alice  = key.AccountID{0xa1}
	bob    = key.AccountID{0xb0}
)

// view is a block with the pallet's state.
func view(t testing.TB, p *pallet) *fakeBlock {
	c := newFakeChain(t)
	c.push(p.storage(t), true)
	return c.blocks[cmp.Or(c.finalised, 0)]
}

func mustRead(t testing.TB, p *pallet, streams []string, accounts ...key.AccountID) State {
	t.Helper()
	s, err := Read(t.Context(), view(t, p), owner, device, streams, accounts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// grant runs what Grant plans.
func grant(t testing.TB, p *pallet, streams []string, stream string, a key.AccountID) {
	t.Helper()
	plan, err := Grant(owner, device, streams, stream, a, mustRead(t, p, streams, a))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.run(plan.Calls...); err != nil {
		t.Fatal(err)
	}
}
