package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"sync"

	"iod/api/schema"
	"iod/api/transport"
)

const schemasAt = "#/components/schemas/"

// openAPI makes the API document from the routes. closed: objects may have no other members than those that are described, for tests.
func openAPI(routes []*route, server string, closed bool) map[string]any {
	set := &schema.Set{Prefix: schemasAt, Closed: closed, Docs: typeDocs}
	problem := set.Of(problemType)
	paths := map[string]any{}
	for _, rt := range routes {
		paths[rt.Path] = map[string]any{"get": operation(rt, set, problem)}
	}
	var groups []map[string]any
	for _, t := range tags {
		groups = append(groups, map[string]any{"name": t.Name, "description": t.Doc})
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "iod index", "version": "1", "summary": "Devices of the Internet of Data on the peaq network",
			"description": "Read only. Errors are problem+json (RFC 9457) whose member parameter names the wrong one. Answers have weak ETags; HEAD and OPTIONS are answered " +
				"everywhere. Prices are decimal strings in PEAQ. Nothing here has to be believed: documents carry their own signature, and /proof says how to check it.",
		},
		"servers":    []map[string]any{{"url": server}},
		"tags":       groups,
		"paths":      paths,
		"components": map[string]any{"schemas": set.Defs},
	}
}

func operation(rt *route, set *schema.Set, problem schema.Schema) map[string]any {
	op := map[string]any{"operationId": rt.ID, "tags": []string{rt.Tag}, "summary": rt.Title, "responses": responses(rt, set, problem)}
	if rt.Doc != "" {
		op["description"] = rt.Doc
	}
	var params []map[string]any
	for _, f := range rt.Fields {
		params = append(params, parameterOf(f.about()))
	}
	if params != nil {
		op["parameters"] = params
	}
	return op
}

func parameterOf(p *spec) map[string]any {
	v := map[string]any{"name": p.Name, "in": "query", "description": p.Doc, "schema": p.Schema}
	if p.Path {
		v["in"], v["required"] = "path", true
	}
	if p.Header {
		v["in"] = "header"
	}
	if p.Many > 0 {
		v["schema"] = schema.Schema{"type": "array", "items": p.Schema, "maxItems": p.Many}
		v["style"], v["explode"] = "form", true
		if p.Example != "" {
			v["example"] = []string{p.Example}
		}
		return v
	}
	if p.Example != "" {
		v["example"] = exampleOf(p)
	}
	return v
}

// exampleOf is a parameter's example as a value of its schema.
func exampleOf(p *spec) any {
	switch p.Schema["type"] {
	case "integer", "number", "boolean":
		return schema.Value(p.Example)
	}
	return p.Example
}

// The errors that any route may answer; 400 comes with parameters.
var always = []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}

var errorDocs = map[int]string{
	400: "A parameter is wrong, or the query cannot be read.", 404: "There is no such device.", 406: "No such form can be had.", 410: "It has ended.",
	414: "The URL has more than 8192 bytes.", 422: "The search is too broad: narrow it, or choose another sort.", 429: "Too many requests of this client; Retry-After says when to try again.",
	500: "The server made a mistake.", 501: "This resolver does not know the DID's method.", 503: "The index cannot be read now, or too many requests are in work; Retry-After says when to try again.",
}

func responses(rt *route, set *schema.Set, problem schema.Schema) map[string]any {
	content := map[string]any{}
	for _, a := range rt.Answers {
		media := map[string]any{}
		switch {
		case a.Media == eventsType: // a schema would be of the whole stream
			media["x-event-data"] = set.Of(a.Type)
		case a.Type != nil:
			media["schema"] = set.Of(a.Type)
		}
		content[a.Media] = media
	}
	ok := map[string]any{"description": rt.Answers[0].Doc, "content": content}
	out := map[string]any{"200": ok}
	if rt.Fresh != changing {
		ok["headers"] = map[string]any{"ETag": map[string]any{"description": "Weak: the same as long as the answer is.", "schema": schema.Schema{"type": "string"}}}
		out["304"] = map[string]any{"description": "As If-None-Match has it."}
	}
	errs := append([]int{}, rt.Errors...)
	if len(rt.Fields) > 0 {
		errs = append(errs, http.StatusBadRequest, http.StatusRequestURITooLong)
	}
	for _, status := range append(errs, always...) {
		forms := map[string]any{transport.ProblemType: map[string]any{"schema": problem}}
		if rt.ID == "resolveDID" && (status < 414 || status == 501) { // in the resolver's own form
			for _, a := range rt.Answers {
				if a.Type != rt.Answers[0].Type && status != http.StatusGone {
					continue
				}
				forms[a.Media] = map[string]any{"schema": set.Of(a.Type)}
			}
		}
		if rt.ID == "getReady" && status == http.StatusServiceUnavailable {
			forms[jsonType] = map[string]any{"schema": set.Of(rt.Answers[0].Type)}
		}
		out[strconv.Itoa(status)] = map[string]any{"description": errorDocs[status], "content": forms}
	}
	return out
}

// describe makes the API document and its page, once: they don't change while the program runs.
func (s *server) describe() (doc, page transport.Answer) {
	server := s.PublicURL
	if server == "" {
		server = "/"
	}
	document := openAPI(s.routes, server, false)
	body, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		panic(err) // it is made of maps and texts; the first test would find it
	}
	html := pageOf(s.routes, document["components"].(map[string]any)["schemas"].(map[string]schema.Schema))
	return static(jsonType, append(body, '\n')), static("text/html; charset=utf-8", html)
}

func static(media string, body []byte) transport.Answer {
	sum := sha256.Sum256(body)
	return transport.Answer{Type: media, Tag: `W/"` + hex.EncodeToString(sum[:8]) + `"`, Cache: "max-age=300", Body: body}
}

func (s *server) serveOpenAPI(c *call) (reply, error) {
	transport.Send(c.w, c.r, s.openAPI)
	return reply{}, nil
}

func (s *server) servePage(c *call) (reply, error) {
	h := c.w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	transport.Send(c.w, c.r, s.page)
	return reply{}, nil
}

// buildID tells builds of the program apart, since they may write answers otherwise: its revision, or else the time of its file.
var buildID = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		revision, dirty := "", false
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				dirty = s.Value == "true"
			}
		}
		if len(revision) >= 8 && !dirty {
			return revision[:8]
		}
	}
	if exe, err := os.Executable(); err == nil {
		if st, err := os.Stat(exe); err == nil {
			return strconv.FormatInt(st.ModTime().Unix(), 36)
		}
	}
	return "1"
})

var problemType = reflect.TypeFor[Problem]()
