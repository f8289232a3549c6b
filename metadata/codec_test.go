package metadata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"

	"iod/scale"
)

func TestV16(t *testing.T) {
	m, err := Parse(metadata16())
	if err != nil {
		t.Fatal(err)
	}
	x := m.SignedExtensions()
	if m.Version() != 16 || m.ExtrinsicVersion() != 4 || len(x) != 1 || x[0].Identifier != "CheckNonce" || x[0].Empty || !x[0].AdditionalEmpty {
		t.Errorf("V%d, extrinsic %d, extensions %+v", m.Version(), m.ExtrinsicVersion(), x)
	}
	b, err := m.EncodeCall(Call{"Game", "ping", Fields{{"n", 5}}})
	if err != nil || !bytes.Equal(b, []byte{9, 0, 5}) {
		t.Errorf("Game.ping is %x, %v", b, err)
	}
	if v, err := m.Decode(m.CallType(), []byte{9, 7}); err != nil || v.(Call).Name != "pong" {
		t.Errorf("Game.pong is %v, %v", v, err)
	}
	if v, err := m.Constant("Game", "Limit"); err != nil || v != uint64(9) {
		t.Errorf("Game.Limit = %v, %v", v, err)
	}
	if v, err := m.DecodeStorage("Game", "Score", nil); err != nil || v != uint64(5) {
		t.Errorf("default of Game.Score = %v, %v", v, err)
	}
	if e, err := m.ModuleError(9, 1); err != nil || e.Name != "Lost" {
		t.Errorf("error 9, 1 is %+v, %v", e, err)
	}
	if b, err := m.EncodeRuntimeCall("GameApi_score", make([]byte, 32)); err != nil || len(b) != 32 {
		t.Errorf("GameApi_score: %x, %v", b, err)
	}
	p := must(m.Pallet("Game"))
	if p.Docs != "A game." || p.Prefix != "Arena" || p.Storage[0].Hashers[0] != HashTwox64Concat {
		t.Errorf("pallet is %+v", p)
	}
	if _, err := m.DecodeEvents([]byte{0}); !errors.Is(err, ErrNotFound) {
		t.Errorf("events without System: %v", err)
	}
}

