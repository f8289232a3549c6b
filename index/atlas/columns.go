package atlas

import (
	"cmp"
	"hash/maphash"
	"slices"

	"iod/index"
	"iod/key"
)

// columns are all live listings.
type columns struct {
	table  table
	labels labels
	steps  [steps]int // offers by step of their price

	blocks []*block // by number; nil: the number is free
	free   []uint32 // numbers
	order  []uint32 // numbers of blocks, by where they begin
	begins []uint64 // block.from in that order
	live   int
	trail  trail
	words  vocabulary

	capacity int      // rows of a block; less than blockRows in tests
	oneByOne int      // how many times as long it takes to look for one row's place or words as it does for each of a block; 1 in tests
	rows     []placed // for parting a block
	codes    []uint16 // for words
	marking  bool     // rows put now are seen
}

func newColumns() *columns {
	c := &columns{table: newTable(), labels: newLabels(), trail: newTrail(), words: newVocabulary(), capacity: blockRows, oneByOne: 32}
	c.insert(0, c.make(0, 0, 0))
	c.insert(1, c.make(unplaced, 0, 0))
	return c
}

func (c *columns) make(from uint64, rows, offers int) *block {
	var b *block
	if last := len(c.free) - 1; last >= 0 {
		b = newBlock(c.free[last], from, rows, offers)
		c.free = c.free[:last]
		c.blocks[b.number] = b
	} else {
		b = newBlock(uint32(len(c.blocks)), from, rows, offers)
		c.blocks = append(c.blocks, b)
	}
	return b
}

func (c *columns) insert(pos int, b *block) {
	c.order, c.begins = slices.Insert(c.order, pos, b.number), slices.Insert(c.begins, pos, b.from)
}

// remove takes a block out whose rows are all dead or moved.
func (c *columns) remove(pos int) {
	n := c.order[pos]
	c.blocks[n] = nil
	c.free = append(c.free, n)
	c.order, c.begins = slices.Delete(c.order, pos, pos+1), slices.Delete(c.begins, pos, pos+1)
}

// accountAt is for the table.
func (c *columns) accountAt(s slot) *key.AccountID { return &c.blocks[s.block()].account[s.row()] }

// ownerKey stands for an account in the column of owners; 0 for none. That two accounts have the same is as likely as guessing
// 64 bits of a secret.
func (c *columns) ownerKey(a *key.AccountID) uint64 {
	if a == nil {
		return 0
	}
	return maphash.Bytes(c.table.seed, a[:]) | 1
}

// put takes in what a listing is now.
func (c *columns) put(r *index.Row) {
	i, known := c.table.find(&r.Account, c.accountAt)
	if known {
		if s := c.table.slots[i]; !r.Live || !c.same(s, r) {
			c.table.remove(i, c.accountAt)
			c.kill(s)
		} else {
			return
		}
	}
	if !r.Live {
		return
	}
	s := c.add(r)
	i, _ = c.table.find(&r.Account, c.accountAt)
	c.table.add(i, s, c.accountAt)
}

// same says whether a row says nothing new, and marks it seen.
func (c *columns) same(s slot, r *index.Row) bool {
	b := c.blocks[s.block()]
	if b.rank[s.row()] != r.Rank || b.verified.has(s.row()) != verified(r.State) {
		return false
	}
	if c.marking {
		b.seen.set(s.row())
	}
	return true
}

// kill marks a listing dead that the table does not know any more.
func (c *columns) kill(s slot) {
	b := c.blocks[s.block()]
	for o, to := b.offers(s.row()); o < to; o++ {
		c.labels.drop(b.label[o])
		if b.price[o] != noPrice {
			c.steps[b.price[o].step()]--
		}
	}
	c.codes = b.spoken.saying(s.row(), c.codes[:0])
	c.words.drop(c.codes)
	c.trail.remove(b.rank[s.row()], c.capacity)
	b.kill(s.row())
	c.live--
	c.tend(b)
}

// mostOffers of one listing are looked at. Documents have 64 at most.
const mostOffers = 1024

// add puts a listing into its block.
func (c *columns) add(r *index.Row) slot {
	x := row{account: &r.Account, rank: r.Rank, owner: c.ownerKey(r.Owner), placed: r.Placed, verified: verified(r.State), seen: c.marking}
	place := uint64(unplaced)
	if r.Placed {
		x.lat, x.x, x.y = fixed(r.Lat), easting(fixed(r.Lon)), southing(r.Lat)
		place = curve(x.x, x.y)
	}
	offers := r.Offers[:min(len(r.Offers), mostOffers)]
	b := c.roomFor(place, len(offers))
	b.room(b.rows()+1, len(b.label)+len(offers))
	i := b.begin(&x)
	for _, o := range offers {
		k := keyOf(o.Price)
		b.offer(c.labels.take(o.DataType, o.Unit, o.Kind), k, o.Price)
		if k != noPrice {
			c.steps[k.step()]++
		}
	}
	c.codes = c.words.take(r.Words, c.codes[:0])
	b.spoken.say(i, c.codes)
	c.trail.add(b, i, c.capacity)
	c.live++
	return slotOf(b.number, i)
}

