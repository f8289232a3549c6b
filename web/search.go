package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"iod/api"
	"iod/document"
	"iod/index"
	"iod/key"
)

// searchPage is what the search's templates show.
type searchPage struct {
	Asked   asked
	Place   string // what was typed as a place
	Wrong   *wrongParameter
	Fault   string  // name of the wrong parameter
	Right   string  // address of the search without what is wrong
	Keep    []field // parameters that the form has no field for
	Entries []entry
	Count   string // "1 234 devices"
	Next    string // address of the next page
	First   string // address of the first one, when this is not it
	Chips   []chip
	Groups  []facetGroup
	Prices  []facetItem
	Sorts   []option
	Withins []option
	Near    string // in words
	Empty   *emptiness
	Map     mapData
}

// chip is a filter that is on, with the address of the search without it.
type chip struct{ Name, Value, URL string }

type option struct {
	Value, Label string
	On           bool
}

// emptiness helps where nothing was found.
type emptiness struct {
	Title, Text string
	Nearest     *entry
	NearestURL  string // the search, wide enough for it
	Ways        []wayOut
}

// wayOut is a wider search that finds something.
type wayOut struct{ Label, Count, URL string }

func (s *site) search(ctx context.Context, r *http.Request) (*answer, error) {
	return s.market(ctx, r, "search")
}

func (s *site) results(ctx context.Context, r *http.Request) (*answer, error) {
	return s.market(ctx, r, "results")
}

// market answers a search, as a page or as its parts.
func (s *site) market(ctx context.Context, r *http.Request, template string) (*answer, error) {
	v := r.URL.Query()
	if a, ok := accountIn(v.Get("q")); ok && template == "search" {
		return &answer{redirect: "/d/" + a.DID()}, nil
	}
	var page searchPage
	var err error
	if page.Place = strings.TrimSpace(v.Get("place")); page.Place != "" {
		near, km, err := around(page.Place)
		if err == nil {
			v.Del("place")
			v.Del("bbox")
			v.Set("near", near)
			v.Set("within", strconv.FormatFloat(km, 'g', -1, 64))
			to, _ := ask(v, s.Now()) // what is wrong is told there
			return &answer{redirect: r.URL.Path + to.with()}, nil
		}
		errors.As(err, &page.Wrong)
	}
	if page.Asked, err = ask(v, s.Now()); err != nil && !errors.As(err, &page.Wrong) {
		return nil, err
	}
	status := http.StatusOK
	if page.Wrong != nil {
		status = http.StatusBadRequest
		if err := s.refuse(ctx, &page, v); err != nil {
			return nil, err
		}
	} else if err := s.find(ctx, &page); err != nil {
		return nil, err
	}
	page.describe()
	if err := s.mapOf(ctx, &page); err != nil {
		return nil, err
	}
	f, err := s.framed(ctx, page.title(), "devices")
	if err != nil {
		return nil, err
	}
	f.Query = page.Asked.Get("q")
	body, err := s.pages.render(template, f, &page)
	return &answer{status: status, kind: htmlType, body: body}, err
}

// refuse fills in a page whose address is wrong: nothing is listed, but the form is whole, with counts for what of it is right.
func (s *site) refuse(ctx context.Context, p *searchPage, v url.Values) error {
	rest := maps.Clone(v)
	for wrong := p.Wrong; wrong != nil; {
		rest.Del(wrong.name)
		var err error
		wrong = nil
		if p.Asked, err = ask(rest, s.Now()); err != nil && !errors.As(err, &wrong) {
			return err
		}
	}
	p.Right = p.Asked.url()
	p.Asked.values = lenient(v)
	p.Asked.query.After = nil
	if err := s.count(ctx, p, index.Page{}); err != nil {
		return err
	}
	p.Count = "Not searched"
	return nil
}

