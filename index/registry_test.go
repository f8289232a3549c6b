package index

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
	"iod/scale"
)

func recorded(t *testing.T, file string) *metadata.Metadata {
	t.Helper()
	raw, err := os.ReadFile("../../shared/peaq/" + file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metadata.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stored is an entry of AttributeStore as the recorded runtime keeps it.
func stored(t *testing.T, m *metadata.Metadata, a key.AccountID, value []byte) chain.KeyValue {
	t.Helper()
	k, err := did.StorageKey(m, a, document.DeviceAttribute)
	if err != nil {
		t.Fatal(err)
	}
	b := scale.AppendVec(nil, []byte(document.DeviceAttribute))
	b = scale.AppendU32(scale.AppendVec(b, value), Never)
	return chain.KeyValue{Key: k, Value: scale.AppendU64(b, 1700000000000)}
}

func claim(t *testing.T, r *registry, kv chain.KeyValue) Claim {
	t.Helper()
	e, ok := r.event(kv)
	if !ok {
		t.Fatal("the entry of a device is passed over")
	}
	return Digest(Block{FromState: true, Events: []Event{e}})[0]
}

// TestWithoutOwnerStore: then a signed document is believed by its signature and its key, and an unsigned one is set aside.
func TestWithoutOwnerStore(t *testing.T) {
	foreign := registry{m: recorded(t, "other-runtimes/polkadot-v14.scale")}
	if err := foreign.readOwners(&census{m: foreign.m}); err != nil || foreign.doubt == "" {
		t.Fatalf("a runtime without OwnerStore: %v, doubt %q", err, foreign.doubt)
	}
	m := recorded(t, "metadata-v14.scale")
	r := &registry{m: m, known: foreign.known, doubt: foreign.doubt}
	p, err := key.FromURI(key.Ed25519, "//device")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := document.Device{Account: p.Account(), Node: p.NodeKey().ID(), DataType: "noise", Sequence: 7}.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	c := claim(t, r, stored(t, m, p.Account(), signed))
	if c.Account == nil || *c.Account != p.Account() || c.Reject != "" || c.Verdict.State != document.Verified || !c.Created.Equal(time.UnixMilli(1700000000000)) {
		t.Errorf("signed: %+v", c)
	}
	if out := Believe(nil, c); out.Action != Published {
		t.Errorf("signed: %+v", out)
	}
	if c := claim(t, r, stored(t, m, key.AccountID{1}, signed)); c.Account != nil || c.Reject == "" {
		t.Errorf("signed, under the key of another: %+v", c)
	}
	doc, err := document.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	doc.Signature = nil
	unsigned := doc.Encode()
	if c := claim(t, r, stored(t, m, p.Account(), unsigned)); c.Account == nil || !strings.Contains(c.Reject, "no OwnerStore") {
		t.Errorf("unsigned: %q of %v", c.Reject, c.Account)
	}
	known := &registry{m: m, known: map[[32]byte]owners{did.AttributeKey(p.Account(), document.DeviceAttribute): {account: p.Account()}}}
	if c := claim(t, known, stored(t, m, p.Account(), unsigned)); c.Reject != "" {
		t.Errorf("unsigned, and none but its own account may write: %q", c.Reject)
	}
	known.doubt = "an entry cannot be decoded"
	if c := claim(t, known, stored(t, m, p.Account(), unsigned)); !strings.Contains(c.Reject, known.doubt) {
		t.Errorf("unsigned, while the owners are in doubt: %q", c.Reject)
	}
}

// TestEventOfUnknownForm: an event of the registry without the known fields costs itself alone.
func TestEventOfUnknownForm(t *testing.T) {
	field := func(name string, v any) metadata.Field { return metadata.Field{Name: name, Value: v} }
	a := key.AccountID{1}
	good := metadata.Event{Pallet: did.Pallet, Name: "AttributeRemoved", Fields: metadata.Fields{field("who", a[:]), field("did_account", a[:]), field("name", []byte(document.DeviceAttribute))}}
	bad := metadata.Event{Pallet: did.Pallet, Name: "AttributeAdded", Fields: metadata.Fields{field("who", a[:]), field("novelty", uint32(1))}}
	bad.Phase.Kind, bad.Phase.Extrinsic = metadata.ApplyExtrinsic, 4
	if e, ok := eventOf(&good, 2, 10); !ok || e.Kind != Erased || *e.Account != a || e.Index != 2 {
		t.Errorf("of the known form: %+v", e)
	}
	e, ok := eventOf(&bad, 3, 10)
	if !ok || e.Kind != Undecodable || e.Doubt == "" || e.Index != 3 || e.Extrinsic != 4 {
		t.Fatalf("of another: %+v", e)
	}
	c := Digest(Block{Cursor: Cursor{Number: 10}, Events: []Event{e}})[0]
	if out := Believe(nil, c); out.Listing != nil || !strings.Contains(out.Aside, "undecodable") {
		t.Errorf("of another: %+v", out)
	}
	if e, ok := eventOf(&metadata.Event{Pallet: "Balances", Name: "Transfer"}, 0, 1); ok {
		t.Errorf("of another pallet: %+v", e)
	}
}

func TestSilent(t *testing.T) {
	for _, x := range []struct {
		err  error
		want bool
	}{
		{&chain.UnreachableError{}, true}, {&chain.EndpointError{Err: errors.New("hung up")}, true},
		{&undecodable{err: errors.New("short")}, false}, {metadata.ErrVersion, false},
	} {
		if silent(x.err) != x.want {
			t.Errorf("%v: silent is not %v", x.err, x.want)
		}
	}
}
