package atlas

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// model is a store of rows that answers everything by looking at all of them.
type model struct {
	index.Reader

	mu      sync.Mutex
	rows    map[key.AccountID]index.Row
	texts   map[key.AccountID][]string // words as documents have them
	history []index.Entry
	ids     int64
}

func newModel() *model {
	return &model{rows: map[key.AccountID]index.Row{}, texts: map[key.AccountID][]string{}}
}

// put notes what a listing is, with a line of history, and returns it with its words as a store has them.
func (m *model) put(r index.Row) index.Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids++
	m.texts[r.Account] = r.Words
	r.Words = index.Briefs(strings.Join(r.Words, " "))
	m.rows[r.Account] = r
	m.history = append(m.history, index.Entry{ID: m.ids, Account: r.Account, Sequence: uint64(r.Rank)})
	return r
}

// says reports whether a listing has the words of a text.
func (m *model) says(a key.AccountID, text string) bool {
	return !slices.ContainsFunc(index.Terms(text), func(t string) bool {
		return !slices.ContainsFunc(m.texts[a], func(w string) bool { return strings.HasPrefix(w, t) })
	})
}

// reset is what Store.Reset does.
func (m *model) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows, m.texts, m.history, m.ids = map[key.AccountID]index.Row{}, map[key.AccountID][]string{}, nil, 0
}

func (m *model) State(context.Context) (index.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return index.State{Change: m.ids}, nil
}

func (m *model) Changes(_ context.Context, after int64, limit int) ([]index.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.history, after+1, func(e index.Entry, id int64) int { return cmp.Compare(e.ID, id) })
	return slices.Clone(m.history[i:min(len(m.history), i+limit)]), nil
}

func (m *model) Columns(_ context.Context, after index.Rank) iter.Seq2[index.Row, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.SortedFunc(maps.Values(m.rows), func(a, b index.Row) int { return cmp.Compare(a.Rank, b.Rank) })
	return func(yield func(index.Row, error) bool) {
		for _, r := range all {
			if r.Live && r.Rank > after && !yield(r, nil) {
				return
			}
		}
	}
}

