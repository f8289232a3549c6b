package atlas

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math/bits"
	"slices"

	"iod/index"
)

// finder is a search for the first listings of an answer.
type finder struct {
	*plan
	columns *columns
	order   index.Order
	near    *index.Near
	need    int
	mark    hit
	marked  bool
	hits    []hit // the best so far, in order
	rows    bitmap
	places  []nearby
}

// hit is a listing that matches.
type hit struct {
	rank  index.Rank
	offer int
	price priceKey
	exact index.Price // when the key tells too little
	km    float64
}

// nearby is a block by place with how far away all in it are at least.
type nearby struct {
	number uint32
	km     float64
}

// find is the step of a search that databases are slow at: which listings the answer begins with, at most so many. change is the newest line
// of history that it takes into account. It is not ok when the atlas has not read the listings, or cannot tell, or no faster than a database.
func (a *Atlas) find(ctx context.Context, q index.Query, need int) (hits []index.Hit, change int64, ok bool) {
	if q.Owner != nil || dear(&q) {
		return nil, 0, false
	}
	s, known, err := a.begin(&q)
	if err != nil {
		return nil, 0, false
	}
	if !known {
		a.pool.Put(s)
		return nil, 0, false
	}
	defer a.close(s)
	if !s.exact || a.change == 0 {
		return nil, 0, false
	}
	f := &s.finder
	*f = finder{plan: &s.plan, columns: a.columns, order: q.Order, near: q.Near, need: need, hits: f.hits[:0], places: f.places[:0]}
	f.after(q.After)
	if q.Order == index.Nearest {
		f.nearest()
	} else {
		f.search()
	}
	hits = make([]index.Hit, len(f.hits))
	for i := range f.hits {
		hits[i] = f.hits[i].told(q.Order)
	}
	return hits, a.change, true
}

// dear says whether a database's index of prices is quicker at a search.
func dear(q *index.Query) bool {
	return (q.Order == index.Cheapest || q.Order == index.Dearest) && q.Box == nil && q.Near == nil && q.Text == ""
}

func (h *hit) told(o index.Order) index.Hit {
	out := index.Hit{Rank: h.rank, Offer: h.offer, Km: h.km}
	if (o == index.Cheapest || o == index.Dearest) && h.price != noPrice {
		out.Price = new(h.exact)
		if !h.price.more() {
			out.Price = new(h.price.price())
		}
	}
	return out
}

// price is the price of a key that tells all.
func (k priceKey) price() (p index.Price) {
	digits, kept := int(k>>58), uint64(k<<6>>7)
	var hi, lo uint64
	switch {
	case digits <= keptDigits:
		lo = kept / pow10[keptDigits-digits]
	case digits-keptDigits < len(pow10):
		hi, lo = bits.Mul64(kept, pow10[digits-keptDigits])
	default:
		high, low := power(digits - keptDigits)
		hi, lo = bits.Mul64(kept, low)
		hi += kept * high
	}
	binary.BigEndian.PutUint64(p[:8], hi)
	binary.BigEndian.PutUint64(p[8:], lo)
	return p
}

// after notes where the page before ended.
func (f *finder) after(m *index.Mark) {
	if m == nil {
		return
	}
	f.mark, f.marked = hit{rank: m.Rank, price: keyOf(m.Price), km: m.Km}, true
	if m.Price != nil {
		f.mark.exact = *m.Price
	}
	// Whoever found it may have reckoned otherwise in the last digits.
	if b, i, known := f.columns.trail.find(m.Rank); known && f.order == index.Nearest && b.placed.has(i) {
		f.mark.km = f.distance(b, i)
	}
}

// compare orders hits as an answer does.
func (f *finder) compare(a, b *hit) int {
	newer := cmp.Compare(b.rank, a.rank)
	switch f.order {
	case index.Newest:
		return newer
	case index.Nearest:
		return cmp.Or(cmp.Compare(a.km, b.km), newer)
	}
	if a.price == noPrice || b.price == noPrice {
		return cmp.Or(cmp.Compare(a.price, b.price), newer) // which is the last
	}
	c := comparePrices(a, b)
	if f.order == index.Dearest {
		c, newer = -c, -newer
	}
	return cmp.Or(c, newer)
}

func comparePrices(a, b *hit) int {
	if a.price == b.price && a.price.more() {
		return bytes.Compare(a.exact[:], b.exact[:])
	}
	return cmp.Compare(a.price, b.price)
}

// stands reports whether a hit stands behind the page before, and before what is kept already when there is no room for more.
func (f *finder) stands(h hit) bool {
	return (!f.marked || f.compare(&h, &f.mark) > 0) && (!f.full() || f.compare(&h, &f.hits[f.need-1]) < 0)
}

// full says whether there is no room but for what is better than the last hit.
func (f *finder) full() bool { return len(f.hits) == f.need }

