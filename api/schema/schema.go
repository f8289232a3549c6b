// Package schema makes JSON Schema (draft 2020-12) from Go types, as encoding/json writes their values.
//
// Struct tags say what types don't:
//
//	doc      what the field is; a unit is appended to it
//	unit     of a number or decimal string; also as x-unit
//	enum     the values that there are, separated by commas
//	format   as in JSON Schema: date-time, uri, …
//	pattern  a regular expression for texts
//	min      the least value of a number
//	example  a value: JSON, or else a text
//
// A field is required unless it is left out when empty. A pointer that is not left out may be null. Named structs become definitions
// of a Set under their Go name and are referred to. A type that implements Describer says its schema itself; any other that marshals
// itself to text is a string.
package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Schema is a JSON Schema, ready for encoding/json.
type Schema = map[string]any

// Describer is implemented by types that say their schema themselves.
type Describer interface{ JSONSchema() Schema }

// Set collects the definitions that schemas refer to.
type Set struct {
	Prefix string            // of references, as "#/components/schemas/"
	Closed bool              // objects may have no other members: for tests
	Docs   map[string]string // what the types are, by their Go names
	Defs   map[string]Schema
}

var (
	describer  = reflect.TypeFor[Describer]()
	marshaler  = reflect.TypeFor[encoding.TextMarshaler]()
	timeType   = reflect.TypeFor[time.Time]()
	numberType = reflect.TypeFor[json.Number]()
	rawType    = reflect.TypeFor[json.RawMessage]()
)

// Of returns the schema of a type: a reference for a named struct.
func (s *Set) Of(t reflect.Type) Schema {
	switch {
	case t == timeType:
		return Schema{"type": "string", "format": "date-time"}
	case t == numberType:
		return Schema{"type": "number"}
	case t == rawType:
		return Schema{}
	case t.Kind() != reflect.Pointer && t.Implements(describer):
		return reflect.Zero(t).Interface().(Describer).JSONSchema()
	case t.Kind() != reflect.Pointer && t.Implements(marshaler):
		return Schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.Of(t.Elem())
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.String:
		return Schema{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return Schema{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Schema{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Schema{"type": "integer", "minimum": 0}
	case reflect.Interface:
		return Schema{}
	case reflect.Array:
		return Schema{"type": "array", "items": s.Of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Slice:
		return Schema{"type": "array", "items": s.Of(t.Elem())}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": s.Of(t.Elem())}
	case reflect.Struct:
		return s.define(t)
	}
	panic(fmt.Sprintf("schema: no JSON has the form of a %v", t)) // a mistake of this program, found by its first test
}

// define makes a definition of a struct and returns the reference to it.
func (s *Set) define(t reflect.Type) Schema {
	name := t.Name()
	if name == "" {
		return s.object(t)
	}
	if s.Defs == nil {
		s.Defs = map[string]Schema{}
	}
	if _, known := s.Defs[name]; !known {
		s.Defs[name] = nil // for types that hold themselves
		s.Defs[name] = s.object(t)
		if doc := s.Docs[name]; doc != "" {
			s.Defs[name]["description"] = doc
		}
	}
	return Schema{"$ref": s.Prefix + name}
}

func (s *Set) object(t reflect.Type) Schema {
	properties, required := Schema{}, []string{}
	s.fields(t, properties, &required)
	o := Schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	if s.Closed {
		o["additionalProperties"] = false
	}
	return o
}

// fields adds a struct's fields, and those of what it embeds.
func (s *Set) fields(t reflect.Type, properties Schema, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			e := f.Type
			if e.Kind() == reflect.Pointer {
				e = e.Elem()
			}
			s.fields(e, properties, required)
			continue
		case name == "-" || !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		p := s.Of(f.Type)
		if f.Type.Kind() == reflect.Pointer && !optional {
			p = nullable(p)
		}
		describe(p, f.Tag)
		properties[name] = p
		if !optional {
			*required = append(*required, name)
		}
	}
}

func nullable(p Schema) Schema {
	if kind, ok := p["type"].(string); ok {
		p["type"] = []string{kind, "null"}
		return p
	}
	return Schema{"anyOf": []Schema{p, {"type": "null"}}}
}

// describe adds what tags say. Enum, pattern, format and unit of a list are those of its items.
func describe(p Schema, tag reflect.StructTag) {
	doc := tag.Get("doc")
	of := p
	if items, ok := p["items"].(Schema); ok && items["$ref"] == nil {
		of = items
	}
	if unit := tag.Get("unit"); unit != "" {
		of["x-unit"] = unit
		doc = strings.TrimSpace(doc + " Unit: " + unit + ".")
	}
	if doc != "" {
		p["description"] = doc
	}
	if enum := tag.Get("enum"); enum != "" {
		of["enum"] = strings.Split(enum, ",")
	}
	for _, name := range []string{"format", "pattern"} {
		if v := tag.Get(name); v != "" {
			of[name] = v
		}
	}
	if least, err := strconv.ParseFloat(tag.Get("min"), 64); err == nil {
		of["minimum"] = least
	}
	if example := tag.Get("example"); example != "" {
		p["examples"] = []any{Value(example)}
	}
}

// Value reads a text as JSON, or else is the text. A text of digits only that does not fit its type has to be quoted.
func Value(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		return v
	}
	return text
}
