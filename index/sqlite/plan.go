package sqlite

import (
	"math"
	"slices"

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
	wordsOnly        bool             // nobody but FTS5 can tell whether a listing has the words
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
	costSaid  = 2.0  // to find out whether a listing has the words
	costTake  = 2.0  // to take a match over
	costSort  = 0.3  // to keep it in order
	costWord  = 0.2  // to look at an entry of the list of a word
	costLook  = 12.0 // to begin to look somewhere
)

// option is a way with what it goes through.
type option struct {
	own   []filter // which it needs not look at any more
	size  float64  // of what it goes through
	entry float64  // cost of each
	looks float64  // where it begins to look
	walks bool
	whole bool // SQLite cannot order it, so that all that matches is handed over
}

// choice is how a search is made: a way, and what to do when that turns out to be longer than was reckoned.
type choice struct {
	way   way
	limit int // how many entries a walk may look at; 0: all
	then  way // which then finds what the walk did not
}

// plan chooses the cheapest way to so many listings. What filters leave together is reckoned as though they were independent, which they may
// not be: where there is a sure way that costs little, a walk goes no further than is worth it.
func plan(s *stats, o index.Order, need float64) choice {
	best, sure := choice{}, way(0)
	least, leastSure := math.Inf(1), math.Inf(1)
	for w := range ways {
		x, ok := s.option(w, o)
		if !ok {
			continue
		}
		c := s.cost(x, need)
		if c < least {
			best.way, least = w, c
		}
		if !x.walks && c < leastSure {
			sure, leastSure = w, c
		}
	}
	if best.way != walkAll && best.way != walkCombos {
		return best
	}
	x, _ := s.option(best.way, o)
	x.walks, x.whole = false, true
	if whole := s.cost(x, need); leastSure < whole/4 {
		best.limit, best.then = int(max(2*least, leastSure)/whole*x.size), sure
	}
	return best
}

// option is what a way would go through; not ok when it does not lead to the answer, or not in its order.
func (s *stats) option(w way, o index.Order) (x option, ok bool) {
	byRank, z := o == index.Newest, &s.sizes
	switch w {
	case walkWords, takeWords:
		x = s.words(w == walkWords)
		x.whole = o == index.Nearest
		return x, z[byWords] > 0 && (byRank || w == takeWords)
	case walkAll:
		x = option{size: s.offers, entry: costEntry, looks: 1, walks: true}
		if f := map[bool]filter{true: bySince, false: byPrice}[byRank]; z[f] > 0 {
			x.own, x.size = []filter{f}, z[f]
		}
		ok = o != index.Nearest
	case walkCombos:
		x, ok = option{own: []filter{byCombo}, size: z[byCombo], entry: costEntry, looks: 2 * float64(s.ways), walks: true}, s.ways > 0 && o != index.Nearest
	case walkOwned:
		x, ok = option{own: []filter{byOwner}, size: z[byOwner], entry: costJoin, looks: 1, walks: true}, z[byOwner] > 0 && byRank
	case takeCombos:
		x, ok = option{own: []filter{byCombo}, size: z[byCombo], entry: costEntry, looks: 1 + float64(s.ways)/4}, s.ways > 0
	case takeOwned:
		x, ok = option{own: []filter{byOwner}, size: z[byOwner], entry: costJoin, looks: 1}, z[byOwner] > 0
	case takeBoxes:
		x, ok = option{own: []filter{byBox}, size: 1.4 * z[byBox], entry: costEntry, looks: 4}, z[byBox] > 0
	case takePrices:
		x, ok = option{own: []filter{byPrice}, size: z[byPrice], entry: costEntry, looks: 1}, z[byPrice] > 0
	case takeSince:
		x, ok = option{own: []filter{bySince}, size: z[bySince], entry: costEntry, looks: 1}, z[bySince] > 0
	case rings:
		x, ok = option{own: []filter{byBox}, size: 2 * s.offers * s.share(byBox), entry: 4 * costEntry, looks: 16, walks: true}, o == index.Nearest
	}
	x.whole = o == index.Nearest || z[byWords] > 0
	return x, ok && !s.wordsOnly
}

// words is the option of listings with the words, and with the combinations where these are known.
func (s *stats) words(walks bool) option {
	x := option{own: []filter{byWords}, size: s.sizes[byWords], entry: costJoin + costWord, looks: 4, walks: walks}
	if s.ways > 0 {
		part := s.share(byCombo)
		x.own, x.size, x.entry = append(x.own, byCombo), x.size*part, costJoin+costWord/part
	}
	return x
}

// cost is what an option costs, in microseconds.
func (s *stats) cost(x option, need float64) float64 {
	entries, rest := x.size, s.shares(x.own...)
	if x.walks {
		each := max(s.offers/max(s.listings, 1), 1) // offers of a listing
		entries = min(entries, need*each/rest)
	}
	taken := entries * rest
	cost := x.looks*costLook + entries*x.entry
	if x.walks || x.whole {
		cost += taken * costTake
	} else {
		cost += min(taken, enoughRows*need)*costTake + taken*costSort
	}
	// What is dear to find out is found out last, of what is left then.
	if !slices.Contains(x.own, byOwner) && s.sizes[byOwner] > 0 {
		taken /= s.share(byOwner)
		cost += taken * costOwner
	}
	if !slices.Contains(x.own, byWords) && s.sizes[byWords] > 0 {
		cost += taken / s.share(byWords) * costSaid
	}
	return cost
}
