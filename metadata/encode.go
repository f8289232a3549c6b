package metadata

import (
	"fmt"
	"math/big"
	"reflect"
	"unicode/utf8"

	"iod/scale"
	"iod/spelling"
)

// Valuer is implemented by Go types that stand for a chain value: ScaleValue returns what is encoded in their place,
// in a form that Encode takes.
type Valuer interface{ ScaleValue() any }

// encoder encodes values. Its errors are *ValueError with the path to the part that does not fit, or errors about
// names.
type encoder struct {
	m     *Metadata
	b     []byte
	depth int
}

func (e *encoder) value(id TypeID, v any) error {
	if e.depth++; e.depth > maxDepth {
		return ErrTooDeep
	}
	err := e.shaped(id, &e.m.nodes[id], v)
	e.depth--
	return err
}

func (e *encoder) shaped(id TypeID, n *node, v any) error {
	v = plainValue(v)
	switch n.op {
	case opBytes, opFixed:
		return e.bytes(n, v)
	case opUint, opCompact, opBigUint, opCompactBig, opInt, opBigInt:
		return e.integer(n, v)
	case opBool:
		x, ok := asBool(v)
		if !ok {
			return misfit("want bool, got %s", kindOf(v))
		}
		e.b = scale.AppendBool(e.b, x)
		return nil
	case opStr, opChar:
		return e.text(n, v)
	case opBits:
		return e.bits(n, v)
	case opSeq, opArray:
		return e.items(id, n, v)
	case opTuple:
		return e.tuple(n, v)
	case opComposite:
		return e.composite(n, v)
	case opCall:
		return e.call(v)
	case opOption:
		return e.option(id, n, v)
	case opEnum:
		return e.enum(id, n, v)
	}
	return misfit("type %d has no values", id)
}

// plainValue follows pointers and Valuers to what they stand for. A nil pointer is nil.
func plainValue(v any) any {
	for range 16 {
		switch x := v.(type) {
		case nil, Fields, []byte, string, uint64, bool, []any, Call:
			return v
		case *Variant: // the pointers that are values themselves
			if x == nil {
				return nil
			}
			return v
		case *big.Int:
			if x == nil {
				return nil
			}
			return v
		case Valuer:
			if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.IsNil() {
				return nil
			}
			v = x.ScaleValue()
			continue
		}
		r := reflect.ValueOf(v)
		if r.Kind() != reflect.Pointer {
			return v
		}
		if r.IsNil() {
			return nil
		}
		v = r.Elem().Interface()
	}
	return v
}

// kindOf describes a Go value for an error text, without what it holds.
func kindOf(v any) string {
	switch x := v.(type) {
	case nil:
		return "nothing"
	case []byte:
		return fmt.Sprintf("%d bytes", len(x))
	case string:
		return fmt.Sprintf("a string of %d bytes", len(x))
	case Fields:
		return fmt.Sprintf("%d fields", len(x))
	case []any:
		return fmt.Sprintf("a list of %d", len(x))
	case *Variant:
		return fmt.Sprintf("variant %q", x.Name)
	case Call:
		return fmt.Sprintf("call %s.%s", x.Pallet, x.Name)
	}
	return fmt.Sprintf("%T", v)
}