// TestEveryKindOfType pins the bytes of a value of each kind, both ways.
func TestEveryKindOfType(t *testing.T) {
	m := parsed(t,
		prim(0), prim(1), prim(2), prim(3), prim(4), prim(5), prim(6), prim(7), prim(8), // 0–8 bool char str u8 … u256
		prim(9), prim(10), prim(11), prim(12), prim(13), prim(14), // 9–14 i8 … i256
		composite("Lsb0"), composite("Msb0"), // 15, 16
		bitseq(3, 15), bitseq(3, 16), bitseq(4, 15), bitseq(4, 16), // 17–20
		tuple(), compact(21), compact(5), compact(7), // 21–24
		composite("Perbill", fld("", 5)), compact(25), seq(3), array(2, 3), seq(4), array(2, 4), tuple(3, 4), // 25–31
		composite("Pair", fld("a", 3), fld("b", 4)), composite("Two", fld("", 3), fld("", 4)), // 32, 33
		enum("Option", vrt("None", 0), vrt("Some", 1, fld("", 5))),           // 34
		enum("Gaps", vrt("B", 9, fld("x", 3)), vrt("A", 4, fld("", 3))),      // 35
		composite("One", fld("only", 5)),                                     // 36
		enum("Result", vrt("Ok", 0, fld("", 21)), vrt("Err", 1, fld("", 2))), // 37
		seq(25), array(3, 25), composite("Wrapped", fld("", 27)), compact(2), // 38–41
	)
	wideInt := new(big.Int).Lsh(big.NewInt(-1), 127)
	n := 0
	for _, c := range []struct {
		id  TypeID
		v   any
		hex string
	}{
		{0, true, "01"}, {1, "ß", "df000000"}, {2, "wind", "1077696e64"}, {3, uint64(7), "07"}, {4, uint64(258), "0201"},
		{5, uint64(1), "01000000"}, {6, uint64(math.MaxUint64), "ffffffffffffffff"}, {7, big.NewInt(256), "00010000000000000000000000000000"},
		{8, big.NewInt(1), "01" + fmt.Sprintf("%062x", 0)}, {9, int64(-1), "ff"}, {10, int64(-2), "feff"}, {11, int64(-3), "fdffffff"},
		{12, int64(math.MinInt64), "0000000000000080"}, {13, wideInt, "00000000000000000000000000000080"}, {13, big.NewInt(5), "05000000000000000000000000000000"},
		{17, []bool{true, false, true}, "0c05"}, {18, []bool{true, false, true}, "0ca0"}, {19, []bool{true, false, true}, "0c0500"},
		{20, []bool{true, false, true}, "0c00a0"}, {17, []bool{}, "00"},
		{21, []any{}, ""}, {22, []any{}, ""}, {23, uint64(64), "0101"}, {24, new(big.Int).Lsh(big.NewInt(1), 100), "2700000000000000000000000010"},
		{25, uint64(3), "03000000"}, {26, uint64(3), "0c"}, {27, []byte{1, 2}, "080102"}, {28, []byte{1, 2}, "0102"}, {27, []byte{}, "00"},
		{29, []any{uint64(1), uint64(2)}, "0801000200"}, {30, []any{uint64(1), uint64(2)}, "01000200"}, {31, []any{uint64(1), uint64(2)}, "010200"},
		{32, Fields{{"a", uint64(1)}, {"b", uint64(2)}}, "010200"}, {33, Fields{{"", uint64(1)}, {"", uint64(2)}}, "010200"},
		{34, &Variant{"None", 0, Fields{}}, "00"}, {34, &Variant{"Some", 1, Fields{{"", uint64(9)}}}, "0109000000"},
		{35, &Variant{"A", 4, Fields{{"", uint64(1)}}}, "0401"}, {35, &Variant{"B", 9, Fields{{"x", uint64(1)}}}, "0901"},
		{36, Fields{{"only", uint64(1)}}, "01000000"}, {37, &Variant{"Ok", 0, Fields{{"", []any{}}}}, "00"}, {37, &Variant{"Err", 1, Fields{{"", "no"}}}, "01086e6f"},
		{38, []any{uint64(1)}, "0401000000"}, {40, []byte{7}, "0407"},
	} {
		n++
		want, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Encode(c.id, c.v); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v encodes as %x, %v; want %s", m.Describe(c.id), c.v, got, err, c.hex)
		}
		if got, err := m.Decode(c.id, want); err != nil || !equal(got, c.v) {
			t.Errorf("%s: %s decodes as %#v, %v; want %#v", m.Describe(c.id), c.hex, got, err, c.v)
		}
	}
	if n != 43 {
		t.Errorf("checked %d values", n)
	}
	for _, id := range []TypeID{41, 42, NoType} {
		if _, err := m.Decode(id, []byte{0}); err == nil {
			t.Errorf("type %d has a value", id)
		}
		if _, err := m.Encode(id, 0); err == nil {
			t.Errorf("type %d encodes", id)
		}
	}
}

func equal(a, b any) bool {
	x, ok := a.(*big.Int)
	y, ok2 := b.(*big.Int)
	return ok && ok2 && x.Cmp(y) == 0 || reflect.DeepEqual(a, b)
}

func TestDecodeRefuses(t *testing.T) {
	m := parsed(t, prim(0), prim(1), prim(2), prim(3), compact(3), enum("E", vrt("A", 1)), composite("Lsb0"), bitseq(3, 6), prim(7), compact(8))
	for _, c := range []struct {
		id   TypeID
		hex  string
		want error
	}{
		{0, "02", scale.ErrBool}, {1, "00d80000", ErrMalformed}, {1, "00001100", ErrMalformed}, {2, "04ff", ErrMalformed},
		{3, "", scale.ErrShort}, {3, "0101", scale.ErrTrailing}, {4, "0104", scale.ErrOverflow}, {4, "0100", scale.ErrNotCanonical},
		{5, "00", ErrMalformed}, {5, "02", ErrMalformed}, {7, "0cff", ErrMalformed}, {7, "fc01", scale.ErrShort},
		{9, "37" + fmt.Sprintf("%032x", 0) + "01", scale.ErrOverflow},
	} {
		b := must(hex.DecodeString(c.hex))
		if v, err := m.Decode(c.id, b); !errors.Is(err, c.want) {
			t.Errorf("%s from %s: %v, %v; want %v", m.Describe(c.id), c.hex, v, err, c.want)
		}
	}
}

