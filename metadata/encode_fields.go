package metadata

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"iod/spelling"
)

// composite encodes a composite from Fields, a map or a struct by name, or from a list by position.
func (e *encoder) composite(n *node, v any) error {
	switch x := v.(type) {
	case Fields:
		return e.fields(n.fields, x)
	case map[string]any:
		return e.fields(n.fields, fromMap(x))
	case nil:
		if len(n.fields) == 0 {
			return nil
		}
		return misfit("want %s, got nothing", e.m.short(n))
	}
	if len(n.fields) > 0 && n.fields[0].name == "" {
		return e.positional(n.fields, v)
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Struct || isInteger(v) {
		return misfit("want %s, got %s", e.m.short(n), kindOf(v))
	}
	fs, err := structMembers(r)
	if err != nil {
		return err
	}
	return e.fields(n.fields, fs)
}

func fromMap(x map[string]any) Fields {
	fs := make(Fields, 0, len(x))
	for k, v := range x {
		fs = append(fs, Field{k, v})
	}
	slices.SortFunc(fs, func(a, b Field) int { return strings.Compare(a.Name, b.Name) }) // errors come out the same each time
	return fs
}

// fields encodes members by name, in any order, or by position when none has a name.
func (e *encoder) fields(want []field, got Fields) error {
	if !inOrder(want, got) {
		var err error
		if got, err = arrange(want, got); err != nil {
			return err
		}
	}
	for i, f := range want {
		if err := e.value(f.typ, got[i].Value); err != nil {
			step := f.name
			if step == "" {
				step = fmt.Sprintf("[%d]", i)
			}
			if step == "[0]" && len(want) == 1 {
				return err // the payload of Id, Some, Ok needs no number
			}
			return within(step, err)
		}
	}
	return nil
}

// inOrder reports whether got is want member by member.
func inOrder(want []field, got Fields) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range got {
		if got[i].Name != want[i].name {
			return false
		}
	}
	return true
}

// arrange puts members into the order of the type, and tells which are missing, unknown, given twice or without a name.
func arrange(want []field, got Fields) (Fields, error) {
	named := 0
	for _, g := range got {
		if g.Name != "" {
			named++
		}
	}
	if named == 0 && len(got) == len(want) {
		return got, nil
	}
	if named < len(got) {
		return nil, misfit("want %s, got %d values, %d of them without a name", wanted(want), len(got), len(got)-named)
	}
	out := make(Fields, len(want))
	seen := make([]bool, len(want))
	for _, g := range got {
		i := slices.IndexFunc(want, func(f field) bool { return f.name == g.Name && f.name != "" })
		switch {
		case i < 0:
			return nil, unknownField(want, g.Name)
		case seen[i]:
			return nil, &ValueError{Path: g.Name, Problem: "is there twice"}
		}
		out[i], seen[i] = g, true
	}
	if i := slices.Index(seen, false); i >= 0 {
		if want[i].name == "" {
			return nil, misfit("want %s, got %d", wanted(want), len(got))
		}
		return nil, &ValueError{Path: want[i].name, Problem: "is missing"}
	}
	return out, nil
}

// wanted describes the members of a type.
func wanted(fs []field) string {
	var names []string
	for _, f := range fs {
		if f.name != "" {
			names = append(names, f.name)
		}
	}
	switch {
	case len(fs) == 0:
		return "no values"
	case len(names) == len(fs):
		return "the fields " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d values without names", len(fs))
}

func unknownField(want []field, name string) error {
	problem := "is superfluous: there are to be " + wanted(want)
	near := spelling.Nearest(name, func(yield func(string) bool) {
		for _, f := range want {
			if !yield(f.name) {
				return
			}
		}
	})
	if near != "" {
		problem = fmt.Sprintf("is not a field; did you mean %q?", near)
	}
	return &ValueError{Path: name, Problem: problem}
}

// member says how a field of a Go struct is called on the chain.
type member struct {
	name     string
	index    int
	optional bool
}

// membersOf reads the tags of a struct type: `scale:"name"`, `scale:"name,optional"` (Assign leaves the field alone
// when the value has none) and `scale:"-"`. Without a tag a field is called by its name in snake_case.
func membersOf(t reflect.Type) []member {
	if ms, ok := members.Load(t); ok {
		return ms.([]member)
	}
	var ms []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("scale"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = snake(f.Name)
		}
		ms = append(ms, member{name, i, option == "optional"})
	}
	members.Store(t, ms)
	return ms
}

// members keeps what membersOf found: a program has few struct types.
var members sync.Map

func structMembers(r reflect.Value) (Fields, error) {
	ms := membersOf(r.Type())
	fs := make(Fields, 0, len(ms))
	for _, x := range ms {
		v := r.Field(x.index)
		if x.optional && v.IsZero() {
			continue
		}
		fs = append(fs, Field{x.name, v.Interface()})
	}
	if len(fs) == 0 && r.NumField() > 0 {
		return nil, misfit("%s has no exported fields", r.Type())
	}
	return fs, nil
}

// snake turns ValidFor and DIDAccount into valid_for and did_account.
func snake(s string) string {
	upper := func(i int) bool { return i < len(s) && s[i] >= 'A' && s[i] <= 'Z' }
	var b strings.Builder
	for i := range len(s) {
		if upper(i) {
			if i > 0 && (!upper(i-1) || i+1 < len(s) && !upper(i+1)) && s[i-1] != '_' {
				b.WriteByte('_')
			}
			b.WriteByte(s[i] + 'a' - 'A')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
