package atlas

import (
	"cmp"
	"context"
	"encoding/binary"
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

// Facets counts the values of every filter under the others. top is how many terms it tells of each; 0: DefaultTop. The slices of the
// answer must not be changed.
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
	s.key = binary.AppendVarint(appendQuery(s.key[:0], &q), int64(top))
	if f, ok := a.facets.recall(s.key, a.version, now); ok && f.Exact == s.exact {
		return f, nil
	}
	t := &s.tally
	t.begin(a.columns, now)
	for _, n := range a.columns.order {
		if b := a.columns.blocks[n]; s.plan.places(b, &s.rows) {
			t.block(&s.plan, b, &s.rows)
		}
	}
	t.spread(&s.plan, &a.columns.labels)
	f := t.facets(a.columns, &q, s.exact, top)
	a.facets.keep(s.key, a.version, now, f)
	return f, nil
}

// tally counts listings by the values of every filter.
type tally struct {
	columns *columns
	found   int
	states  [2]int // unverified, verified
	since   [len(Ages)]index.Rank
	ages    [len(Ages) + 1]int // newest to oldest, each counted once
	edges   []index.Price
	keys    [mostBands - 1]priceKey // of the edges; noPrice: there is none
	bands   [mostBands + 3]int
	priced  bool // there are offers for something
	free    bool // and offers for nothing

	alone []uint32 // listings with one offer, by its label

	types, units, kinds counts
	serial              uint32
}

// counts are numbers of listings by word. A listing has the word for several offers, but counts once.
type counts []struct {
	n    uint32
	last uint32 // serial of the last listing counted
}

func (c *counts) clear(size int) {
	if cap(*c) < size {
		*c = make(counts, size+size/4)
	}
	*c = (*c)[:size]
	clear(*c)
}

func (c counts) add(word, serial uint32) {
	x := &c[word]
	x.n += uint32(bit(x.last != serial))
	x.last = serial
}

func (t *tally) begin(c *columns, now time.Time) {
	*t = tally{columns: c, types: t.types, units: t.units, kinds: t.kinds, edges: t.edges[:0], alone: t.alone[:0]}
	if cap(t.alone) < len(c.labels.all) {
		t.alone = make([]uint32, len(c.labels.all)+len(c.labels.all)/4)
	}
	t.alone = t.alone[:len(c.labels.all)]
	clear(t.alone)
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
	all, sum := 0, 0
	for _, n := range c.steps[1:] {
		all += n
	}
	t.free, t.priced = c.steps[0] > 0, all > 0
	for i := range t.keys {
		t.keys[i] = noPrice
	}
	for i, n := range c.steps[1:] {
		if sum*mostBands >= all*(len(t.edges)+1) && n > 0 {
			t.edges = append(t.edges, stepPrice(i+1))
			t.keys[len(t.edges)-1] = keyOf(&t.edges[len(t.edges)-1])
		}
		sum += n
	}
}

// block counts the rows of a block that meet the conditions on places, owner and text. Of those of state, freshness and offers, a row
// must meet all to count in every facet, and all but one facet's to count in that one.
func (t *tally) block(p *plan, b *block, m *bitmap) {
	believed, fresh := *m, *m
	p.believed(b, &believed)
	p.fresh(b, &fresh)
	for w := range m {
		both, found := believed[w]&fresh[w], believed[w]|fresh[w]
		if met := t.word(p, b, w, both); p.offers {
			found = met | p.meets(b, w, believed[w]^fresh[w])
		}
		t.found += bits.OnesCount64(found & both)
		t.states[0] += bits.OnesCount64(found & fresh[w] &^ b.verified[w])
		t.states[1] += bits.OnesCount64(found & fresh[w] & b.verified[w])
		t.age(b, w, found&believed[w])
	}
}

// word counts the offers of 64 rows, and returns those of which one meets all conditions. Most have one offer: that is counted by its
// label, for which the words are counted in the end.
func (t *tally) word(p *plan, b *block, w int, rows uint64) (found uint64) {
	labels, prices, met, alone := b.label, b.price, p.met, t.alone
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		o, to := b.offers(w<<6 + i)
		if to-o != 1 {
			found |= t.row(p, b, o, to) << i
			continue
		}
		label, cheap := labels[o], uint64(1)
		if p.priced {
			cheap = p.affordable(b, o)
		}
		alone[label] += uint32(cheap)
		if met[label] != ofLabel {
			continue
		}
		found |= cheap << i
		band, more := t.band(prices[o])
		t.bands[band&7]++
		if more != 0 {
			t.bands[bits.TrailingZeros64(more)]++
		}
	}
	return found
}

