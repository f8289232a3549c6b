package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"

	"iod/key"
)

// unlistedPage is about a DID that has no listing and never had one.
type unlistedPage struct {
	DID    string
	Seal   template.HTML
	Asides []asideView // what stands under it, and why it is not believed
	Looked int         // how many of the newest records set aside were looked through
	Setup  []way
	Links  []wayOut
}

// asidesLooked is how many of the newest records that are set aside are looked through for those of one DID.
const asidesLooked = 100

// unlisted tells of a DID without a listing what is known of it all the same: why its records are not believed.
func (s *site) unlisted(ctx context.Context, a key.AccountID) (*answer, error) {
	found, err := s.Reader.Asides(ctx, 0, asidesLooked)
	if err != nil {
		return nil, fmt.Errorf("records set aside: %w", err)
	}
	p := unlistedPage{DID: a.DID(), Seal: seal(a), Looked: len(found), Links: []wayOut{{"DID document", "of the bare key, W3C, JSON-LD", "/1.0/identifiers/" + a.DID()}}}
	for _, aside := range found {
		if aside.Account != nil && *aside.Account == a {
			p.Asides = append(p.Asides, asideOf(aside))
		}
	}
	p.Setup = append(s.chainWay(), way{ID: "verify", Note: "Reads the chain itself, on your own machine.", Code: "iod did show " + a.DID()})
	f, err := s.framed(ctx, "No listing, "+short(a.String()), "devices")
	if err != nil {
		return nil, err
	}
	body, err := s.pages.render("unlisted", f, &p)
	return &answer{status: http.StatusNotFound, kind: htmlType, body: body}, err
}
