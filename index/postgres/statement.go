package postgres

import (
	"fmt"
	"math"
	"strings"

	"iod/index"
)

// statement writes a search as SQL. Its text is made of constants only and depends on the form of the search alone, so that it is
// planned once; all values are arguments.
//
// Where the text has "(… ) IS TRUE" or a subselect in the place of a plain condition, it is to keep the planner from starting there.
type statement struct {
	*asked
	need     int
	unpriced bool    // only listings none of whose matching offers has a price
	km       float64 // from Near at most; 0: anywhere
	args     []any
}

func (s *statement) arg(v any) string {
	s.args = append(s.args, v)
	return fmt.Sprint("$", len(s.args))
}

// text is the whole: the page, and around it what is shown of its listings.
func (s *statement) text(w way) string {
	var page string
	if n := s.Near; n != nil {
		if s.km = n.Km; !math.IsInf(w.km, 1) && !w.walk && (w.km < s.km || s.km == 0) {
			s.km = w.km
		}
	}
	if w.walk {
		page = s.walk(w)
	} else {
		page = s.set(w)
	}
	order := "p.rank DESC"
	switch s.Order {
	case index.Cheapest:
		order = "p.price, p.rank DESC" // NULLs last
	case index.Dearest:
		order = "p.price DESC NULLS LAST, " + dearestTie("p.price", "p.rank")
	case index.Nearest:
		order = "p.km, p.rank DESC"
	}
	raw, join := "", ""
	if s.Raw {
		raw, join = ", d.raw", " JOIN document d ON d.hash = l.document"
	}
	return "SELECT " + listingColumns + ", p.position, p.price, p.km" + raw + " FROM (" + page + ") p JOIN listing l ON l.rank = p.rank" + join + " ORDER BY " + order
}

// dearestTie orders listings of one price the oldest first, those without one the newest first.
func dearestTie(price, rank string) string {
	return "CASE WHEN " + price + " IS NULL THEN -" + rank + " ELSE " + rank + " END"
}

// walk goes through an index of offers in the order of the answer.
func (s *statement) walk(w way) string {
	distinct, order, outer := "DISTINCT ON (o.rank) ", "o.rank DESC, o.position DESC", "x.rank DESC, x.position DESC"
	switch {
	case byPrices(s.Order) && s.Order == index.Dearest && !s.unpriced:
		distinct, order, outer = "", "o.price DESC, o.rank", "x.price DESC, x.rank"
	case byPrices(s.Order):
		distinct, order, outer = "", "o.price, o.rank DESC", "x.price, x.rank DESC"
	}
	conds := append(s.ranks("o.rank"), s.offers("o", w.by)...)
	conds = append(conds, s.listing(w.by)...)
	if byPrices(s.Order) {
		conds = append(conds, s.place()...)
	}
	if w.by == byCombo {
		conds = append(conds, "o.combo = v.id")
	}
	inner := "SELECT " + distinct + "o.rank, o.position, o.price, NULL::float8 AS km FROM offer o WHERE " + strings.Join(conds, " AND ") +
		" ORDER BY " + order + " LIMIT " + s.arg(s.need)
	if w.by != byCombo {
		return inner
	}
	if distinct != "" {
		distinct = "DISTINCT ON (x.rank) "
	}
	return "SELECT " + distinct + "x.rank, x.position, x.price, x.km FROM (" + s.combos() + ") v CROSS JOIN LATERAL (" + inner +
		") x ORDER BY " + outer + " LIMIT " + s.arg(s.need)
}

