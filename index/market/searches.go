package market

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Search is a search that somebody may make.
type Search struct {
	Class string // what kind of search it is, in a few words
	Query index.Query
}

// Searches is an endless, reproducible sequence of searches of a market. It is not safe for concurrent use.
type Searches struct {
	m *Market
	r *rand.Rand
}

// Searches begins a sequence.
func (m *Market) Searches(seed uint64) *Searches {
	return &Searches{m, rand.New(rand.NewPCG(seed, m.seed))}
}

// pageSize is how many listings a search asks for, as a page shows them.
const pageSize = 20

// classes are the kinds of searches and how often they are made: what a page with a map, a list, filters and a field for words
// asks for, and what programs do.
var classes = []struct {
	name   string
	weight int
	make   func(*Searches, *index.Query)
}{
	{"newest", 6, func(*Searches, *index.Query) {}},
	{"type", 10, (*Searches).byType},
	{"type, unit, kind", 7, func(s *Searches, q *index.Query) { s.byOffer(q) }},
	{"several types", 3, func(s *Searches, q *index.Query) { s.byType(q); s.byType(q); s.byType(q) }},
	{"kind", 3, func(s *Searches, q *index.Query) { q.Kinds = []string{s.offer().kind} }},
	{"unit", 2, func(s *Searches, q *index.Query) { q.Units = []string{s.unit()} }},
	{"price range", 3, (*Searches).byPrice},
	{"type, price range", 7, func(s *Searches, q *index.Query) { s.byType(q); s.byPrice(q) }},
	{"owner", 4, (*Searches).byOwner},
	{"verified, type", 4, func(s *Searches, q *index.Query) { s.byType(q); q.State = document.Verified }},
	{"unverified", 2, func(s *Searches, q *index.Query) { q.State = document.Unverified }},
	{"fresh, type", 4, func(s *Searches, q *index.Query) { s.byType(q); s.fresh(q) }},
	{"fresh", 2, (*Searches).fresh},
	{"box", 8, (*Searches).byBox},
	{"box, type", 6, func(s *Searches, q *index.Query) { s.byBox(q); s.byType(q) }},
	{"radius", 4, func(s *Searches, q *index.Query) { s.near(q, 2+s.r.Float64()*98) }},
	{"radius, type", 4, func(s *Searches, q *index.Query) { s.near(q, 2+s.r.Float64()*98); s.byType(q) }},
	{"nearest", 4, func(s *Searches, q *index.Query) { s.near(q, 0); q.Order = index.Nearest }},
	{"nearest, type", 4, func(s *Searches, q *index.Query) { s.near(q, 0); s.byType(q); q.Order = index.Nearest }},
	{"word", 4, func(s *Searches, q *index.Query) { q.Text = s.words(s.offer(), 1) }},
	{"beginning of a word", 3, (*Searches).byBeginning},
	{"words", 3, func(s *Searches, q *index.Query) { q.Text = s.words(s.offer(), 2) }},
	{"word, type", 2, (*Searches).byWordAndType},
	{"word, box", 2, func(s *Searches, q *index.Query) { s.byBox(q); q.Text = s.words(s.offer(), 1) }},
	{"address", 2, (*Searches).byAddress},
	{"cheapest, type", 5, func(s *Searches, q *index.Query) { s.byType(q); q.Order = index.Cheapest }},
	{"cheapest, type, unit, kind", 2, func(s *Searches, q *index.Query) { s.byOffer(q); q.Order = index.Cheapest }},
	{"cheapest, box, type", 3, func(s *Searches, q *index.Query) { s.byBox(q); s.byType(q); q.Order = index.Cheapest }},
	{"cheapest, word", 1, func(s *Searches, q *index.Query) { q.Text = s.words(s.offer(), 1); q.Order = index.Cheapest }},
	{"dearest", 1, func(_ *Searches, q *index.Query) { q.Order = index.Dearest }},
	{"everything", 5, (*Searches).everything},
}

var weights = func() (sum int) {
	for _, c := range classes {
		sum += c.weight
	}
	return sum
}()

// Classes are the names of all kinds of searches.
func Classes() (names []string) {
	for _, c := range classes {
		names = append(names, c.name)
	}
	return names
}

// Next is the next search.
func (s *Searches) Next() Search {
	x := s.r.IntN(weights)
	for _, c := range classes {
		if x -= c.weight; x < 0 {
			q := index.Query{Limit: pageSize}
			c.make(s, &q)
			return Search{c.name, q}
		}
	}
	return Search{"newest", index.Query{Limit: pageSize}}
}

