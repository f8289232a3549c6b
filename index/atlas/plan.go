package atlas

import (
	"math/bits"

	"iod/document"
	"iod/index"
)

// The conditions that offers must meet, as bits.
const (
	ofType uint8 = 1 << iota
	ofUnit
	ofKind
	ofPrice

	ofAll   = ofType | ofUnit | ofKind | ofPrice
	ofLabel = ofType | ofUnit | ofKind
)

// plan is a query made ready for the columns.
type plan struct {
	state  document.State
	since  index.Rank
	owner  uint64   // 0: any
	spoken *wording // nil: the words do not matter, or
	listed bool     // ranks are those that have them
	ranks  rankSet

	placed bool // what has no place doesn't match
	boxed  bool
	box    frame
	near   *index.Near
	hull   frame // of near

	offers bool     // offers must meet a condition
	met    []uint8  // by label: the conditions it meets
	chosen labelSet // labels that meet all
	every  bool     // label meets all
	priced bool
	from   priceKey // offers from and to these prices
	to     priceKey
	edgy   bool // the keys of the limits tell too little
	min    *index.Price
	max    *index.Price

	words bitset // scratch: words of a dictionary
}

// frame is a box in the columns' own numbers.
type frame struct {
	spans     []span
	low, high int32
}

func (f *frame) set(b *index.Box) {
	f.spans = spans(f.spans[:0], b.West, b.East)
	f.low, f.high = atLeast(b.South), atMost(b.North)
}

// to says how an extent lies to the frame.
func (f *frame) to(e *extent) where { return e.toBox(f.spans, f.low, f.high) }

func (f *frame) has(x uint32, lat int32) bool {
	if lat < f.low || lat > f.high {
		return false
	}
	for _, s := range f.spans {
		if x >= s.west && x <= s.east {
			return true
		}
	}
	return false
}

// compile reads a query, but for its text.
func (p *plan) compile(c *columns, q *index.Query) {
	*p = plan{met: p.met[:0], box: frame{spans: p.box.spans}, hull: frame{spans: p.hull.spans}, words: p.words, ranks: p.ranks, state: q.State}
	p.placed = q.Near != nil || q.Box != nil
	if q.Near != nil && q.Near.Km > 0 {
		p.near = q.Near
		p.hull.set(new(hull(q.Near)))
	}
	if !q.Since.IsZero() {
		p.since = index.FirstRank(q.Since)
	}
	if q.Owner != nil {
		p.owner = c.ownerKey(q.Owner)
	}
	if q.Box != nil {
		p.boxed = true
		p.box.set(q.Box)
	}
	p.priced = q.MinPrice != nil || q.MaxPrice != nil
	p.from, p.to = 0, noPrice-1
	if q.MinPrice != nil {
		p.from, p.min = keyOf(q.MinPrice), q.MinPrice
	}
	if q.MaxPrice != nil {
		p.to, p.max = keyOf(q.MaxPrice), q.MaxPrice
	}
	p.edgy = p.from.more() || p.to.more() && p.max != nil
	p.offers = p.priced || len(q.DataTypes) > 0 || len(q.Units) > 0 || len(q.Kinds) > 0
	p.label(&c.labels, q)
}

// label finds out which labels meet which conditions.
func (p *plan) label(l *labels, q *index.Query) {
	if cap(p.met) < len(l.all) {
		p.met = make([]uint8, len(l.all)+len(l.all)/4)
	}
	p.met = p.met[:len(l.all)]
	for i := range p.met {
		p.met[i] = ofLabel
	}
	for _, f := range []struct {
		names []string
		words *words
		bit   uint8
		code  func(label) uint32
	}{
		{q.DataTypes, &l.types, ofType, func(x label) uint32 { return x.dataType }},
		{q.Units, &l.units, ofUnit, func(x label) uint32 { return x.unit }},
		{q.Kinds, &l.kinds, ofKind, func(x label) uint32 { return x.kind }},
	} {
		if len(f.names) == 0 {
			continue
		}
		p.words.clear(len(f.words.text))
		for _, name := range f.names {
			if n, ok := f.words.code[name]; ok {
				p.words.set(n)
			}
		}
		for i, x := range l.all {
			if !p.words.has(f.code(x)) {
				p.met[i] &^= f.bit
			}
		}
	}
	if p.every = len(q.DataTypes)+len(q.Units)+len(q.Kinds) == 0; p.every {
		return
	}
	for i, met := range p.met {
		if met == ofLabel {
			p.chosen.set(uint32(i))
		}
	}
}

// rows finds the live rows of a block that meet all conditions but those of offers, and says whether there are any.
func (p *plan) rows(b *block, m *bitmap) bool {
	return p.places(b, m) && p.believed(b, m) && p.fresh(b, m)
}

// places is rows without state and freshness.
func (p *plan) places(b *block, m *bitmap) bool {
	if b.alive == 0 || p.placed && b.from == unplaced || p.spoken != nil && !p.spoken.maybe(b) {
		return false
	}
	*m = b.live
	if p.boxed {
		switch p.box.to(&b.within) {
		case outside:
			return false
		case across:
			m.within(b, &p.box)
		}
	}
	if p.near != nil {
		switch p.toCircle(b) {
		case outside:
			return false
		case across:
			m.around(b, p)
		}
	}
	if p.owner != 0 {
		m.narrow(func(i int) bool { return b.owner[i] == p.owner })
	}
	if p.listed {
		m.narrow(func(i int) bool { return p.ranks.has(b.rank[i]) })
	}
	return !m.empty() && (p.spoken == nil || p.spoken.narrow(b, m))
}