// card answers with one device as the list shows it, for the map of the page's script.
func (s *site) card(ctx context.Context, r *http.Request) (*answer, error) {
	a, err := key.ParseAccount(r.PathValue("did"))
	if err != nil {
		return nil, errNotFound
	}
	l, err := s.Reader.Get(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if l == nil {
		return nil, errNotFound
	}
	body, err := s.pages.render("card", frame{}, entryOf(index.Found{Listing: l}, nil, s.Now()))
	return &answer{kind: htmlType, body: body}, err
}

// find fills in what the search finds.
func (s *site) find(ctx context.Context, p *searchPage) error {
	q := p.Asked.query
	found, err := s.Reader.Search(ctx, q)
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	now := s.Now()
	for _, f := range found.Found {
		p.Entries = append(p.Entries, entryOf(f, q.Near, now))
	}
	if found.Next != nil {
		p.Next = p.Asked.url() + "?&"[min(1, len(p.Asked.with())):][:1] + "after=" + api.FormatMark(*found.Next, q)
	}
	if q.After != nil {
		p.First = p.Asked.url()
	}
	if err := s.count(ctx, p, found); err != nil {
		return err
	}
	if len(p.Entries) == 0 && q.After == nil {
		return s.comfort(ctx, p)
	}
	return nil
}

// describe fills in what the address alone says.
func (p *searchPage) describe() {
	a := p.Asked
	if p.Wrong != nil {
		p.Fault = p.Wrong.name
	}
	for _, name := range []string{"owner", "bbox", "near"} {
		if v := a.values.Get(name); v != "" && name != p.Fault {
			p.Keep = append(p.Keep, field{name, v})
		}
	}
	add := func(name, label, value, url string) { p.Chips = append(p.Chips, chip{label, value, url}) }
	for _, name := range parameters {
		for _, value := range a.values[name] {
			switch name {
			case "q":
				add(name, "text", value, a.without(name, value))
			case "data_type":
				add(name, "type", human(value), a.without(name, value))
			case "kind", "unit":
				add(name, name, value, a.without(name, value))
			case "min_price":
				add(name, "from", value+" "+token, a.without(name, value))
			case "max_price":
				add(name, "up to", value+" "+token, a.without(name, value))
			case "owner":
				add(name, "owner", short(value), a.without(name, value))
			case "verified":
				add(name, "", map[bool]string{true: "proven only", false: "unsigned only"}[value == "true"], a.without(name, value))
			case "since":
				add(name, "updated within", sinceWords(value), a.without(name, value))
			case "near":
				label := ""
				if p.Near = nearWords(a.query.Near); p.Near != "" {
					value = p.Near
				} else {
					label = name
				}
				add(name, label, value, a.url("near", "", "within", "", "sort", ""))
			case "bbox":
				add(name, "", "part of the map", a.without(name, value))
			}
		}
	}
	sorts := []option{{"newest", "Newest first", false}, {"price", "Cheapest first", false}, {"-price", "Dearest first", false}}
	if a.values.Has("near") {
		sorts = append(sorts, option{"distance", "Nearest first", false})
	}
	sort := a.values.Get("sort")
	if sort == "" {
		sort = "newest"
	}
	for i := range sorts {
		sorts[i].On = sorts[i].Value == sort
	}
	p.Sorts = sorts
	within := a.values.Get("within")
	if within == "" {
		within = "50"
	}
	known := false
	for _, km := range withins {
		o := option{strconv.FormatFloat(km, 'g', -1, 64), number(int64(km)) + " km", false}
		o.On = o.Value == within
		known = known || o.On
		p.Withins = append(p.Withins, o)
	}
	if !known {
		p.Withins = append(p.Withins, option{within, within + " km", true})
	}
}

// lenient keeps what of a wrong address can be shown in the form again.
func lenient(v url.Values) url.Values {
	kept := url.Values{}
	for _, name := range parameters {
		if all := slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return strings.TrimSpace(s) == "" }); len(all) > 0 && name != "after" {
			kept[name] = all
		}
	}
	return kept
}

