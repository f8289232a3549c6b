package postgres

import (
	"math"

	"iod/index"
)

// A search goes through one thing and looks at the rest on the way: through an index of offers in the order of the answer (a walk,
// which ends when the page is full), or to all listings that one filter leaves, which it then sorts (a set).
type way struct {
	by   thing
	walk bool
	km   float64 // of a set by place for the nearest: how far it looks; +Inf: everywhere
}

type thing int

const (
	byAll thing = iota
	byType
	byKind
	byUnit
	byPrice
	byOwner
	byWords
	byPlace
)

// What one row costs, in microseconds or so; only their ratios matter.
const (
	costRow    = 0.7 // of an index of offers with what it points to
	costOwner  = 2.5 // to ask a listing for its owner
	costWords  = 4   // to look whether a listing has the words
	costOffers = 2   // to find the offers of a listing
	costDouble = 2   // to look for a cheaper offer of the same listing
	costPlace  = 1.2 // of the index of places
	costFound  = 1.3 // of the index of words
	costOwned  = 1
	costStep   = 20 // to begin
)

// choose finds the cheapest way for a page of need listings. unpriced: those without a price, in an order by price.
func choose(q *index.Query, words []string, g *guess, need int, unpriced bool) way {
	extra := 0.0 // to look at what an offer does not say itself
	if q.Owner != nil {
		extra += costOwner
	}
	if len(words) > 0 {
		extra += costWords
	}
	best, least := way{by: byAll}, math.Inf(1)
	offer := func(w way, cost float64) {
		if cost += costStep; cost < least {
			best, least = w, cost
		}
	}
	matching := g.matching
	if unpriced {
		matching = g.unpriced
	}
	byPrices := q.Order == index.Cheapest || q.Order == index.Dearest
	walk := func(by thing, through float64, values int) {
		if values == 0 {
			return
		}
		each := costRow + extra
		if byPrices {
			each += costDouble * math.Min(1, matching/through+0.1)
		}
		rows := math.Min(through, float64(need*values)*math.Max(1, through/matching))
		offer(way{by: by, walk: true}, rows*each)
	}
	if q.Order != index.Nearest {
		walk(byAll, g.all, 1)
		walk(byType, g.types, len(q.DataTypes))
		if !byPrices {
			walk(byKind, g.kinds, len(q.Kinds))
			walk(byUnit, g.units, len(q.Units))
		}
	}
	set := func(by thing, is bool, rows, each float64) {
		if is {
			offer(way{by: by, km: math.Inf(1)}, rows*(each+costOffers)+0.3*matching)
		}
	}
	set(byType, len(q.DataTypes) > 0, g.types, costRow+extra)
	set(byKind, len(q.Kinds) > 0, g.kinds, costRow+extra)
	set(byUnit, len(q.Units) > 0, g.units, costRow+extra)
	set(byPrice, q.MinPrice != nil || q.MaxPrice != nil, g.prices, costRow+extra)
	set(byOwner, q.Owner != nil, g.owner, costOwned+extra-costOwner)
	set(byWords, len(words) > 0, g.words, costFound+extra-costWords)
	set(byPlace, q.Box != nil || q.Near != nil && q.Near.Km > 0, g.place, costPlace+extra)
	if q.Order == index.Nearest {
		km, rows := reach(q, g, need)
		offer(way{by: byPlace, km: km}, rows*(costPlace+costOffers+extra))
	}
	return best
}

// reach reckons how far to look for the need nearest matches, and at how many listings.
func reach(q *index.Query, g *guess, need int) (km, rows float64) {
	if len(g.distances) == 0 || len(g.near) == 0 {
		return math.Inf(1), g.all
	}
	scale, wanted := g.scale, 2*float64(need)
	from := 0.0
	if q.After != nil {
		from = q.After.Km
	}
	k := int(wanted / scale)
	if k >= len(g.distances) {
		return math.Inf(1), g.all
	}
	// Between two of the sample there are scale others, spread over the area between.
	d := g.distances[k]
	part := math.Min(1, wanted/(scale*float64(k+1)))
	km = math.Sqrt(from*from + part*(d*d-from*from))
	all := 0
	for all < len(g.near) && g.near[all] <= d {
		all++
	}
	return math.Max(km, 0.001), math.Max(float64(all), 0.5) * scale * part
}
