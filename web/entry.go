package web

import (
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"iod/document"
	"iod/index"
	"iod/web/earth"
)

// entry is a device in the list.
type entry struct {
	ID       string // of the element: the address
	Path     string // of its page
	Seal     template.HTML
	Title    string // what the offer that was found gives
	More     []string
	Stream   string
	Kind     string
	Unit     string
	Place    place
	Where    string // the place in a line
	Distance string
	Price    *price
	Proof    proof
	Trouble  string // what a stranger did to its record on the chain
	Updated  time.Time
	Ago      string
}

// entryOf makes the entry of what was found; near is what was searched around, or nil.
func entryOf(f index.Found, near *index.Near, now time.Time) entry {
	l := f.Listing
	offers := l.Offers()
	o := offers[min(max(f.Offer, 0), len(offers)-1)]
	e := entry{
		ID: l.Account.String(), Path: "/d/" + l.Account.DID(), Seal: seal(l.Account), Title: human(o.DataType), Stream: o.Name,
		Kind: seen(o.Kind), Unit: seen(o.Unit), Place: placeOf(l), Proof: proofOf(l), Updated: l.Updated.Time, Ago: ago(l.Updated.Time, now),
	}
	if e.Title == "" {
		e.Title = "Unnamed data"
	}
	for i, other := range offers {
		if name := human(other.DataType); i != f.Offer && name != "" && name != e.Title && !slices.Contains(e.More, name) {
			e.More = append(e.More, name)
		}
	}
	if o.Price != nil {
		e.Price = priceIn(o.Price.String(), o.Period)
	}
	switch e.Where = e.Place.Name; {
	case e.Where == "" && e.Place.Known:
		e.Where = e.Place.Digits
	case e.Where == "":
		e.Where = "Place not said"
	}
	if near != nil {
		e.Distance = distance(f.Km)
		if city, km := earth.Nearest(near.Lat, near.Lon); km < 1 && e.Place.Known {
			if own, far := earth.Nearest(e.Place.Lat, e.Place.Lon); own == city && math.Abs(far-f.Km) < 1 {
				if _, direction, ok := strings.Cut(e.Where, " km "); ok {
					e.Where = direction // the distance is said already
				}
			}
		}
	}
	switch l.Presence {
	case index.Overwritten:
		e.Trouble = "A stranger overwrote its record on the chain"
	case index.Gone:
		e.Trouble = "Its record was removed from the chain"
	}
	return e
}

// proof says in words what is proven of a listing.
type proof struct {
	Class string // good, fair or none
	Words string
	Long  string
}

func proofOf(l *index.Listing) proof {
	switch {
	case l.State != document.Verified:
		return proof{"none", "Not signed", "Nothing in the document proves who wrote it. It is shown because the device's own account sent it to the chain."}
	case l.Device.Owner == nil:
		return proof{"good", "Signed by the device", "The device's own account signed every word of this, and decides itself who gets access."}
	case l.Vouched:
		return proof{"good", "Signed by device and owner", "The device's own account signed every word of this, and the owner signed that the device is theirs."}
	}
	return proof{"fair", "Signed; owner not proven", "The device's own account signed every word of this. It names an owner who has not signed for it."}
}
