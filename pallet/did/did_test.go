package did

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strconv"
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
	Accounts []struct{ Name, URI string }
	Calls    []struct {
		Name, Section, Method, Hex string
		Args                       map[string]any
	}
	Storage []struct{ Name, Key, Value string }
	Blocks  []struct {
		Name, EventsHex string
		Header          struct{ Number string }
		Events          []struct {
			Pallet, Variant string
			Data            []any
		}
	}
	Document struct{ Hex string }
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

func account(t testing.TB, s string) key.AccountID {
	t.Helper()
	a, err := key.ParseAccount(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRecordedCalls(t *testing.T) {
	m, n := recordedMetadata(t), 0
	for _, c := range load(t).Calls {
		if c.Section != "peaqDid" {
			continue
		}
		who, name := account(t, c.Args["did_account"].(string)), c.Args["name"].(string)
		var validFor *uint32
		if text, ok := c.Args["valid_for"].(string); ok {
			n, err := strconv.ParseUint(strings.ReplaceAll(text, ",", ""), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			u := uint32(n)
			validFor = &u
		}
		value := func() []byte { return unhex(t, c.Args["value"].(string)) }
		var call metadata.Call
		switch c.Method {
		case "addAttribute":
			call = AddAttribute(who, name, value(), validFor)
		case "updateAttribute":
			call = UpdateAttribute(who, name, value(), validFor)
		case "removeAttribute":
			call = RemoveAttribute(who, name)
		case "readAttribute":
			call = ReadAttribute(who, name)
		default:
			t.Fatalf("%s: call %s", c.Name, c.Method)
		}
		if got, err := m.EncodeCall(call); err != nil || !bytes.Equal(got, unhex(t, c.Hex)) {
			t.Errorf("%s: %x, %v; want %s", c.Name, got, err, c.Hex)
		}
		n++
	}
	if n != 11 {
		t.Errorf("%d calls were compared", n)
	}
}

// fake is a block that holds a few entries.
type fake struct {
	m   *metadata.Metadata
	kv  map[string][]byte
	err error
}

func (f *fake) Metadata(context.Context) (*metadata.Metadata, error) { return f.m, nil }
func (f *fake) Raw(_ context.Context, keys ...[]byte) ([]chain.KeyValue, error) {
	var out []chain.KeyValue
	for _, k := range keys {
		out = append(out, chain.KeyValue{Key: k, Value: f.kv[string(k)]})
	}
	return out, f.err
}

func TestRecordedStorage(t *testing.T) {
	v := load(t)
	b := &fake{m: recordedMetadata(t), kv: map[string][]byte{}}
	for _, s := range v.Storage {
		if strings.HasPrefix(s.Name, "PeaqDid.") {
			b.kv[string(unhex(t, s.Key))] = unhex(t, s.Value)
		}
	}
	recordedValue := unhex(t, v.Storage[0].Value)
	if len(b.kv) != 2 {
		t.Fatalf("%d recorded entries", len(b.kv))
	}
	ctx := t.Context()
	alice := account(t, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")
	a, err := Read(ctx, b, alice, "staex-iod-device")
	if err != nil || a == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	if a.Name != "staex-iod-device" || !bytes.Contains(recordedValue, a.Value) || len(a.Value) < 1000 || a.Validity != Forever || a.Created.Year() < 2024 {
		t.Errorf("%s: %d bytes, validity %d, created %s", a.Name, len(a.Value), a.Validity, a.Created)
	}
	if a, err := Read(ctx, b, alice, "absent"); a != nil || err != nil {
		t.Errorf("absent: %+v, %v", a, err)
	}
	if is, err := IsWriter(ctx, b, alice, alice); !is || err != nil {
		t.Errorf("IsWriter: %v, %v", is, err)
	}
	if is, err := IsWriter(ctx, b, key.AccountID{1}, alice); is || err != nil {
		t.Errorf("IsWriter of another: %v, %v", is, err)
	}
	k, err := StorageKey(b.m, alice, "other")
	if err != nil {
		t.Fatal(err)
	}
	for kk, v := range b.kv {
		if len(v) > 100 {
			b.kv[string(k)] = b.kv[kk] // a node that answers with another entry
		}
	}
	if _, err := Read(ctx, b, alice, "other"); err == nil {
		t.Error("another attribute was taken for the wanted one")
	}
	if _, err := DecodeAttribute(b.m, []byte{1, 2, 3}); err == nil {
		t.Error("garbage decodes")
	}
	if _, err := DecodeAttribute(b.m, make([]byte, maxStored+1)); err == nil {
		t.Error("a huge value decodes")
	}
	b.err = errors.New("down")
	if _, err := Read(ctx, b, alice, "x"); !errors.Is(err, b.err) {
		t.Errorf("error %v", err)
	}
}

func TestRecordedEvents(t *testing.T) {
	m := recordedMetadata(t)
	counts := map[Kind]int{}
	for _, b := range load(t).Blocks {
		raw, err := m.DecodeEvents(unhex(t, b.EventsHex))
		if err != nil {
			t.Fatalf("%s: %v", b.Name, err)
		}
		got, err := Events(raw)
		if err != nil {
			t.Fatalf("%s: %v", b.Name, err)
		}
		i := 0
		for pos, e := range b.Events {
			if e.Pallet != "peaqDid" || e.Variant == "AttributeRead" {
				continue
			}
			if i == len(got) {
				t.Fatalf("%s: %d events", b.Name, len(got))
			}
			g := got[i]
			i++
			counts[g.Kind]++
			if kinds[e.Variant] != g.Kind || g.Who != account(t, e.Data[0].(string)) || g.Account != account(t, e.Data[1].(string)) ||
				g.Name != string(unhex(t, e.Data[2].(string))) || g.Extrinsic != 2 || g.Index != pos {
				t.Errorf("%s: %+v, want %v", b.Name, g, e)
			}
			if g.Kind == Removed {
				continue
			}
			if !bytes.Equal(g.Value, unhex(t, e.Data[3].(string))) {
				t.Errorf("%s: value %x", b.Name, g.Value)
			}
			if f, ok := e.Data[4].(float64); ok != (g.ValidFor != nil) || ok && uint32(f) != *g.ValidFor {
				t.Errorf("%s: valid for %v, want %v", b.Name, g.ValidFor, e.Data[4])
			}
		}
		if i != len(got) {
			t.Errorf("%s: %d events, want %d", b.Name, len(got), i)
		}
	}
	if counts[Added] < 3 || counts[Updated] < 2 || counts[Removed] < 1 {
		t.Errorf("counts %v", counts)
	}
}

func TestEventsByName(t *testing.T) {
	who, other := make([]byte, 32), bytes.Repeat([]byte{1}, 32)
	e := metadata.Event{Pallet: Pallet, Name: "AttributeRemoved", Fields: metadata.Fields{{Name: "did_account", Value: other},
		{Name: "name", Value: []byte("x")}, {Name: "who", Value: who}}}
	got, ok, err := Decode(&e)
	if err != nil || !ok || got.Account != key.AccountID(other) || got.Who != (key.AccountID{}) || got.Name != "x" {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	e.Fields = e.Fields[:2]
	if _, _, err := Decode(&e); err == nil {
		t.Error("an event without a signer decodes")
	}
	if _, err := Events([]metadata.Event{e}); err == nil {
		t.Error("Events passed over it")
	}
	e.Fields = append(e.Fields, metadata.Field{Name: "who", Value: []byte{1}})
	if _, _, err := Decode(&e); err == nil {
		t.Error("an account of one byte decodes")
	}
	e.Pallet = "Other"
	if _, ok, err := Decode(&e); ok || err != nil {
		t.Errorf("another pallet's event: %v, %v", ok, err)
	}
	if Added.String() != "added" || Kind(9).String() != "kind 9" {
		t.Error("names of kinds")
	}
}

func TestValidity(t *testing.T) {
	ten, most := uint32(10), uint32(math.MaxUint32)
	for _, c := range []struct {
		validFor *uint32
		number   uint32
		want     uint32
	}{{nil, 5, Forever}, {&ten, 5, 15}, {&most, 5, Forever}, {&most, 0, Forever}} {
		if got := (&Event{ValidFor: c.validFor}).Validity(c.number); got != c.want {
			t.Errorf("%v at %d: %d, want %d", c.validFor, c.number, got, c.want)
		}
	}
	a := Attribute{Validity: 15}
	if a.Expired(15) || !a.Expired(16) || (&Attribute{Validity: Forever}).Expired(math.MaxUint32) {
		t.Error("expiry")
	}
}

func TestPut(t *testing.T) {
	a := key.AccountID{1}
	names := func(s Standing) (out []string) {
		for _, c := range Put(s, a, "n", []byte("v"), nil) {
			name, _ := c.Args.Get("name")
			out = append(out, c.Name+" "+string(name.([]byte)[:1]))
		}
		return out
	}
	for s, want := range map[Standing]string{
		{}:                           "add_attribute n",
		{Writer: true}:               "add_attribute n",
		{Exists: true, Writer: true}: "update_attribute n",
		{Exists: true}:               "add_attribute i,update_attribute n,remove_attribute i",
	} {
		if got := strings.Join(names(s), ","); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
	m := recordedMetadata(t)
	for _, c := range Put(Standing{Exists: true}, a, "n", []byte("v"), nil) {
		if _, err := m.EncodeCall(c); err != nil {
			t.Error(err)
		}
	}
}
