package index

import "slices"

// Matches says whether a listing meets all conditions of the query but Text, ended listings as well as live ones. It is what a search
// means, for those who have the listing at hand.
func (q *Query) Matches(r *Row) bool {
	switch {
	case q.Owner != nil && (r.Owner == nil || *r.Owner != *q.Owner),
		q.State != "" && r.State != q.State,
		!q.Since.IsZero() && r.Rank < FirstRank(q.Since),
		q.Box != nil && !(r.Placed && q.Box.Has(r.Lat, r.Lon)),
		q.Near != nil && !(r.Placed && q.Near.Has(r.Lat, r.Lon)):
		return false
	}
	return !q.ofOffers() || slices.ContainsFunc(r.Offers, func(o Offer) bool { return q.MatchesOffer(&o) })
}

// ofOffers says whether there are conditions that an offer must meet.
func (q *Query) ofOffers() bool {
	return len(q.DataTypes)+len(q.Kinds)+len(q.Units) > 0 || q.MinPrice != nil || q.MaxPrice != nil
}

// MatchesOffer says whether an offer meets the conditions on offers.
func (q *Query) MatchesOffer(o *Offer) bool {
	any := func(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return any(q.DataTypes, o.DataType) && any(q.Kinds, o.Kind) && any(q.Units, o.Unit) &&
		(q.MinPrice == nil || o.Price != nil && o.Price.Compare(*q.MinPrice) >= 0) &&
		(q.MaxPrice == nil || o.Price != nil && o.Price.Compare(*q.MaxPrice) <= 0)
}

// Has says whether a place is in the box.
func (b *Box) Has(lat, lon float64) bool {
	if lat < b.South || lat > b.North {
		return false
	}
	if b.West > b.East {
		return lon >= b.West || lon <= b.East
	}
	return lon >= b.West && lon <= b.East
}

// Has says whether a place is in the circle; a circle of no size is the whole globe.
func (n *Near) Has(lat, lon float64) bool {
	return n.Km == 0 || Distance(n.Lat, n.Lon, lat, lon) <= n.Km
}
