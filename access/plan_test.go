package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"

	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
	"iod/pallet/rbac"
)

// The ids are a format: devices and owners of any version must find the same ones.
func TestEntityIDs(t *testing.T) {
	for _, c := range []struct {
		stream string
		kind   rbac.Kind
		want   string
	}{
		{"measurements", rbac.Permission, "0x36da2734cfe13bdf1dbb6874895180ea0c44ac1c635b6893d9cdad8b7f628012"},
		{"measurements", rbac.Role, "0xf116cf637991dfcec006c28c196445ed976d3bd8bb8de51ba8610427bff75480"},
		{"measurements", rbac.Group, "0xad8f9bee273e2b6f630616d53bcdb0e73da43a674ee03dfb71e8e444bcf43448"},
		{"", rbac.Group, "0x900d4415feb01a80f1249b0b4eac55739bcf485d7edaa15b1f3a2a751970f909"},
	} {
		if got := EntityID(owner, device, c.stream, c.kind).String(); got != c.want {
			t.Errorf("%s of %q: %s, want %s", c.kind, c.stream, got, c.want)
		}
	}
	by := append([]byte("iod/rbac/1"), owner[:]...)
	by = append(append(by, device[:]...), "camerarole"...)
	if EntityID(owner, device, "camera", rbac.Role) != blake2b.Sum256(by) {
		t.Error("an id is not what the package says")
	}
}

func names(calls []metadata.Call) (out []string) {
	for _, c := range calls {
		out = append(out, c.Name)
	}
	return out
}

func TestSetupIsIdempotent(t *testing.T) {
	p := newPallet(meta(t), owner)
	streams := []string{"measurements", "camera"}
	calls := Setup(owner, device, streams, mustRead(t, p, streams))
	want := "add_group add_permission add_role add_group assign_permission_to_role assign_role_to_group assign_role_to_group " +
		"add_permission add_role add_group assign_permission_to_role assign_role_to_group assign_role_to_group"
	if got := strings.Join(names(calls), " "); got != want {
		t.Errorf("first: %s", got)
	}
	if err := p.run(calls...); err != nil {
		t.Fatal(err)
	}
	if again := Setup(owner, device, streams, mustRead(t, p, streams)); again != nil {
		t.Errorf("again: %v", names(again))
	}
	// One thing less is one thing done.
	role := EntityID(owner, device, "camera", rbac.Role)
	if err := p.run(rbac.Unassign(rbac.Assignment{Relation: rbac.RolePermission, Holder: role, Held: EntityID(owner, device, "camera", rbac.Permission)})); err != nil {
		t.Fatal(err)
	}
	if got := names(Setup(owner, device, streams, mustRead(t, p, streams))); len(got) != 1 || got[0] != "assign_permission_to_role" {
		t.Errorf("repaired by %v", got)
	}
	// A disabled entity is left as it is, and told.
	if err := p.run(rbac.Disable(rbac.Role, role)); err != nil {
		t.Fatal(err)
	}
	s := mustRead(t, p, streams)
	if got := Disabled(owner, device, streams, s); len(got) != 1 || got[0] != (Ref{rbac.Role, role}) {
		t.Errorf("disabled: %v", got)
	}
	if got := names(Setup(owner, device, streams, s)); len(got) != 1 {
		t.Errorf("with a disabled role: %v", got)
	}
	if _, err := Grant(owner, device, streams, "camera", alice, s); !errors.Is(err, ErrDisabled) {
		t.Errorf("grant through a disabled role: %v", err)
	}
	if _, err := Grant(owner, device, streams, "measurements", alice, s); err != nil {
		t.Errorf("grant of another stream: %v", err)
	}
	if _, err := Grant(owner, device, streams, "", alice, s); !errors.Is(err, ErrDisabled) {
		t.Errorf("grant of the whole device: %v", err)
	}
	if _, err := Grant(owner, device, streams, "absent", alice, s); err == nil {
		t.Error("granted a stream that is not there")
	}
}

func has(s State, a key.AccountID, stream string) bool {
	ok, _ := Decide(s, a, EntityID(owner, device, stream, rbac.Permission))
	return ok
}