// place narrows a walk by price to what comes after the mark, and to one offer of a listing.
func (s *statement) place() []string {
	double := "p.price IS NOT NULL OR p.position > o.position"
	var conds []string
	switch {
	case s.unpriced:
		conds = []string{"o.price IS NULL"}
		if s.After != nil {
			conds = append(conds, "o.rank < "+s.arg(s.After.Rank))
		}
	case s.Order == index.Cheapest:
		conds, double = []string{"o.price IS NOT NULL"}, "p.price < o.price OR p.price = o.price AND p.position > o.position"
		if s.After != nil {
			p, r := s.arg(s.After.Price[:]), s.arg(s.After.Rank)
			conds = append(conds, "o.price >= "+p, "(o.price > "+p+" OR o.rank < "+r+")")
		}
	default:
		conds, double = []string{"o.price IS NOT NULL"}, "p.price > o.price OR p.price = o.price AND p.position > o.position"
		if s.After != nil {
			p, r := s.arg(s.After.Price[:]), s.arg(s.After.Rank)
			conds = append(conds, "o.price <= "+p, "(o.price < "+p+" OR o.rank > "+r+")")
		}
	}
	others := append([]string{"p.rank = o.rank", "(" + double + ")"}, s.offers("p", byAll)...)
	return append(conds, "NOT EXISTS (SELECT FROM offer p WHERE "+strings.Join(others, " AND ")+")")
}

// ranks are the bounds that an age and, newest first, a mark set.
func (s *statement) ranks(column string) (conds []string) {
	if !s.Since.IsZero() {
		conds = append(conds, column+" >= "+s.arg(index.FirstRank(s.Since)))
	}
	if s.After != nil && s.Order == index.Newest {
		conds = append(conds, column+" < "+s.arg(s.After.Rank))
	}
	return conds
}

// ofCombos tells whether the search asks for types, kinds or units.
func (s *statement) ofCombos() bool { return len(s.DataTypes)+len(s.Kinds)+len(s.Units) > 0 }

// combos selects the ids of the types, kinds and units that are asked for.
func (s *statement) combos() string {
	var conds []string
	for _, f := range []struct {
		column string
		values []string
	}{{"c.data_type", s.DataTypes}, {"c.kind", s.Kinds}, {"c.unit", s.Units}} {
		if len(f.values) > 0 {
			conds = append(conds, f.column+" = ANY("+s.arg(columns(f.values))+"::text[])")
		}
	}
	return "SELECT c.id FROM combo c WHERE " + strings.Join(conds, " AND ")
}

// ofOffers tells whether the search asks for anything of offers.
func (s *statement) ofOffers() bool {
	return s.ofCombos() || s.MinPrice != nil || s.MaxPrice != nil
}

// offers are the conditions that one offer must meet, but for the one that the walk is by.
func (s *statement) offers(o string, by thing) (conds []string) {
	if !s.ofOffers() {
		if byPrices(s.Order) {
			return nil // any of a listing's
		}
		return []string{o + ".position = 0"}
	}
	if s.ofCombos() && by != byCombo {
		conds = append(conds, "("+o+".combo = ANY(ARRAY("+s.combos()+"))) IS TRUE")
	}
	form := "(" + o + ".price %s %s) IS TRUE"
	if byPrices(s.Order) && o == "o" {
		form = o + ".price %s %s" // which the index is by
	}
	if s.MinPrice != nil {
		conds = append(conds, fmt.Sprintf(form, ">=", s.arg(s.MinPrice[:])))
	}
	if s.MaxPrice != nil {
		conds = append(conds, fmt.Sprintf(form, "<=", s.arg(s.MaxPrice[:])))
	}
	return conds
}

// listing are the conditions that the listing of an offer o must meet, but for the one that the set is by.
func (s *statement) listing(by thing) (conds []string) {
	if s.State != "" {
		conds = append(conds, "o.state = "+s.arg(int16(code(states, s.State))))
	}
	conds = append(conds, s.around()...)
	if s.Owner != nil && by != byOwner {
		conds = append(conds, "(SELECT w.owner FROM listing w WHERE w.rank = o.rank) = "+s.arg(s.Owner[:]))
	}
	if len(s.terms) > 0 && by != byWords {
		conds = append(conds, "(SELECT t.words @@ (SELECT "+s.arg(tsquery(s.terms))+"::text::tsquery) FROM said t WHERE t.rank = o.rank)")
	}
	return conds
}

// around are the conditions of the place of an offer o.
func (s *statement) around() (conds []string) {
	if b := s.Box; b != nil {
		conds = append(conds, s.within(*b))
	}
	if s.Near != nil {
		conds = append(conds, "o.lat IS NOT NULL")
		if s.km > 0 {
			conds = append(conds, s.within(around(s.Near.Lat, s.Near.Lon, s.km))) // which costs less to see
			conds = append(conds, s.haversine()+" <= "+s.arg(haversineOf(s.km)))
		}
	}
	return conds
}