// take keeps a hit that stands.
func (f *finder) take(h hit) {
	if f.full() {
		f.hits = f.hits[:f.need-1]
	}
	i := len(f.hits)
	for f.hits = append(f.hits, h); i > 0 && f.compare(&h, &f.hits[i-1]) < 0; i-- {
		f.hits[i] = f.hits[i-1]
	}
	f.hits[i] = h
}

// newest keeps the rows of a block by the order of ranks.
func (f *finder) newest(b *block) {
	for w := len(f.rows) - 1; w >= 0; w-- {
		for word := f.rows[w]; word != 0; {
			bit := 63 - bits.LeadingZeros64(word)
			word &^= 1 << bit
			i := w<<6 + bit
			if h := (hit{rank: b.rank[i]}); f.stands(h) && (b.from != trailed || f.stays(b, i)) {
				h.offer, h.km = f.first(b, i), f.distance(b, i)
				f.take(h)
			}
		}
	}
}

// first is the first offer of a row that meets all conditions.
func (f *finder) first(b *block, i int) int {
	if !f.offers {
		return 0
	}
	from, to := b.offers(i)
	for o := from; o < to; o++ {
		if f.wants(b, o) {
			return o - from
		}
	}
	return 0
}

func (p *plan) wants(b *block, o int) bool {
	return p.met[b.label[o]] == ofLabel && p.affordable(b, o) != 0
}

func (f *finder) distance(b *block, i int) float64 {
	if f.near == nil {
		return 0
	}
	b, i = f.byPlace(b, i)
	return b.distance(i, f.near)
}

// priced keeps the rows of a block by price.
func (f *finder) priced(b *block) {
	for w, word := range f.rows {
		for ; word != 0; word &= word - 1 {
			i := w<<6 + bits.TrailingZeros64(word)
			h := f.best(b, i)
			if f.full() && f.order == index.Cheapest && h.price > f.hits[f.need-1].price {
				continue
			}
			if h.price.more() {
				from, _ := b.offers(i)
				h.exact = *b.exact(from + h.offer)
			}
			if f.stands(h) {
				h.km = f.distance(b, i)
				f.take(h)
			}
		}
	}
}

// rival leaves the rows with an offer that is no worse than that of the last hit, which are few once there are hits: most listings are not looked at.
func (f *finder) rival(b *block) {
	last := f.hits[f.need-1].price
	if last == noPrice {
		return
	}
	lo, hi := priceKey(0), last
	if f.order == index.Dearest {
		lo, hi = last, noPrice-1
	}
	var found bitmap
	ends, row := b.ends, 0
	for o, k := range b.price {
		if k < lo || k > hi {
			continue
		}
		for int(ends[row+1]) <= o {
			row++
		}
		found.set(row)
	}
	f.rows.and(&found)
}

// best is the offer of a row that puts it where it stands in an order by price.
func (f *finder) best(b *block, i int) hit {
	from, to := b.offers(i)
	h := hit{rank: b.rank[i], offer: -1, price: noPrice}
	for o := from; o < to; o++ {
		if f.offers && !f.wants(b, o) {
			continue
		}
		k := b.price[o]
		better := h.offer < 0 || k < h.price
		switch {
		case h.offer < 0:
		case k == h.price && k.more():
			better = b.exact(o).Compare(*b.exact(from + h.offer)) < 0
			if f.order == index.Dearest {
				better = b.exact(o).Compare(*b.exact(from + h.offer)) > 0
			}
		case f.order == index.Dearest:
			better = k != noPrice && (h.price == noPrice || k > h.price)
		}
		if better {
			h.offer, h.price = o-from, k
		}
	}
	h.offer = max(h.offer, 0)
	return h
}

// keep keeps the rows that were found in a block by place.
func (f *finder) keep(b *block) {
	if (f.order == index.Cheapest || f.order == index.Dearest) && f.full() && !f.offers {
		f.rival(b)
	}
	if f.spoken != nil && !f.spoken.narrow(b, &f.rows) {
		return
	}
	switch f.order {
	case index.Newest:
		f.newest(b)
	case index.Nearest:
		f.nearer(b)
	default:
		f.priced(b)
	}
}

// nearer keeps the rows of a block by distance.
func (f *finder) nearer(b *block) {
	for w, word := range f.rows {
		for ; word != 0; word &= word - 1 {
			i := w<<6 + bits.TrailingZeros64(word)
			if h := (hit{rank: b.rank[i], km: f.distance(b, i)}); f.stands(h) {
				h.offer = f.first(b, i)
				f.take(h)
			}
		}
	}
}

// walk goes along the trail from the newest, or from the mark, until the page is full or it has come past so many listings. It reports
// whether the answer is found.
func (f *finder) walk(most int) bool {
	t := &f.columns.trail
	pos := len(t.blocks) - 1
	if f.marked {
		pos = t.of(f.mark.rank)
	}
	for ; pos >= 0; pos-- {
		b := t.blocks[pos]
		if b.newest < f.since {
			break
		}
		if most <= 0 {
			return false
		}
		most -= b.alive
		if !f.matching(b, &f.rows) {
			continue
		}
		if f.newest(b); f.full() {
			break
		}
	}
	return true
}

