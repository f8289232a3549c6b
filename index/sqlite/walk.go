package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"

	"iod/index"
)

// curveOffers are the offers on stretches of the curve, of which there is a list to be given.
const curveOffers = "json_each(?) j CROSS JOIN offer o INDEXED BY offer_cell ON o.cell BETWEEN j.value ->> 0 AND j.value ->> 1"

func curveList(curve []stretch) string {
	b := []byte{'['}
	for i, s := range curve {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, list([]int64{s.from, s.to})...)
	}
	return string(append(b, ']'))
}

// find goes a way and returns the first listings of the answer.
func (a *asking) find(ctx context.Context, w way) ([]hit, error) {
	b := &best{order: a.Order, after: a.After, need: a.need}
	var err error
	switch w {
	case walkAll, walkOwned, walkWords:
		err = a.walk(ctx, b, w)
	case walkCombos:
		err = a.walk(ctx, b, w)
	case rings:
		b, err = a.rings(ctx)
	default:
		err = a.takeAll(ctx, b, a.source(w))
	}
	return b.hits, err
}

// source is a set of offers o: from where, and the conditions that make it up, which hold for all in it.
type source struct {
	from               string
	args               []any
	conds              where
	order              string // empty: any
	typed, owned, said bool   // holds the conditions of types, owner, words already
}

// source is what a way goes through in no order, or in the order of ranks.
func (a *asking) source(w way) source {
	var x source
	switch w {
	case walkOwned, takeOwned:
		x = source{from: "listing l INDEXED BY listing_owner CROSS JOIN offer o ON o.rank = l.rank", owned: true, order: "l.rank DESC"}
		x.conds.and("l.status = 'live' AND l.owner = ? AND l.rank >= ? AND l.rank < ?", a.owner, a.from, a.to)
	case walkWords, takeWords:
		x = source{from: "words w CROSS JOIN offer o ON o.rank = w.rowid", said: true, order: "w.rowid DESC"}
		x.conds.and("words MATCH ? AND w.rowid >= ? AND w.rowid < ?", a.words, a.from, a.to)
	case takeCombos:
		ids := make([]int64, len(a.combos))
		for i, c := range a.combos {
			ids[i] = c.id
		}
		x = source{from: "json_each(?) j CROSS JOIN offer o INDEXED BY offer_combo ON o.combo = j.value", args: []any{list(ids)}, typed: true}
		x.conds.and("o.rank >= ? AND o.rank < ?", a.from, a.to)
	case takeBoxes:
		x = source{from: curveOffers, args: []any{curveList(a.curve)}}
		x.conds.and("o.rank >= ? AND o.rank < ?", a.from, a.to)
	case takePrices:
		from, to := a.prices()
		x = source{from: "offer o INDEXED BY offer_price"}
		x.conds.and("o.price >= ? AND o.price <= ? AND o.rank >= ? AND o.rank < ?", from, to, a.from, a.to)
	default:
		x = source{from: "offer o", order: "o.rank DESC"}
		x.conds.and("o.rank >= ? AND o.rank < ?", a.from, a.to)
	}
	return x
}

// text is the question for the offers of a source that match.
func (a *asking) text(x source) (string, []any) {
	w := a.offers("o", x.typed)
	a.listing(&w, x.owned, x.said)
	text := "SELECT " + hitColumns + " FROM " + x.from + " WHERE " + x.conds.String() + " AND " + w.String()
	if x.order != "" {
		text += " ORDER BY " + x.order
	}
	return text, slices.Concat(x.args, x.conds.args, w.args)
}

// each reads the offers of a source that match until f has enough.
func (a *asking) each(ctx context.Context, x source, f func(hit) bool) error {
	text, args := a.text(x)
	rows, err := a.v.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h hit
		if err := h.scan(rows); err != nil {
			return fmt.Errorf("read offers: %w", err)
		}
		if h.locate(a.Near) && !f(h) {
			return nil
		}
	}
	return rows.Err()
}

func (a *asking) takeAll(ctx context.Context, b *best, x source) error {
	x.order = ""
	if a.After != nil && a.byPrice() {
		a.foremost(&x.conds)
	}
	return a.each(ctx, x, func(h hit) bool { b.take(h); return true })
}

// walk goes through sources in the order of the answer, until what comes then stands behind all that is needed.
func (a *asking) walk(ctx context.Context, b *best, w way) error {
	for _, leg := range a.legs(w) {
		for _, x := range leg {
			err := a.each(ctx, x, func(h hit) bool {
				b.take(h)
				n := len(b.hits)
				return n < b.need || compare(b.order, &h, &b.hits[n-1]) <= 0
			})
			if err != nil {
				return err
			}
		}
		if len(b.hits) == b.need {
			break
		}
	}
	return nil
}

