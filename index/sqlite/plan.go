package sqlite

import (
	"math"

	"iod/index"
)

// filter is something that a search is narrowed by.
type filter int

const (
	byCombo filter = iota // type, kind, unit
	byOwner
	byWords
	byBox
	byPrice
	bySince
	byState
	filters
)

// stats are what is known of a search before it is made.
type stats struct {
	offers, listings float64          // all there are
	sizes            [filters]float64 // how many each filter leaves, about: listings for owner, words and state, else offers; 0: it is not asked for
	ways             int              // combinations of types, kinds and units; 0: they are not asked for, or are too many to go through one by one
}

// share is which part of all a filter leaves.
func (s *stats) share(f filter) float64 {
	all := s.offers
	if f == byOwner || f == byWords || f == byState {
		all = s.listings
	}
	if s.sizes[f] == 0 || all == 0 {
		return 1
	}
	return min(1, s.sizes[f]/all)
}

// shares is which part of all the filters leave together, were they independent, but for some.
func (s *stats) shares(without ...filter) float64 {
	all := 1.0
	for f := range filters {
		all *= s.share(f)
	}
	for _, f := range without {
		all /= s.share(f)
	}
	return max(all, 1e-12)
}

// way is how a search goes through the store.
type way int

// The ways. Those that walk come upon listings in the order of the answer and end when there are enough; the others go through all of
// something and keep the best.
const (
	walkAll    way = iota // offers by rank or by price
	walkCombos            // those of each combination, likewise
	walkOwned             // the owner's listings by rank
	walkWords             // the listings with the words by rank
	takeCombos            // all offers of the combinations
	takeOwned
	takeWords
	takeBoxes
	takePrices
	takeSince
	rings // the offers around a place, farther and farther
	ways
)

func (w way) String() string {
	return [...]string{"walk all", "walk combos", "walk owned", "walk words", "take combos", "take owned", "take words", "take boxes",
		"take prices", "take since", "rings"}[w]
}

// What things cost, in microseconds, as measured.
const (
	costEntry = 0.12 // to look at an entry of an index of offers
	costJoin  = 1.2  // to find the offers of a listing
	costOwner = 1.0  // to find the owner of a listing
	costSaid  = 40.0 // to find out whether a listing has the words
	costTake  = 0.6  // to take a match over
	costLook  = 12.0 // to begin to look somewhere
)

// option is a way with what it goes through.
type option struct {
	own   filter  // which it needs not look at any more
	size  float64 // of what it goes through
	entry float64 // cost of each
	looks float64 // where it begins to look
	walks bool
}

// plan chooses the cheapest way to so many listings.
func plan(s *stats, o index.Order, need float64) way {
	best, least := walkAll, math.Inf(1)
	if o == index.Nearest {
		best = rings
	}
	for w := range ways {
		x, ok := s.option(w, o)
		if !ok {
			continue
		}
		if c := s.cost(x, need); c < least {
			best, least = w, c
		}
	}
	return best
}

// option is what a way would go through; not ok when it does not lead to the answer, or not in its order.
func (s *stats) option(w way, o index.Order) (x option, ok bool) {
	byRank := o == index.Newest
	z := &s.sizes
	switch w {
	case walkAll:
		x = option{own: filters, size: s.offers, entry: costEntry, looks: 1, walks: true}
		if f := map[bool]filter{true: bySince, false: byPrice}[byRank]; z[f] > 0 {
			x.own, x.size = f, z[f]
		}
		return x, o != index.Nearest
	case walkCombos:
		return option{byCombo, z[byCombo], costEntry, 2 * float64(s.ways), true}, s.ways > 0 && o != index.Nearest
	case walkOwned:
		return option{byOwner, z[byOwner], costJoin, 1, true}, z[byOwner] > 0 && byRank
	case walkWords:
		return option{byWords, z[byWords], costJoin, 4, true}, z[byWords] > 0 && byRank
	case takeCombos:
		return option{byCombo, z[byCombo], costEntry, 1 + float64(s.ways)/4, false}, s.ways > 0
	case takeOwned:
		return option{byOwner, z[byOwner], costJoin, 1, false}, z[byOwner] > 0
	case takeWords:
		return option{byWords, z[byWords], costJoin, 4, false}, z[byWords] > 0
	case takeBoxes:
		return option{byBox, 1.4 * z[byBox], costEntry, 4, false}, z[byBox] > 0
	case takePrices:
		return option{byPrice, z[byPrice], costEntry, 1, false}, z[byPrice] > 0
	case takeSince:
		return option{bySince, z[bySince], costEntry, 1, false}, z[bySince] > 0
	}
	size := s.offers * s.share(byBox)
	return option{byBox, 2 * size, 1.5 * costEntry, 16, true}, o == index.Nearest
}

// cost is what an option costs, in microseconds.
func (s *stats) cost(x option, need float64) float64 {
	entries, rest := x.size, s.shares()
	if x.own < filters {
		rest = s.shares(x.own)
	}
	if x.walks {
		each := max(s.offers/max(s.listings, 1), 1) // offers of a listing
		entries = min(entries, need*each/rest)
	}
	cost := x.looks*costLook + entries*x.entry + entries*rest*costTake
	// What is dear to find out is found out last, of what is left then.
	left := entries * rest
	if x.own != byOwner && s.sizes[byOwner] > 0 {
		left /= s.share(byOwner)
	}
	if x.own != byWords && s.sizes[byWords] > 0 {
		left /= s.share(byWords)
		cost += left * costSaid
	}
	if x.own != byOwner && s.sizes[byOwner] > 0 {
		cost += left * costOwner
	}
	return cost
}
