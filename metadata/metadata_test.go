package metadata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"iod/scale"
)

// The numbers are what the polkadot.js API finds in the same files.
func TestParsesRecordedMetadata(t *testing.T) {
	for _, c := range []struct {
		file                                                               string
		version                                                            uint8
		types, pallets, methods, calls, events, errors, storage, constants int
		extensions                                                         string
	}{
		{"metadata-v14.scale", 14, 420, 35, 0, 150, 182, 210, 134, 50,
			"CheckSpecVersion CheckTxVersion CheckGenesis CheckMortality CheckNonce CheckWeight ChargeTransactionPayment"},
		{"other-runtimes/polkadot-v14.scale", 14, 871, 57, 0, 328, 261, 430, 297, 115, polkadotExtensions},
		{"other-runtimes/polkadot-v15.scale", 15, 1081, 61, 107, 354, 311, 453, 344, 119, polkadotExtensions},
	} {
		m := load(t, c.file)
		var calls, events, errs, storage, constants int
		for _, p := range m.Pallets() {
			calls, events, errs = calls+len(p.Calls), events+len(p.Events), errs+len(p.Errors)
			storage, constants = storage+len(p.Storage), constants+len(p.Constants)
		}
		got := []int{int(m.Version()), len(m.nodes), len(m.Pallets()), len(m.RuntimeMethods()), calls, events, errs, storage, constants}
		want := []int{int(c.version), c.types, c.pallets, c.methods, c.calls, c.events, c.errors, c.storage, c.constants}
		if !slices.Equal(got, want) {
			t.Errorf("%s: version, types, pallets, methods, calls, events, errors, storage, constants are %v, want %v", c.file, got, want)
		}
		var names []string
		for _, x := range m.SignedExtensions() {
			names = append(names, x.Identifier)
		}
		if s := strings.Join(names, " "); s != c.extensions || m.ExtrinsicVersion() != 4 {
			t.Errorf("%s: extrinsic version %d with %s", c.file, m.ExtrinsicVersion(), s)
		}
		if a := m.Describe(m.AddressType()); !strings.HasPrefix(a, "enum MultiAddress { Id(AccountId32), Index(") {
			t.Errorf("%s: address is %s", c.file, a)
		}
	}
}

const polkadotExtensions = "CheckNonZeroSender CheckSpecVersion CheckTxVersion CheckGenesis CheckMortality CheckNonce CheckWeight " +
	"ChargeTransactionPayment PrevalidateAttests CheckMetadataHash"

func TestSignedExtensionsTellWhichAreEmpty(t *testing.T) {
	want := map[string][2]bool{
		"CheckNonZeroSender": {true, true}, "CheckSpecVersion": {true, false}, "CheckTxVersion": {true, false},
		"CheckGenesis": {true, false}, "CheckMortality": {false, false}, "CheckNonce": {false, true}, "CheckWeight": {true, true},
		"ChargeTransactionPayment": {false, true}, "PrevalidateAttests": {true, true}, "CheckMetadataHash": {false, false},
	}
	checked := 0
	for _, file := range []string{"metadata-v14.scale", "other-runtimes/polkadot-v14.scale", "other-runtimes/polkadot-v15.scale"} {
		m := load(t, file)
		for _, x := range m.SignedExtensions() {
			checked++
			if got := [2]bool{x.Empty, x.AdditionalEmpty}; got != want[x.Identifier] {
				t.Errorf("%s: %s is empty: %v, want %v", file, x.Identifier, got, want[x.Identifier])
			}
			if x.Empty {
				if v, err := m.Decode(x.Type, nil); err != nil {
					t.Errorf("%s: %s from no bytes: %v, %v", file, x.Identifier, v, err)
				}
			}
		}
	}
	if checked != 27 {
		t.Errorf("checked %d extensions, want 27", checked)
	}
}

