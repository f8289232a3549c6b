package sqlite

import (
	"bytes"
	"cmp"
	"database/sql"
	"slices"

	"iod/index"
)

// hit is an offer that matches.
type hit struct {
	rank     index.Rank
	position int
	price    *index.Price
	km       float64
	lat, lon sql.NullInt32
}

// hitColumns are what scan reads of an offer o; behind them come the terms of its listing, or NULL.
const hitColumns = "o.rank, o.position, o.price, o.lat, o.lon"

func (h *hit) scan(rows *sql.Rows, terms *sql.RawBytes) (err error) {
	var price sql.RawBytes
	if err := rows.Scan(&h.rank, &h.position, &price, &h.lat, &h.lon, terms); err != nil {
		return err
	}
	h.price, err = unpackPrice(price)
	return err
}

// locate reckons how far away an offer is from the query's place; false: it is not within the circle.
func (h *hit) locate(n *index.Near) bool {
	if n == nil {
		return true
	}
	h.km = index.Distance(n.Lat, n.Lon, float64(h.lat.Int32)/1e7, float64(h.lon.Int32)/1e7)
	return n.Km == 0 || h.km <= n.Km
}

// compare orders hits as an answer does; of one listing, the offer that it is found by comes first.
func compare(o index.Order, a, b *hit) int {
	newer := cmp.Compare(b.rank, a.rank)
	switch o {
	case index.Cheapest, index.Dearest:
		if a.price == nil || b.price == nil {
			if (a.price == nil) != (b.price == nil) {
				return map[bool]int{true: 1, false: -1}[a.price == nil]
			}
			break
		}
		c, tie := bytes.Compare(a.price[:], b.price[:]), newer
		if o == index.Dearest {
			c, tie = -c, -newer
		}
		return cmp.Or(c, tie, cmp.Compare(a.position, b.position))
	case index.Nearest:
		return cmp.Or(cmp.Compare(a.km, b.km), newer, cmp.Compare(a.position, b.position))
	}
	return cmp.Or(newer, cmp.Compare(a.position, b.position))
}

// before reports whether a hit stands at or before the place where the page before ended.
func before(o index.Order, h *hit, m *index.Mark) bool {
	return m != nil && compare(o, h, &hit{rank: m.Rank, price: m.Price, km: m.Km, position: 1 << 30}) <= 0
}

// best keeps the first listings of an answer, whatever order their offers come in. In an order by price, after a mark, it is to be given
// no offer but the one that its listing is found by: else a listing of a page before would come again by another.
type best struct {
	order index.Order
	after *index.Mark
	need  int
	hits  []hit // in order, each listing once
}

// take considers a matching offer.
func (b *best) take(h hit) {
	n := len(b.hits)
	if before(b.order, &h, b.after) || n == b.need && compare(b.order, &h, &b.hits[n-1]) > 0 {
		return
	}
	if i := slices.IndexFunc(b.hits, func(x hit) bool { return x.rank == h.rank }); i >= 0 {
		if compare(b.order, &h, &b.hits[i]) > 0 {
			return
		}
		b.hits = slices.Delete(b.hits, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(b.hits, h, func(x, h hit) int { return compare(b.order, &x, &h) })
	b.hits = slices.Insert(b.hits, i, h)
	b.hits = b.hits[:min(len(b.hits), b.need)]
}