// roomFor finds the block of a place, and makes room in it.
func (c *columns) roomFor(place uint64, offers int) *block {
	for {
		pos := c.last(place)
		b := c.blocks[c.order[pos]]
		switch {
		case b.rows() < c.capacity && len(b.label)+offers <= mostOffer:
			return b
		case b.alive > c.capacity/4*3 || b.liveOffers() > mostOffer/4*3:
			c.part(pos, b)
		default:
			c.renew(pos, b.from, b)
		}
	}
}

// last is the position of the last block that begins at or before a place.
func (c *columns) last(place uint64) int {
	pos, _ := slices.BinarySearch(c.begins, place+1)
	return pos - 1
}

// tend looks after a block that a listing left.
func (c *columns) tend(b *block) {
	small := b.alive < c.capacity/4 && b.alive%(c.capacity/16) == 0
	if dead := b.rows() - b.alive; !small && dead <= b.alive/4+c.capacity/16 {
		return
	}
	pos := c.last(b.from)
	for c.order[pos] != b.number { // several may begin at one place
		pos--
	}
	if small && pos+1 < len(c.order) && (b.from == unplaced) == (c.begins[pos+1] == unplaced) {
		next := c.blocks[c.order[pos+1]]
		if b.alive+next.alive <= c.capacity/2 && b.liveOffers()+next.liveOffers() <= mostOffer/2 {
			c.renew(pos, b.from, b, next)
			return
		}
	}
	if b.rows() > b.alive {
		c.renew(pos, b.from, b)
	}
}

// renew writes the live rows of one block, or of neighbours from pos on, into a new one.
func (c *columns) renew(pos int, from uint64, old ...*block) {
	rows, offers := 0, 0
	for _, b := range old {
		rows, offers = rows+b.alive, offers+b.liveOffers()
	}
	fresh := c.make(from, rows, offers)
	for _, b := range old {
		for i := range b.rank {
			if b.live.has(i) {
				c.move(fresh, b, i)
			}
		}
	}
	for range old {
		c.remove(pos)
	}
	c.insert(pos, fresh)
}

// move copies a live row and tells the table and the trail.
func (c *columns) move(to, from *block, i int) {
	t, known := c.table.find(&from.account[i], c.accountAt)
	n := to.copyFrom(from, i)
	if known { // it always is
		c.table.slots[t] = slotOf(to.number, n)
	}
	if b, k, known := c.trail.find(from.rank[i]); known { // as always
		b.slot[k] = slotOf(to.number, n)
	}
}

// part writes the live rows of a block into two, by their place on the curve.
func (c *columns) part(pos int, b *block) {
	c.rows = c.rows[:0]
	for i := range b.rank {
		if b.live.has(i) {
			c.rows = append(c.rows, placed{b.curve(i), i})
		}
	}
	slices.SortFunc(c.rows, func(p, q placed) int { return cmp.Or(cmp.Compare(p.place, q.place), cmp.Compare(p.row, q.row)) })
	cut := middle(c.rows)
	offers := 0
	for _, r := range c.rows[:cut] {
		from, to := b.offers(r.row)
		offers += to - from
	}
	first := c.make(b.from, cut, offers)
	second := c.make(c.rows[cut].place, len(c.rows)-cut, b.liveOffers()-offers)
	for i, r := range c.rows {
		if i < cut {
			c.move(first, b, r.row)
		} else {
			c.move(second, b, r.row)
		}
	}
	c.remove(pos)
	c.insert(pos, second)
	c.insert(pos, first)
}

// placed is a row of a block with its place on the curve.
type placed struct {
	place uint64
	row   int
}

// middle is where two halves of sorted rows part, between two places if there are two.
func middle(rows []placed) int {
	mid := len(rows) / 2
	lo, hi := mid, mid
	for lo > 0 && rows[lo-1].place == rows[mid].place {
		lo--
	}
	for hi < len(rows) && rows[hi].place == rows[mid].place {
		hi++
	}
	switch {
	case lo > 0 && (mid-lo <= hi-mid || hi == len(rows)):
		return lo
	case hi < len(rows):
		return hi
	}
	return mid
}

// mark begins a reading of all listings: those that are not put until sweep are gone.
func (c *columns) mark() {
	for _, n := range c.order {
		c.blocks[n].seen = bitmap{}
	}
	c.marking = true
}

// sweep removes what was not seen since mark.
func (c *columns) sweep() {
	c.marking = false
	var gone []key.AccountID
	for _, n := range c.order {
		b := c.blocks[n]
		for i := range b.rank {
			if b.live.has(i) && !b.seen.has(i) {
				gone = append(gone, b.account[i])
			}
		}
	}
	for _, a := range gone {
		c.put(&index.Row{Account: a})
	}
}