// within is that an offer o lies in a box.
func (s *statement) within(b index.Box) string {
	cond := "o.lat BETWEEN " + s.arg(b.South) + " AND " + s.arg(b.North)
	if west, east := s.arg(b.West), s.arg(b.East); b.West <= b.East {
		return cond + " AND o.lon BETWEEN " + west + " AND " + east
	} else {
		return cond + " AND (o.lon >= " + west + " OR o.lon <= " + east + ")"
	}
}

// haversine is that of the angle between Near and an offer o.
func (s *statement) haversine() string {
	lat, lon, cos := s.arg(s.Near.Lat), s.arg(s.Near.Lon), s.arg(math.Cos(s.Near.Lat*math.Pi/180))
	return "(power(sin(radians(o.lat - " + lat + ") / 2), 2) + " + cos + "::float8 * cos(radians(o.lat)) * power(sin(radians(o.lon - " + lon + ") / 2), 2))"
}

// distance is how far an offer o is from Near, in kilometres.
func (s *statement) distance() string {
	return fmt.Sprintf("2 * %v * asin(sqrt(least(1, %s)))", index.EarthKm, s.haversine())
}

// haversineOf is that of a distance, with room for what reckoning loses.
func haversineOf(km float64) float64 {
	h := math.Sin(math.Min(km/(2*index.EarthKm), math.Pi/2))
	return h*h*(1+1e-12) + 1e-24
}

// set takes all that one filter leaves, of each listing the offer that matches, and sorts.
func (s *statement) set(w way) string {
	// The source does not look at offers but where it is made of them.
	whole := !s.ofOffers() && !byPrices(s.Order)
	if whole && w.by == byPlace {
		return s.sorted("", s.spots(false, s.listing(byPlace)))
	}
	src := "WITH m AS MATERIALIZED (" + s.source(w) + ") "
	conds := s.listing(w.by)
	if whole && s.Order == index.Newest && len(conds) == 0 {
		return src + "SELECT m.rank, 0::smallint AS position, NULL::bytea AS price, NULL::float8 AS km FROM m ORDER BY m.rank DESC LIMIT " + s.arg(s.need)
	}
	first := "o.position DESC"
	switch s.Order { // in a form that no index has: one of prices is not to be walked for each listing
	case index.Cheapest:
		first = "o.price IS NULL, o.price, o.position DESC"
	case index.Dearest:
		first = "o.price IS NULL, o.price DESC, o.position DESC"
	}
	conds = append(append([]string{"o.rank = m.rank"}, s.offers("o", byAll)...), conds...)
	return s.sorted(src, "SELECT o.* FROM m CROSS JOIN LATERAL (SELECT o.* FROM offer o WHERE "+strings.Join(conds, " AND ")+" ORDER BY "+first+" LIMIT 1) o")
}

// sorted is the page of some offers, one for each listing.
func (s *statement) sorted(with, offers string) string {
	km := "NULL::float8"
	if s.Order == index.Nearest {
		km = s.distance()
	}
	after, order := "", "rank DESC"
	m := s.After
	switch s.Order {
	case index.Cheapest, index.Dearest:
		beyond, tie := ">", "rank DESC"
		if s.Order == index.Dearest {
			beyond, tie = "<", dearestTie("price", "rank")
		}
		order = "price, " + tie
		if s.Order == index.Dearest {
			order = "price DESC NULLS LAST, " + tie
		}
		switch {
		case s.unpriced && m != nil:
			after = " WHERE price IS NULL AND rank < " + s.arg(m.Rank)
		case s.unpriced:
			after = " WHERE price IS NULL"
		case m != nil && m.Price == nil:
			after = " WHERE price IS NULL AND rank < " + s.arg(m.Rank)
		case m != nil:
			p, r, newer := s.arg(m.Price[:]), s.arg(m.Rank), "<"
			if s.Order == index.Dearest {
				newer = ">"
			}
			after = " WHERE price IS NULL OR price " + beyond + " " + p + " OR price = " + p + " AND rank " + newer + " " + r
		}
	case index.Nearest:
		order = "km, rank DESC"
		if m != nil {
			// Whoever found the mark may have reckoned otherwise in the last digits.
			r := s.arg(m.Rank)
			k := "(SELECT coalesce((SELECT " + s.distance() + " FROM offer o WHERE o.rank = " + r + " AND o.position = 0), " + s.arg(m.Km) + "))"
			after = " WHERE km > " + k + " OR km = " + k + " AND rank < " + r
		}
	}
	return with + "SELECT c.rank, c.position, c.price, c.km FROM (SELECT o.rank, o.position, o.price, " + km + " AS km FROM (" + offers + ") o OFFSET 0) c" +
		after + " ORDER BY " + order + " LIMIT " + s.arg(s.need)
}