// offer picks one, as often as there are such.
func (s *Searches) offer() *offer {
	k := pick(s.r, true)
	return &k.offers[s.r.IntN(len(k.offers))]
}

func (s *Searches) unit() string {
	for {
		if o := s.offer(); o.unit != "" {
			return o.unit
		}
	}
}

func (s *Searches) byType(q *index.Query) { q.DataTypes = append(q.DataTypes, s.offer().dataType) }

func (s *Searches) byOffer(q *index.Query) {
	o := s.offer()
	q.DataTypes, q.Kinds = []string{o.dataType}, []string{o.kind}
	if o.unit != "" {
		q.Units = []string{o.unit}
	}
}

// byPrice asks for what costs about as much as something, or for less.
func (s *Searches) byPrice(q *index.Query) {
	median := s.offer().price
	q.MaxPrice = priceOf(amount(s.r, 2*median))
	if s.r.IntN(3) == 0 {
		low := priceOf(amount(s.r, median/2))
		if string(low[:]) > string(q.MaxPrice[:]) {
			low, q.MaxPrice = q.MaxPrice, low
		}
		q.MinPrice = low
	}
}

func priceOf(s string) *index.Price {
	p, err := index.ParsePrice(s)
	if err != nil {
		return &index.Price{}
	}
	return &p
}

// byOwner asks for the devices of an owner, as of one of whose devices one has heard.
func (s *Searches) byOwner(q *index.Query) {
	if p, err := s.m.owner(s.r); err == nil {
		a := p.Account()
		q.Owner = &a
	}
}

func (s *Searches) fresh(q *index.Query) {
	q.Since = End.Add(-[]time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}[s.r.IntN(4)])
}

// byBox asks for what a map shows: a city, a country, a continent.
func (s *Searches) byBox(q *index.Query) {
	lat, lon := somewhere(s.r).near(s.r)
	high := []float64{0.1, 0.5, 2, 8, 30}[s.r.IntN(5)] * (0.5 + s.r.Float64())
	wide := min(2*high, 179)
	q.Box = &index.Box{South: max(lat-high, -90), North: min(lat+high, 90), West: wrap(lon - wide), East: wrap(lon + wide)}
}

func (s *Searches) near(q *index.Query, km float64) {
	lat, lon := somewhere(s.r).near(s.r)
	q.Near = &index.Near{Lat: lat, Lon: wrap(lon), Km: km}
}

func wrap(lon float64) float64 {
	switch {
	case lon < -180:
		return lon + 360
	case lon > 180:
		return lon - 360
	}
	return lon
}

// words are some that the documents of devices with an offer say.
func (s *Searches) words(o *offer, n int) string {
	text := o.about + " " + strings.ReplaceAll(o.dataType, "_", " ") + " " + spots[s.r.IntN(len(spots))] + " " + boards[s.r.IntN(len(boards))]
	said := slices.DeleteFunc(strings.Fields(text), func(w string) bool { return len(w) < 4 }) // nobody looks for "on" or "a"
	s.r.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
	for i, w := range said[:n] {
		said[i] = strings.Trim(w, ",.()")
	}
	return strings.Join(said[:n], " ")
}

// byBeginning asks as somebody does who has not typed the whole word yet.
func (s *Searches) byBeginning(q *index.Query) {
	q.Text = s.words(s.offer(), 1)
	q.Text = q.Text[:min(len(q.Text), 2+s.r.IntN(4))]
}

// byWordAndType asks for a word that devices of the type say, or now and then for any.
func (s *Searches) byWordAndType(q *index.Query) {
	o := s.offer()
	q.DataTypes = []string{o.dataType}
	if s.r.IntN(5) == 0 {
		o = s.offer()
	}
	q.Text = s.words(o, 1)
}

// byAddress looks for a device by its address or the beginning of that.
func (s *Searches) byAddress(q *index.Query) {
	p, err := s.m.pair("device", s.r.IntN(s.m.devices))
	if err != nil {
		return
	}
	var a key.AccountID = p.Account()
	if q.Text = a.String(); s.r.IntN(2) == 0 {
		q.Text = q.Text[:8+s.r.IntN(8)]
	}
}

// everything narrows by nearly all that there is, in any order.
func (s *Searches) everything(q *index.Query) {
	s.byOffer(q)
	s.byBox(q)
	s.byPrice(q)
	q.State = document.Verified
	if s.r.IntN(2) == 0 {
		s.fresh(q)
	}
	q.Order = []index.Order{index.Newest, index.Cheapest, index.Dearest}[s.r.IntN(3)]
	if s.r.IntN(4) == 0 {
		s.near(q, 0)
		q.Box, q.Order = nil, index.Nearest
	}
}