func TestGrantAndRevoke(t *testing.T) {
	streams := []string{"a", "b"}
	p := newPallet(meta(t), owner)
	revoke := func(stream string, a key.AccountID) Plan {
		t.Helper()
		plan, err := Revoke(owner, device, streams, stream, a, mustRead(t, p, streams, a))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.run(plan.Calls...); err != nil {
			t.Fatal(err)
		}
		return plan
	}
	check := func(step string, a, b bool) {
		t.Helper()
		s := mustRead(t, p, streams, alice, bob)
		if has(s, alice, "a") != a || has(s, alice, "b") != b || has(s, bob, "a") || has(s, bob, "b") {
			t.Errorf("%s: a %v, b %v, bob %v %v", step, has(s, alice, "a"), has(s, alice, "b"), has(s, bob, "a"), has(s, bob, "b"))
		}
	}
	check("nothing", false, false)
	grant(t, p, streams, "a", alice)
	check("granted a", true, false)
	if plan, _ := Grant(owner, device, streams, "a", alice, mustRead(t, p, streams, alice)); len(plan.Calls) != 0 {
		t.Errorf("granted again by %v", names(plan.Calls))
	}
	revoke("b", alice)
	check("revoked what she had not", true, false)
	grant(t, p, streams, "", alice)
	check("granted all", true, true)
	streams = append(streams, "c")
	grant(t, p, streams, "c", bob) // sets c up, which is alice's too: she has the whole device
	if s := mustRead(t, p, streams, alice); !has(s, alice, "c") {
		t.Error("a stream added later is not part of the whole device")
	}
	revoke("c", bob)
	revoke("a", alice)
	check("revoked a of all", false, true)
	if s := mustRead(t, p, streams, alice); !has(s, alice, "c") {
		t.Error("c went with a")
	}
	revoke("", alice)
	check("revoked all", false, false)
	if plan := revoke("", alice); len(plan.Calls) != 0 || plan.Remaining != nil {
		t.Errorf("revoked again by %v", plan)
	}
	// A role of ours assigned directly counts and is taken away; the owner's own arrangement counts and is reported.
	role := EntityID(owner, device, "a", rbac.Role)
	friends, helpers := rbac.ID{1}, rbac.ID{2}
	user := rbac.UserID(alice)
	add := func(k rbac.Kind, id rbac.ID) metadata.Call {
		c, err := rbac.Add(k, id, "own")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := p.run(rbac.Assign(rbac.Assignment{Relation: rbac.UserRole, Holder: user, Held: role}),
		add(rbac.Group, friends), add(rbac.Role, helpers),
		rbac.Assign(rbac.Assignment{Relation: rbac.RolePermission, Holder: helpers, Held: EntityID(owner, device, "a", rbac.Permission)}),
		rbac.Assign(rbac.Assignment{Relation: rbac.GroupRole, Holder: friends, Held: helpers}),
		rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: user, Held: friends})); err != nil {
		t.Fatal(err)
	}
	check("by role and by own group", true, false)
	plan := revoke("a", alice)
	if got := names(plan.Calls); len(got) != 1 || got[0] != "unassign_role_to_user" {
		t.Errorf("revoked by %v", got)
	}
	if len(plan.Remaining) != 1 || *plan.Remaining[0].Group != friends || plan.Remaining[0].Role != helpers {
		t.Errorf("remaining %v", plan.Remaining)
	}
	check("own group remains", true, false)
}

// reference decides as the pallet's documentation says, straight from the model.
func reference(p *pallet, a key.AccountID, permission rbac.ID) bool {
	on := func(k rbac.Kind, id rbac.ID) bool { return p.entities[Ref{k, id}].Enabled }
	role := func(id rbac.ID) bool {
		return on(rbac.Role, id) && p.holds(rbac.Assignment{Relation: rbac.RolePermission, Holder: id, Held: permission})
	}
	if !on(rbac.Permission, permission) {
		return false
	}
	user := rbac.UserID(a)
	if slices.ContainsFunc(p.held[Holding{rbac.UserRole, user}], role) {
		return true
	}
	return slices.ContainsFunc(p.held[Holding{rbac.UserGroup, user}], func(g rbac.ID) bool {
		return on(rbac.Group, g) && slices.ContainsFunc(p.held[Holding{rbac.GroupRole, g}], role)
	})
}

// drawCall is any call of the owner's over a few entities, ours and others.
func drawCall(t *rapid.T, ids []rbac.ID, users []key.AccountID) metadata.Call {
	id := rapid.SampledFrom(ids)
	kind := rapid.SampledFrom([]rbac.Kind{rbac.Role, rbac.Permission, rbac.Group}).Draw(t, "kind")
	a := rbac.Assignment{Relation: rapid.SampledFrom([]rbac.Relation{rbac.UserRole, rbac.UserGroup, rbac.GroupRole, rbac.RolePermission}).Draw(t, "relation"),
		Holder: id.Draw(t, "holder"), Held: id.Draw(t, "held")}
	if a.Relation == rbac.UserRole || a.Relation == rbac.UserGroup {
		a.Holder = rbac.UserID(rapid.SampledFrom(users).Draw(t, "user"))
	}
	switch rapid.IntRange(0, 9).Draw(t, "verb") {
	case 0, 1:
		c, _ := rbac.Add(kind, id.Draw(t, "id"), "x")
		return c
	case 2:
		return rbac.Disable(kind, id.Draw(t, "id"))
	case 3, 4:
		return rbac.Unassign(a)
	}
	return rbac.Assign(a)
}