// prices are the bounds of the price of an offer o.
func (s *statement) prices() (conds []string) {
	if s.MinPrice != nil {
		conds = append(conds, "o.price >= "+s.arg(s.MinPrice[:]))
	}
	if s.MaxPrice != nil {
		conds = append(conds, "o.price <= "+s.arg(s.MaxPrice[:]))
	}
	return conds
}

// source selects the ranks that one filter leaves.
func (s *statement) source(w way) string {
	bounds := func(column string) (text string) {
		for _, c := range s.ranks(column) {
			text += " AND (" + c + ") IS TRUE"
		}
		return text
	}
	switch w.by {
	case byOwner:
		return "SELECT l.rank FROM listing l WHERE l.live AND l.owner = " + s.arg(s.Owner[:]) + bounds("l.rank")
	case byWords:
		// Words that many have are looked for in what has the rare ones: the index would collect all that have them.
		text := "SELECT t.rank FROM said t WHERE t.words @@ (SELECT " + s.arg(tsquery(s.guess.rare)) + "::text::tsquery)" + bounds("t.rank")
		if len(s.guess.rare) < len(s.terms) {
			text += " AND (t.words @@ (SELECT " + s.arg(tsquery(s.terms)) + "::text::tsquery)) IS TRUE"
		}
		return text
	case byPlace:
		return "SELECT o.rank FROM (" + s.spots(false, s.around()) + ") o"
	case byBoth:
		return "SELECT DISTINCT o.rank FROM (" + s.spots(true, s.around()) + ") o"
	case byCombo:
		if conds := s.prices(); len(conds) > 0 {
			return "SELECT DISTINCT o.rank FROM (" + s.combos() + ") v CROSS JOIN LATERAL (SELECT o.rank FROM offer o WHERE o.combo = v.id AND " +
				strings.Join(conds, " AND ") + bounds("o.rank") + " OFFSET 0) o"
		}
		return "SELECT DISTINCT o.rank FROM offer o WHERE o.combo = ANY(ARRAY(" + s.combos() + "))" + bounds("o.rank")
	}
	conds := append([]string{"o.price IS NOT NULL"}, s.prices()...)
	return "SELECT DISTINCT o.rank FROM offer o WHERE " + strings.Join(conds, " AND ") + bounds("o.rank")
}

// spots are the offers within cells that hold all that may match and meet the conditions: the first ones of listings, or those of what is
// asked for.
func (s *statement) spots(of bool, conds []string) string {
	for _, c := range s.ranks("o.rank") {
		conds = append(conds, "("+c+") IS TRUE")
	}
	var lo, hi []int64
	for _, c := range cover(s.boxes()) {
		lo, hi = append(lo, c.lo), append(hi, c.hi)
	}
	from := "unnest(" + s.arg(lo) + "::bigint[], " + s.arg(hi) + "::bigint[]) AS b (lo, hi)"
	if of {
		from += " CROSS JOIN (" + s.combos() + ") v"
		conds = append(conds, "o.combo = v.id")
	} else {
		conds = append(conds, "o.position = 0")
	}
	return "SELECT o.* FROM " + from + " CROSS JOIN LATERAL (SELECT o.* FROM offer o WHERE o.cell BETWEEN b.lo AND b.hi AND " + strings.Join(conds, " AND ") +
		" OFFSET 0) o" // which keeps the planner from looking at all places first
}