// meets is the rows of a word of which an offer meets all its conditions.
func (p *plan) meets(b *block, w int, rows uint64) (found uint64) {
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		for o, to := b.offers(w<<6 + i); o < to; o++ {
			found |= bit(p.met[b.label[o]] == ofLabel) & p.affordable(b, o) << i
		}
	}
	return found
}

// age counts rows by how old they are.
func (t *tally) age(b *block, w int, rows uint64) {
	old := bits.OnesCount64(rows)
	if b.newest >= t.since[len(t.since)-1] {
		for ; rows != 0; rows &= rows - 1 {
			rank := b.rank[w<<6+bits.TrailingZeros64(rows)]
			if rank < t.since[len(t.since)-1] {
				continue
			}
			age := 0
			for rank < t.since[age] {
				age++
			}
			t.ages[age]++
			old--
		}
	}
	t.ages[len(t.since)] += old
}

// row counts the offers from one to before another, which are those of a listing, and is 1 when one of them meets all conditions.
func (t *tally) row(p *plan, b *block, o, to int) (found uint64) {
	t.serial++
	var bands uint64
	for ; o < to; o++ {
		met := p.met[b.label[o]] | ofPrice*uint8(p.affordable(b, o))
		found |= bit(met == ofAll)
		bands |= t.offer(b, o, met)
	}
	for ; bands != 0; bands &= bands - 1 {
		t.bands[bits.TrailingZeros64(bands)]++
	}
	return found
}

// offer counts an offer of several that meets all conditions, or all but those of one facet, and returns the bands that it is of.
func (t *tally) offer(b *block, o int, met uint8) (bands uint64) {
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
	if lacks&^ofPrice == 0 {
		band, more := t.band(b.price[o])
		return 1<<band | more
	}
	return 0
}

// The places in tally.bands: for offers for nothing, and from where on for the bands between the edges, and then for offers
// without a price.
const (
	freeBand = iota
	firstBand
)

// band is the place of a price in bands, and the bit of a second one: what is at an edge is of two, and what is free of the lowest
// band as well, which has no lower limit.
func (t *tally) band(k priceKey) (band, more uint64) {
	e := &t.keys
	band = firstBand + bit(k > e[0]) + bit(k > e[1]) + bit(k > e[2]) + bit(k > e[3]) + bit(k > e[4]) + bit(k == noPrice)
	if k == e[0] || k == e[1] || k == e[2] || k == e[3] || k == e[4] {
		return band, 1 << (band + 1)
	}
	return band, bit(k == 0) << freeBand
}

// spread adds what was counted by label to the words.
func (t *tally) spread(p *plan, l *labels) {
	for label, n := range t.alone {
		if n == 0 {
			continue
		}
		x, lacks := l.all[label], ofLabel&^p.met[label]
		if lacks&^ofType == 0 {
			t.types[x.dataType].n += n
		}
		if lacks&^ofUnit == 0 {
			t.units[x.unit].n += n
		}
		if lacks&^ofKind == 0 {
			t.kinds[x.kind].n += n
		}
	}
}

func (t *tally) facets(c *columns, q *index.Query, exact bool, top int) Facets {
	f := Facets{Count: Count{t.found, exact}, Verified: t.states[1], Unverified: t.states[0]}
	f.DataTypes = t.types.terms(&c.labels.types, q.DataTypes, top)
	f.Units = t.units.terms(&c.labels.units, q.Units, top)
	f.Kinds = t.kinds.terms(&c.labels.kinds, q.Kinds, top)
	f.Prices = t.prices()
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

// prices are the bands that there are offers in, be it none that is found.
func (t *tally) prices() (bands []Band) {
	if t.free {
		bands = append(bands, Band{new(index.Price), new(index.Price), t.bands[freeBand]})
	}
	for i := range len(t.edges) + 1 {
		band := Band{N: t.bands[firstBand+i]}
		if i > 0 {
			band.Min = new(t.edges[i-1])
		}
		if i < len(t.edges) {
			band.Max = new(t.edges[i])
		}
		if t.priced {
			bands = append(bands, band)
		}
	}
	return bands
}

// terms are the most frequent words, and those that are chosen.
func (c counts) terms(w *words, chosen []string, top int) (t Terms) {
	for code := range c {
		n, text := c[code].n, w.text[code]
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
		if code, ok := w.code[name]; ok && c[code].n > 0 {
			x.N = int(c[code].n)
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