// TestMisfits pins the texts of errors about values: they are read by people.
func TestMisfits(t *testing.T) {
	m := peaq(t)
	id := make([]byte, 32)
	add := func(change func(map[string]any)) Call {
		args := map[string]any{"did_account": id, "name": "x", "value": []byte{1}, "valid_for": nil}
		change(args)
		return Call{"PeaqDid", "add_attribute", fromMap(args)}
	}
	remark := Call{"System", "remark", Fields{{"remark", 5}}}
	const at = "metadata: encode call "
	for _, c := range []struct {
		call Call
		want string
	}{
		{add(func(a map[string]any) { delete(a, "name") }), at + "PeaqDid.add_attribute: name: is missing"},
		{add(func(a map[string]any) { a["validfor"] = 1 }), at + `PeaqDid.add_attribute: validfor: is not a field; did you mean "valid_for"?`},
		{add(func(a map[string]any) { a["colour"] = 1 }),
			at + "PeaqDid.add_attribute: colour: is superfluous: there are to be the fields did_account, name, value, valid_for"},
		{add(func(a map[string]any) { a["did_account"] = id[:31] }), at + "PeaqDid.add_attribute: did_account: want AccountId32, got 31 bytes"},
		{add(func(a map[string]any) { a["did_account"] = "5Grw" }), at + "PeaqDid.add_attribute: did_account: want AccountId32, got a string of 4 bytes"},
		{add(func(a map[string]any) { a["valid_for"] = -1 }), at + "PeaqDid.add_attribute: valid_for: -1 is out of range of u32"},
		{add(func(a map[string]any) { a["valid_for"] = uint64(1 << 32) }), at + "PeaqDid.add_attribute: valid_for: 4294967296 is out of range of u32"},
		{add(func(a map[string]any) { a["valid_for"] = "soon" }), at + "PeaqDid.add_attribute: valid_for: want u32, got a string of 4 bytes"},
		{add(func(a map[string]any) { a["value"] = true }), at + "PeaqDid.add_attribute: value: want Vec<u8>, got bool"},
		{Call{"PeaqDid", "add_attribute", Fields{{"", id}, {"", "x"}}}, at + "PeaqDid.add_attribute: want the fields did_account, name, value, valid_for, got 2 values, 2 of them without a name"},
		{Call{"System", "remark", Fields{{"remark", "a"}, {"remark", "b"}}}, at + "System.remark: remark: is there twice"},
		{Call{"Utility", "batch_all", Fields{{"calls", []any{Call{"System", "remark", Fields{{"remark", "a"}}}, remark}}}},
			at + "Utility.batch_all: calls[1].remark: want Vec<u8>, got int"},
		{Call{"Utility", "batch_all", Fields{{"calls", []any{7}}}}, at + "Utility.batch_all: calls[0]: want a call, got int"},
		{Call{"Utility", "batch_all", Fields{{"calls", 7}}}, at + "Utility.batch_all: calls: want Vec<Call>, got int"},
		{Call{"Utility", "batch_all", Fields{{"calls", []Call{{Pallet: "System", Name: "remrk"}}}}},
			at + `Utility.batch_all: calls[0]: pallet System has no call "remrk"; did you mean "remark"?`},
		{Call{"Balances", "transfer", Fields{{"dest", id[:20]}, {"value", 1}}}, at + "Balances.transfer: dest: want MultiAddress, got 20 bytes"},
		{Call{"Balances", "transfer", Fields{{"dest", &Variant{Name: "ID"}}, {"value", 1}}}, at + `Balances.transfer: dest: MultiAddress has no variant "ID"; did you mean "Id"?`},
		{Call{"Balances", "transfer", Fields{{"dest", id}, {"value", new(big.Int).Lsh(big.NewInt(1), 128)}}},
			at + "Balances.transfer: value: 340282366920938463463374607431768211456 is out of range of Compact<u128>"},
		{Call{"Balances", "transfer", Fields{{"dest", id}, {"value", nil}}}, at + "Balances.transfer: value: want Compact<u128>, got nothing"},
	} {
		b, err := m.EncodeCall(c.call)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v (%x)\nwant %s", err, b, c.want)
		}
	}
	var v *ValueError
	if _, err := m.EncodeCall(remark); !errors.As(err, &v) || v.Path != "remark" {
		t.Errorf("the path is not to be had: %v", err)
	}
	if _, err := m.StorageKey("System", "Account", id, id); err == nil || err.Error() != "metadata: key of System.Account: want at most 1 keys, got 2" {
		t.Errorf("too many keys: %v", err)
	}
	if _, err := m.StorageKey("System", "Account", 1); err == nil || err.Error() != "metadata: key of System.Account: key 1: want AccountId32, got int" {
		t.Errorf("wrong key: %v", err)
	}
}

