package metadata

import (
	"fmt"
	"math/big"
	"reflect"
)

// Assigner is implemented by Go types that take a decoded value themselves.
type Assigner interface{ AssignScale(v any) error }

var (
	bigType      = reflect.TypeFor[big.Int]()
	assignerType = reflect.TypeFor[Assigner]()
)

// Assign copies a decoded value into dst (a pointer to a Go value): composites into structs by `scale:"name"` tag or
// snake_case of the field name, tuples into structs by position, Option into a pointer or value (None is nil or the zero
// value), Ok's payload for a Result, bytes into []byte, string or [N]byte, a variant into a string by its name, and
// anything into any or its own type. Fields of the value that the struct does not have are passed over; one that the
// struct has and the value lacks is a *ValueError, unless its tag says `scale:"name,optional"`. Byte strings are copied.
func Assign(dst, value any) error {
	r := reflect.ValueOf(dst)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return fmt.Errorf("metadata: assign: destination is %T, not a pointer", dst)
	}
	if err := assign(r.Elem(), value, 0); err != nil {
		return fmt.Errorf("metadata: assign to %s: %w", r.Type().Elem(), err)
	}
	return nil
}

func assign(dst reflect.Value, v any, depth int) error {
	if depth > maxDepth {
		return ErrTooDeep
	}
	if done, err := assignWhole(dst, v); done {
		return err
	}
	if dst.Kind() == reflect.Pointer {
		return assignPointer(dst, v, depth)
	}
	switch x := v.(type) {
	case nil:
		dst.SetZero()
		return nil
	case *Variant:
		return assignVariant(dst, x, depth)
	case uint64, int64, *big.Int:
		return assignInteger(dst, v)
	case bool:
		if dst.Kind() == reflect.Bool {
			dst.SetBool(x)
			return nil
		}
	case string:
		if dst.Kind() == reflect.String {
			dst.SetString(x)
			return nil
		}
	case []byte:
		return assignBytes(dst, x)
	case []any:
		return assignList(dst, x, depth)
	case Fields:
		return assignFields(dst, x, depth)
	}
	return misfit("%s does not go into %s", kindOf(v), dst.Type())
}

// assignWhole does what needs no look into the value: destinations that take it themselves, of its type, or of any.
func assignWhole(dst reflect.Value, v any) (done bool, err error) {
	if dst.CanAddr() && dst.Addr().Type().Implements(assignerType) {
		return true, dst.Addr().Interface().(Assigner).AssignScale(v)
	}
	src := reflect.ValueOf(v)
	switch {
	case src.IsValid() && src.Type() == dst.Type() && dst.Type() != reflect.TypeFor[[]byte]():
		dst.Set(src)
	case dst.Kind() != reflect.Interface || dst.NumMethod() != 0:
		return false, nil
	case src.IsValid():
		dst.Set(src)
	default:
		dst.SetZero()
	}
	return true, nil
}

func assignPointer(dst reflect.Value, v any, depth int) error {
	if x, ok := v.(*Variant); v == nil || ok && (x == nil || x.Name == "None" && len(x.Fields) == 0) {
		dst.SetZero()
		return nil
	}
	p := reflect.New(dst.Type().Elem())
	if err := assign(p.Elem(), v, depth+1); err != nil {
		return err
	}
	dst.Set(p)
	return nil
}

func assignVariant(dst reflect.Value, x *Variant, depth int) error {
	switch {
	case x == nil || x.Name == "None" && len(x.Fields) == 0 && dst.Type() != reflect.TypeFor[Variant]():
		dst.SetZero()
		return nil
	case dst.Type() == reflect.TypeFor[Variant]():
		dst.Set(reflect.ValueOf(*x))
		return nil
	case (x.Name == "Some" || x.Name == "Ok") && len(x.Fields) == 1:
		return assign(dst, x.Fields[0].Value, depth+1)
	case dst.Kind() == reflect.String && len(x.Fields) == 0:
		dst.SetString(x.Name)
		return nil
	}
	return misfit("variant %q does not go into %s", x.Name, dst.Type())
}

func assignInteger(dst reflect.Value, v any) error {
	x, ok := asBig(v)
	switch {
	case !ok:
		return misfit("no number")
	case dst.Type() == bigType:
		dst.Addr().Interface().(*big.Int).Set(x)
		return nil
	case dst.CanUint() && x.IsUint64() && !dst.OverflowUint(x.Uint64()):
		dst.SetUint(x.Uint64())
		return nil
	case dst.CanInt() && x.IsInt64() && !dst.OverflowInt(x.Int64()):
		dst.SetInt(x.Int64())
		return nil
	}
	return misfit("%s does not go into %s", x, dst.Type())
}

func assignBytes(dst reflect.Value, b []byte) error {
	switch {
	case dst.Kind() == reflect.String:
		dst.SetString(string(b))
		return nil
	case dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Uint8:
		dst.SetBytes(clone(b))
		return nil
	case dst.Kind() == reflect.Array && dst.Type().Elem().Kind() == reflect.Uint8 && dst.Len() == len(b):
		for i, x := range b {
			dst.Index(i).SetUint(uint64(x))
		}
		return nil
	}
	return misfit("%d bytes do not go into %s", len(b), dst.Type())
}

func assignList(dst reflect.Value, vs []any, depth int) error {
	switch {
	case dst.Kind() == reflect.Slice:
		dst.Set(reflect.MakeSlice(dst.Type(), len(vs), len(vs)))
	case dst.Kind() == reflect.Array && dst.Len() == len(vs):
	case dst.Kind() == reflect.Struct && dst.Type() != bigType:
		fs := make(Fields, len(vs))
		for i := range vs {
			fs[i].Value = vs[i]
		}
		return assignFields(dst, fs, depth)
	default:
		return misfit("a list of %d does not go into %s", len(vs), dst.Type())
	}
	for i, v := range vs {
		if err := assign(dst.Index(i), v, depth+1); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// assignFields fills a struct, by name where the fields have names, otherwise by position.
func assignFields(dst reflect.Value, fs Fields, depth int) error {
	if dst.Kind() != reflect.Struct || dst.Type() == bigType {
		return misfit("%d fields do not go into %s", len(fs), dst.Type())
	}
	ms := membersOf(dst.Type())
	if len(fs) > 0 && fs[0].Name == "" {
		if len(ms) != len(fs) {
			return misfit("%d values do not go into %s, which has %d fields", len(fs), dst.Type(), len(ms))
		}
		for i, x := range ms {
			if err := assign(dst.Field(x.index), fs[i].Value, depth+1); err != nil {
				return within(x.name, err)
			}
		}
		return nil
	}
	for _, x := range ms {
		v, ok := fs.Get(x.name)
		if !ok {
			if x.optional {
				continue
			}
			return &ValueError{Path: x.name, Problem: "is missing from the value"}
		}
		if err := assign(dst.Field(x.index), v, depth+1); err != nil {
			return within(x.name, err)
		}
	}
	return nil
}
