package rbac

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"iod/chain"
	"iod/key"
	"iod/metadata"
)

const shared = "../../../shared/peaq/"

func recordedMetadata(t testing.TB) *metadata.Metadata {
	t.Helper()
	b, err := os.ReadFile(shared + "metadata-v14.scale")
	if err != nil {
		t.Fatal(err)
	}
	m, err := metadata.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type vectors struct {
	Calls []struct {
		Name, Section, Method, Hex string
		Args                       json.RawMessage
	}
	Storage []struct {
		Name, Key, Value string
		Decoded          json.RawMessage
	}
	Blocks []struct {
		Name, EventsHex string
		Events          []struct {
			Pallet, Variant string
			Data            []any
		}
	}
}

func load(t testing.TB) *vectors {
	t.Helper()
	b, err := os.ReadFile(shared + "vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func id(t testing.TB, s string) ID {
	t.Helper()
	if strings.HasPrefix(s, "0x") {
		return ID(unhex(t, s))
	}
	a, err := key.ParseAccount(s)
	if err != nil {
		t.Fatal(err)
	}
	return ID(a)
}

func must(t testing.TB) func(metadata.Call, error) metadata.Call {
	return func(c metadata.Call, err error) metadata.Call {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func TestRecordedCalls(t *testing.T) {
	m, n := recordedMetadata(t), 0
	for _, c := range load(t).Calls {
		if c.Section != "peaqRbac" {
			continue
		}
		var args map[string]string
		if err := json.Unmarshal(c.Args, &args); err != nil {
			t.Fatal(err)
		}
		of := func(name string) ID { return id(t, args[name]) }
		var call metadata.Call
		switch c.Method {
		case "addPermission":
			call = must(t)(Add(Permission, of("permission_id"), args["name"]))
		case "addRole":
			call = must(t)(Add(Role, of("role_id"), args["name"]))
		case "addGroup":
			call = must(t)(Add(Group, of("group_id"), args["name"]))
		case "assignPermissionToRole":
			call = Assign(Assignment{RolePermission, of("role_id"), of("permission_id")})
		case "assignRoleToGroup":
			call = Assign(Assignment{GroupRole, of("group_id"), of("role_id")})
		case "assignUserToGroup":
			call = Assign(Assignment{UserGroup, of("user_id"), of("group_id")})
		case "unassignUserToGroup":
			call = Unassign(Assignment{UserGroup, of("user_id"), of("group_id")})
		case "disablePermission":
			call = Disable(Permission, of("permission_id"))
		case "fetchUserPermissions":
			call = FetchUserPermissions(key.AccountID(of("owner")), of("user_id"))
		default:
			t.Fatalf("%s: call %s", c.Name, c.Method)
		}
		if got, err := m.EncodeCall(call); err != nil || !bytes.Equal(got, unhex(t, c.Hex)) {
			t.Errorf("%s: %x, %v; want %s", c.Name, got, err, c.Hex)
		}
		n++
	}
	if n != 13 {
		t.Errorf("%d calls were compared", n)
	}
}

// Every call of the pallet can be made, under the names that its metadata has.
func TestEveryCallOfThePallet(t *testing.T) {
	m := recordedMetadata(t)
	one, two, owner := ID{1}, ID{2}, key.AccountID{3}
	var calls []metadata.Call
	for _, k := range []Kind{Role, Permission, Group} {
		calls = append(calls, must(t)(Add(k, one, "n")), must(t)(Update(k, one, "n")), Disable(k, one), Fetch(k, owner, one), FetchAll(k, owner))
	}
	for _, r := range []Relation{UserRole, UserGroup, GroupRole, RolePermission} {
		calls = append(calls, Assign(Assignment{r, one, two}), Unassign(Assignment{r, one, two}))
	}
	calls = append(calls, FetchUserRoles(owner, one), FetchUserGroups(owner, one), FetchUserPermissions(owner, one),
		FetchGroupRoles(owner, one), FetchGroupPermissions(owner, one), FetchRolePermissions(owner, one))
	made := map[string]bool{}
	for _, c := range calls {
		b, err := m.EncodeCall(c)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		back, err := m.DecodeCall(b)
		if err != nil || back.Name != c.Name {
			t.Errorf("%s: decodes to %v, %v", c.Name, back, err)
		}
		made[c.Name] = true
	}
	p, err := m.Pallet(Pallet)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Calls {
		if !made[c.Name] {
			t.Errorf("call %s cannot be made", c.Name)
		}
	}
	if len(p.Calls) != len(made) {
		t.Errorf("%d calls in the pallet, %d made", len(p.Calls), len(made))
	}
}

// Role and group, and role and permission, must not change places.
func TestAssignmentArguments(t *testing.T) {
	holder, held := ID{1}, ID{2}
	for r, want := range map[Relation]string{
		UserRole: "role_id=2 user_id=1", UserGroup: "user_id=1 group_id=2",
		GroupRole: "role_id=2 group_id=1", RolePermission: "permission_id=2 role_id=1",
	} {
		var got []string
		for _, f := range Assign(Assignment{r, holder, held}).Args {
			got = append(got, f.Name+"="+string('0'+f.Value.([]byte)[0]))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", r, got, want)
		}
	}
}

func TestNamesAreBounded(t *testing.T) {
	if _, err := Add(Role, ID{}, strings.Repeat("n", 64)); err != nil {
		t.Error(err)
	}
	if _, err := Update(Group, ID{}, strings.Repeat("n", 65)); err == nil {
		t.Error("a name of 65 bytes is taken")
	}
}

type fake struct {
	m     *metadata.Metadata
	kv    map[string][]byte
	err   error
	short bool
}

func (f *fake) Metadata(context.Context) (*metadata.Metadata, error) { return f.m, nil }
func (f *fake) Raw(_ context.Context, keys ...[]byte) ([]chain.KeyValue, error) {
	var out []chain.KeyValue
	for _, k := range keys {
		out = append(out, chain.KeyValue{Key: k, Value: f.kv[string(k)]})
	}
	if f.short {
		out = nil
	}
	return out, f.err
}

var (
	recordedGroup      = "0xc2bd9cfa80e210b378e2382c14414443db32fc3e02553ab7f31acabcd32fd478"
	recordedRole       = "0x5171944b2c1c816405fe9d3b2ac4160b83c0243e05bddcde499887a1d0d6fa48"
	recordedPermission = "0x6ee1af2066c6fa6c91456a0705f6a9cd9cf15d55a01878519860bd54f70bf5c0"
	recordedUser       = "0x90b5ab205c6974c9ea841be688864633dc9ca8a357843eeacf2314649965fe22"
)

func TestRecordedStorage(t *testing.T) {
	b := &fake{m: recordedMetadata(t), kv: map[string][]byte{}}
	for _, s := range load(t).Storage {
		if strings.HasPrefix(s.Name, "PeaqRbac.") {
			b.kv[string(unhex(t, s.Key))] = unhex(t, s.Value)
		}
	}
	if len(b.kv) != 6 {
		t.Fatalf("%d recorded entries", len(b.kv))
	}
	ctx := t.Context()
	alice := key.AccountID(id(t, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"))
	group, role, permission, user := id(t, recordedGroup), id(t, recordedRole), id(t, recordedPermission), id(t, recordedUser)
	wantGroup := Entity{group, "staex_iod_subscribers", true}
	if got, err := Entities(ctx, b, alice, Group); err != nil || !reflect.DeepEqual(got, []Entity{wantGroup}) {
		t.Errorf("groups %v, %v", got, err)
	}
	if got, err := Entities(ctx, b, alice, Permission); err != nil || !reflect.DeepEqual(got, []Entity{{permission, "staex_iod_mqtt_access", false}}) {
		t.Errorf("permissions %v, %v", got, err)
	}
	if got, err := Entities(ctx, b, alice, Role); err != nil || got != nil {
		t.Errorf("roles (not recorded) %v, %v", got, err)
	}
	if got, err := ReadEntity(ctx, b, alice, Group, group); err != nil || got == nil || *got != wantGroup {
		t.Errorf("group %v, %v", got, err)
	}
	if got, err := ReadEntity(ctx, b, alice, Role, group); err != nil || got != nil {
		t.Errorf("absent role %v, %v", got, err)
	}
	for _, want := range []Assignment{{UserGroup, user, group}, {GroupRole, group, role}, {RolePermission, role, permission}} {
		if got, err := Held(ctx, b, alice, want.Relation, want.Holder); err != nil || !reflect.DeepEqual(got, []Assignment{want}) {
			t.Errorf("%s: %v, %v", want.Relation, got, err)
		}
	}
	if got, err := Held(ctx, b, alice, UserRole, user); err != nil || got != nil {
		t.Errorf("absent: %v, %v", got, err)
	}
	b.short = true
	if _, err := Held(ctx, b, alice, UserRole, user); err == nil {
		t.Error("no answer was taken for an empty one")
	}
	b.short, b.err = false, errors.New("down")
	if _, err := Entities(ctx, b, alice, Role); !errors.Is(err, b.err) {
		t.Errorf("error %v", err)
	}
}

func TestHostileStorage(t *testing.T) {
	m := recordedMetadata(t)
	huge := make([]byte, maxStored+1)
	for _, raw := range [][]byte{{0xff}, {0x04}, {0xfe, 0xff, 0xff, 0xff}, huge} {
		if _, err := DecodeEntities(m, Role, raw); err == nil {
			t.Errorf("entities of %.8x decode", raw)
		}
		if _, err := DecodeAssignments(m, UserRole, raw); err == nil {
			t.Errorf("assignments of %.8x decode", raw)
		}
		if _, err := DecodeEntity(m, raw); err == nil {
			t.Errorf("entity of %.8x decodes", raw)
		}
	}
	// A list that is well-formed but longer than anything sane.
	many := append([]byte{0x02, 0x00, 0x01, 0x00}, make([]byte, 64*(1<<14))...)
	if _, err := DecodeAssignments(m, UserRole, many); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("16,384 pairs: %v", err)
	}
}

func TestRecordedEvents(t *testing.T) {
	m := recordedMetadata(t)
	n := 0
	for _, b := range load(t).Blocks {
		raw, err := m.DecodeEvents(unhex(t, b.EventsHex))
		if err != nil {
			t.Fatalf("%s: %v", b.Name, err)
		}
		got, err := Events(raw)
		if err != nil {
			t.Fatalf("%s: %v", b.Name, err)
		}
		for pos, e := range b.Events {
			if e.Pallet != "peaqRbac" || strings.HasPrefix(e.Variant, "Fetched") {
				continue
			}
			if len(got) == 0 {
				t.Fatalf("%s: too few events", b.Name)
			}
			g := got[0]
			got = got[1:]
			n++
			var ids []ID
			for _, d := range e.Data {
				if s := d.(string); len(s) == 66 || !strings.HasPrefix(s, "0x") {
					ids = append(ids, id(t, s))
				}
			}
			f := forms[e.Variant]
			want := Event{Verb: f.verb, Owner: key.AccountID(ids[0]), Variant: e.Variant, Extrinsic: 2, Index: pos}
			switch {
			case f.verb < Assigned:
				want.Kind, want.Entity = f.kind, ids[1]
				if f.verb != EntityDisabled {
					want.Name = string(unhex(t, e.Data[2].(string)))
				}
			case f.relation == UserGroup:
				want.Assignment = Assignment{UserGroup, ids[1], ids[2]}
			default:
				want.Assignment = Assignment{f.relation, ids[2], ids[1]}
			}
			if g != want {
				t.Errorf("%s: %+v, want %+v", b.Name, g, want)
			}
		}
		if len(got) != 0 {
			t.Errorf("%s: %d events too many", b.Name, len(got))
		}
	}
	if n != 9 {
		t.Errorf("%d events were compared", n)
	}
}

// The table of forms names every event of the pallet but those that only answer a fetch.
func TestEveryEventHasAForm(t *testing.T) {
	p, err := recordedMetadata(t).Pallet(Pallet)
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, e := range p.Events {
		if _, ok := forms[e.Name]; ok {
			known++
		} else if !strings.Contains(e.Name, "Fetched") {
			t.Errorf("event %s has no form", e.Name)
		}
	}
	if known != len(forms) {
		t.Errorf("%d of %d forms are events of the pallet", known, len(forms))
	}
}

func TestHostileEvents(t *testing.T) {
	for _, fields := range []metadata.Fields{nil, {{Value: make([]byte, 32)}}, {{Value: make([]byte, 31)}, {Value: make([]byte, 32)}}, {{Value: "x"}, {Value: uint64(1)}}} {
		e := metadata.Event{Pallet: Pallet, Name: "RoleRemoved", Fields: fields}
		if _, _, err := Decode(&e); err == nil {
			t.Errorf("%v decodes", fields)
		}
	}
}
