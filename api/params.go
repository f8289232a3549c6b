package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"iod/api/schema"
	"iod/spelling"
)

// A parameter's value has at most this many bytes.
const maxValue = 512

// spec is what everybody may know of a parameter.
type spec struct {
	Name    string
	Path    bool // of the path rather than of the query
	Header  bool // of the header: the route reads it itself
	Doc     string
	Example string
	Many    int // how often it may be given; 0: once
	Schema  schema.Schema
}

// field is a parameter as routes list them.
type field interface {
	about() *spec
	// parse reads the values given, of which there is at least one, and keeps what they say.
	parse(values []string, into args) error
}

// param is a parameter of values of one type.
type param[T any] struct {
	spec
	read func(string) (T, error)
}

func (p *param[T]) about() *spec { return &p.spec }

// args is what a request's parameters say, by name.
type args map[string]any

func (p *param[T]) parse(values []string, into args) error {
	if len(values) > max(p.Many, 1) {
		return wrong(p.Name, "given %d times, at most %d can be", len(values), max(p.Many, 1))
	}
	all := make([]T, 0, len(values))
	for _, s := range values {
		if len(s) > maxValue {
			return wrong(p.Name, "%d bytes are too many: at most %d", len(s), maxValue)
		}
		v, err := p.read(s)
		if err != nil {
			return wrong(p.Name, "%v", err)
		}
		all = append(all, v)
	}
	into[p.Name] = all
	return nil
}

// get returns the value, and whether the parameter was given.
func (p *param[T]) get(a args) (T, bool) {
	if all, ok := a[p.Name].([]T); ok {
		return all[0], true
	}
	var zero T
	return zero, false
}

// or returns the value, or the other one when the parameter was not given.
func (p *param[T]) or(a args, other T) T {
	if v, ok := p.get(a); ok {
		return v
	}
	return other
}

// ptr returns the value; nil when the parameter was not given.
func (p *param[T]) ptr(a args) *T {
	if v, ok := p.get(a); ok {
		return &v
	}
	return nil
}

// all returns the values; nil when the parameter was not given.
func (p *param[T]) all(a args) []T {
	all, _ := a[p.Name].([]T)
	return all
}

// wrong is the problem of a wrong parameter.
func wrong(name, format string, args ...any) error {
	return &Problem{Status: 400, Type: typeParameter, Title: "A parameter is wrong", Detail: fmt.Sprintf(format, args...), Parameter: strings.ToValidUTF8(clip(name, 64), "\uFFFD")}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

// parse reads the parameters of a request: those known, each no more often than it may be. Of several wrong ones always the same is told.
func parse(fields []field, query url.Values, path func(string) string) (args, error) {
	a := make(args, len(query)+1)
	for _, f := range fields {
		if s := f.about(); s.Path {
			if err := f.parse([]string{path(s.Name)}, a); err != nil {
				return nil, err
			}
		}
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		i := slices.IndexFunc(fields, func(f field) bool { return !f.about().Path && !f.about().Header && f.about().Name == name })
		if i < 0 {
			return nil, unknown(fields, name)
		}
		if err := fields[i].parse(query[name], a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func unknown(fields []field, name string) error {
	var known []string
	for _, f := range fields {
		if !f.about().Path && !f.about().Header {
			known = append(known, f.about().Name)
		}
	}
	if len(known) == 0 {
		return wrong(name, "no such parameter: there are none here")
	}
	if near := spelling.Nearest(name, slices.Values(known)); near != "" {
		return wrong(name, "no such parameter; did you mean %s?", near)
	}
	return wrong(name, "no such parameter; there are %s", strings.Join(known, ", "))
}

// readText takes any text.
func readText(s string) (string, error) { return s, nil }

var errBool = errors.New("is neither true nor false")

func readBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%.40q %w", s, errBool)
}

// number is a parameter that is a whole number from least to most.
func number(name, doc, example string, least, most int64) *param[int64] {
	return &param[int64]{
		spec: spec{Name: name, Doc: doc, Example: example, Schema: schema.Schema{"type": "integer", "minimum": least, "maximum": most}},
		read: func(s string) (int64, error) { return readNumber(s, least, most) },
	}
}

// boolean is a parameter that is true or false.
func boolean(name, doc string) *param[bool] {
	return &param[bool]{spec: spec{Name: name, Doc: doc, Example: "true", Schema: schema.Schema{"type": "boolean"}}, read: readBool}
}

// quoted shows what a client wrote, shortened.
func quoted(s string) string { return fmt.Sprintf("%.100q", s) }
