package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"

	"iod/api/schema"
)

//go:embed page.css
var pageStyle string

//go:embed page.html
var pageText string

// pagePolicy lets the page load nothing but the style that stands in it.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

type pageGroup struct {
	Name, Doc string
	Routes    []pageRoute
}

type pageRoute struct {
	*route
	Params  []pageParam
	Curl    string
	Answers []pageAnswer
	Errors  []pageError
}

type pageParam struct {
	Name, Kind, Doc, Example string
	Path, Header, Many       bool
}

type pageAnswer struct{ Media, Doc, Type, Anchor string }

type pageError struct {
	Status int
	Doc    string
}

type pageType struct {
	Name, Doc string
	Fields    []pageField
}

type pageField struct {
	Name, Kind, Anchor, Doc string
	Optional                bool
}

// pageOf renders the API document for people.
func pageOf(routes []*route, defs map[string]schema.Schema) []byte {
	t := template.Must(template.New("page").Parse(pageText))
	var groups []pageGroup
	for _, tag := range tags {
		g := pageGroup{Name: tag.Name, Doc: tag.Doc}
		for _, rt := range routes {
			if rt.Tag == tag.Name {
				g.Routes = append(g.Routes, pageRouteOf(rt))
			}
		}
		groups = append(groups, g)
	}
	var types []pageType
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		types = append(types, pageTypeOf(name, defs[name]))
	}
	var b bytes.Buffer
	err := t.Execute(&b, map[string]any{"Style": template.CSS(pageStyle), "Groups": groups, "Types": types, "Problems": problems})
	if err != nil {
		panic(err) // the template and what it shows are this program's own; the first test would find it
	}
	return b.Bytes()
}

func pageRouteOf(rt *route) pageRoute {
	p := pageRoute{route: rt}
	path, query := rt.Path, url.Values{}
	for _, f := range rt.Fields {
		s := f.about()
		p.Params = append(p.Params, pageParam{s.Name, limits(s.Schema), s.Doc, s.Example, s.Path, s.Header, s.Many > 0})
		if s.Path {
			path = strings.ReplaceAll(path, "{"+s.Name+"}", s.Example)
		} else if len(query) < 2 && !s.Header && s.Example != "" {
			query.Set(s.Name, s.Example)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	p.Curl = "curl -s 'http://127.0.0.1:8080" + path + "'"
	for _, a := range rt.Answers {
		kind, anchor := "", ""
		if a.Type != nil {
			kind, anchor = kindOf((&schema.Set{Prefix: schemasAt}).Of(a.Type))
		}
		p.Answers = append(p.Answers, pageAnswer{a.Media, a.Doc, kind, anchor})
	}
	for _, status := range rt.Errors {
		p.Errors = append(p.Errors, pageError{status, errorDocs[status]})
	}
	return p
}

func pageTypeOf(name string, def schema.Schema) pageType {
	t := pageType{Name: name}
	t.Doc, _ = def["description"].(string)
	required, _ := def["required"].([]string)
	properties, _ := def["properties"].(schema.Schema)
	for _, field := range slices.Sorted(maps.Keys(properties)) {
		p := properties[field].(schema.Schema)
		kind, anchor := kindOf(p)
		doc, _ := p["description"].(string)
		t.Fields = append(t.Fields, pageField{field, kind, anchor, doc, !slices.Contains(required, field)})
	}
	return t
}

// kindOf says in words what a schema takes, and which type it refers to.
func kindOf(p schema.Schema) (kind, anchor string) {
	if ref, ok := p["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, schemasAt)
		return name, name
	}
	if items, ok := p["items"].(schema.Schema); ok {
		kind, anchor = kindOf(items)
		return "list of " + kind, anchor
	}
	if values, ok := p["additionalProperties"].(schema.Schema); ok {
		kind, anchor = kindOf(values)
		return "map of " + kind, anchor
	}
	if any, ok := p["anyOf"].([]schema.Schema); ok && len(any) == 2 {
		kind, anchor = kindOf(any[0])
		return kind + " or null", anchor
	}
	return limits(p), ""
}

// limits says in words what a value may be.
func limits(p schema.Schema) string {
	kind, _ := p["type"].(string)
	if several, ok := p["type"].([]string); ok {
		kind = strings.Join(several, " or ")
	}
	if kind == "" {
		kind = "anything"
	}
	if enum, ok := p["enum"].([]string); ok {
		kind = strings.Join(enum, " | ")
	}
	if format, ok := p["format"].(string); ok {
		kind += ", " + format
	}
	least, lower := p["minimum"]
	most, upper := p["maximum"]
	switch {
	case lower && upper:
		kind += fmt.Sprintf(" from %v to %v", least, most)
	case upper:
		kind += fmt.Sprintf(" up to %v", most)
	}
	if n, ok := p["maxLength"]; ok {
		kind += fmt.Sprintf(", at most %v bytes", n)
	}
	if d, ok := p["default"]; ok {
		kind += fmt.Sprintf("; %v when absent", d)
	}
	return kind
}