func asBool(v any) (b, ok bool) {
	if b, ok = v.(bool); ok {
		return b, true
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.Kind() == reflect.Bool {
		return r.Bool(), true
	}
	return false, false
}

func (e *encoder) bytes(n *node, v any) error {
	b, ok := asBytes(v)
	if s, text := v.(string); text && n.op == opBytes {
		e.b = scale.AppendStr(e.b, s)
		return nil
	}
	if !ok {
		return misfit("want %s, got %s", e.m.short(n), kindOf(v))
	}
	if n.op == opBytes {
		e.b = scale.AppendVec(e.b, b)
		return nil
	}
	if len(b) != int(n.n) {
		return misfit("want %s, got %d bytes", e.m.short(n), len(b))
	}
	e.b = append(e.b, b...)
	return nil
}

// asBytes returns the bytes of a []byte, an array of bytes, or a named type of either.
func asBytes(v any) ([]byte, bool) {
	switch x := v.(type) {
	case []byte:
		return x, true
	case [32]byte:
		return x[:], true
	}
	r := reflect.ValueOf(v)
	if !r.IsValid() || r.Kind() != reflect.Slice && r.Kind() != reflect.Array || r.Type().Elem().Kind() != reflect.Uint8 {
		return nil, false
	}
	b := make([]byte, r.Len())
	for i := range b {
		b[i] = byte(r.Index(i).Uint())
	}
	return b, true
}

func (e *encoder) text(n *node, v any) error {
	r := reflect.ValueOf(v)
	if !r.IsValid() || r.Kind() != reflect.String || !utf8.ValidString(r.String()) {
		return misfit("want UTF-8 text, got %s", kindOf(v))
	}
	if n.op == opStr {
		e.b = scale.AppendStr(e.b, r.String())
		return nil
	}
	c, size := utf8.DecodeRuneInString(r.String())
	if size == 0 || size != r.Len() {
		return misfit("want one character, got %s", kindOf(v))
	}
	e.b = scale.AppendU32(e.b, uint32(c))
	return nil
}

func (e *encoder) bits(n *node, v any) error {
	vs, ok := v.([]bool)
	if !ok {
		return misfit("want []bool, got %s", kindOf(v))
	}
	e.b = scale.AppendCompact(e.b, uint64(len(vs)))
	word := int(8 * n.n)
	b := make([]byte, (len(vs)+word-1)/word*word/8)
	for i, set := range vs {
		switch {
		case !set:
		case n.elem == 1:
			b[bitByte(n, uint64(i))] |= 0x80 >> (i % 8)
		default:
			b[i/8] |= 1 << (i % 8)
		}
	}
	e.b = append(e.b, b...)
	return nil
}

func (e *encoder) items(id TypeID, n *node, v any) error {
	vs, ok := v.([]any)
	if !ok {
		r := reflect.ValueOf(v)
		if !r.IsValid() || r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
			return misfit("want %s, got %s", e.m.name(id), kindOf(v))
		}
		vs = make([]any, r.Len())
		for i := range vs {
			vs[i] = r.Index(i).Interface()
		}
	}
	if n.op == opSeq {
		e.b = scale.AppendCompact(e.b, uint64(len(vs)))
	} else if len(vs) != int(n.n) {
		return misfit("want %s, got a list of %d", e.m.name(id), len(vs))
	}
	for i, x := range vs {
		if err := e.value(n.elem, x); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (e *encoder) tuple(n *node, v any) error {
	if v == nil && len(n.fields) == 0 {
		return nil
	}
	return e.positional(n.fields, v)
}

// positional encodes members that have no names from a list, an array, or Fields without names.
func (e *encoder) positional(fs []field, v any) error {
	var vs []any
	switch x := v.(type) {
	case []any:
		vs = x
	case Fields:
		return e.fields(fs, x)
	default:
		r := reflect.ValueOf(v)
		switch {
		case r.IsValid() && (r.Kind() == reflect.Slice || r.Kind() == reflect.Array):
			for i := range r.Len() {
				vs = append(vs, r.Index(i).Interface())
			}
		case r.IsValid() && r.Kind() == reflect.Struct:
			x, err := structMembers(r)
			if err != nil {
				return err
			}
			for _, f := range x {
				vs = append(vs, f.Value)
			}
		default:
			return misfit("want %d values, got %s", len(fs), kindOf(v))
		}
	}
	if len(vs) != len(fs) {
		return misfit("want %d values, got %d", len(fs), len(vs))
	}
	for i, f := range fs {
		if err := e.value(f.typ, vs[i]); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (e *encoder) call(v any) error {
	c, ok := v.(Call)
	if !ok {
		return misfit("want a call, got %s", kindOf(v))
	}
	p, err := e.m.pallet(c.Pallet)
	if err != nil {
		return err
	}
	vs := e.m.variants(p.calls)
	x := byName(vs, c.Name)
	if x == nil {
		return &NotFoundError{"call", c.Pallet, c.Name, spelling.Nearest(c.Name, variantNames(vs))}
	}
	e.b = append(e.b, p.index, x.index)
	return e.fields(x.fields, c.Args)
}

// option encodes nil as None, a *Variant called None or Some as what it says, and any other value as Some of it.
func (e *encoder) option(id TypeID, n *node, v any) error {
	if v == nil {
		e.b = append(e.b, 0)
		return nil
	}
	switch x := v.(type) {
	case *Variant:
		if x.Name == "None" || x.Name == "Some" {
			return e.enum(id, n, v)
		}
	case Variant:
		if x.Name == "None" || x.Name == "Some" {
			return e.enum(id, n, v)
		}
	}
	e.b = append(e.b, 1)
	return e.value(n.variants[1].fields[0].typ, v)
}

func (e *encoder) enum(id TypeID, n *node, v any) error {
	var name string
	var fields Fields
	switch x := v.(type) {
	case *Variant:
		name, fields = x.Name, x.Fields
	case Variant:
		name, fields = x.Name, x.Fields
	case string:
		name = x
	default:
		if b, ok := asBytes(v); ok && e.isID(n, b) {
			name, fields = "Id", Fields{{Value: b}}
			break
		}
		return misfit("want %s, got %s", e.m.name(id), kindOf(v))
	}
	x := byName(n.variants, name)
	if x == nil {
		problem := fmt.Sprintf("%s has no variant %q", e.m.name(id), name)
		if near := spelling.Nearest(name, variantNames(n.variants)); near != "" {
			problem += fmt.Sprintf("; did you mean %q?", near)
		}
		return misfit("%s", problem)
	}
	e.b = append(e.b, x.index)
	if err := e.fields(x.fields, fields); err != nil {
		return within(name, err)
	}
	return nil
}

// isID reports whether the bytes may stand for MultiAddress::Id.
func (e *encoder) isID(n *node, b []byte) bool {
	if n.last() != "MultiAddress" {
		return false
	}
	x := byName(n.variants, "Id")
	if x == nil || len(x.fields) != 1 {
		return false
	}
	id := &e.m.nodes[x.fields[0].typ]
	return id.op == opFixed && int(id.n) == len(b)
}