type accountID [32]byte

type planck struct{ v big.Int }

func (p planck) ScaleValue() any { return &p.v }

func (p *planck) AssignScale(v any) error { return Assign(&p.v, v) }

type attribute struct {
	DIDAccount accountID `scale:"did_account"`
	Name       string
	Value      []byte
	ValidFor   *uint32
	note       int
}

// TestConvenientValues encodes the recorded calls from what a Go program has at hand.
func TestConvenientValues(t *testing.T) {
	m := peaq(t)
	var id accountID
	for i := range id {
		id[i] = byte(i)
	}
	plain := Fields{{"did_account", id[:]}, {"name", []byte("n")}, {"value", []byte{1}}, {"valid_for", &Variant{Name: "Some", Fields: Fields{{"", uint64(5)}}}}}
	want := must(m.EncodeCall(Call{"PeaqDid", "add_attribute", plain}))
	five := uint32(5)
	s := attribute{id, "n", []byte{1}, &five, 0}
	fs, err := structMembers(reflect.ValueOf(s))
	if err != nil {
		t.Fatal(err)
	}
	for i, args := range []Fields{
		fs,
		{{"", id}, {"", "n"}, {"", []byte{1}}, {"", 5}},
		{{"valid_for", int8(5)}, {"value", [1]byte{1}}, {"name", "n"}, {"did_account", &id}},
	} {
		if got, err := m.EncodeCall(Call{"PeaqDid", "add_attribute", args}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d: %x, %v; want %x", i, got, err, want)
		}
	}
	dest := &Variant{Name: "Id", Fields: Fields{{"", id[:]}}}
	want = must(m.EncodeCall(Call{"Balances", "transfer", Fields{{"dest", dest}, {"value", big.NewInt(7)}}}))
	for _, d := range []any{id, &id, id[:], [32]byte(id), *dest} {
		for _, v := range []any{7, uint8(7), planck{*big.NewInt(7)}, *big.NewInt(7), &planck{*big.NewInt(7)}} {
			if got, err := m.EncodeCall(Call{"Balances", "transfer", Fields{{"dest", d}, {"value", v}}}); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%T and %T: %x, %v; want %x", d, v, got, err, want)
			}
		}
	}
	inner := Call{"System", "remark", Fields{{"remark", "x"}}}
	want = must(m.EncodeCall(Call{"Utility", "batch", Fields{{"calls", []any{inner, inner}}}}))
	for _, calls := range []any{[]Call{inner, inner}, []*Call{&inner, &inner}, [2]Call{inner, inner}} {
		if got, err := m.EncodeCall(Call{"Utility", "batch", Fields{{"calls", calls}}}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T: %x, %v; want %x", calls, got, err, want)
		}
	}
}

func TestEndlessValuesAreRefused(t *testing.T) {
	m := peaq(t)
	endless := []any{nil}
	endless[0] = Call{"Utility", "batch", Fields{{"calls", endless}}}
	if _, err := m.EncodeCall(endless[0].(Call)); !errors.Is(err, ErrTooDeep) {
		t.Errorf("a call that holds itself: %v", err)
	}
	var loop any
	loop = &loop
	if _, err := m.EncodeCall(Call{"System", "remark", Fields{{"remark", loop}}}); err == nil {
		t.Error("a pointer to itself encodes")
	}
}