// toCircle says how a block lies to the circle.
func (p *plan) toCircle(b *block) where {
	if p.hull.to(&b.within) == outside {
		return outside
	}
	return b.within.toCircle(p.near)
}

// within leaves the rows in a frame.
func (m *bitmap) within(b *block, f *frame) {
	m.narrow(func(i int) bool { return f.has(b.x[i], b.lat[i]) })
}

// around leaves the rows in the circle of a plan.
func (m *bitmap) around(b *block, p *plan) {
	m.narrow(func(i int) bool { return p.reaches(b, i) })
}

// reaches says whether a row lies in the circle.
func (p *plan) reaches(b *block, i int) bool {
	return p.hull.has(b.x[i], b.lat[i]) && b.distance(i, p.near) <= p.near.Km
}

// distance is how far away a row is, in kilometres.
func (b *block) distance(i int, n *index.Near) float64 {
	return index.Distance(n.Lat, n.Lon, degrees(b.lat[i]), degrees(longitude(b.x[i])))
}

// believed leaves the rows of the state asked for.
func (p *plan) believed(b *block, m *bitmap) bool {
	switch p.state {
	case "":
		return true
	case document.Verified:
		for i := range m {
			m[i] &= b.verified[i]
		}
	case document.Unverified:
		for i := range m {
			m[i] &^= b.verified[i]
		}
	default:
		*m = bitmap{}
	}
	return !m.empty()
}

// fresh leaves the rows that are new enough.
func (p *plan) fresh(b *block, m *bitmap) bool {
	if p.since == 0 {
		return true
	}
	if b.newest < p.since {
		*m = bitmap{}
		return false
	}
	m.narrow(func(i int) bool { return b.rank[i] >= p.since })
	return !m.empty()
}

// offered leaves the rows of which an offer meets all its conditions.
func (p *plan) offered(b *block, m *bitmap) bool {
	if !p.offers {
		return true
	}
	met, labels := p.met, b.label
	for w, word := range m {
		for rest := word; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			o, to := b.offers(w<<6 + i)
			var any uint64
			for ; o < to; o++ {
				any |= bit(met[labels[o]] == ofLabel) & p.affordable(b, o)
			}
			word &^= (1 - any) << i
		}
		m[w] = word
	}
	return !m.empty()
}

// affordable is 1 for an offer with a price within the limits. It takes no branches that depend on the offer, unless the limits have
// more digits than keys tell.
func (p *plan) affordable(b *block, o int) uint64 {
	if !p.priced {
		return 1
	}
	k := b.price[o]
	if p.edgy && k.more() && (k == p.from || k == p.to) {
		exact := b.exact(o)
		return bit(k >= p.from && k <= p.to && (k != p.from || exact.Compare(*p.min) >= 0) && (k != p.to || exact.Compare(*p.max) <= 0))
	}
	return bit(k >= p.from) & bit(k <= p.to)
}

// bit is 1 for true.
func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// narrow keeps of the rows that are set those that keep says.
func (m *bitmap) narrow(keep func(i int) bool) {
	for w, word := range m {
		for rest := word; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			word &^= bit(!keep(w<<6+i)) << i
		}
		m[w] = word
	}
}

// bitset is a set of small numbers.
type bitset []uint64

func (s *bitset) clear(size int) {
	n := (size + 63) / 64
	if cap(*s) < n {
		*s = make(bitset, n)
	}
	*s = (*s)[:n]
	clear(*s)
}

func (s bitset) set(n uint32)      { s[n>>6] |= 1 << (n & 63) }
func (s bitset) has(n uint32) bool { return s[n>>6]&(1<<(n&63)) != 0 }

// rankSet is a hash table of ranks.
type rankSet struct {
	slots []index.Rank // 0: empty
	shift int
	zero  bool
}

func (s *rankSet) fill(ranks []index.Rank) {
	width := bits.Len(uint(2*len(ranks)) | 63)
	if cap(s.slots) < 1<<width {
		s.slots = make([]index.Rank, 1<<width)
	}
	s.slots, s.shift, s.zero = s.slots[:1<<width], 64-width, false
	clear(s.slots)
	for _, r := range ranks {
		if r == 0 {
			s.zero = true
			continue
		}
		i := s.home(r)
		for s.slots[i] != 0 && s.slots[i] != r {
			i = (i + 1) & (len(s.slots) - 1)
		}
		s.slots[i] = r
	}
}

func (s *rankSet) home(r index.Rank) int {
	const golden = 0x9e3779b97f4a7c15
	return int(uint64(r) * golden >> s.shift)
}

func (s *rankSet) has(r index.Rank) bool {
	if r == 0 {
		return s.zero
	}
	for i := s.home(r); ; i = (i + 1) & (len(s.slots) - 1) {
		if s.slots[i] == 0 || s.slots[i] == r {
			return s.slots[i] == r
		}
	}
}
