package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"iod/api/dialect"
	"iod/api/schema"
	"iod/index"
	"iod/key"
)

// site is where dialects' links lead.
func (s *server) site(c *call) dialect.Site {
	site := dialect.Site{Base: s.base(c.r)}
	if c.state.Origin != nil {
		site.Genesis = c.state.Origin.Genesis
	}
	return site
}

// live is the listing of the path's device, which must be offered: what has ended is not described as if it could be had.
func (s *server) live(c *call) (*index.Listing, error) {
	l, err := s.listing(c)
	if err == nil && l.Status != index.Live {
		return nil, &Problem{Status: http.StatusGone, Detail: fmt.Sprintf("%s is offered no more: %s since block %d", l.Account.DID(), l.Status, l.EndedBlock)}
	}
	return l, err
}

func (s *server) thing(c *call) (reply, error) {
	l, err := s.live(c)
	if err != nil {
		return reply{}, err
	}
	return as(thingType, s.site(c).Thing(l))
}

func (s *server) async(c *call) (reply, error) {
	l, err := s.live(c)
	if err != nil {
		return reply{}, err
	}
	return as(asyncType, s.site(c).Async(l))
}

func (s *server) catalog(c *call) (reply, error) {
	q, err := queryOf(c.args, s.Now())
	if err != nil {
		return reply{}, err
	}
	found, err := s.reader.Search(c.r.Context(), q)
	if err != nil {
		return reply{}, err
	}
	listings := make([]*index.Listing, len(found.Found))
	for i, f := range found.Found {
		listings[i] = f.Listing
	}
	path := func(after string) string {
		v := url.Values{}
		for name, all := range c.query {
			if name != paramAfter.Name {
				v[name] = all
			}
		}
		if after != "" {
			v.Set(paramAfter.Name, after)
		}
		if len(v) == 0 {
			return "/catalog"
		}
		return "/catalog?" + v.Encode()
	}
	next := ""
	if found.Next != nil {
		next = path(formatMark(*found.Next, q))
		c.w.Header().Set("Link", "<"+s.base(c.r)+next+`>; rel="next"`)
	}
	return as(ldType, s.site(c).Catalog(listings, c.state.Committed, path(paramAfter.or(c.args, "")), path(""), next))
}

// The media types of dialects.
const (
	ldType         = "application/ld+json"
	thingType      = "application/td+json"
	asyncType      = "application/vnd.aai.asyncapi+json"
	didType        = "application/did+ld+json"
	resolutionType = `application/ld+json;profile="https://w3id.org/did-resolution"`
)

// paramIdentifier is taken as it is: what is wrong with it, the resolver says in its own form.
var paramIdentifier = &param[string]{read: readText, spec: spec{
	Name: "did", Path: true, Doc: "did:peaq with an address of any SS58 prefix, 0x-hex or a decimal number.", Example: "did:peaq:5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX",
	Schema: schema.Schema{"type": "string", "maxLength": maxValue},
}}

// resolve answers as the universal resolver does.
func (s *server) resolve(c *call) (reply, error) {
	c.w.Header().Add("Vary", "Accept")
	media, whole := representation(c.r.Header.Values("Accept"))
	asked, _ := paramIdentifier.get(c.args)
	if media == "" {
		return resolution(http.StatusNotAcceptable, resolutionType, dialect.Failed("representationNotSupported", "documents are had as "+didType+", resolutions as application/did-resolution"))
	}
	if media == didType && whole {
		media = resolutionType
	}
	errorType := media
	if !whole {
		errorType = resolutionType
	}
	method, rest, _ := strings.Cut(strings.TrimPrefix(asked, "did:"), ":")
	switch {
	case !strings.HasPrefix(asked, "did:") || rest == "":
		return resolution(http.StatusBadRequest, errorType, dialect.Failed("invalidDid", fmt.Sprintf("%.100q is no DID", asked)))
	case method != "peaq":
		return resolution(http.StatusNotImplemented, errorType, dialect.Failed("methodNotSupported", fmt.Sprintf("this resolver knows did:peaq, not did:%.40s", printed(method))))
	}
	a, err := key.ParseDID(asked)
	if err != nil {
		return resolution(http.StatusBadRequest, errorType, dialect.Failed("invalidDid", err.Error()))
	}
	l, err := s.reader.Get(c.r.Context(), a)
	if err != nil {
		return reply{}, err
	}
	r := s.site(c).Resolve(asked, a, l)
	if len(r.Document.Methods) == 0 { // bytes that are no key, and a chain that is not known by which they could be named
		return resolution(http.StatusNotFound, errorType, dialect.Failed("notFound", a.DID()+" has no document, and its account is no public key"))
	}
	status := http.StatusOK
	if r.Metadata.Deactivated {
		status = http.StatusGone
	}
	if !whole {
		rep, err := as(media, r.Document)
		rep.status = status
		return rep, err
	}
	return resolution(status, media, r)
}

func resolution(status int, media string, r dialect.Resolution) (reply, error) {
	rep, err := as(media, r)
	if rep.status = status; status >= 400 {
		rep.cache = "no-store"
	}
	return rep, err
}

// printed keeps what a client wrote to letters and digits.
func printed(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '?'
	}, s)
}

// representation chooses by the Accept header: a media type, and whether the whole resolution is asked for rather than the document
// alone. Without a wish it is the whole, as the universal resolver does. Empty: nothing that is acceptable can be had.
func representation(accept []string) (media string, whole bool) {
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return resolutionType, true
	}
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.Contains(strings.ReplaceAll(params, " ", ""), "q=0") && !strings.Contains(params, "q=0.") {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "application/did+ld+json", "application/did+json", "application/did":
			return strings.ToLower(strings.TrimSpace(name)), false
		case "application/ld+json":
			if params == "" || strings.Contains(params, "did-resolution") {
				return resolutionType, true
			}
		case "application/did-resolution", "application/did-resolution+json":
			return strings.ToLower(strings.TrimSpace(name)), true
		case "application/json":
			return jsonType, true
		case "*/*", "application/*":
			return resolutionType, true
		}
	}
	return "", false
}