func TestAssign(t *testing.T) {
	m, v := peaq(t), recorded(t)
	var got struct {
		Name     string
		Value    []byte
		Validity uint32
		Created  int64
		Extra    string `scale:"extra,optional"`
	}
	if err := Assign(&got, must(m.DecodeStorage("PeaqDid", "AttributeStore", v.Storage[0].Value))); err != nil {
		t.Fatal(err)
	}
	if got.Name != "staex-iod-device" || got.Validity != math.MaxUint32 || got.Created != 1795375970066 || len(got.Value) != 1320 {
		t.Errorf("attribute is %q, %d, %d, %d bytes", got.Name, got.Validity, got.Created, len(got.Value))
	}
	var account struct {
		Nonce uint32
		Data  struct{ Free, Reserved *big.Int }
	}
	if err := Assign(&account, must(m.DecodeStorage("System", "Account", v.Storage[1].Value))); err != nil || account.Nonce != 21 || account.Data.Free.String() != "1000043539948884995464219" {
		t.Errorf("account is %+v, %v", account, err)
	}
	type group struct {
		ID      accountID `scale:"id"`
		Name    string
		Enabled bool
	}
	var groups []group
	if err := Assign(&groups, must(m.DecodeStorage("PeaqRbac", "GroupStore", v.Storage[2].Value))); err != nil || len(groups) != 1 ||
		groups[0].Name != "staex_iod_subscribers" || !groups[0].Enabled || groups[0].ID[0] != 0xc2 {
		t.Errorf("groups are %+v, %v", groups, err)
	}
	some := &Variant{Name: "Some", Fields: Fields{{"", uint64(4)}}}
	var p *uint8
	var u uint8
	var free any
	var text string
	var pair struct{ A, B int }
	var fields Fields
	var amount planck
	for _, x := range []struct {
		dst, v any
		ok     func() bool
	}{
		{&p, some, func() bool { return *p == 4 }}, {&p, &Variant{Name: "None"}, func() bool { return p == nil }},
		{&u, some, func() bool { return u == 4 }}, {&u, nil, func() bool { return u == 0 }},
		{&free, some, func() bool { return free == some }}, {&text, &Variant{Name: "Staked"}, func() bool { return text == "Staked" }},
		{&u, &Variant{Name: "Ok", Fields: Fields{{"", uint64(9)}}}, func() bool { return u == 9 }},
		{&pair, []any{uint64(1), uint64(2)}, func() bool { return pair.A == 1 && pair.B == 2 }},
		{&amount, uint64(12), func() bool { return amount.v.Int64() == 12 }},
		{&fields, Fields{{"a", 1}}, func() bool { return len(fields) == 1 }},
	} {
		if err := Assign(x.dst, x.v); err != nil || !x.ok() {
			t.Errorf("%v into %T: %v", x.v, x.dst, err)
		}
	}
}

func TestAssignRefuses(t *testing.T) {
	var u uint8
	var s struct{ Name string }
	var id [4]byte
	var list []struct{ N uint8 }
	for _, c := range []struct {
		dst, v any
		want   string
	}{
		{u, uint64(1), "metadata: assign: destination is uint8, not a pointer"},
		{&u, uint64(256), "metadata: assign to uint8: 256 does not go into uint8"},
		{&u, "one", "metadata: assign to uint8: a string of 3 bytes does not go into uint8"},
		{&u, &Variant{Name: "Err", Fields: Fields{{"", uint64(1)}}}, `metadata: assign to uint8: variant "Err" does not go into uint8`},
		{&s, Fields{{"nome", "x"}}, "metadata: assign to struct { Name string }: name: is missing from the value"},
		{&s, Fields{{"name", true}}, "metadata: assign to struct { Name string }: name: bool does not go into string"},
		{&id, []byte{1}, "metadata: assign to [4]uint8: 1 bytes do not go into [4]uint8"},
		{&list, []any{Fields{{"n", uint64(1)}}, Fields{{"n", uint64(300)}}}, "metadata: assign to []struct { N uint8 }: [1].n: 300 does not go into uint8"},
	} {
		if err := Assign(c.dst, c.v); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestHashes(t *testing.T) {
	text := func(b []byte) string { return hex.EncodeToString(b) }
	t64, t128, t256 := Twox64([]byte("abc")), Twox128([]byte("System")), Twox256([]byte("abc"))
	b128, b256 := Blake2_128([]byte("abc")), Blake2_256([]byte("abc"))
	long := Twox64([]byte("Nobody inspects the spammish repetition"))
	for _, c := range []struct{ got, want string }{
		{text(t64[:]), "990977adf52cbc44"}, {text(t128[:]), "26aa394eea5630e07c48ae0c9558cef7"},
		{text(t256[:]), "990977adf52cbc440889329981caa9bef7da5770b2b8a05303b75d95360dd62b"},
		{text(b128[:]), "cf4ab791c62b8d2b2109c90275287816"},
		{text(b256[:]), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"},
		{text(long[:]), "f18b378a3ca8cefb"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	key := []byte{1, 2, 3}
	for h := range hashers {
		out := h.Append(nil, key)
		if want := h.size(); h.Readable() {
			want += len(key)
			if !bytes.HasSuffix(out, key) || len(out) != want {
				t.Errorf("%s: %x", h, out)
			}
		} else if len(out) != want {
			t.Errorf("%s: %x", h, out)
		}
	}
}
