package storetest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Market makes live listings of few types, units, prices, places, words and owners, so that random searches find some of them. The same
// arguments give the same ones.
func Market(seed uint64, n int) []*index.Listing {
	r := rand.New(rand.NewPCG(seed, 7))
	all := make([]*index.Listing, n)
	for i := range all {
		a := key.AccountID{byte(i >> 8), byte(i), 1}
		at := index.Point{Block: uint32(i), Time: Epoch.Add(time.Duration(r.IntN(n/3+1)) * time.Second), Extrinsic: 1}
		l := &index.Listing{
			Account: a, State: []document.State{document.Verified, document.Unverified}[r.IntN(3)/2], Raw: []byte{1, byte(i), byte(i >> 8)}, First: at, Updated: at,
			PresenceAt: at, Expires: index.Never, Status: index.Live, Presence: index.Present,
			Device: document.Device{Account: a, DataType: pick(r, marketTypes), Location: place(r), PriceAccess: price(r), Sequence: uint64(i)},
		}
		if r.IntN(2) == 0 {
			owner := key.AccountID{200, byte(r.IntN(5))}
			l.Device.Owner, l.Vouched = &owner, r.IntN(4) > 0
		}
		for j := range r.IntN(4) {
			l.Device.Streams = append(l.Device.Streams, document.Stream{Name: fmt.Sprint("s", j), Kind: pick(r, marketKinds), DataType: pick(r, append(marketTypes, "")),
				Unit: pick(r, marketUnits), Price: price(r), Description: pick(r, marketWords) + " " + pick(r, marketWords)})
		}
		all[i] = l
	}
	return all
}

var (
	marketTypes = []string{"weather", "wind_speed", "noise", "video", "rare"}
	marketKinds = []string{"mqtt", "http", "rtsp"}
	marketUnits = []string{"m/s", "dB", "°C", ""}
	marketWords = []string{"roof", "rooftop", "river", "Ärmelkanal", "bridge", "harbour", "roads", "x1"}
)

func pick(r *rand.Rand, all []string) string { return all[r.IntN(len(all))] }

func price(r *rand.Rand) string { return pick(r, []string{"", "0", "1", "2.5", "2.5", "10", "900"}) }

// place is a place, mostly near others, the date line or a pole; some are names.
func place(r *rand.Rand) string {
	switch r.IntN(10) {
	case 0:
		return "Berlin"
	case 1:
		return fmt.Sprintf("%.3f,%.3f", r.Float64()-0.5, math.Mod(179.5+r.Float64()+180, 360)-180)
	case 2:
		return fmt.Sprintf("%.3f,%.3f", 89.9*float64(1-2*r.IntN(2)), r.Float64()*360-180)
	case 3:
		return fmt.Sprintf("%.2f,%.2f", r.Float64()*180-90, r.Float64()*360-180)
	}
	return fmt.Sprintf("%.1f,%.1f", 52+r.Float64(), 13+r.Float64()) // often the same
}

// Ask makes a random search for what Market makes.
func Ask(r *rand.Rand) index.Query {
	var q index.Query
	some := func(all []string) (s []string) {
		for range r.IntN(3) * r.IntN(2) {
			s = append(s, pick(r, all))
		}
		return s
	}
	q.DataTypes, q.Kinds, q.Units = some(append(marketTypes, "none")), some(marketKinds), some(marketUnits[:3])
	for _, p := range []**index.Price{&q.MinPrice, &q.MaxPrice} {
		if r.IntN(5) == 0 {
			v, _ := index.ParsePrice(pick(r, []string{"0", "1", "2.5", "3", "10", "1000"}))
			*p = &v
		}
	}
	if r.IntN(5) == 0 {
		q.Owner = &key.AccountID{200, byte(r.IntN(6))}
	}
	if r.IntN(5) == 0 {
		q.State = pick2(r, document.Verified, document.Unverified)
	}
	if r.IntN(5) == 0 {
		q.Since = Epoch.Add(time.Duration(r.IntN(100)) * time.Second)
	}
	if r.IntN(3) == 0 {
		q.Text = pick(r, []string{"roof", "roo", "r", "bridge riv", "armel", "x1 ro", "berlin", "nothing", "weather roof bridge"})
	}
	center := place(r)
	lat, lon := 52.5, 13.5
	fmt.Sscanf(center, "%f,%f", &lat, &lon)                           //nolint:errcheck // a name has no numbers
	lat, lon = lat*0.999+r.Float64()*0.01, wrap(lon+r.Float64()*0.01) // not as far from two places
	if r.IntN(4) == 0 {
		h, w := r.Float64()*pick2(r, 1.0, 60), r.Float64()*pick2(r, 1.0, 180)
		q.Box = &index.Box{South: max(lat-h, -90), North: min(lat+h, 90), West: wrap(lon - w), East: wrap(lon + w)}
	}
	q.Order = []index.Order{index.Newest, index.Newest, index.Cheapest, index.Dearest, index.Nearest}[r.IntN(5)]
	if q.Order == index.Nearest || r.IntN(5) == 0 {
		q.Near = &index.Near{Lat: lat, Lon: lon, Km: r.Float64() * pick2(r, 50, 5000.0)}
		if q.Order == index.Nearest && r.IntN(2) == 0 {
			q.Near.Km = 0
		}
	}
	q.Limit = 15 + r.IntN(200)
	return q
}

func pick2[T any](r *rand.Rand, a, b T) T {
	if r.IntN(2) == 0 {
		return a
	}
	return b
}

func wrap(lon float64) float64 {
	if lon < -180 {
		return lon + 360
	}
	if lon > 180 {
		return lon - 360
	}
	return lon
}

