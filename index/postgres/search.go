package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"iod/index"
)

// Search returns live listings.
func (s *Store) Search(ctx context.Context, q index.Query) (index.Page, error) {
	if err := q.Check(); err != nil {
		return index.Page{}, fmt.Errorf("search: %w", err)
	}
	terms := index.Terms(q.Text)
	if len(terms) == 0 && strings.TrimSpace(q.Text) != "" {
		return index.Page{}, nil // nothing but punctuation, which no word begins with
	}
	for _, values := range []*[]string{&q.DataTypes, &q.Kinds, &q.Units} {
		*values = slices.Compact(slices.Sorted(slices.Values(*values)))
	}
	a := asked{Query: q, terms: terms[:min(len(terms), index.MaxTerms)], size: page(q.Limit)}
	found, err := s.search(ctx, &a)
	if err != nil {
		return index.Page{}, fmt.Errorf("search: %w", slow(ctx, err))
	}
	return a.page(found), nil
}

// asked is a search with what it is reckoned to be.
type asked struct {
	index.Query
	terms []string
	size  int
	guess guess
}

// priced is a listing found with the price that gives it its place.
type priced struct {
	index.Found
	price *index.Price
}

func (s *Store) search(ctx context.Context, a *asked) ([]priced, error) {
	sample, err := s.sampled(ctx)
	if err != nil {
		return nil, err
	}
	a.guess = sample.guess(&a.Query, a.terms)
	need := a.size + 1
	switch a.Order {
	case index.Nearest:
		return s.nearest(ctx, a, need)
	case index.Cheapest, index.Dearest:
		return s.byPrice(ctx, a, need)
	}
	return s.ask(ctx, a, s.choose(&a.Query, a.terms, &a.guess, need, false), need, false)
}

// nearest looks further and further until the page is full, unless it costs less to sort all that another filter leaves.
func (s *Store) nearest(ctx context.Context, a *asked, need int) ([]priced, error) {
	w := s.choose(&a.Query, a.terms, &a.guess, need, false)
	most := math.Pi * index.EarthKm // half way around
	if a.Near.Km > 0 {
		most = min(most, a.Near.Km)
	}
	for {
		if w.km >= most {
			w.km = math.Inf(1)
		}
		found, err := s.ask(ctx, a, w, need, false)
		if err != nil || len(found) >= need || math.IsInf(w.km, 1) {
			return found, err
		}
		// So many lay within this circle; the area grows by as much as there are too few, within reason.
		w.km *= math.Sqrt(min(max(1.5*float64(need)/(float64(len(found))+0.5), 2), 8))
		if set, cost := sorted(&a.Query, a.terms, &a.guess); cost < a.guess.circle(&a.Query, a.terms, w) {
			w = set
		}
	}
}

// byPrice finds first what has a price, and when the page is not full what has none.
func (s *Store) byPrice(ctx context.Context, a *asked, need int) ([]priced, error) {
	w := s.choose(&a.Query, a.terms, &a.guess, need, false)
	if !w.walk {
		return s.ask(ctx, a, w, need, false)
	}
	var found []priced
	var err error
	if a.After == nil || a.After.Price != nil {
		if found, err = s.ask(ctx, a, w, need, false); err != nil {
			return nil, err
		}
	}
	if len(found) >= need || a.MinPrice != nil || a.MaxPrice != nil {
		return found, nil
	}
	rest := *a
	if rest.After != nil && rest.After.Price != nil {
		rest.After = nil
	}
	need -= len(found)
	more, err := s.ask(ctx, &rest, s.choose(&rest.Query, rest.terms, &rest.guess, need, true), need, true)
	return append(found, more...), err
}

// page makes an answer of one listing more than it has room for.
func (a *asked) page(found []priced) index.Page {
	var p index.Page
	for _, f := range found[:min(len(found), a.size)] {
		p.Found = append(p.Found, f.Found)
	}
	if len(found) <= len(p.Found) {
		return p
	}
	last := found[len(p.Found)-1]
	p.Next = &index.Mark{Rank: last.Rank}
	switch a.Order {
	case index.Cheapest, index.Dearest:
		p.Next.Price = last.price
	case index.Nearest:
		p.Next.Km = last.Km
	}
	return p
}

// ask asks the database one way.
func (s *Store) ask(ctx context.Context, a *asked, w way, need int, unpriced bool) ([]priced, error) {
	b := statement{asked: a, need: need, unpriced: unpriced}
	return rows(ctx, s, a.read, b.text(w), b.args...)
}

func (a *asked) read(row pgx.CollectableRow) (f priced, err error) {
	var r listingRow
	var raw, price view
	var km *float64
	into := append(r.into(), &f.Offer, &price, &km)
	if a.Raw {
		into = append(into, &raw)
	}
	if err := row.Scan(into...); err != nil {
		return f, err
	}
	f.Offer = -f.Offer
	if f.Listing, err = r.found(raw, a.Raw); err != nil {
		return f, err
	}
	if f.price, err = priceOf(price); err != nil {
		return f, err
	}
	if km != nil {
		f.Km = *km
	} else if lat, lon, ok := f.Place(); ok && a.Near != nil {
		f.Km = index.Distance(a.Near.Lat, a.Near.Lon, lat, lon)
	}
	f.Found = shown(f.Found, a.Shown)
	return f, nil
}

// shown tells of a listing that was found by which stream, and what it looks like if that is asked for.
func shown(f index.Found, show bool) index.Found {
	if f.Offer < len(f.Device.Streams) {
		f.Stream = f.Device.Streams[f.Offer].Name
	}
	if show {
		f.Shown = render(f.Listing)
		f.Listing = &index.Listing{Rank: f.Rank, Account: f.Account, Raw: f.Raw}
	}
	return f
}

// tsquery is terms as PostgreSQL looks for words that begin with each of them. They are letters and numbers.
func tsquery(terms []string) string { return strings.Join(terms, ":* & ") + ":*" }
