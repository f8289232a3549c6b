package postgres

import (
	"math"
	"slices"

	"iod/index"
)

// A search goes through one thing and looks at the rest on the way: through an index of offers in the order of the answer (a walk,
// which ends when the page is full), or to all listings that one filter leaves, which it then sorts (a set).
type way struct {
	by   thing
	walk bool
	km   float64 // of a set by place: how far it looks at most; +Inf: as far as the search asks
}

type thing int

const (
	byAll   thing = iota
	byCombo       // types, kinds and units
	byPrice
	byOwner
	byWords
	byPlace
	byBoth // place, of types, kinds and units
)

// What one row costs, in microseconds or so; only their ratios matter.
const (
	costRow    = 0.7 // of an index of offers with what it points to
	costOwner  = 2.5 // to ask a listing for its owner
	costWords  = 6   // to look whether a listing has the words
	costOffers = 2.2 // to find the offers of a listing
	costOnce   = 1.8 // to take of several offers of a listing one
	costDouble = 2   // to look for a better offer of the same listing
	costPlace  = 0.8 // of the index of places
	costRange  = 2.5 // to begin with a range of it
	costFound  = 1.3 // of the index of words
	costOwned  = 1   // of the index of owners
	costSort   = 0.3
	costStep   = 20 // to begin
)

func byPrices(o index.Order) bool { return o == index.Cheapest || o == index.Dearest }

// ways are all by which a search can be answered. Any gives the same answer.
func ways(q *index.Query, words []string) (all []way) {
	everywhere := math.Inf(1)
	if q.Order != index.Nearest {
		all = append(all, way{by: byAll, walk: true})
	} else {
		all = append(all, way{by: byPlace, km: everywhere})
	}
	ofCombos := len(q.DataTypes)+len(q.Kinds)+len(q.Units) > 0
	if ofCombos {
		all = append(all, way{by: byCombo, km: everywhere})
		if q.Order != index.Nearest {
			all = append(all, way{by: byCombo, walk: true})
		}
	}
	for _, x := range []struct {
		by thing
		is bool
	}{
		{byPrice, q.MinPrice != nil || q.MaxPrice != nil}, {byOwner, q.Owner != nil}, {byWords, len(words) > 0},
		{byPlace, q.Order != index.Nearest && (q.Box != nil || q.Near != nil)},
		{byBoth, ofCombos && (q.Box != nil || q.Near != nil)},
	} {
		if x.is {
			all = append(all, way{by: x.by, km: everywhere})
		}
	}
	return all
}

// choose finds the cheapest way for a page of need listings. unpriced: those without a price, in an order by price.
func choose(q *index.Query, words []string, g *guess, need int, unpriced bool) way {
	best, least := way{}, math.Inf(1)
	for _, w := range ways(q, words) {
		cost := 0.0
		switch {
		case w.walk:
			cost = g.walk(q, words, w.by, need, unpriced)
		case w.placed() && q.Order == index.Nearest:
			w.km, cost = g.reach(q, w.by, need)
			cost = cost*(costPlace+costOffers+g.beside(q, words, w.by)) + g.begin(w.by)
		default:
			cost = g.set(q, words, w.by)
		}
		if cost += costStep; cost < least {
			best, least = w, cost
		}
	}
	return best
}

// set is what it costs to sort all that a filter leaves.
func (g *guess) set(q *index.Query, words []string, by thing) float64 {
	rows := g.rows(by)
	if by == byCombo {
		rows = g.offers // a set is narrowed by prices at once
	}
	return rows*(rowOf(by)+costOffers+g.beside(q, words, by)) + costSort*g.matching + g.begin(by)
}

// begin is what it costs to begin with all ranges of places.
func (g *guess) begin(by thing) float64 {
	switch by {
	case byPlace:
		return mostRanges * costRange
	case byBoth:
		return mostRanges * costRange * float64(max(g.streams, 1))
	}
	return 0
}

// placed tells whether a way begins with places.
func (w way) placed() bool { return !w.walk && (w.by == byPlace || w.by == byBoth) }

// sorted finds the cheapest set that is not by place.
func sorted(q *index.Query, words []string, g *guess) (best way, least float64) {
	least = math.Inf(1)
	for _, w := range ways(q, words) {
		if cost := g.set(q, words, w.by); !w.walk && !w.placed() && cost < least {
			best, least = w, cost
		}
	}
	return best, least
}

// circle is what it costs to sort all within a distance.
func (g *guess) circle(q *index.Query, words []string, w way) float64 {
	n, _ := slices.BinarySearch(g.distances(w.by), w.km)
	return math.Max(float64(n), 0.5)*g.scale*(costPlace+costOffers+g.beside(q, words, w.by)) + g.begin(w.by)
}

func (g *guess) distances(by thing) []float64 {
	if by == byBoth {
		return g.nearOf
	}
	return g.near
}

// rows is how many rows a way touches at most.
func (g *guess) rows(by thing) float64 {
	return [...]float64{byAll: g.all, byCombo: g.combos, byPrice: g.prices, byOwner: g.owner, byWords: g.words, byPlace: g.place, byBoth: g.both}[by]
}

func rowOf(by thing) float64 {
	switch by {
	case byOwner:
		return costOwned
	case byWords:
		return costFound
	case byPlace, byBoth:
		return costPlace
	case byCombo, byPrice:
		return costRow + costOnce
	}
	return costRow
}

// beside is what it costs to look at what neither the way nor an offer says of itself.
func (g *guess) beside(q *index.Query, words []string, by thing) (cost float64) {
	if q.Owner != nil && by != byOwner {
		cost += costOwner
	}
	if len(words) > 0 && by != byWords {
		cost += costWords
	}
	return cost
}

// walk is what a walk costs until the page is full.
func (g *guess) walk(q *index.Query, words []string, by thing, need int, unpriced bool) float64 {
	through, matching, each, streams := g.rows(by), g.matching, costRow+g.beside(q, words, by), 1
	if unpriced {
		matching = g.unpriced
	}
	if byPrices(q.Order) {
		each += costDouble * math.Min(1, matching/through+0.1)
	}
	if by == byCombo {
		streams = max(g.streams, 1)
	}
	cost := each * math.Min(through, float64(need*streams)*math.Max(1, through/matching))
	if by == byAll && matching < through/2 { // what matches may be the oldest, or the dearest
		cost *= 2
		if byPrices(q.Order) {
			cost *= 2
		}
	}
	return cost
}

// reach reckons how far to look for the need nearest matches, and at how many listings: by how densely listings lie there, of which
// as many match as elsewhere.
func (g *guess) reach(q *index.Query, by thing, need int) (km, rows float64) {
	near := g.distances(by)
	placed := float64(len(near)) * g.scale
	if placed == 0 {
		return math.Inf(1), math.Min(g.rows(by), g.all)
	}
	rows = 1.5 * float64(need) * math.Max(1, placed/g.matching)
	from := 0.0
	if q.After != nil {
		from = q.After.Km
	}
	k := int(rows / g.scale)
	if k >= len(near) {
		return math.Inf(1), placed
	}
	// Between two of the sample there are scale others, spread over the area between.
	d, part := near[k], math.Min(1, rows/(g.scale*float64(k+1)))
	return math.Max(math.Sqrt(from*from+part*(d*d-from*from)), 0.001), 2 * rows // it may have to look again
}