func TestPropertyDecideIsTheModel(t *testing.T) {
	m := meta(t)
	streams := []string{"a", "b"}
	ids := []rbac.ID{{1}, {2}, {3}}
	for _, s := range streams {
		e := idsOf(owner, device, s)
		ids = append(ids, e.permission, e.role, e.group)
	}
	ids = append(ids, EntityID(owner, device, "", rbac.Group))
	users := []key.AccountID{alice, bob}
	yes := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := newPallet(m, owner)
		if rapid.Bool().Draw(rt, "set up") {
			grant(t, p, streams, rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "granted"), alice)
		}
		for range rapid.IntRange(0, 30).Draw(rt, "calls") {
			_ = p.run(drawCall(rt, ids, users)) // many are refused, as on the chain
		}
		b := view(t, p)
		s, err := Read(t.Context(), b, owner, device, streams, users...)
		if err != nil {
			rt.Fatal(err)
		}
		if n := b.c.requests["raw"]; n > 3 {
			rt.Fatalf("%d requests", n)
		}
		for _, u := range users {
			for _, name := range streams {
				permission := EntityID(owner, device, name, rbac.Permission)
				got, why := Decide(s, u, permission)
				if want := reference(p, u, permission); got != want {
					rt.Fatalf("%s of %s: %v (%s), want %v", name, u, got, why, want)
				}
				if got {
					yes++
				}
				if why == "" {
					rt.Fatal("no reason")
				}
				// After a revocation only what is reported remains.
				plan, err := Revoke(owner, device, streams, name, u, s)
				if err != nil {
					rt.Fatal(err)
				}
				after := p.clone()
				if err := after.run(plan.Calls...); err != nil {
					rt.Fatalf("revocation: %v", err)
				}
				if reference(after, u, permission) != (len(plan.Remaining) > 0) {
					rt.Fatalf("remaining %v, but access is %v", plan.Remaining, reference(after, u, permission))
				}
				for _, other := range streams {
					o := EntityID(owner, device, other, rbac.Permission)
					if other != name && reference(p, u, o) && !reference(after, u, o) && s.exists(rbac.Group, idsOf(owner, device, other).group) &&
						intact(p, other) {
						rt.Fatalf("revoking %s took %s", name, other)
					}
				}
			}
		}
		// A grant of what is not disabled holds, whatever was there before.
		plan, err := Grant(owner, device, streams, "a", bob, s)
		if err == nil {
			if err := p.run(plan.Calls...); err != nil {
				rt.Fatalf("grant: %v", err)
			}
			if !reference(p, bob, EntityID(owner, device, "a", rbac.Permission)) {
				rt.Fatal("granted, but no access")
			}
		} else if !errors.Is(err, ErrDisabled) {
			rt.Fatal(err)
		}
	})
	if yes == 0 {
		t.Error("nobody ever had access")
	}
}

// intact reports whether a stream's own group leads to its own permission and to nothing else.
func intact(p *pallet, stream string) bool {
	e := idsOf(owner, device, stream)
	roles, permissions := p.held[Holding{rbac.GroupRole, e.group}], p.held[Holding{rbac.RolePermission, e.role}]
	return slices.Equal(roles, []rbac.ID{e.role}) && slices.Equal(permissions, []rbac.ID{e.permission}) &&
		p.entities[Ref{rbac.Group, e.group}].Enabled && p.entities[Ref{rbac.Role, e.role}].Enabled
}

