package atlas

import (
	"math"
	"slices"

	"iod/index"
)

// trail is all live listings once more, by rank: what searches go through that want the newest first, which end when they have
// enough. Its blocks have no accounts, owners and words, and are copies of what stands by place.
type trail struct {
	blocks []*block     // none is empty, unless it is the only one
	begins []index.Rank // the lowest rank that belongs into each
}

func newTrail() trail {
	return trail{[]*block{newBlock(0, trailed, 0, 0)}, []index.Rank{math.MinInt64}}
}

// of is the position of the block that a rank belongs into.
func (t *trail) of(r index.Rank) int {
	pos, found := slices.BinarySearch(t.begins, r)
	if !found {
		pos--
	}
	return pos
}

// find returns the block and row of a live listing.
func (t *trail) find(r index.Rank) (b *block, i int, known bool) {
	b = t.blocks[t.of(r)]
	i, known = slices.BinarySearch(b.rank, r)
	return b, i, known && b.live.has(i)
}

// add copies row i of a block by place. Nearly always it is the newest of all, unless listings are read in no order.
func (t *trail) add(src *block, i int, capacity int) {
	pos := t.of(src.rank[i])
	b := t.blocks[pos]
	from, to := src.offers(i)
	at, dead := slices.BinarySearch(b.rank, src.rank[i]) // which was the same listing's
	switch {
	case !dead && b.fits(to-from, capacity):
		b.room(b.rows()+1, len(b.label)+to-from)
		b.insert(at, src, i)
	case at == b.rows() && pos == len(t.blocks)-1:
		b = newBlock(0, trailed, 1, to-from)
		b.copyFrom(src, i)
		t.blocks, t.begins = append(t.blocks, b), append(t.begins, src.rank[i])
	case b.alive > capacity/4*3:
		t.weave(pos, pos+1, b.alive/2+1, src, i)
	default:
		t.weave(pos, pos+1, capacity, src, i)
	}
}

// fits says whether there is room for a listing with so many offers.
func (b *block) fits(offers, capacity int) bool {
	return b.rows() < capacity && len(b.label)+offers <= mostOffer
}

// weave writes the live rows of blocks from one position to before another anew, with a row of a block by place unless src is nil, into blocks of
// so many rows.
func (t *trail) weave(from, to, rows int, src *block, i int) {
	var fresh []*block
	begins, placed := []index.Rank{t.begins[from]}, src == nil
	take := func(b *block, row int) {
		first, end := b.offers(row)
		if len(fresh) == 0 || !fresh[len(fresh)-1].fits(end-first, rows) {
			if len(fresh) > 0 {
				begins = append(begins, b.rank[row])
			}
			fresh = append(fresh, newBlock(0, trailed, 0, 0))
		}
		into := fresh[len(fresh)-1]
		into.room(into.rows()+1, len(into.label)+end-first)
		into.copyFrom(b, row)
	}
	for _, b := range t.blocks[from:to] {
		for row := range b.rank {
			if !b.live.has(row) {
				continue
			}
			if !placed && src.rank[i] < b.rank[row] {
				take(src, i)
				placed = true
			}
			take(b, row)
		}
	}
	if !placed {
		take(src, i)
	}
	if len(fresh) == 0 {
		fresh = append(fresh, newBlock(0, trailed, 0, 0))
	}
	t.blocks, t.begins = slices.Replace(t.blocks, from, to, fresh...), slices.Replace(t.begins, from, to, begins...)
}

// remove takes a listing out.
func (t *trail) remove(r index.Rank, capacity int) {
	pos := t.of(r)
	b := t.blocks[pos]
	i, known := slices.BinarySearch(b.rank, r)
	if !known { // it always is
		return
	}
	b.kill(i)
	if dead := b.rows() - b.alive; dead <= b.alive+capacity/16 && b.alive > 0 {
		return
	}
	from, to, rows := pos, pos+1, b.alive
	if from > 0 && rows+t.blocks[from-1].alive <= capacity/4*3 {
		from--
		rows += t.blocks[from].alive
	}
	if to < len(t.blocks) && rows+t.blocks[to].alive <= capacity/4*3 {
		to++
	}
	if b.alive == 0 && to-from == 1 && len(t.blocks) > 1 {
		t.blocks, t.begins = slices.Delete(t.blocks, pos, to), slices.Delete(t.begins, pos, to)
		t.begins[0] = math.MinInt64
		return
	}
	t.weave(from, to, capacity, nil, 0)
}