func TestRecordedCalls(t *testing.T) {
	m, n := peaq(t), 0
	for _, c := range recorded(t).Calls {
		call := callFromHuman(t, m, c.Section, c.Method, decodeJSON(t, c.Args))
		checkCall(t, m, c.Name, call, c.Hex)
		n++
	}
	if n != 32 {
		t.Errorf("checked %d calls, want 32", n)
	}
}

// checkCall encodes a call, decodes it back, and encodes that again.
func checkCall(t *testing.T, m *Metadata, name string, call Call, want []byte) {
	t.Helper()
	got, err := m.EncodeCall(call)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: encodes as %x, %v; want %x", name, got, err, want)
		return
	}
	back, err := m.DecodeCall(got)
	if err != nil || back.Pallet != call.Pallet || back.Name != call.Name {
		t.Errorf("%s: decodes as %+v, %v", name, back, err)
		return
	}
	if again, err := m.EncodeCall(back); err != nil || !bytes.Equal(again, want) {
		t.Errorf("%s: what was decoded encodes as %x, %v", name, again, err)
	}
}

func TestPolkadotCalls(t *testing.T) {
	var v struct {
		Calls []struct {
			Pallet, Call string
			Human        struct{ Args json.RawMessage }
			Hex          hexBytes
		}
	}
	if err := json.Unmarshal(read(t, "other-runtimes/polkadot.json"), &v); err != nil {
		t.Fatal(err)
	}
	m, n := load(t, "other-runtimes/polkadot-v14.scale"), 0
	for _, c := range v.Calls {
		checkCall(t, m, c.Pallet+"."+c.Call, callFromHuman(t, m, c.Pallet, c.Call, decodeJSON(t, c.Human.Args)), c.Hex)
		n++
	}
	if n != len(v.Calls) || n < 10 {
		t.Errorf("checked %d calls", n)
	}
}

func TestRecordedEvents(t *testing.T) {
	m, n, fields := peaq(t), 0, 0
	names := make(map[string]bool)
	for _, b := range recorded(t).Blocks {
		es, err := m.DecodeEvents(b.EventsHex)
		if err != nil || len(es) != len(b.Events) {
			t.Errorf("%s: %d events of %d: %v", b.Name, len(es), len(b.Events), err)
			continue
		}
		for i, e := range es {
			want := b.Events[i]
			p := must(m.Pallet(e.Pallet))
			k := slices.IndexFunc(p.Events, func(x Item) bool { return x.Name == e.Name })
			if lowerFirst(e.Pallet) != want.Pallet || e.Name != want.Variant || [2]uint8{p.Index, p.Events[k].Index} != want.Index {
				t.Errorf("%s: event %d is %s.%s, want %s.%s", b.Name, i, e.Pallet, e.Name, want.Pallet, want.Variant)
			}
			if got := phaseJSON(e.Phase); got != strings.Join(strings.Fields(string(want.Phase)), "") {
				t.Errorf("%s: event %d in phase %s, want %s", b.Name, i, got, want.Phase)
			}
			checkFields(t, fmt.Sprintf("%s: event %d, %s.%s", b.Name, i, e.Pallet, e.Name), e.Fields, want.Data, want.Human)
			names[e.Pallet+"."+e.Name] = true
			fields += len(e.Fields)
			n++
		}
		if again, err := m.EncodeEvents(es); err != nil || !bytes.Equal(again, b.EventsHex) {
			t.Errorf("%s: the events encode otherwise: %v", b.Name, err)
		}
	}
	if n != 450 || len(names) != 28 || fields < 800 {
		t.Errorf("compared %d events of %d kinds with %d fields, want 450, 28 and many", n, len(names), fields)
	}
}

func phaseJSON(p Phase) string {
	switch p.Kind {
	case ApplyExtrinsic:
		return fmt.Sprintf(`{"applyExtrinsic":%d}`, p.Extrinsic)
	case Finalization:
		return `{"finalization":null}`
	default:
		return `{"initialization":null}`
	}
}

