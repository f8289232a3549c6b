package atlas

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"time"

	"iod/index"
)

// Facets tells what there is to choose from: for each value of a filter, how many listings a search would find that had this value
// in the place of its own. So the numbers of a facet don't depend on what is chosen in it.
type Facets struct {
	Count                   // of the search as it is
	DataTypes, Units, Kinds Terms
	Verified, Unverified    int
	Prices                  []Band
	Ages                    []Age
}

// Terms are the values of one filter: those with the most listings, and those that are chosen, the most frequent first.
type Terms struct {
	Top    []Term
	Others int // how many further values there are
}

// Term is a value of a filter.
type Term struct {
	Value string
	N     int
}

// Band is a range of prices, both edges included, so that Query.MinPrice and MaxPrice can be set to them. The edges follow the
// offers of all listings, whatever is searched for, so that about as many are in each band. Offers for nothing have one of their own
// in front of the others, and are of the lowest of those, too.
type Band struct {
	Min, Max *index.Price // nil: no limit
	N        int
}

// Age counts what was updated within a time up to now.
type Age struct {
	Within time.Duration // 0: any time
	N      int
}

// Ages are the times that Facets.Ages tells of, and then any time.
var Ages = [...]time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}

// DefaultTop is how many terms a facet has when Facets is asked for none in particular.
const DefaultTop = 20

// Facets counts the values of every filter under the others. top is how many terms it tells of each; 0: DefaultTop.
func (a *Atlas) Facets(ctx context.Context, q index.Query, top int) (Facets, error) {
	if top <= 0 {
		top = DefaultTop
	}
	now := a.Now()
	s, err := a.open(ctx, &q)
	if err != nil {
		return Facets{}, err
	}
	defer a.close(s)
	t := &s.tally
	t.begin(a.columns, now)
	for _, n := range a.columns.order {
		if b := a.columns.blocks[n]; s.plan.places(b, &s.rows) {
			t.block(&s.plan, b, &s.rows)
		}
	}
	return t.facets(a.columns, &q, s.exact, top), nil
}

// tally counts listings by the values of every filter.
type tally struct {
	columns *columns
	found   int
	states  [2]int // unverified, verified
	since   [len(Ages)]index.Rank
	ages    [len(Ages) + 1]int // newest to oldest, each counted once
	edges   []index.Price
	keys    []priceKey // of the edges
	bands   []int
	free    int // offers for nothing are a band of their own: 1

	types, units, kinds counts
	serial              uint32
}

// counts are numbers of listings by word. A listing has the word for several offers, but counts once.
type counts struct {
	n    []uint32
	last []uint32 // serial of the last listing counted
}

func (c *counts) clear(size int) {
	if cap(c.n) < size {
		c.n, c.last = make([]uint32, size+size/4), make([]uint32, size+size/4)
	}
	c.n, c.last = c.n[:size], c.last[:size]
	clear(c.n)
	clear(c.last)
}

func (c *counts) add(word, serial uint32) {
	if c.last[word] != serial {
		c.last[word] = serial
		c.n[word]++
	}
}

func (t *tally) begin(c *columns, now time.Time) {
	*t = tally{columns: c, types: t.types, units: t.units, kinds: t.kinds, edges: t.edges[:0], keys: t.keys[:0], bands: t.bands[:0]}
	t.types.clear(len(c.labels.types.text))
	t.units.clear(len(c.labels.units.text))
	t.kinds.clear(len(c.labels.kinds.text))
	for i, within := range Ages {
		t.since[i] = index.FirstRank(now.Add(-within))
	}
	t.cut(c)
}

// mostBands is how many bands of prices above nothing there are at most.
const mostBands = 6

// cut chooses the edges between the bands: steps of 1, 2, 5, 10, … that part all offers into about equal numbers.
func (t *tally) cut(c *columns) {
	all, free := 0, c.steps[0]
	for _, n := range c.steps[1:] {
		all += n
	}
	if free > 0 {
		t.free = 1
	}
	sum := 0
	for i, n := range c.steps[1:] {
		if sum*mostBands >= all*(len(t.edges)+1) && n > 0 {
			t.edges = append(t.edges, stepPrice(i+1))
			t.keys = append(t.keys, keyOf(&t.edges[len(t.edges)-1]))
		}
		sum += n
	}
	bands := t.free
	if all > 0 {
		bands += len(t.edges) + 1
	}
	for range bands {
		t.bands = append(t.bands, 0)
	}
}