// Answer is what a search must find among listings, all of it in order: written to be plain rather than fast.
func Answer(listings []*index.Listing, q index.Query) []index.Found {
	var all []found
	for _, l := range listings {
		if f, ok := match(l, &q); ok {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		newer := cmp.Compare(b.Rank, a.Rank)
		switch q.Order {
		case index.Nearest:
			return cmp.Or(cmp.Compare(a.Km, b.Km), newer)
		case index.Cheapest, index.Dearest:
			if a.price == nil || b.price == nil {
				return cmp.Or(cmp.Compare(btoi(a.price == nil), btoi(b.price == nil)), newer)
			}
			if c := strings.Compare(string(a.price[:]), string(b.price[:])); q.Order == index.Cheapest {
				return cmp.Or(c, newer)
			} else {
				return cmp.Or(-c, -newer)
			}
		}
		return newer
	})
	out := make([]index.Found, len(all))
	for i, f := range all {
		out[i] = f.Found
	}
	return out
}

type found struct {
	index.Found
	price *index.Price
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func match(l *index.Listing, q *index.Query) (f found, ok bool) {
	f.Listing, f.Offer = l, -1
	lat, lon, placed := l.Place()
	if q.Near != nil {
		f.Km = index.Distance(q.Near.Lat, q.Near.Lon, lat, lon)
	}
	b := q.Box
	owner := l.Owner()
	switch {
	case l.Status != index.Live, q.State != "" && l.State != q.State, q.Owner != nil && (owner == nil || *owner != *q.Owner),
		!q.Since.IsZero() && l.Updated.Time.Before(q.Since), (b != nil || q.Near != nil) && !placed,
		q.Near != nil && q.Near.Km > 0 && f.Km > q.Near.Km, !says(l, q.Text):
		return f, false
	case b != nil && (lat < b.South || lat > b.North || b.West <= b.East && (lon < b.West || lon > b.East) || b.West > b.East && lon < b.West && lon > b.East):
		return f, false
	}
	for i, o := range l.Offers() {
		if !among(q.DataTypes, o.DataType) || !among(q.Kinds, o.Kind) || !among(q.Units, o.Unit) || !costs(q, o.Price) {
			continue
		}
		if f.Offer < 0 || better(q.Order, o.Price, f.price) {
			f.Offer, f.Stream, f.price = i, o.Name, o.Price
		}
	}
	return f, f.Offer >= 0
}

func among(values []string, v string) bool { return len(values) == 0 || slices.Contains(values, v) }

func costs(q *index.Query, p *index.Price) bool {
	return (q.MinPrice == nil || p != nil && string(p[:]) >= string(q.MinPrice[:])) && (q.MaxPrice == nil || p != nil && string(p[:]) <= string(q.MaxPrice[:]))
}

func better(o index.Order, p, than *index.Price) bool {
	switch {
	case p == nil:
		return false
	case o == index.Cheapest:
		return than == nil || string(p[:]) < string(than[:])
	case o == index.Dearest:
		return than == nil || string(p[:]) > string(than[:])
	}
	return false
}

func says(l *index.Listing, text string) bool {
	words := index.Terms(l.Words())
	for _, t := range index.Terms(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, t) }) {
			return false
		}
	}
	return true
}

// Compare asks a store random searches, page by page, and compares with Answer. It returns how many found something.
func Compare(t testing.TB, s index.Reader, listings []*index.Listing, r *rand.Rand, searches int) (fruitful int) {
	t.Helper()
	for range searches {
		q := Ask(r)
		want := Answer(listings, q)
		var got []index.Found
		for p := q; ; {
			page := must(s.Search(t.Context(), p))(t)
			got = append(got, page.Found...)
			if page.Next == nil || len(got) > len(want)+q.Limit {
				break
			}
			if p.After = page.Next; len(page.Found) != q.Limit {
				t.Fatalf("%s: a page of %d is not the last", describe(q), len(page.Found))
			}
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i].Rank != want[i].Rank || got[i].Offer != want[i].Offer || got[i].Stream != want[i].Stream ||
				math.Abs(got[i].Km-want[i].Km) > 1e-6 {
				t.Fatalf("%s finds %d, want %d; the first difference at %d:\n%s\nwant\n%s", describe(q), len(got), len(want), i, at(got, i), at(want, i))
			}
		}
		if len(want) > 0 {
			fruitful++
		}
	}
	return fruitful
}

func at(all []index.Found, i int) string {
	if i >= len(all) {
		return "nothing"
	}
	f := all[i]
	return fmt.Sprintf("rank %d, offer %d, stream %q, %v km, at %s: %+v", f.Rank, f.Offer, f.Stream, f.Km, f.Device.Location, f.Offers())
}

func describe(q index.Query) string {
	return fmt.Sprintf("%+v box %+v near %+v owner %v prices %v %v", q, q.Box, q.Near, q.Owner, q.MinPrice, q.MaxPrice)
}

// Ranked puts listings into an empty store and gives them the ranks that it gave.
func Ranked(t testing.TB, s index.Store, listings []*index.Listing) {
	t.Helper()
	if err := s.Reset(t.Context(), genesis); err != nil {
		t.Fatal(err)
	}
	put(t, s, listings...)
	for _, l := range listings {
		l.Rank = must(s.Get(t.Context(), l.Account))(t).Rank
	}
}

// reference: random searches find what they must.
func reference(t *testing.T, s index.Store) {
	listings := Market(1, 600)
	Ranked(t, s, listings)
	if n := Compare(t, s, listings, rand.New(rand.NewPCG(2, 3)), 150); n < 50 {
		t.Errorf("only %d searches found anything: the test shows less than it should", n)
	}
}