// checkFields compares the values with the recorded list and the names with the keys of the form for people.
func checkFields(t *testing.T, what string, got Fields, data []any, human any) {
	t.Helper()
	if len(got) != len(data) {
		t.Errorf("%s has %d fields, want %d", what, len(got), len(data))
		return
	}
	named, isNamed := human.(map[string]any)
	for i, f := range got {
		if err := same(data[i], f.Value); err != nil {
			t.Errorf("%s: field %d %s: %v", what, i, f.Name, err)
		}
		if !isNamed {
			if f.Name != "" {
				t.Errorf("%s: field %d is called %q, recorded without a name", what, i, f.Name)
			}
			continue
		}
		found := false
		for k := range named {
			found = found || strings.Trim(k, "_") == camel(f.Name)
		}
		if !found {
			t.Errorf("%s: field %q is not among %v", what, f.Name, named)
		}
	}
}

func TestRecordedStorage(t *testing.T) {
	m, n := peaq(t), 0
	for _, s := range recorded(t).Storage {
		pallet, item, _ := strings.Cut(s.Name, ".")
		value, keyTypes, err := m.StorageType(pallet, item)
		if err != nil || len(keyTypes) != len(s.Args) {
			t.Errorf("%s: %v, %d keys", s.Name, err, len(keyTypes))
			continue
		}
		var keys []any
		for i, a := range s.Args {
			keys = append(keys, fromHuman(t, m, keyTypes[i], a))
		}
		key, err := m.StorageKey(pallet, item, keys...)
		if err != nil || !bytes.Equal(key, s.Key) {
			t.Errorf("%s: key %x, %v; want %x", s.Name, key, err, s.Key)
		}
		if prefix := must(m.StorageKey(pallet, item)); len(prefix) != 32 || !bytes.HasPrefix(key, prefix) {
			t.Errorf("%s: prefix is %x", s.Name, prefix)
		}
		back, err := m.DecodeStorageKey(pallet, item, s.Key)
		if err != nil || len(back) != len(keys) || !reflect.DeepEqual(back, keys) {
			t.Errorf("%s: key reads as %v, %v; want %v", s.Name, back, err, keys)
		}
		v, err := m.DecodeStorage(pallet, item, s.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := same(s.Decoded, v); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if again, err := m.EncodeStorage(pallet, item, v); err != nil || !bytes.Equal(again, s.Value) {
			t.Errorf("%s: encodes as %x, %v", s.Name, again, err)
		}
		if again, err := m.Encode(value, v); err != nil || !bytes.Equal(again, s.Value) {
			t.Errorf("%s: encodes by type as %x, %v", s.Name, again, err)
		}
		n++
	}
	if n != 9 {
		t.Errorf("checked %d entries, want 9", n)
	}
}

func TestRecordedErrors(t *testing.T) {
	m, n := peaq(t), 0
	for _, p := range recorded(t).Errors {
		for _, e := range p.Errors {
			n++
			if got, err := m.ModuleError(p.Index, e.Index); err != nil || got.Pallet != p.Pallet || got.Name != e.Name {
				t.Errorf("error %d of pallet %d is %+v, %v; want %s.%s", e.Index, p.Index, got, err, p.Pallet, e.Name)
			}
		}
	}
	if n != 31 {
		t.Errorf("checked %d errors, want 31", n)
	}
	if e := must(m.ModuleError(4, 2)); e.Docs != "Balance too low to send value" {
		t.Errorf("docs of Balances.InsufficientBalance: %q", e.Docs)
	}
	for _, i := range [][2]uint8{{4, 200}, {99, 0}} {
		if _, err := m.ModuleError(i[0], i[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v: %v; want ErrNotFound", i, err)
		}
	}
}

func TestRecordedDispatchErrors(t *testing.T) {
	m := peaq(t)
	count := make(map[string]int)
	for _, b := range recorded(t).Blocks {
		for _, e := range must(m.DecodeEvents(b.EventsHex)) {
			for _, f := range e.Fields {
				if v, ok := f.Value.(*Variant); ok && v.Name == "Module" {
					x, err := m.DispatchError(v)
					if err != nil {
						t.Errorf("%s: %v", b.Name, err)
					}
					count[x.Pallet+"."+x.Name]++
				}
			}
		}
	}
	total := 0
	for _, c := range count {
		total += c
	}
	if total != 11 || count["PeaqDid.AttributeAlreadyExist"] != 1 || count["PeaqDid.AttributeNameExceedMax64"] != 1 {
		t.Errorf("%d dispatch errors: %v", total, count)
	}
	// The older form, a u8 behind the index, and errors that no pallet declares.
	for _, c := range []struct {
		v    *Variant
		want ErrorInfo
	}{
		{&Variant{Name: "Module", Fields: Fields{{"index", uint64(100)}, {"error", uint64(4)}}}, ErrorInfo{Pallet: "PeaqDid", Name: "AttributeNotFound"}},
		{&Variant{Name: "Module", Fields: Fields{{"", Fields{{"index", uint64(103)}, {"error", []byte{3, 0, 0, 0}}}}}}, ErrorInfo{Pallet: "PeaqRbac", Name: "EntityDisabled"}},
		{&Variant{Name: "BadOrigin"}, ErrorInfo{Name: "BadOrigin"}},
		{&Variant{Name: "Token", Fields: Fields{{"", &Variant{Name: "NoFunds"}}}}, ErrorInfo{Name: "Token.NoFunds"}},
	} {
		got, err := m.DispatchError(c.v)
		if got.Docs = ""; err != nil || got != c.want {
			t.Errorf("%+v is named %+v, %v", c.v, got, err)
		}
	}
	if _, err := m.DispatchError(&Variant{Name: "Module"}); err == nil {
		t.Error("a module error without index got a name")
	}
}

// TestRecordedRuntimeResults decodes the recorded results by the types that the storage of the pallets has: V14 does
// not describe runtime APIs.
func TestRecordedRuntimeResults(t *testing.T) {
	m := peaq(t)
	if _, err := m.EncodeRuntimeCall("AccountNonceApi_account_nonce", make([]byte, 32)); !errors.Is(err, ErrNoRuntimeAPI) {
		t.Errorf("V14: %v; want ErrNoRuntimeAPI", err)
	}
	types := map[string]string{
		"PeaqDIDApi_read": "PeaqDid.AttributeStore", "PeaqRBACRuntimeApi_fetch_groups": "PeaqRbac.GroupStore",
		"PeaqRBACRuntimeApi_fetch_user_groups":      "PeaqRbac.User2GroupStore",
		"PeaqRBACRuntimeApi_fetch_user_permissions": "PeaqRbac.PermissionStore",
	}
	n := 0
	for _, c := range recorded(t).RuntimeAPI {
		name, ok := types[c.Method]
		if !ok || len(c.Result) < 2 || strings.Contains(c.Method, "RBAC") && c.Result[0] != 0 {
			continue // Core_version and the nonce have no type in the metadata; None; Err
		}
		pallet, item, _ := strings.Cut(name, ".")
		id, _, err := m.StorageType(pallet, item)
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.Decode(id, c.Result[1:])
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if out, err := m.Encode(id, v); err != nil || !bytes.Equal(out, c.Result[1:]) {
			t.Errorf("%s: encodes otherwise: %v", c.Name, err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("decoded %d results, want 5", n)
	}
}

func TestRuntimeAPIOfV15(t *testing.T) {
	m := load(t, "other-runtimes/polkadot-v15.scale")
	account := [32]byte{1, 2, 3}
	b, err := m.EncodeRuntimeCall("AccountNonceApi_account_nonce", account)
	if err != nil || !bytes.Equal(b, account[:]) {
		t.Errorf("parameters of account_nonce: %x, %v", b, err)
	}
	if v, err := m.DecodeRuntimeResult("AccountNonceApi_account_nonce", []byte{21, 0, 0, 0}); err != nil || v != uint64(21) {
		t.Errorf("result of account_nonce: %v, %v", v, err)
	}
	at := &Variant{Name: "Signed", Fields: Fields{{Value: account}}}
	call := Call{"System", "remark", Fields{{"remark", "hi"}}}
	b, err = m.EncodeRuntimeCall("DryRunApi_dry_run_call", &Variant{Name: "system", Fields: Fields{{Value: at}}}, call, 3)
	if want := append(append([]byte{0, 1}, account[:]...), 0, 0, 8, 'h', 'i', 3, 0, 0, 0); err != nil || !bytes.Equal(b, want) {
		t.Errorf("parameters of dry_run_call: %x, %v; want %x", b, err, want)
	}
	_, err = m.EncodeRuntimeCall("AccountNonceApi_acount_nonce", account)
	if want := `metadata: no runtime API method "AccountNonceApi_acount_nonce"; did you mean "AccountNonceApi_account_nonce"?`; err == nil || err.Error() != want {
		t.Errorf("misspelt: %v", err)
	}
	_, err = m.EncodeRuntimeCall("AccountNonceApi_account_nonce")
	if want := `metadata: encode runtime call AccountNonceApi_account_nonce: want the fields account, got 0 values`; err == nil || err.Error() != want {
		t.Errorf("no arguments: %v", err)
	}
	if _, err := m.DecodeRuntimeResult("AccountNonceApi_account_nonce", []byte{1, 0, 0}); !errors.Is(err, scale.ErrShort) {
		t.Errorf("short result: %v", err)
	}
}

func TestConstantsAndDefaults(t *testing.T) {
	m := peaq(t)
	if v, err := m.Constant("System", "SS58Prefix"); err != nil || v != uint64(42) {
		t.Errorf("System.SS58Prefix = %v, %v", v, err)
	}
	if v, err := m.Constant("Balances", "ExistentialDeposit"); err != nil || v.(*big.Int).Sign() < 0 {
		t.Errorf("Balances.ExistentialDeposit = %v, %v", v, err)
	}
	n := 0
	for _, p := range m.Pallets() {
		for _, c := range p.Constants {
			v, err := m.Constant(p.Name, c.Name)
			if err != nil {
				t.Error(err)
				continue
			}
			if out, err := m.Encode(c.Type, v); err != nil || !bytes.Equal(out, c.Value) {
				t.Errorf("%s.%s encodes as %x, %v; want %x", p.Name, c.Name, out, err, c.Value)
			}
			n++
		}
		for _, s := range p.Storage {
			v, err := m.DecodeStorage(p.Name, s.Name, nil)
			if err != nil || s.Optional != (v == nil) {
				t.Errorf("default of %s.%s: %v, %v", p.Name, s.Name, v, err)
			}
			if out, err := m.EncodeStorage(p.Name, s.Name, v); !s.Optional && (err != nil || !bytes.Equal(out, s.Default)) {
				t.Errorf("default of %s.%s encodes as %x, %v", p.Name, s.Name, out, err)
			}
			n++
		}
	}
	if n != 50+134 {
		t.Errorf("checked %d constants and defaults, want %d", n, 50+134)
	}
}

func TestUnknownNames(t *testing.T) {
	m := peaq(t)
	for _, c := range []struct{ got, want string }{
		{errText(m.Constant("System", "SS58Prefx")), `metadata: pallet System has no constant "SS58Prefx"; did you mean "SS58Prefix"?`},
		{errText(m.StorageKey("Sytem", "Account")), `metadata: no pallet "Sytem"; did you mean "System"?`},
		{errText(m.StorageKey("System", "account")), `metadata: pallet System has no storage entry "account"; did you mean "Account"?`},
		{errText(m.DecodeStorage("PeaqDid", "Nothing", nil)), `metadata: pallet PeaqDid has no storage entry "Nothing"`},
		{errText(m.EncodeCall(Call{Pallet: "PeaqDid", Name: "addAttribute"})),
			`metadata: pallet PeaqDid has no call "addAttribute"; did you mean "add_attribute"?`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func errText[T any](_ T, err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
