package metadata

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/mr-tron/base58"
)

// camel is how the recordings, made with polkadot.js, write the names of metadata.
func camel(s string) string {
	parts := strings.Split(strings.Trim(s, "_"), "_")
	for i, p := range parts {
		if p != "" && i > 0 {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return lowerFirst(strings.Join(parts, ""))
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// recordedBytes reads 0x-hex or an SS58 address.
func recordedBytes(s string) ([]byte, error) {
	if h, ok := strings.CutPrefix(s, "0x"); ok {
		return hex.DecodeString(h)
	}
	b, err := base58.Decode(s)
	if err != nil || len(b) != 35 {
		return nil, fmt.Errorf("%q is neither hex nor an address of 35 bytes", s)
	}
	return b[1:33], nil
}

// same compares a decoded value with what polkadot.js recorded of it as JSON and returns the first difference.
func same(want, got any) error {
	differ := fmt.Errorf("recorded %v, decoded %v", want, got)
	switch g := got.(type) {
	case bool:
		if want != g {
			return differ
		}
	case uint64, int64:
		return sameNumber(want, fmt.Sprint(g))
	case *big.Int:
		return sameNumber(want, g.String())
	case string:
		if want != g {
			return differ
		}
	case []byte:
		s, ok := want.(string)
		if !ok {
			return differ
		}
		if b, err := recordedBytes(s); err != nil || string(b) != string(g) {
			return fmt.Errorf("%w (%v)", differ, err)
		}
	case []any:
		list, ok := want.([]any)
		if !ok || len(list) != len(g) {
			return differ
		}
		for i := range g {
			if err := same(list[i], g[i]); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case Fields:
		return sameFields(want, g)
	case *Variant:
		return sameVariant(want, g)
	default:
		return differ
	}
	return nil
}

func sameNumber(want any, got string) error {
	var x big.Int
	s := fmt.Sprint(want)
	if _, ok := x.SetString(s, 0); !ok || x.String() != got {
		return fmt.Errorf("recorded number %s, decoded %s", s, got)
	}
	return nil
}

func sameFields(want any, got Fields) error {
	if len(got) == 1 && got[0].Name == "ref_time" { // polkadot.js shows this early form of Weight as the number inside
		return same(want, got[0].Value)
	}
	if len(got) == 0 && want == nil {
		return nil
	}
	if list, ok := want.([]any); ok && len(list) == len(got) && len(got) > 0 && got[0].Name == "" {
		for i := range got {
			if err := same(list[i], got[i].Value); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	}
	object, ok := want.(map[string]any)
	if !ok || len(object) != len(got) {
		return fmt.Errorf("recorded %v, decoded %v", want, got)
	}
	for _, f := range got {
		w, ok := object[camel(f.Name)]
		if !ok {
			return fmt.Errorf("field %q is not in %v", f.Name, want)
		}
		if err := same(w, f.Value); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func sameVariant(want any, got *Variant) error {
	switch {
	case got.Name == "None" && want == nil:
		return nil
	case got.Name == "Some" && want != nil:
		return same(want, got.Fields[0].Value)
	case len(got.Fields) == 0 && want == got.Name:
		return nil
	}
	object, ok := want.(map[string]any)
	if !ok || len(object) != 1 {
		return fmt.Errorf("recorded %v, decoded %+v", want, got)
	}
	inner, ok := object[lowerFirst(got.Name)]
	for k, v := range object { // the enums of calls have names in snake_case, and PCUnderflow becomes pcUnderflow
		if !ok && strings.EqualFold(k, camel(got.Name)) {
			inner, ok = v, true
		}
	}
	empty, _ := inner.(map[string]any)
	switch {
	case !ok:
		return fmt.Errorf("recorded %v, decoded variant %q", want, got.Name)
	case len(got.Fields) == 0 && len(empty) == 0:
		return nil
	case len(got.Fields) == 1 && got.Fields[0].Name == "":
		return same(inner, got.Fields[0].Value)
	}
	return sameFields(inner, got.Fields)
}

// fromHuman turns arguments as polkadot.js shows them to people into values that Encode takes.
func fromHuman(t *testing.T, m *Metadata, id TypeID, v any) any {
	t.Helper()
	n := &m.nodes[id]
	switch n.op {
	case opBytes:
		if s := v.(string); !strings.HasPrefix(s, "0x") {
			return s
		}
		return must(recordedBytes(v.(string)))
	case opFixed:
		return must(recordedBytes(v.(string)))
	case opUint, opCompact, opBigUint, opCompactBig:
		x, ok := new(big.Int).SetString(strings.ReplaceAll(fmt.Sprint(v), ",", ""), 0)
		if !ok {
			t.Fatalf("%v is no number", v)
		}
		return x
	case opBool:
		return v.(bool)
	case opOption:
		if v == nil {
			return nil
		}
		return fromHuman(t, m, n.variants[1].fields[0].typ, v)
	case opSeq:
		var list []any
		for _, x := range v.([]any) {
			list = append(list, fromHuman(t, m, n.elem, x))
		}
		return list
	case opTuple:
		var list []any
		for i, x := range v.([]any) {
			list = append(list, fromHuman(t, m, n.fields[i].typ, x))
		}
		return list
	case opComposite:
		object := make(map[string]any)
		for _, f := range n.fields {
			object[f.name] = fromHuman(t, m, f.typ, v.(map[string]any)[camel(f.name)])
		}
		return object
	case opEnum:
		if s, ok := v.(string); ok {
			return s
		}
		for name, x := range v.(map[string]any) {
			return &Variant{Name: name, Fields: Fields{{Value: fromHuman(t, m, byName(n.variants, name).fields[0].typ, x)}}}
		}
	case opCall:
		x := v.(map[string]any)
		return callFromHuman(t, m, x["section"].(string), x["method"].(string), x["args"])
	}
	t.Fatalf("no way to read %v as %s", v, m.Describe(id))
	return nil
}

func callFromHuman(t *testing.T, m *Metadata, section, method string, args any) Call {
	t.Helper()
	for _, p := range m.Pallets() {
		for _, c := range p.Calls {
			if lowerFirst(p.Name) != section || camel(c.Name) != method {
				continue
			}
			call := Call{Pallet: p.Name, Name: c.Name}
			given, _ := args.(map[string]any)
			for _, f := range c.Fields {
				v, ok := given[f.Name]
				if !ok {
					t.Fatalf("%s.%s: the recording has no %s", section, method, f.Name)
				}
				call.Args = append(call.Args, Field{f.Name, fromHuman(t, m, f.Type, v)})
			}
			if len(given) != len(c.Fields) {
				t.Fatalf("%s.%s: %d arguments recorded, %d in metadata", section, method, len(given), len(c.Fields))
			}
			return call
		}
	}
	t.Fatalf("no call %s.%s", section, method)
	return Call{}
}

func decodeJSON(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