func TestReadTakesOneRequest(t *testing.T) {
	p := newPallet(meta(t), owner)
	streams := []string{"a", "b"}
	grant(t, p, streams, "a", alice)
	b := view(t, p)
	s, err := Read(t.Context(), b, owner, device, streams, alice, bob)
	if err != nil || !has(s, alice, "a") || has(s, bob, "a") {
		t.Fatalf("%v", err)
	}
	if n := b.c.requests["raw"]; n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestReadIsBounded(t *testing.T) {
	p := newPallet(meta(t), owner)
	for i := range 4000 {
		id := rbac.ID{byte(i), byte(i >> 8), 9}
		p.entities[Ref{rbac.Group, id}] = rbac.Entity{ID: id, Enabled: true}
		h := Holding{rbac.UserGroup, rbac.UserID(alice)}
		p.held[h] = append(p.held[h], id)
	}
	if _, err := Read(t.Context(), view(t, p), owner, device, []string{"a"}, alice); !errors.Is(err, ErrTooMuch) {
		t.Errorf("error %v", err)
	}
	if _, err := Read(t.Context(), view(t, p), owner, device, []string{"Über"}, alice); err == nil {
		t.Error("a name that no stream can have")
	}
}

// An entry of another holder, or another entity's, opens nothing even when a node answers with it.
func TestMixedUpEntries(t *testing.T) {
	p := newPallet(meta(t), owner)
	grant(t, p, []string{"a"}, "a", alice)
	b := view(t, p)
	at := func(f fact) string {
		k, err := f.key(p.m, owner)
		if err != nil {
			t.Fatal(err)
		}
		return string(k)
	}
	b.kv[at(heldFact(rbac.UserGroup, rbac.UserID(bob)))] = b.kv[at(heldFact(rbac.UserGroup, rbac.UserID(alice)))]
	s, err := Read(t.Context(), b, owner, device, []string{"a"}, bob)
	if err != nil || has(s, bob, "a") {
		t.Errorf("bob has access: %v, error %v", has(s, bob, "a"), err)
	}
	e := idsOf(owner, device, "a")
	b.kv[at(entityFact(rbac.Group, e.group))] = b.kv[at(entityFact(rbac.Role, e.role))]
	if _, err := Read(t.Context(), b, owner, device, []string{"a"}, alice); err == nil {
		t.Error("a role was taken for a group")
	}
}

func TestReasons(t *testing.T) {
	streams := []string{"a"}
	e := idsOf(owner, device, "a")
	for name, c := range map[string]struct {
		change []metadata.Call
		want   string
	}{
		"group disabled":      {[]metadata.Call{rbac.Disable(rbac.Group, e.group)}, "group " + e.group.String() + " is disabled"},
		"role disabled":       {[]metadata.Call{rbac.Disable(rbac.Role, e.role)}, "role " + e.role.String() + " is disabled"},
		"permission disabled": {[]metadata.Call{rbac.Disable(rbac.Permission, e.permission)}, "the permission is disabled"},
		"not a member": {[]metadata.Call{rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(alice), Held: e.group})},
			"nothing assigned"},
	} {
		p := newPallet(meta(t), owner)
		grant(t, p, streams, "a", alice)
		if err := p.run(c.change...); err != nil {
			t.Fatal(err)
		}
		if ok, why := Decide(mustRead(t, p, streams, alice), alice, e.permission); ok || !strings.Contains(why, c.want) {
			t.Errorf("%s: %v, %s", name, ok, why)
		}
	}
	if got := fmt.Sprint(Path{Role: rbac.ID{1}}); !strings.HasPrefix(got, "role 0x01") {
		t.Errorf("path %s", got)
	}
}

func TestVouch(t *testing.T) {
	p, err := key.FromURI(key.Sr25519, "//Owner")
	if err != nil {
		t.Fatal(err)
	}
	name := VouchAttribute(device)
	if len(name) != 58 || !strings.HasPrefix(name, "iod-vouch/5") {
		t.Errorf("attribute %s of %d bytes", name, len(name))
	}
	calls, err := VouchCalls(p, device, nil, false)
	if err != nil || len(calls) != 1 || calls[0].Name != "add_attribute" {
		t.Fatalf("%v, %v", names(calls), err)
	}
	v, _ := calls[0].Args.Get("value")
	value := v.([]byte)
	if !document.VerifyVouch(p.Account(), device, string(value)) {
		t.Error("the vouch does not hold")
	}
	if calls, err = VouchCalls(p, device, &did.Attribute{Name: name, Value: value}, true); err != nil || calls != nil {
		t.Errorf("again: %v, %v", names(calls), err)
	}
	if calls, err = VouchCalls(p, device, &did.Attribute{Name: name, Value: []byte("a stranger's")}, true); err != nil || len(calls) != 1 || calls[0].Name != "update_attribute" {
		t.Errorf("over a stranger's: %v, %v", names(calls), err)
	}
	// Read back, as it is and overwritten.
	m := meta(t)
	k, err := did.StorageKey(m, p.Account(), name)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := m.StorageType(did.Pallet, "AttributeStore")
	if err != nil {
		t.Fatal(err)
	}
	for want, written := range map[string][]byte{string(value): value, "": []byte("0xdead")} {
		raw, err := m.Encode(id, metadata.Fields{{Name: "name", Value: []byte(name)}, {Name: "value", Value: written}, {Name: "validity", Value: uint32(did.Forever)}, {Name: "created", Value: uint64(1)}})
		if err != nil {
			t.Fatal(err)
		}
		b := &fakeBlock{c: newFakeChain(t), kv: map[string][]byte{string(k): raw}}
		if got, err := ReadVouch(t.Context(), b, p.Account(), device); err != nil || got != want {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
	if got, err := ReadVouch(t.Context(), &fakeBlock{c: newFakeChain(t)}, p.Account(), device); err != nil || got != "" {
		t.Errorf("absent: %q, %v", got, err)
	}
}
