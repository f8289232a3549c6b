package api

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"

	"iod/index/market"
	"iod/index/sqlite"
	"iod/interop"
)

// A marketplace of plausible devices: every page in every order is what the document says, holds each device once, and those who made the languages
// read what we make of it.
func TestMarket(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := market.New(7, 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Fill(t.Context(), s, nil, nil); err != nil {
		t.Fatal(err)
	}
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(New(s, Options{}))
	defer srv.Close()
	w, c := &world{store: s, url: srv.URL}, newContract(t)
	var dids []string
	for _, order := range []string{"sort=newest", "sort=price", "sort=-price", "sort=distance&near=50,8"} {
		seen, placed := c.walk(w, order)
		if near := placed > 0; near && len(seen) != placed || !near && uint64(len(seen)) != st.Live {
			t.Errorf("%s: %d devices, %d of them placed, and there are %d", order, len(seen), placed, st.Live)
		}
		for did := range seen {
			dids = append(dids, did)
		}
	}
	ask := func(id, path string, header ...string) json.RawMessage {
		i := slices.IndexFunc(c.routes, func(rt *route) bool { return rt.ID == id })
		_, body := c.ask(w, c.routes[i], path, header...)
		return body
	}
	var things, asyncs, docs []json.RawMessage
	for _, did := range dids[:30] {
		things = append(things, ask("getThing", "/api/v1/devices/"+did+"/td"))
		asyncs = append(asyncs, ask("getAsyncAPI", "/api/v1/devices/"+did+"/asyncapi"))
		docs = append(docs, ask("resolveDID", "/1.0/identifiers/"+did, "Accept", didType))
	}
	catalog := ask("getCatalog", "/catalog?limit=100")
	if out := interop.NodeInput(t, encode(t, map[string]any{"td": things, "asyncapi": asyncs, "did": docs}), "dialects.mjs"); len(out) > 0 {
		t.Errorf("%s", out)
	}
	if out := interop.Python(t, encode(t, map[string]any{"catalog": []json.RawMessage{catalog}}), "documents.py"); len(out) > 0 {
		t.Errorf("%s", out)
	}
}

// walk goes through all pages of a search, checks each against the document, and returns whom it found, and how many with a distance. The newest
// are verified, too: the others are the same.
func (c *contract) walk(w *world, order string) (seen map[string]bool, placed int) {
	seen = map[string]bool{}
	for after := ""; ; {
		_, body := c.ask(w, c.routes[0], "/api/v1/devices?limit=37&document=true&"+order+after)
		var p Page
		if err := json.Unmarshal(body, &p); err != nil {
			c.t.Fatal(err)
		}
		for _, d := range p.Devices {
			if seen[d.DID] {
				c.t.Errorf("%s: %s is there twice", order, d.DID)
			}
			if seen[d.DID] = true; d.Distance != nil {
				placed++
			}
			if order != "sort=newest" {
				continue
			}
			if f, err := d.Verify(); err != nil || len(f.Differs) > 0 || string(f.Verdict.State) != d.State {
				c.t.Errorf("%s: %+v, %v", d.DID, f, err)
			}
		}
		if p.Next == "" {
			return seen, placed
		}
		after = "&after=" + p.Next
	}
}
