package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"iod/index"
	"iod/index/atlas"
)

// Atlas counts what searches find and gathers it for maps; *atlas.Atlas is one.
type Atlas interface {
	Ready() bool
	Count(ctx context.Context, q index.Query) (atlas.Count, error)
	Facets(ctx context.Context, q index.Query, top int) (atlas.Facets, error)
	Clusters(ctx context.Context, q index.Query, view index.Box, zoom int) (atlas.Map, error)
}

// facetGroup is one filter with what there is to choose from.
type facetGroup struct {
	Name, Title string
	Radio       bool // one of them, or none
	Items       []facetItem
	Rest        []facetItem // rarer ones, shown when asked for
	Open        bool        // one of Rest is on
	Others      int         // how many further values there are
}

// facetItem is one choice.
type facetItem struct {
	ID                 string // of its field
	Name, Value, Label string
	N                  string // how many there are; empty: not known
	Share              int    // of the most frequent one, percent
	On                 bool
	Radio              bool
	URL                string // of prices: the search with this band
}

// facetTop is how many values of a filter are listed, facetShown how many of them before one asks for more.
const (
	facetTop   = 60
	facetShown = 12
)

// mapped reports whether counts and clusters can be had.
func (s *site) mapped() bool { return s.Atlas != nil && s.Atlas.Ready() }

// count fills in how many devices there are by what, or only what is chosen while nothing counts.
func (s *site) count(ctx context.Context, p *searchPage, found index.Page) error {
	f := atlas.Facets{Count: atlas.Count{N: len(found.Found), Exact: found.Next == nil && p.Asked.query.After == nil}}
	if s.mapped() {
		var err error
		if f, err = s.Atlas.Facets(ctx, p.Asked.query, facetTop); err != nil {
			return fmt.Errorf("count: %w", err)
		}
	} else if p.Asked.query.After != nil {
		f.N = perPage + len(found.Found)
	}
	p.Count = countWords(f.N, !f.Exact)
	p.Groups = groups(p.Asked, f, s.mapped())
	p.Prices = bands(p.Asked, f.Prices)
	return nil
}

// countWords writes how many devices there are, or are at least.
func countWords(n int, more bool) string {
	if n == 0 && !more {
		return "No devices"
	}
	if more {
		return number(n) + "+ devices"
	}
	return plural(n, "device")
}

// howMany counts what a search finds: exactly where an atlas is at hand, else as far as one look tells.
func (s *site) howMany(ctx context.Context, q index.Query) (n int, more bool, err error) {
	if s.mapped() {
		c, err := s.Atlas.Count(ctx, q)
		return c.N, !c.Exact, err
	}
	q.Limit, q.After = 1, nil
	if q.Order == index.Nearest {
		q.Order = index.Newest
	}
	found, err := s.Reader.Search(ctx, q)
	if errors.Is(err, index.ErrTooBroad) {
		return 0, false, nil
	}
	return len(found.Found), found.Next != nil, err
}

func groups(a asked, f atlas.Facets, counted bool) []facetGroup {
	types := terms(a, "data_type", "What it measures", f.DataTypes)
	units := terms(a, "unit", "Unit", f.Units)
	kinds := terms(a, "kind", "How it comes", f.Kinds)
	if !counted {
		kinds.Items = nil
		for _, k := range []string{"mqtt", "http", "rtsp", "tcp", "udp"} {
			kinds.Items = append(kinds.Items, facetItem{Name: "kind", Value: k, On: slices.Contains(a.values["kind"], k)})
		}
	}
	for i := range types.Items {
		types.Items[i].Label = human(types.Items[i].Value)
	}
	for i := range units.Items {
		units.Items[i].Label = seen(units.Items[i].Value)
	}
	for i := range kinds.Items {
		kinds.Items[i].Label = seen(kindOf(kinds.Items[i].Value))
	}
	state := facetGroup{Name: "verified", Title: "Proof", Radio: true, Items: []facetItem{
		{Label: "Any", On: !a.values.Has("verified")},
		{Value: "true", Label: "Proven: signed by the device", N: number(f.Verified), On: a.values.Get("verified") == "true"},
		{Value: "false", Label: "Not signed", N: number(f.Unverified), On: a.values.Get("verified") == "false"}}}
	out := []facetGroup{types, kinds, units, state, ages(a, f.Ages)}
	for g := range out {
		for i := range out[g].Items {
			out[g].Items[i].Name, out[g].Items[i].Radio = out[g].Name, out[g].Radio
			if !counted {
				out[g].Items[i].N = ""
			}
			out[g].Items[i].ID = fmt.Sprintf("f-%s-%d", out[g].Name, i)
		}
		if all := out[g].Items; len(all) > facetShown+1 {
			out[g].Items, out[g].Rest = all[:facetShown], all[facetShown:]
			out[g].Open = slices.ContainsFunc(out[g].Rest, func(i facetItem) bool { return i.On })
		}
	}
	return out
}

func terms(a asked, name, title string, t atlas.Terms) facetGroup {
	g := facetGroup{Name: name, Title: title, Others: t.Others}
	most := 1
	for _, term := range t.Top {
		most = max(most, term.N)
	}
	seen := map[string]bool{}
	for _, term := range t.Top {
		if term.Value == "" {
			continue
		}
		seen[term.Value] = true
		g.Items = append(g.Items, facetItem{Value: term.Value, N: number(term.N), Share: share(term.N, most), On: slices.Contains(a.values[name], term.Value)})
	}
	for _, v := range a.values[name] { // chosen, though nothing has it
		if !seen[v] {
			g.Items = append(g.Items, facetItem{Value: v, N: "0", On: true})
		}
	}
	return g
}

// share is n of most in percent; a little is seen as something.
func share(n, most int) int {
	if n == 0 {
		return 0
	}
	return max(2, n*100/most)
}

func ages(a asked, counted []atlas.Age) facetGroup {
	g := facetGroup{Name: "since", Title: "Updated within", Radio: true, Items: []facetItem{{Label: "Any time", On: !a.values.Has("since")}}}
	known := !a.values.Has("since")
	for _, o := range sinces {
		item := facetItem{Value: o.Value, Label: o.Label, On: a.values.Get("since") == o.Value}
		known = known || item.On
		d, _ := time.ParseDuration(o.Value)
		for _, c := range counted {
			if c.Within == d && d != 0 {
				item.N = number(c.N)
			}
		}
		if item.N != "" || item.On || len(counted) == 0 {
			g.Items = append(g.Items, item)
		}
	}
	if !known {
		g.Items = append(g.Items, facetItem{Value: a.values.Get("since"), Label: a.values.Get("since"), On: true})
	}
	return g
}

// bands are the ranges of prices to choose from, as links.
func bands(a asked, all []atlas.Band) (items []facetItem) {
	most := 1
	for _, b := range all {
		most = max(most, b.N)
	}
	for _, b := range all {
		item := facetItem{N: number(b.N), Share: share(b.N, most)}
		lo, hi := decimal(b.Min), decimal(b.Max)
		switch {
		case lo == "" && hi == "":
			continue
		case hi == "0":
			item.Label = "Free"
		case lo == "":
			item.Label = "up to " + round(hi)
		case hi == "":
			item.Label = "from " + round(lo)
		default:
			item.Label = round(lo) + " – " + round(hi)
		}
		if item.On = a.values.Get("min_price") == lo && a.values.Get("max_price") == hi; item.On {
			lo, hi = "", ""
		}
		item.URL = a.url("min_price", lo, "max_price", hi)
		items = append(items, item)
	}
	return items
}

func decimal(p *index.Price) string {
	if p == nil {
		return ""
	}
	return p.String()
}
