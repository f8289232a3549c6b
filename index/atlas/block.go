package atlas

import (
	"cmp"
	"math/bits"
	"slices"

	"iod/document"
	"iod/index"
	"iod/key"
)

const (
	blockRows = 1 << rowBits
	mostOffer = 1<<16 - 1 // offers in a block
)

// bitmap is a bit for each row of a block.
type bitmap [blockRows / 64]uint64

func (m *bitmap) set(i int)      { m[i>>6] |= 1 << (i & 63) }
func (m *bitmap) unset(i int)    { m[i>>6] &^= 1 << (i & 63) }
func (m *bitmap) has(i int) bool { return m[i>>6]&(1<<(i&63)) != 0 }

func (m *bitmap) count() (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

func (m *bitmap) empty() bool {
	var all uint64
	for _, w := range m {
		all |= w
	}
	return all == 0
}

// first is the lowest row that is set.
func (m *bitmap) first() int {
	for i, w := range m {
		if w != 0 {
			return i<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// labelSet is a set of labels, of which some may stand for others, too.
type labelSet [16]uint64

func (s *labelSet) set(label uint32) { s[label>>6&15] |= 1 << (label & 63) }

// meets says whether two sets may have something in common.
func (s *labelSet) meets(o *labelSet) bool {
	var all uint64
	for i, w := range s {
		all |= w & o[i]
	}
	return all != 0
}

// block is a run of listings along the curve, or in a trail. Rows are added at the end and marked dead; otherwise they don't change.
type block struct {
	number uint32 // in columns.blocks
	from   uint64 // place on the curve from which on listings belong here; unplaced for those without a place, trailed in a trail

	live, verified, seen, placed bitmap
	has                          labelSet // of all rows, be they dead

	account []key.AccountID // not in a trail
	slot    []slot          // in a trail only: where it stands by place
	rank    []index.Rank
	owner   []uint64 // columns.ownerKey; not in a trail
	x, y    []uint32 // easting, southing; not in a trail, as lat
	lat     []int32
	ends    []uint16 // of the offers of the row before: 0, and then one for each row
	label   []uint32 // by offer
	price   []priceKey
	long    []longPrice // of offers whose key does not tell all, in their order

	spoken spoken // not in a trail

	// Of live rows, but newest, which may be of a dead one.
	alive  int
	sumX   uint64
	sumLat int64
	within extent
	newest index.Rank
}

// longPrice is the price of an offer whose key is not exact.
type longPrice struct {
	offer uint16
	price index.Price
}

// newBlock makes room for so many rows and offers, and a few more.
func newBlock(number uint32, from uint64, rows, offers int) *block {
	b := &block{number: number, from: from, within: nowhere}
	b.room(max(rows, 1), offers)
	b.ends = append(b.ends, 0)
	return b
}

func (b *block) rows() int { return len(b.rank) }

// room makes room for so many rows and offers in all. Columns grow by a sixteenth, since there are many blocks.
func (b *block) room(rows, offers int) {
	if rows > cap(b.rank) {
		n := min(rows+rows/16+8, blockRows)
		b.rank, b.ends = grown(b.rank, n), grown(b.ends, n+1)
		if b.from == trailed {
			b.slot = grown(b.slot, n)
		} else {
			b.account, b.owner = grown(b.account, n), grown(b.owner, n)
		}
		if b.from < unplaced {
			b.x, b.y, b.lat = grown(b.x, n), grown(b.y, n), grown(b.lat, n)
		}
	}
	if offers > cap(b.label) {
		n := min(offers+offers/16+8, mostOffer)
		b.label, b.price = grown(b.label, n), grown(b.price, n)
	}
}

func grown[T any](s []T, n int) []T {
	out := make([]T, len(s), n)
	copy(out, s)
	return out
}

// row is a listing on its way into a block.
type row struct {
	account  *key.AccountID
	slot     slot
	rank     index.Rank
	owner    uint64
	x, y     uint32
	lat      int32
	placed   bool
	verified bool
	seen     bool
}

// begin adds a row without its offers and returns its number. There is room.
func (b *block) begin(r *row) int {
	i := len(b.rank)
	b.rank, b.ends = append(b.rank, r.rank), append(b.ends, uint16(len(b.label)))
	if b.from == trailed {
		b.slot = append(b.slot, r.slot)
	} else {
		b.account, b.owner = append(b.account, *r.account), append(b.owner, r.owner)
	}
	if b.from < unplaced {
		b.x, b.y, b.lat = append(b.x, r.x), append(b.y, r.y), append(b.lat, r.lat)
		b.within.add(r.x, r.y, r.lat)
		b.sumX, b.sumLat = b.sumX+uint64(r.x), b.sumLat+int64(r.lat)
	}
	b.live.set(i)
	if r.placed {
		b.placed.set(i)
	}
	if r.verified {
		b.verified.set(i)
	}
	if r.seen {
		b.seen.set(i)
	}
	b.alive++
	b.newest = max(b.newest, r.rank)
	return i
}

// offer adds an offer to the last row.
func (b *block) offer(label uint32, k priceKey, p *index.Price) {
	if k.more() {
		b.long = append(b.long, longPrice{uint16(len(b.label)), *p})
	}
	b.label, b.price = append(b.label, label), append(b.price, k)
	b.has.set(label)
	b.ends[len(b.ends)-1] = uint16(len(b.label))
}

// offers are the bounds of a row's offers.
func (b *block) offers(i int) (from, to int) { return int(b.ends[i]), int(b.ends[i+1]) }

// exact is the price of an offer whose key tells too little.
func (b *block) exact(offer int) *index.Price {
	lo, hi := 0, len(b.long)
	for lo < hi {
		if mid := (lo + hi) / 2; int(b.long[mid].offer) < offer {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return &b.long[lo].price
}

// at reads a row.
func (b *block) at(i int) row {
	r := row{rank: b.rank[i], placed: b.placed.has(i), verified: b.verified.has(i), seen: b.seen.has(i)}
	if b.from == trailed {
		r.slot = b.slot[i]
	} else {
		r.account, r.owner, r.slot = &b.account[i], b.owner[i], slotOf(b.number, i)
	}
	if b.from < unplaced {
		r.x, r.y, r.lat = b.x[i], b.y[i], b.lat[i]
	}
	return r
}

// curve is the place of a row on the curve.
func (b *block) curve(i int) uint64 {
	if b.from == unplaced {
		return unplaced
	}
	return curve(b.x[i], b.y[i])
}

// copyFrom adds a row of another block; there is room.
func (b *block) copyFrom(src *block, i int) int {
	r := src.at(i)
	n := b.begin(&r)
	for o, to := src.offers(i); o < to; o++ {
		var p *index.Price
		if src.price[o].more() {
			p = src.exact(o)
		}
		b.offer(src.label[o], src.price[o], p)
	}
	if b.from != trailed {
		var words [64]uint16
		b.spoken.say(n, src.spoken.saying(i, words[:0]))
	}
	return n
}

// insert adds a row of a block by place to one of a trail, before another; there is room.
func (b *block) insert(at int, src *block, i int) {
	last := b.copyFrom(src, i)
	if at == last {
		return
	}
	turn(b.rank[at:], 1)
	turn(b.slot[at:], 1)
	for _, m := range []*bitmap{&b.live, &b.verified, &b.seen, &b.placed} {
		m.turn(at, last)
	}
	begin, end := b.ends[at], b.ends[last+1]
	n := end - b.ends[last]
	turn(b.label[begin:], int(n))
	turn(b.price[begin:], int(n))
	copy(b.ends[at+1:], b.ends[at:last+1])
	for row := at + 1; row <= last+1; row++ {
		b.ends[row] += n
	}
	own := 0 // prices of the row's own
	for k := range b.long {
		switch offer := &b.long[k].offer; {
		case *offer >= end-n:
			*offer -= end - n - begin
			own++
		case *offer >= begin:
			*offer += n
		}
	}
	if own > 0 {
		slices.SortFunc(b.long, func(p, q longPrice) int { return cmp.Compare(p.offer, q.offer) })
	}
}

// turn brings the last n to the front.
func turn[T any](s []T, n int) {
	slices.Reverse(s)
	slices.Reverse(s[:n])
	slices.Reverse(s[n:])
}

// turn brings a bit down to another, and those from there on up by one.
func (m *bitmap) turn(to, from int) {
	last := m.has(from)
	for w := from >> 6; w >= to>>6; w-- {
		up := m[w] << 1
		if w > 0 {
			up |= m[w-1] >> 63
		}
		low, high := max(to+1-w<<6, 0), min(from-w<<6, 63)
		if low > high {
			continue
		}
		moved := ^uint64(0) << low & (^uint64(0) >> (63 - high))
		m[w] = m[w]&^moved | up&moved
	}
	if m.unset(to); last {
		m.set(to)
	}
}

// kill marks a row dead.
func (b *block) kill(i int) {
	b.live.unset(i)
	b.verified.unset(i)
	b.seen.unset(i)
	b.alive--
	if b.from >= unplaced {
		return
	}
	x, y, lat := b.x[i], b.y[i], b.lat[i]
	b.sumX, b.sumLat = b.sumX-uint64(x), b.sumLat-int64(lat)
	if b.within.edge(x, y, lat) {
		b.within = nowhere
		for i := range b.rank {
			if b.live.has(i) {
				b.within.add(b.x[i], b.y[i], b.lat[i])
			}
		}
	}
}

// liveOffers counts the offers of live rows.
func (b *block) liveOffers() (n int) {
	for i := range b.rank {
		if b.live.has(i) {
			from, to := b.offers(i)
			n += to - from
		}
	}
	return n
}

func verified(s document.State) bool { return s == document.Verified }
