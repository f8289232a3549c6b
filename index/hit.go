package index

import "context"

// Hit is a listing that is known to match a search, as of the state that somebody else has in memory.
type Hit struct {
	Rank  Rank
	Offer int    // as Found.Offer
	Price *Price // in the orders by price: of that offer
	Km    float64
}

// Mark is the place of the hit in the order of an answer.
func (h *Hit) Mark(o Order) *Mark {
	m := &Mark{Rank: h.Rank}
	switch o {
	case Cheapest, Dearest:
		m.Price = h.Price
	case Nearest:
		m.Km = h.Km
	}
	return m
}

// Picker is a Reader whose listings can be had by rank.
type Picker interface {
	Reader
	// Pick returns what a search that finds hits answers with, by Raw and Shown of the query; those whose rank no listing has any more are
	// left out. change is State.Change of the state that the answer is of.
	Pick(ctx context.Context, q Query, hits []Hit) (found []Found, change int64, err error)
}