// block counts the rows of a block that meet the conditions on places, owner and text.
func (t *tally) block(p *plan, b *block, m *bitmap) {
	believed, fresh := *m, *m
	p.believed(b, &believed)
	if p.since != 0 {
		fresh.narrow(func(i int) bool { return b.rank[i] >= p.since })
	}
	for w := range m {
		for rest := believed[w] | fresh[w]; rest != 0; rest &= rest - 1 {
			bit := rest & -rest
			i := w<<6 + bits.TrailingZeros64(rest)
			t.row(p, b, i, believed[w]&bit != 0, fresh[w]&bit != 0)
		}
	}
}

// row counts a listing that is believed as asked for, or fresh enough, or both.
func (t *tally) row(p *plan, b *block, i int, believed, fresh bool) {
	t.serial++
	found, bands := false, 0
	for o, to := b.offers(i); o < to; o++ {
		met := p.met[b.label[o]]
		if !p.priced || p.affordable(b, o) {
			met |= ofPrice
		}
		found = found || met == ofAll
		if believed && fresh {
			bands |= t.offer(b, o, met)
		}
	}
	if believed && fresh {
		for ; bands != 0; bands &= bands - 1 {
			t.bands[bits.TrailingZeros(uint(bands))]++
		}
		if found || !p.offers {
			t.found++
		}
	}
	if !found && p.offers {
		return
	}
	if fresh {
		t.states[b2i(b.verified.has(i))]++
	}
	if believed {
		age := 0
		for age < len(t.since) && b.rank[i] < t.since[age] {
			age++
		}
		t.ages[age]++
	}
}

// offer counts an offer that meets all conditions, or all but those of one facet, and returns the bands that it is of.
func (t *tally) offer(b *block, o int, met uint8) (bands int) {
	lacks := ofAll &^ met
	if lacks&(lacks-1) != 0 {
		return 0
	}
	x := t.columns.labels.all[b.label[o]]
	if lacks&^ofType == 0 {
		t.types.add(x.dataType, t.serial)
	}
	if lacks&^ofUnit == 0 {
		t.units.add(x.unit, t.serial)
	}
	if lacks&^ofKind == 0 {
		t.kinds.add(x.kind, t.serial)
	}
	if k := b.price[o]; lacks&^ofPrice == 0 && k != noPrice {
		return t.band(k)
	}
	return 0
}

// band is the set of bands that a price is of: two at an edge.
func (t *tally) band(k priceKey) int {
	if k == 0 { // the lowest band has no lower limit, so it is of that as well
		return 1<<min(len(t.bands), 2) - 1
	}
	for i, edge := range t.keys {
		if k < edge {
			return 1 << (i + t.free)
		}
		if k == edge {
			return 3 << (i + t.free)
		}
	}
	return 1 << (len(t.keys) + t.free)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (t *tally) facets(c *columns, q *index.Query, exact bool, top int) Facets {
	f := Facets{Count: Count{t.found, exact}, Verified: t.states[1], Unverified: t.states[0]}
	f.DataTypes = t.types.terms(&c.labels.types, q.DataTypes, top)
	f.Units = t.units.terms(&c.labels.units, q.Units, top)
	f.Kinds = t.kinds.terms(&c.labels.kinds, q.Kinds, top)
	for i, n := range t.bands {
		band := Band{N: n}
		if i -= t.free; i < 0 {
			band.Min, band.Max = new(index.Price), new(index.Price)
		} else {
			if i > 0 {
				band.Min = new(t.edges[i-1])
			}
			if i < len(t.edges) {
				band.Max = new(t.edges[i])
			}
		}
		f.Prices = append(f.Prices, band)
	}
	sum := 0
	for i, n := range t.ages {
		sum += n
		age := Age{N: sum}
		if i < len(Ages) {
			age.Within = Ages[i]
		}
		f.Ages = append(f.Ages, age)
	}
	return f
}

// terms are the most frequent words, and those that are chosen.
func (c *counts) terms(w *words, chosen []string, top int) (t Terms) {
	for code, n := range c.n {
		text := w.text[code]
		if n == 0 || text == "" {
			continue
		}
		t.Others++
		if x := (Term{text, int(n)}); len(t.Top) < top || before(x, t.Top[len(t.Top)-1]) < 0 {
			if len(t.Top) == top {
				t.Top = t.Top[:top-1]
			}
			at, _ := slices.BinarySearchFunc(t.Top, x, before)
			t.Top = slices.Insert(t.Top, at, x)
		}
	}
	t.Others -= len(t.Top)
	for _, name := range chosen {
		if slices.ContainsFunc(t.Top, func(x Term) bool { return x.Value == name }) {
			continue
		}
		x := Term{Value: name}
		if code, ok := w.code[name]; ok && c.n[code] > 0 {
			x.N = int(c.n[code])
			t.Others--
		}
		t.Top = append(t.Top, x)
	}
	slices.SortStableFunc(t.Top, before)
	return t
}

// before orders terms: the most frequent first.
func before(a, b Term) int {
	return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value))
}
