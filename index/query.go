package index

import (
	"errors"
	"fmt"
	"math"
	"time"

	"iod/document"
	"iod/key"
)

// Rank orders listings by freshness: a greater one was updated later. Its upper bits are Listing.Updated in Unix milliseconds, its
// lower 20 bits count the listings that were given the same millisecond, in the order in which they were put. No two listings have
// the same; a listing gets another one when it is updated, not when it is merely seen again or ends. Building an index anew
// gives the same ranks.
type Rank int64

// rankBits is how many lower bits of a Rank tell listings of one millisecond apart.
const rankBits = 20

// FirstRank is the lowest rank of a listing updated at t; times before 1970 or none count as 1970, those after 2248 as then.
func FirstRank(t time.Time) Rank {
	if t.IsZero() {
		return 0
	}
	return Rank(min(max(t.UnixMilli(), 0), math.MaxInt64>>rankBits) << rankBits)
}

// LastRank is the highest rank of a listing updated at t.
func LastRank(t time.Time) Rank { return FirstRank(t) | (1<<rankBits - 1) }

// Milli is the time of a listing's update in Unix milliseconds; 0: not known.
func (r Rank) Milli() int64 { return int64(r >> rankBits) }

// Query is a search. Zero fields don't narrow it; all others must hold.
type Query struct {
	Text string // each word must begin a word of what the document says; none but punctuation finds nothing
	// DataTypes, Kinds, Units: any of these, exactly. They and the prices must be of one and the same offer.
	DataTypes, Kinds, Units []string
	MinPrice, MaxPrice      *Price // both inclusive; offers without a price don't match
	Owner                   *key.AccountID
	State                   document.State // Verified or Unverified
	Since                   time.Time      // updated then or later
	Box                     *Box
	Near                    *Near
	Order                   Order
	After                   *Mark // the page after this place; of the same search
	Limit                   int   // at most MaxLimit; 0: DefaultLimit
	Raw                     bool  // answer with Listing.Raw
	Shown                   bool  // answer with Found.Shown in the place of most of Listing: several times faster
}

// Box narrows a search to what lies between parallels and meridians, in degrees, edges included. With West > East it crosses the
// date line. Listings without coordinates don't match.
type Box struct{ South, West, North, East float64 }

// Near narrows a search to a circle on the globe. With order Nearest, Km 0 is the whole globe. Listings without coordinates
// don't match.
type Near struct{ Lat, Lon, Km float64 }

// Order is the order of a search's answer.
type Order string

// The orders. By price, a listing stands where the cheapest (dearest) of its matching offers puts it; those whose matching offers all
// have no price come last.
const (
	Newest   Order = ""         // by Rank, the greatest first
	Cheapest Order = "price"    // of the same price the newest first
	Dearest  Order = "-price"   // of the same price the oldest first, so that it is Cheapest backwards; without a price the newest first
	Nearest  Order = "distance" // from Near, which must be given; at the same distance the newest first
)

// Mark is a listing's place in the order of a search: Rank always, Price in the orders by price (nil: none), Km in order Nearest,
// bit for bit as found.
type Mark struct {
	Rank  Rank
	Price *Price
	Km    float64
}

// Found is a listing that a search found.
type Found struct {
	*Listing         // with Query.Shown it has no more than Rank, Account and, with Query.Raw, Raw
	Shown    []byte  // by Query.Shown: what Show makes of the listing
	Offer    int     // index in Listing.Offers of the one that matched: by price the cheapest (dearest) one, else the first
	Stream   string  // its Offer.Name
	Km       float64 // distance from Near, when it is given
}

// Page is an answer to a search.
type Page struct {
	Found []Found
	Next  *Mark // Query.After of the next page; nil: this is the last one
}

// The sizes of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// ErrTooBroad is returned by Search when a combination of filters makes the store look through more than it may take the time for.
// Another filter or another order helps.
var ErrTooBroad = errors.New("the search has to look through too much: narrow it, or choose another order")

// ErrQuery is what errors about a Query wrap that no store can answer: a box or a circle off the globe, an unknown order, order Nearest
// without Near, a circle of no size in another order.
var ErrQuery = errors.New("no such search")

// Row is a listing as counting needs it.
type Row struct {
	Rank    Rank
	Account key.AccountID
	Live    bool
	Lat     float64 // degrees; when Placed
	Lon     float64
	Placed  bool
	State   document.State
	Owner   *key.AccountID // as by Listing.Owner
	Updated time.Time      // milliseconds; zero when not known
	Offers  []Offer        // of live listings; without Name and Period
	Words   []string       // of live listings: the terms of Listing.Words, as by Brief, each once, in any order
}

// LegacyQuery is a search in the form of the existing marketplace. With an Account all else is ignored.
type LegacyQuery struct {
	Account *key.AccountID
	Filters []LegacyFilter
	Limit   int
	Offset  int
}

// LegacyFilter compares a field of the document.
type LegacyFilter struct {
	Field string // data_type, location, price_access, price_pin
	Op    string // =, <, >
	Text  string // for data_type and location, compared bytewise
	Price Price  // for prices
}

// Check says what makes a query one that no store can answer; the error wraps ErrQuery.
func (q *Query) Check() error {
	if b := q.Box; b != nil && !(onGlobe(b.South, b.West) && onGlobe(b.North, b.East) && b.South <= b.North) {
		return fmt.Errorf("%w: a box from %v,%v to %v,%v", ErrQuery, b.South, b.West, b.North, b.East)
	}
	if n := q.Near; n != nil && !(onGlobe(n.Lat, n.Lon) && n.Km >= 0 && n.Km <= math.MaxFloat64) {
		return fmt.Errorf("%w: %v km around %v,%v", ErrQuery, n.Km, n.Lat, n.Lon)
	}
	switch q.Order {
	case Newest, Cheapest, Dearest:
		if q.Near != nil && q.Near.Km == 0 {
			return fmt.Errorf("%w: a circle of no size", ErrQuery)
		}
	case Nearest:
		if q.Near == nil {
			return fmt.Errorf("%w: nearest to nothing", ErrQuery)
		}
	default:
		return fmt.Errorf("%w: an order %.40q", ErrQuery, q.Order)
	}
	return nil
}

func onGlobe(lat, lon float64) bool { return math.Abs(lat) <= 90 && math.Abs(lon) <= 180 } // so NaN is not

// EarthKm is the mean radius of the earth, by which all distances are reckoned.
const EarthKm = 6371.0088

// Distance is the length of the great circle between two places in degrees, in kilometres.
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	dLat, dLon := math.Sin((lat2-lat1)*rad/2), math.Sin((lon2-lon1)*rad/2)
	h := dLat*dLat + math.Cos(lat1*rad)*math.Cos(lat2*rad)*dLon*dLon
	return 2 * EarthKm * math.Asin(math.Sqrt(min(h, 1)))
}