// title names the page in the browser's tab and history.
func (p *searchPage) title() string {
	var parts []string
	for _, c := range p.Chips {
		parts = append(parts, strings.TrimSpace(c.Name+" "+c.Value))
	}
	if len(parts) == 0 {
		return "Shared sensors of the world"
	}
	return strings.Join(parts, ", ")
}

func nearWords(n *index.Near) string {
	if n == nil {
		return ""
	}
	return "within " + distance(n.Km) + " of " + spot(n.Lat, n.Lon)
}

func sinceWords(value string) string {
	for _, s := range sinces {
		if s.Value == value {
			return s.Label
		}
	}
	return value
}

// sinces are the freshnesses to choose from.
var sinces = []option{{Value: "1h", Label: "an hour"}, {Value: "24h", Label: "a day"}, {Value: "168h", Label: "a week"}, {Value: "720h", Label: "30 days"}, {Value: "8760h", Label: "a year"}}

// comfort finds out what would have been found with less.
func (s *site) comfort(ctx context.Context, p *searchPage) error {
	st, err := s.Reader.State(ctx)
	if err != nil {
		return err
	}
	e := &emptiness{Title: "Nothing matches"}
	p.Empty = e
	q := p.Asked.query
	switch {
	case st.Origin == nil || st.Cursor == nil || st.Live == 0 && st.Head > st.Cursor.Number:
		e.Title, e.Text = "The index is still reading the chain", "Devices appear as soon as their blocks have been read. The operator's page shows how far it is."
		return nil
	case st.Live == 0:
		e.Title, e.Text = "No device has been published yet", "The first one appears here a moment after its document is final on the chain: iod device init makes one."
		return nil
	}
	if q.Near != nil {
		wide := q
		wide.Near = &index.Near{Lat: q.Near.Lat, Lon: q.Near.Lon}
		wide.Order, wide.Limit, wide.Box = index.Nearest, 1, nil
		found, err := s.Reader.Search(ctx, wide)
		if err != nil && !errors.Is(err, index.ErrTooBroad) {
			return err
		}
		e.Title = fmt.Sprintf("Nothing %s", nearWords(q.Near))
		for _, f := range found.Found {
			n := entryOf(f, wide.Near, s.Now())
			e.Nearest = &n
			e.NearestURL = p.Asked.url("within", within(f.Km), "sort", "distance")
		}
	}
	return s.waysOut(ctx, p)
}

// within is the least of the radii to choose from that reaches so far.
func within(km float64) string {
	for _, w := range withins {
		if w >= km {
			return strconv.FormatFloat(w, 'g', -1, 64)
		}
	}
	return "20000"
}

// waysOut lists the searches with one filter less that find something.
func (s *site) waysOut(ctx context.Context, p *searchPage) error {
	for _, name := range parameters {
		if !p.Asked.values.Has(name) || name == "sort" || name == "within" || name == "after" {
			continue
		}
		q, label := p.Asked.query, ""
		switch name {
		case "q":
			q.Text, label = "", "any text"
		case "data_type":
			q.DataTypes, label = nil, "any type of data"
		case "kind":
			q.Kinds, label = nil, "any kind of stream"
		case "unit":
			q.Units, label = nil, "any unit"
		case "min_price":
			q.MinPrice, label = nil, "any lower price"
		case "max_price":
			q.MaxPrice, label = nil, "any higher price"
		case "owner":
			q.Owner, label = nil, "any owner"
		case "verified":
			q.State, label = document.State(""), "signed or not"
		case "since":
			q.Since, label = q.Since.AddDate(-1000, 0, 0), "updated at any time"
		case "near":
			q.Near, label = nil, "anywhere"
		case "bbox":
			q.Box, label = nil, "on the whole map"
		}
		n, more, err := s.howMany(ctx, q)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		out := wayOut{label, countWords(n, more), p.Asked.url(name, "")}
		if name == "near" {
			out.URL = p.Asked.url("near", "", "within", "", "sort", "")
		}
		p.Empty.Ways = append(p.Empty.Ways, out)
	}
	return nil
}
