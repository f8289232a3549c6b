package devchain

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"

	"iod/scale"
)

const shared = "../../shared/peaq/"

// readShared reads a recorded file.
func readShared(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(shared + name)
	if err != nil {
		t.Fatalf("recorded data: %v", err)
	}
	return b
}

// rawType is a type as metadata holds it.
type rawType struct {
	path, shape string
	params      []string
}

// rawMeta is metadata V14 taken apart without the code under test.
type rawMeta struct {
	types   map[uint64]*rawType
	pallets map[string]map[string]string // pallet → item → rendering
	exts    []string
}

type rawReader struct {
	*scale.Reader
	m *rawMeta
}

func (r rawReader) docs() {
	for range r.Count(1) {
		r.Str()
	}
}

func (r rawReader) optStr() string {
	if r.Option() {
		return r.Str()
	}
	return ""
}

// A type's rendering holds references to other types as \x00id\x01, replaced once all are read.
func (r rawReader) ref() string { return fmt.Sprintf("\x00%d\x01", r.Compact()) }

func (r rawReader) fields() string {
	var s []string
	for range r.Count(1) {
		name, t, tn := r.optStr(), r.ref(), r.optStr()
		r.docs()
		s = append(s, name+":"+t+"["+tn+"]")
	}
	return strings.Join(s, ",")
}

func (r rawReader) typ() {
	id := r.Compact()
	var path, params []string
	for range r.Count(1) {
		path = append(path, r.Str())
	}
	for range r.Count(1) {
		name, t := r.Str(), "-"
		if r.Option() {
			t = r.ref()
		}
		params = append(params, name+"="+t)
	}
	x := &rawType{path: strings.Join(path, "::"), params: params}
	switch k := r.U8(); k {
	case 0:
		x.shape = "{" + r.fields() + "}"
	case 1:
		for range r.Count(1) {
			name, fields := r.Str(), r.fields()
			x.shape += fmt.Sprintf("|%d %s(%s)", r.U8(), name, fields)
			r.docs()
		}
	case 2:
		x.shape = "Vec " + r.ref()
	case 3:
		n := r.U32()
		x.shape = fmt.Sprintf("[%s; %d]", r.ref(), n)
	case 4:
		for range r.Count(1) {
			x.shape += "," + r.ref()
		}
		x.shape = "(" + x.shape + ")"
	case 5:
		x.shape = fmt.Sprintf("prim %d", r.U8())
	case 6:
		x.shape = "compact " + r.ref()
	case 7:
		x.shape = "bits " + r.ref() + r.ref()
	}
	r.docs()
	r.m.types[id] = x
}

func (r rawReader) pallet() {
	name := r.Str()
	items := map[string]string{}
	r.m.pallets[name] = items
	if r.Option() {
		items["prefix"] = r.Str()
		for range r.Count(1) {
			entry, s := r.Str(), fmt.Sprintf("mod %d ", r.U8())
			if r.U8() == 1 {
				s += fmt.Sprintf("hashers %v ", r.Vec())
				s += r.ref()
			}
			s += " -> " + r.ref()
			items["storage "+entry] = s + fmt.Sprintf(" default %x", r.Vec())
			r.docs()
		}
	}
	for _, part := range []string{"calls", "event"} {
		if r.Option() {
			items[part] = r.ref()
		}
	}
	for range r.Count(1) {
		c, t := r.Str(), r.ref()
		items["constant "+c] = t + fmt.Sprintf(" = %x", r.Vec())
		r.docs()
	}
	if r.Option() {
		items["error"] = r.ref()
	}
	items["index"] = fmt.Sprint(r.U8())
}

func parseRaw(t *testing.T, b []byte) *rawMeta {
	t.Helper()
	m := &rawMeta{types: map[uint64]*rawType{}, pallets: map[string]map[string]string{}}
	r := rawReader{scale.NewReader(b), m}
	if string(r.Bytes(4)) != "meta" || r.U8() != 14 {
		t.Fatal("not metadata V14")
	}
	for range r.Count(1) {
		r.typ()
	}
	for range r.Count(1) {
		r.pallet()
	}
	m.pallets["extrinsic"] = map[string]string{"type": r.ref(), "version": fmt.Sprint(r.U8())}
	for range r.Count(1) {
		m.exts = append(m.exts, r.Str()+" "+r.ref()+" "+r.ref())
	}
	r.ref()
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return m
}

// render writes a string out with its references resolved. Inside a type, the runtime's outer enums and a type that is being
// rendered already stand as their path.
func (m *rawMeta) render(s string, within map[string]bool) string {
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(s, "\x00")
		b.WriteString(before)
		if !more {
			return b.String()
		}
		ref, after, _ := strings.Cut(rest, "\x01")
		b.WriteString(m.renderRef(ref, within))
		s = after
	}
}

func (m *rawMeta) renderRef(ref string, within map[string]bool) string {
	id, _ := strconv.ParseUint(ref, 10, 64)
	x := m.types[id]
	if within[x.path] && x.path != "" && x.path != "Option" || x.path == "peaq_runtime::OriginCaller" {
		return x.path
	}
	if within == nil {
		within = map[string]bool{"peaq_runtime::Call": true, "peaq_runtime::Event": true}
	}
	if outer := within[x.path]; !outer {
		within[x.path] = true
		defer delete(within, x.path)
	}
	return m.render(x.path+"<"+strings.Join(x.params, ",")+">"+x.shape, within)
}

func TestMetadataIsTheRecordedOne(t *testing.T) {
	real := parseRaw(t, readShared(t, "metadata-v14.scale"))
	ours := parseRaw(t, runtime{spec: 1, tx: 1}.metadata(14))
	checked := 0
	for name, items := range ours.pallets {
		var names []string
		for item := range real.pallets[name] {
			names = append(names, item)
		}
		sort.Strings(names)
		if len(names) != len(items) {
			t.Errorf("%s has %d items, the recorded one %d", name, len(items), len(names))
		}
		for _, item := range names {
			if item == "constant Version" { // lists the runtime APIs, of which we have fewer
				continue
			}
			want, got := real.render(real.pallets[name][item], nil), ours.render(items[item], nil)
			if got != want {
				t.Errorf("%s %s:\n got %q\nwant %q", name, item, got, want)
			}
			checked++
		}
	}
	if len(ours.pallets) != 8 || checked < 75 {
		t.Errorf("%d pallets and %d items were compared", len(ours.pallets), checked)
	}
	for i, want := range real.exts {
		if got := ours.render(ours.exts[i], nil); got != real.render(want, nil) {
			t.Errorf("extension %d: %q, want %q", i, got, real.render(want, nil))
		}
	}
	checkOuterEnums(t, real, ours)
}

// checkOuterEnums compares the variants that our call and event enums have with the recorded ones.
func checkOuterEnums(t *testing.T, real, ours *rawMeta) {
	variants := func(m *rawMeta, path string) map[string]string {
		all := map[string]string{}
		for _, x := range m.types {
			if x.path == path {
				for _, v := range strings.Split(x.shape, "|")[1:] {
					all[v[:strings.IndexByte(v, '(')]] = m.render(v, nil)
				}
			}
		}
		return all
	}
	for path, n := range map[string]int{"peaq_runtime::Call": 6, "peaq_runtime::Event": 6} {
		want, got := variants(real, path), variants(ours, path)
		if len(got) != n {
			t.Errorf("%s has %d variants, want %d", path, len(got), n)
		}
		for name, v := range got {
			if want[name] != v {
				t.Errorf("%s %s:\n got %q\nwant %q", path, name, v, want[name])
			}
		}
	}
}