func (m *model) Rows(_ context.Context, accounts []key.AccountID) (out []index.Row, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range accounts {
		if r, ok := m.rows[a]; ok {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *model) Listings(context.Context, []key.AccountID, bool) ([]*index.Listing, error) {
	return nil, nil
}

func (m *model) Matching(_ context.Context, text string, most int) (ranks []index.Rank, all bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a, r := range m.rows {
		if !r.Live || !m.says(a, text) {
			continue
		}
		if len(ranks) == most {
			return ranks, false, nil
		}
		ranks = append(ranks, r.Rank)
	}
	return ranks, true, nil
}

// matching are the live listings that a query finds.
func (m *model) matching(q index.Query) (found []index.Row) {
	for a, r := range m.rows {
		if r.Live && q.Matches(&r) && m.says(a, q.Text) {
			found = append(found, r)
		}
	}
	return found
}

// checkCount compares Count with the model's.
func (m *model) checkCount(t tester, a *Atlas, q index.Query) {
	got, err := a.Count(context.Background(), q)
	if want := len(m.matching(q)); err != nil || got != (Count{want, true}) {
		fatal(t, q, "count %+v, %v; want %d", got, err, want)
	}
}

func fatal(t tester, q index.Query, format string, args ...any) {
	t.Helper()
	t.Fatalf("%s\n%s", describe(q), fmt.Sprintf(format, args...))
}

func describe(q index.Query) string {
	s := fmt.Sprintf("query: text %q types %q units %q kinds %q state %q since %v", q.Text, q.DataTypes, q.Units, q.Kinds, q.State, q.Since)
	if q.MinPrice != nil {
		s += " min " + q.MinPrice.String()
	}
	if q.MaxPrice != nil {
		s += " max " + q.MaxPrice.String()
	}
	return s + fmt.Sprintf(" owner %v box %+v near %+v", q.Owner, q.Box, q.Near)
}

// checkFacets compares each number of a facet with a search that has the value in the place of its own.
func (m *model) checkFacets(t tester, a *Atlas, q index.Query, now time.Time) {
	f, err := a.Facets(context.Background(), q, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Count{len(m.matching(q)), true}); f.Count != want {
		fatal(t, q, "facets say %+v, want %+v", f.Count, want)
	}
	for _, facet := range []struct {
		name  string
		terms Terms
		set   func(*index.Query, string)
		of    func(*index.Offer) string
	}{
		{"data type", f.DataTypes, func(q *index.Query, v string) { q.DataTypes = []string{v} }, func(o *index.Offer) string { return o.DataType }},
		{"unit", f.Units, func(q *index.Query, v string) { q.Units = []string{v} }, func(o *index.Offer) string { return o.Unit }},
		{"kind", f.Kinds, func(q *index.Query, v string) { q.Kinds = []string{v} }, func(o *index.Offer) string { return o.Kind }},
	} {
		there := map[string]bool{}
		for _, r := range m.rows {
			for _, o := range r.Offers {
				if r.Live && facet.of(&o) != "" {
					there[facet.of(&o)] = true
				}
			}
		}
		for value := range there {
			q := q
			facet.set(&q, value)
			want, got := len(m.matching(q)), 0
			for _, x := range facet.terms.Top {
				if x.Value == value {
					got = x.N
				}
			}
			if got != want {
				fatal(t, q, "%s %q: %d, want %d", facet.name, value, got, want)
			}
		}
		if !slices.IsSortedFunc(facet.terms.Top, before) || facet.terms.Others != 0 {
			fatal(t, q, "%s: %+v", facet.name, facet.terms)
		}
	}
	for state, n := range map[document.State]int{document.Verified: f.Verified, document.Unverified: f.Unverified} {
		q := q
		if q.State = state; n != len(m.matching(q)) {
			fatal(t, q, "%d are %s, want %d", n, state, len(m.matching(q)))
		}
	}
	for _, band := range f.Prices {
		q := q
		q.MinPrice, q.MaxPrice = band.Min, band.Max
		if want := len(m.matching(q)); band.N != want && (band.Min != nil || band.Max != nil) {
			fatal(t, q, "%d in the band, want %d", band.N, want)
		}
	}
	for _, age := range f.Ages {
		q := q
		if q.Since = now.Add(-age.Within); age.Within == 0 {
			q.Since = time.Time{}
		}
		if want := len(m.matching(q)); age.N != want {
			fatal(t, q, "%d are updated within %v, want %d", age.N, age.Within, want)
		}
	}
}

// checkMap compares a map with the model's: every listing in view is in the cluster of its cell, and nothing else is.
func (m *model) checkMap(t tester, got Map, q index.Query, inView func(x, y uint32) bool) {
	type sum struct {
		n        int
		lat, lon float64
		box      index.Box
		account  key.AccountID
	}
	want := map[Cell]*sum{}
	if len(got.Clusters) == 0 {
		for _, r := range m.matching(q) {
			if r.Placed && inView(easting(fixed(r.Lon)), southing(r.Lat)) {
				fatal(t, q, "nothing on the map, but %v,%v is in view", r.Lat, r.Lon)
			}
		}
		return
	}
	level := got.Clusters[0].Cell.Zoom
	covers := map[Cell]bool{}
	for _, c := range got.Clusters {
		covers[c.Cell] = true
	}
	for _, r := range m.matching(q) {
		if !r.Placed {
			continue
		}
		x, y := easting(fixed(r.Lon)), southing(r.Lat)
		cell := Cell{level, x >> (32 - level), y >> (32 - level)}
		if !covers[cell] {
			if inView(x, y) {
				fatal(t, q, "%v,%v is in view, but not in a cluster", r.Lat, r.Lon)
			}
			continue
		}
		s := want[cell]
		if s == nil {
			s = &sum{box: index.Box{South: 90, West: 180, North: -90, East: -180}}
			want[cell] = s
		}
		s.n, s.lat, s.lon, s.account = s.n+1, s.lat+r.Lat, s.lon+r.Lon, r.Account
		s.box = index.Box{South: min(s.box.South, r.Lat), West: min(s.box.West, r.Lon), North: max(s.box.North, r.Lat), East: max(s.box.East, r.Lon)}
	}
	n := 0
	for _, c := range got.Clusters {
		w := want[c.Cell]
		if w == nil || c.N != w.n || (c.Account != nil) != (w.n == 1) || c.Account != nil && *c.Account != w.account {
			fatal(t, q, "cluster %+v, want %+v", c, w)
		}
		near := func(a, b, by float64) bool { return math.Abs(a-b) <= by }
		if !near(c.Lat, w.lat/float64(w.n), 1e-6) || !near(c.Lon, w.lon/float64(w.n), 1e-6) || c.Spot != (w.box.South == w.box.North && w.box.West == w.box.East) {
			fatal(t, q, "cluster %+v, want %+v", c, w)
		}
		if !near(c.Box.South, w.box.South, 1e-7) || !near(c.Box.North, w.box.North, 1e-7) || !near(c.Box.West, w.box.West, 1e-7) || !near(c.Box.East, w.box.East, 1e-7) ||
			!c.Box.Has(w.box.South, w.box.West) || !c.Box.Has(w.box.North, w.box.East) {
			fatal(t, q, "cluster %+v, want %+v", c, w)
		}
		n += c.N
	}
	if n != got.N {
		t.Fatalf("map says %d in all, clusters have %d", got.N, n)
	}
}