// legs are the sources of a walk, each in the order of the answer, and all of one leg before all of the next one.
func (a *asking) legs(w way) [][]source {
	if a.Order == index.Newest {
		if w != walkCombos {
			return [][]source{{a.source(w)}}
		}
		return [][]source{a.eachCombo(func(x *source) {
			x.from, x.order = "offer o INDEXED BY offer_combo", "o.rank DESC"
			x.conds.and("o.rank >= ? AND o.rank < ?", a.from, a.to)
		})}
	}
	var legs [][]source
	for _, p := range a.priceLegs() {
		if w != walkCombos {
			legs = append(legs, []source{{from: "offer o INDEXED BY offer_price", conds: p.conds, order: p.order}})
			continue
		}
		legs = append(legs, a.eachCombo(func(x *source) {
			x.from, x.order = "offer o INDEXED BY offer_combo_price", p.order
			x.conds.and(p.conds.String(), p.conds.args...)
		}))
	}
	return legs
}

// eachCombo makes a source for each combination of types, kinds and units.
func (a *asking) eachCombo(finish func(*source)) []source {
	var all []source
	for _, c := range a.combos {
		x := source{typed: true}
		x.conds.and("o.combo = ?", c.id)
		finish(&x)
		all = append(all, x)
	}
	return all
}

// priceLegs are the parts of an order by price from the mark on: the rest of its price, further prices, and what has none.
func (a *asking) priceLegs() []source {
	from, to := a.prices()
	order, rest, byRank, further := "o.price, o.rank DESC", "o.rank < ?", "o.rank DESC", "o.price > ? AND o.price <= ?"
	if a.Order == index.Dearest {
		order, rest, byRank, further = "o.price DESC, o.rank", "o.rank > ?", "o.rank", "o.price < ? AND o.price >= ?"
	}
	var legs []source
	add := func(order, cond string, args ...any) {
		x := source{order: order}
		x.conds.and(cond, args...)
		if x.conds.and("o.rank >= ?", a.from); a.After != nil {
			a.foremost(&x.conds)
		}
		legs = append(legs, x)
	}
	below := topRank
	switch m := a.After; {
	case m == nil:
		add(order, "o.price >= ? AND o.price <= ?", from, to)
	case m.Price == nil:
		below = m.Rank
	default:
		price, end := packPrice(*m.Price), to
		if a.Order == index.Dearest {
			end = from
		}
		add(byRank, "o.price = ? AND "+rest, price, m.Rank)
		add(order, further, price, end)
	}
	if a.MinPrice == nil && a.MaxPrice == nil {
		add("o.rank DESC", "o.price IS NULL AND o.rank < ?", below)
	}
	return legs
}

func (a *asking) byPrice() bool { return a.Order == index.Cheapest || a.Order == index.Dearest }

// foremost leaves out, in an order by price, offers whose listing has another one that matches and that it is found by.
func (a *asking) foremost(w *where) {
	p, first := a.offers("p", false), "p.price < o.price"
	if a.Order == index.Dearest {
		first = "p.price > o.price"
	}
	w.and("NOT EXISTS (SELECT 1 FROM offer p WHERE p.rank = o.rank AND ("+first+
		" OR p.price = o.price AND p.position < o.position OR o.price IS NULL AND p.price IS NOT NULL) AND "+p.String()+")", p.args...)
}

// half is how far away anything can be, in kilometres, and a little more.
const half = index.EarthKm*math.Pi + 1

// rings looks around a place, farther and farther, until there are enough within the last circle.
func (a *asking) rings(ctx context.Context) (*best, error) {
	end := half
	if a.Near.Km > 0 {
		end = a.Near.Km
	}
	km := 3.0
	if a.After != nil {
		km = max(km, 1.2*a.After.Km)
	}
	for {
		km = min(km, end)
		b := &best{order: a.Order, after: a.After, need: a.need}
		x := source{from: curveOffers}
		boxes := around(*a.Near, km)
		if a.boxes != nil {
			boxes = both(a.boxes, boxes)
		}
		if len(boxes) > 0 {
			x.args = []any{curveList(stretches(boxes))}
			x.conds.and("o.rank >= ?", a.from)
			x.conds.within(boxes)
			if err := a.takeAll(ctx, b, x); err != nil {
				return b, err
			}
		}
		settled := 0
		for _, h := range b.hits {
			if h.km <= km {
				settled++
			}
		}
		if settled == a.need || km >= end {
			return b, nil
		}
		km *= min(max(1.3*math.Sqrt(float64(a.need)/max(float64(settled), 0.1)), 1.5), 6)
	}
}