// search looks at all that may match, or, newest first, whether what is newest does.
func (f *finder) search() {
	if f.order == index.Newest && !f.placed && f.walk(f.patience(f.columns.live)) {
		return
	}
	n := f.gather()
	if f.order == index.Newest && f.placed && f.walk(f.patience(n)) {
		return
	}
	f.hits = f.hits[:0]
	for _, p := range f.places {
		b := f.columns.blocks[p.number]
		if f.order == index.Newest && f.full() && b.newest < f.hits[f.need-1].rank {
			continue
		}
		if f.matching(b, &f.rows) {
			f.keep(b)
		}
	}
}

// gather finds the blocks by place that may have something that matches, and counts the listings in them.
func (f *finder) gather() (n int) {
	for _, number := range f.columns.order {
		b := f.columns.blocks[number]
		if !f.touches(b) {
			continue
		}
		p := nearby{number: number}
		if f.order == index.Nearest {
			p.km = b.within.farther(f.near.Lat, f.near.Lon)
		}
		f.places = append(f.places, p)
		n += b.alive
	}
	return n
}

// patience is how many listings of the trail may be come past before looking at the n that lie in blocks by place takes less.
func (f *finder) patience(n int) int {
	if f.spoken == nil && !f.placed {
		return n
	}
	likely := n
	if f.spoken != nil {
		likely = min(n, f.spoken.rarest)
	}
	most := n / f.columns.oneByOne
	if f.columns.oneByOne > 1 && (likely == 0 || f.need*f.columns.live/likely > most) {
		return 0
	}
	return most
}

// byPlace is where a row of the trail stands by place.
func (f *finder) byPlace(b *block, i int) (*block, int) {
	if b.from != trailed {
		return b, i
	}
	s := b.slot[i]
	return f.columns.blocks[s.block()], s.row()
}

// stays says whether a row of the trail, which meets all conditions on what the trail has, meets the others.
func (f *finder) stays(b *block, i int) bool {
	if f.spoken == nil && !f.boxed && f.plan.near == nil {
		return true
	}
	b, i = f.byPlace(b, i)
	return (!f.boxed || f.box.has(b.x[i], b.lat[i])) && (f.plan.near == nil || f.reaches(b, i)) && (f.spoken == nil || f.spoken.said(b, i))
}

// touches says whether a block may have something that matches.
func (f *finder) touches(b *block) bool {
	return b.alive > 0 && (b.from != unplaced || !f.placed) && b.newest >= f.since && (f.spoken == nil || f.spoken.maybe(b)) && (f.every || b.has.meets(&f.chosen)) &&
		!(f.boxed && f.box.to(&b.within) == outside) && !(f.plan.near != nil && f.hull.to(&b.within) == outside)
}

// nearest looks farther and farther.
func (f *finder) nearest() {
	f.gather()
	slices.SortFunc(f.places, func(a, b nearby) int { return cmp.Compare(a.km, b.km) })
	for _, p := range f.places {
		if f.full() && p.km > f.hits[f.need-1].km {
			return
		}
		if b := f.columns.blocks[p.number]; f.matching(b, &f.rows) {
			f.keep(b)
		}
	}
}

// matching finds the live rows of a block that meet all conditions but those of owner and text, and in the trail those of place, and says
// whether there are any. What costs the most is looked at last.
func (p *plan) matching(b *block, m *bitmap) bool {
	if b.alive == 0 || b.newest < p.since || p.placed && b.from == unplaced || !p.every && !b.has.meets(&p.chosen) {
		return false
	}
	box, circle := inside, inside
	if p.boxed && b.from != trailed {
		box = p.box.to(&b.within)
	}
	if p.near != nil && b.from != trailed && box != outside {
		circle = p.toCircle(b)
	}
	if box == outside || circle == outside {
		return false
	}
	*m = b.live
	if p.placed {
		m.and(&b.placed)
	}
	if !p.believed(b, m) || !p.fresh(b, m) || !p.offering(b, m) {
		return false
	}
	if box == across {
		m.within(b, &p.box)
	}
	if circle == across {
		m.around(b, p)
	}
	return !m.empty()
}

func (m *bitmap) and(o *bitmap) {
	for i := range m {
		m[i] &= o[i]
	}
}

// offering is offered for conditions that few offers meet: it looks at offers rather than at rows.
func (p *plan) offering(b *block, m *bitmap) bool {
	if !p.offers {
		return true
	}
	var found bitmap
	met, ends, row := p.met, b.ends, 0
	for o, label := range b.label {
		if met[label] != ofLabel || p.priced && p.affordable(b, o) == 0 {
			continue
		}
		for int(ends[row+1]) <= o {
			row++
		}
		found.set(row)
	}
	m.and(&found)
	return !m.empty()
}
