package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

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

// find goes the chosen way and returns the first listings of the answer.
func (a *asking) find(ctx context.Context, c choice) ([]hit, error) {
	b := &best{order: a.Order, after: a.After, need: a.need}
	switch c.way {
	case rings:
		b, err := a.rings(ctx)
		return b.hits, err
	case walkAll, walkCombos, walkOwned, walkWords:
		found, err := a.walk(ctx, b, c.way, c.limit)
		if err == nil && !found {
			return a.find(ctx, choice{way: c.then})
		}
		return b.hits, err
	}
	err := a.takeAll(ctx, b, a.source(c.way))
	return b.hits, err
}

// source is a set of offers o: from where, and the conditions that make it up, which hold for all in it.
type source struct {
	from               string
	args               []any
	conds              where  // by which an index finds it
	more               where  // further ones
	order              string // empty: any
	limit              int    // how many entries of the index it has at most; 0: all
	typed, owned, said bool   // all in it are of the types, the owner, have the words
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
		x.conds.and("words MATCH ? AND w.rowid >= ? AND w.rowid < ?", a.saying(), a.from, a.to)
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

// saying is what FTS5 is to look for: listings with the words that, as far as that is known, offer what is asked for.
func (a *asking) saying() string {
	if len(a.combos) == 0 {
		return a.words.text
	}
	marks := make([]string, len(a.combos))
	for i, c := range a.combos {
		marks[i] = `"` + comboMark(c.id) + `"`
	}
	return a.words.text + " AND (" + strings.Join(marks, " OR ") + ")"
}

// text is the question for the offers of a source that match.
func (a *asking) text(x source) (string, []any) {
	w := a.offers("o", x.typed)
	a.listing(&w, x.owned)
	what, from := hitColumns+", NULL", x.from
	if a.asksWords(x) {
		what, from = hitColumns+", s.terms", from+" CROSS JOIN said s ON s.rank = o.rank"
	}
	w.conds, w.args = slices.Concat(x.more.conds, w.conds), slices.Concat(x.more.args, w.args)
	args := slices.Concat(x.args, x.conds.args, w.args)
	if x.limit > 0 { // SQLite keeps the order of what is limited
		columns := "o.rank, o.position, o.price, o.verified, o.lat, o.lon"
		if !x.typed {
			columns += ", o.data_type, o.kind, o.unit"
		}
		inner := fmt.Sprintf("(SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d) o", columns, x.from, x.conds.String(), x.order, x.limit)
		return "SELECT " + what + " FROM " + strings.Replace(from, x.from, inner, 1) + " WHERE " + w.String(), args
	}
	w.conds = slices.Concat(x.conds.conds, w.conds)
	text := "SELECT " + what + " FROM " + from + " WHERE " + w.String()
	if x.order != "" {
		text += " ORDER BY " + x.order
	}
	return text, args
}

// asksWords reports whether it is to be looked at whether the listings of a source have the words.
func (a *asking) asksWords(x source) bool { return a.words.text != "" && !x.said }

// each reads the offers of a source that match until f has enough. It returns how many rows it read.
func (a *asking) each(ctx context.Context, x source, f func(hit) bool) (n int, err error) {
	text, args := a.text(x)
	asks := a.asksWords(x)
	rows, err := a.v.query(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var h hit
		var terms sql.RawBytes
		if err := h.scan(rows, &terms); err != nil {
			return n, fmt.Errorf("read offers: %w", err)
		}
		if h.locate(a.Near) && (!asks || saysAll(terms, a.words.sets)) && !f(h) {
			return n, nil
		}
	}
	return n, rows.Err()
}

// takeAll goes through a source and keeps the best. Where SQLite can order them it is asked for no more than there are likely to be
// needed, since what it hands over costs more than what it looks at.
func (a *asking) takeAll(ctx context.Context, b *best, x source) error {
	x.order = ""
	if a.After != nil && a.byPrice() {
		a.foremost(&x.more)
	}
	if a.Order != index.Nearest && !a.asksWords(x) {
		y := x
		y.order = a.sqlOrder() + " LIMIT " + strconv.Itoa(enoughRows*a.need)
		a.past(&y.more)
		rows, err := a.each(ctx, y, func(h hit) bool { b.take(h); return true })
		if err != nil || rows < enoughRows*a.need || len(b.hits) == b.need {
			return err
		}
	}
	_, err := a.each(ctx, x, func(h hit) bool { b.take(h); return true })
	return err
}

// enoughRows is how many offers for each listing of an answer are asked for at first: several may be of one listing.
const enoughRows = 2

// sqlOrder is the order of the answer as SQL, of offers that each stand for their listing.
func (a *asking) sqlOrder() string {
	switch a.Order {
	case index.Cheapest:
		return "o.price IS NULL, o.price, o.rank DESC"
	case index.Dearest:
		return "o.price IS NULL, o.price DESC, CASE WHEN o.price IS NULL THEN -o.rank ELSE o.rank END"
	}
	return "o.rank DESC"
}

// past leaves out what stands before the mark in an order by price. In the order of ranks, sources do so themselves.
func (a *asking) past(w *where) {
	m := a.After
	switch {
	case m == nil || !a.byPrice():
	case m.Price == nil:
		w.and("o.price IS NULL AND o.rank < ?", m.Rank)
	case a.Order == index.Cheapest:
		w.and("(o.price > ? OR o.price = ? AND o.rank < ? OR o.price IS NULL)", packPrice(*m.Price), packPrice(*m.Price), m.Rank)
	default:
		w.and("(o.price < ? OR o.price = ? AND o.rank > ? OR o.price IS NULL)", packPrice(*m.Price), packPrice(*m.Price), m.Rank)
	}
}

// walk goes through sources in the order of the answer, until what comes then stands behind all that is needed. It reports whether it
// found the answer: it looks at no more than limit entries of a source, unless that is 0.
func (a *asking) walk(ctx context.Context, b *best, w way, limit int) (found bool, err error) {
	for _, leg := range a.legs(w) {
		for _, x := range leg {
			x.limit = limit
			behind := false
			_, err := a.each(ctx, x, func(h hit) bool {
				b.take(h)
				n := len(b.hits)
				behind = n == b.need && compare(b.order, &h, &b.hits[n-1]) > 0
				return !behind
			})
			if err != nil {
				return false, err
			}
			if behind || limit == 0 {
				continue
			}
			if more, err := a.longer(ctx, x); err != nil || more {
				return false, err
			}
		}
		if len(b.hits) == b.need {
			break
		}
	}
	return true, nil
}

// longer reports whether a source has as many entries as it was limited to, and so maybe more.
func (a *asking) longer(ctx context.Context, x source) (bool, error) {
	n := 0
	text := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s LIMIT %d)", x.from, x.conds.String(), x.limit)
	err := a.one(ctx, text, slices.Concat(x.args, x.conds.args), &n)
	return n == x.limit, err
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
			p.from = "offer o INDEXED BY offer_price"
			legs = append(legs, []source{p})
			continue
		}
		legs = append(legs, a.eachCombo(func(x *source) {
			x.from, x.order, x.more = "offer o INDEXED BY offer_combo_price", p.order, p.more
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
		if x.more.and("o.rank >= ?", a.from); a.After != nil {
			a.foremost(&x.more)
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
	km, err := a.reach(ctx)
	if err != nil {
		return nil, err
	}
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
			x.more.and("o.rank >= ?", a.from)
			x.more.within(boxes)
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

// reach reckons how far around the query's place there may be enough, from how many offers there are in the squares around it.
func (a *asking) reach(ctx context.Context) (km float64, err error) {
	var squares []quad
	cell := cellOf(index.E7(a.Near.Lat), index.E7(a.Near.Lon))
	for depth := leastArea; depth <= mostArea; depth += 2 {
		squares = append(squares, quad{first: cell, depth: depth, whole: true})
	}
	want := 1.5 * float64(a.need) / a.stats.shares(byBox)
	for _, q := range squares {
		_, n, err := a.v.populated(ctx, []quad{q}, nil)
		if err != nil {
			return 0, err
		}
		side := 180.0 / float64(int(1)<<(cellBits-q.depth)) * 111.2
		if km = side / 2 * math.Sqrt(want/max(n, 1)); n >= want {
			break
		}
	}
	return max(km, 0.05), nil
}
