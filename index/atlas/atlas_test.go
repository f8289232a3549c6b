package atlas

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/document"
	"iod/index"
	"iod/key"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// world makes rows and queries from few values, so that they meet.
type world struct {
	rand *rand.Rand
	rank index.Rank
}

func (w *world) one(of ...string) string { return of[w.rand.IntN(len(of))] }

func (w *world) account(of int) (a key.AccountID) {
	n := w.rand.IntN(of)
	copy(a[:], fmt.Sprintf("account %d", n))
	return a
}

var prices = []string{"0", "0.000000000000000001", "0.5", "1", "1.999999999999999999", "2", "2.000000000000000001", "10", "123.456", "5000",
	"123456789.123456789123456789", "123456789.123456789123456788", "340282366920938463463.374607431768211455"}

func (w *world) price() *index.Price {
	if w.rand.IntN(5) == 0 {
		return nil
	}
	p, err := index.ParsePrice(prices[w.rand.IntN(len(prices))])
	if err != nil {
		panic(err)
	}
	return &p
}

// lat and lon are of seven digits after the point, often the same, at the poles or at the date line.
func (w *world) place() (lat, lon float64) {
	switch w.rand.IntN(6) {
	case 0:
		return 40.1949288, 44.5517725
	case 1:
		return []float64{-90, -86, 0, 85.0511288, 90}[w.rand.IntN(5)], []float64{-180, -179.9999999, 0, 179.9999999, 180}[w.rand.IntN(5)]
	case 2:
		return degrees(fixed(50 + w.rand.Float64()/100)), degrees(fixed(8 + w.rand.Float64()/100))
	}
	return degrees(fixed(w.rand.Float64()*180 - 90)), degrees(fixed(w.rand.Float64()*360 - 180))
}

func (w *world) state() document.State {
	return []document.State{document.Verified, document.Unverified}[w.rand.IntN(2)]
}

func (w *world) row(accounts int) index.Row {
	r := index.Row{Account: w.account(accounts), Live: w.rand.IntN(5) > 0, State: w.state(), Placed: w.rand.IntN(5) > 0}
	r.Updated = now.Add(-time.Duration(w.rand.ExpFloat64() * float64(72*time.Hour)))
	w.rank++
	r.Rank = index.FirstRank(r.Updated) + w.rank
	if r.Placed {
		r.Lat, r.Lon = w.place()
	}
	if w.rand.IntN(4) > 0 {
		r.Owner = new(w.account(4))
	}
	for _, word := range []string{"wind", "window", "roof", "rain", "wing", "5gabcdefghijklmnopq", "5gxyzabcdefghijklmn", "55"} {
		if r.Live && w.sometimes(3) {
			r.Words = append(r.Words, word)
		}
	}
	for range w.rand.IntN(4) {
		r.Offers = append(r.Offers, index.Offer{DataType: w.one("wind", "rain", "noise", ""), Unit: w.one("m/s", "mm", ""), Kind: w.one("mqtt", "http"), Price: w.price()})
	}
	return r
}

// sometimes is true once in n times.
func (w *world) sometimes(n int) bool { return w.rand.IntN(n) == 0 }

func (w *world) query() (q index.Query) {
	if w.sometimes(3) {
		q.DataTypes = []string{w.one("wind", "rain", "noise", "unheard of")}
		if w.sometimes(2) {
			q.DataTypes = append(q.DataTypes, "wind")
		}
	}
	if w.sometimes(4) {
		q.Units = []string{w.one("m/s", "mm", "parsec")}
	}
	if w.sometimes(4) {
		q.Kinds = []string{w.one("mqtt", "http")}
	}
	if w.sometimes(4) {
		q.MinPrice = w.price()
	}
	if w.sometimes(4) {
		q.MaxPrice = w.price()
	}
	if w.sometimes(6) {
		q.Owner = new(w.account(5))
	}
	if w.sometimes(4) {
		q.State = w.state()
	}
	if w.sometimes(4) {
		q.Since = now.Add(-time.Duration(w.rand.IntN(100)) * time.Hour)
	}
	if w.sometimes(4) {
		q.Text = w.text()
	}
	if w.sometimes(3) {
		q.Box = new(w.box())
	}
	if w.sometimes(4) {
		lat, lon := w.place()
		q.Near = &index.Near{Lat: lat, Lon: lon, Km: []float64{0.001, 1, 800, 5000, 15000, 20040}[w.rand.IntN(6)]}
	}
	if w.sometimes(10) {
		q.Near, q.Order = &index.Near{}, index.Nearest
	}
	return q
}

func (w *world) box() index.Box {
	lat1, lon1 := w.place()
	lat2, lon2 := w.place()
	return index.Box{South: min(lat1, lat2), West: lon1, North: max(lat1, lat2), East: lon2}
}

func (w *world) text() string {
	return w.one("wind", "win", "Roof!", "ra w", "wind window", "w", "5", "55", "5gab", "5gabcdefghijklmnopq rain", "5gz", "nothing", "")
}

// filled is an atlas beside its model, with small blocks.
func filled(capacity int) (*model, *Atlas) {
	m := newModel()
	a := New(m, Options{Now: func() time.Time { return now }})
	a.columns.capacity = capacity
	if capacity != 1024 {
		a.columns.oneByOne = 1
	}
	if capacity == 64 {
		a.columns.words.room = 4 // others have no number
	}
	a.loaded.Store(true)
	return m, a
}

func (w *world) change(m *model, a *Atlas, accounts int) {
	r := w.row(accounts)
	a.apply([]index.Row{m.put(r)}, 1)
}

// After any changes, every answer is what looking at all listings gives.
func TestAnswersAreThoseOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
		accounts := rapid.SampledFrom([]int{1, 5, 100, 1000}).Draw(t, "accounts")
		m, a := filled(rapid.SampledFrom([]int{16, 64, 1024}).Draw(t, "capacity"))
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.SampledFrom([]int{0, 10, 1000}).Draw(t, "changes") {
				w.change(m, a, accounts)
			}
			checkColumns(t, a.columns)
			for range 5 {
				w.check(t, m, a)
				m.checkFind(t, a, w.search(), 1+w.rand.IntN(30))
			}
		}
	})
}

type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// check asks everything about one random query.
func (w *world) check(t tester, m *model, a *Atlas) {
	q := w.query()
	m.checkCount(t, a, q)
	m.checkFacets(t, a, q, now)
	view, zoom := w.box(), w.rand.IntN(24)
	if w.sometimes(5) {
		view.West, view.East = view.West-360, view.East-360
	}
	got, err := a.Clusters(context.Background(), q, view, zoom)
	if err != nil {
		t.Fatal(err)
	}
	west, east := easting(fixed(turned(view.West))), easting(fixed(turned(view.East)))
	m.checkMap(t, got, q, func(x, y uint32) bool {
		if y < southing(view.North) || y > southing(view.South) {
			return false
		}
		return view.East-view.West >= 360 || west <= east && x >= west && x <= east || west > east && (x >= west || x <= east)
	})
	tileX, tileY := w.rand.Uint32()>>(32-zoom), w.rand.Uint32()>>(32-zoom)
	if got, err = a.Tile(context.Background(), q, zoom, tileX, tileY); err != nil {
		t.Fatal(err)
	}
	inTile := func(x, y uint32) bool { return x>>(32-zoom) == tileX && y>>(32-zoom) == tileY }
	m.checkMap(t, got, q, inTile)
	for _, c := range got.Clusters {
		if !inTile(c.Cell.X<<(32-c.Cell.Zoom), c.Cell.Y<<(32-c.Cell.Zoom)) {
			t.Fatalf("tile %d/%d/%d has cell %+v", zoom, tileX, tileY, c.Cell)
		}
	}
}

// checkColumns looks for what must hold between the blocks, the table and the dictionary.
func checkColumns(t tester, c *columns) {
	live, offers := 0, 0
	for pos, n := range c.order {
		b := c.blocks[n]
		if b.number != n || b.from != c.begins[pos] || pos > 0 && c.begins[pos-1] > b.from {
			t.Fatalf("block %d at %d is out of order", n, pos)
		}
		alive, extent := 0, nowhere
		var sumX uint64
		var sumLat int64
		for i := range b.rank {
			if !b.live.has(i) {
				continue
			}
			alive++
			from, to := b.offers(i)
			offers += to - from
			at, known := c.table.find(&b.account[i], c.accountAt)
			if !known || c.table.slots[at] != slotOf(n, i) {
				t.Fatalf("the table does not know row %d of block %d", i, n)
			}
			if place := b.curve(i); place < b.from || pos+1 < len(c.order) && place > c.begins[pos+1] {
				t.Fatalf("row %d of block %d is in the wrong block", i, n)
			}
			if b.from != unplaced {
				extent.add(b.x[i], b.y[i], b.lat[i])
				sumX, sumLat = sumX+uint64(b.x[i]), sumLat+int64(b.lat[i])
			}
		}
		if alive != b.alive || extent != b.within || sumX != b.sumX || sumLat != b.sumLat {
			t.Fatalf("block %d has %d alive, within %+v; it says %d, %+v", n, alive, extent, b.alive, b.within)
		}
		if dead := b.rows() - alive; dead > alive+c.capacity/8 {
			t.Fatalf("block %d has %d alive and %d dead", n, alive, dead)
		}
		live += alive
	}
	if live != c.live || live != c.table.used {
		t.Fatalf("%d are alive, %d say the columns, %d the table", live, c.live, c.table.used)
	}
	checkTrail(t, c, live)
	for _, n := range c.labels.uses {
		offers -= int(n)
	}
	if offers != 0 {
		t.Fatalf("%d more offers than the dictionary says", offers)
	}
	for _, d := range []*words{&c.labels.types, &c.labels.units, &c.labels.kinds} {
		if len(d.code)+len(d.free) != len(d.text) || len(d.code) > len(c.labels.number) {
			t.Fatalf("a dictionary of %d words, %d free and %d known, for %d labels", len(d.text), len(d.free), len(d.code), len(c.labels.number))
		}
	}
}

func TestPriceKeysCompareAsPrices(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) index.Price {
		digits := rapid.IntRange(0, 38).Draw(t, "digits")
		s := ""
		for range digits + 1 {
			s += string(rune('0' + rapid.IntRange(0, 9).Draw(t, "digit")))
		}
		if len(s) > 20 && rapid.Bool().Draw(t, "round") {
			s = s[:18] + "000000000000000000000"[:len(s)-18]
		}
		s = "0000000000000000000" + s
		p, err := index.ParsePrice(s[:len(s)-18] + "." + s[len(s)-18:])
		if err != nil {
			return index.Price{}
		}
		return p
	})
	rapid.Check(t, func(t *rapid.T) {
		p, q := draw.Draw(t, "p"), draw.Draw(t, "q")
		k, l := keyOf(&p), keyOf(&q)
		switch c := p.Compare(q); {
		case k < l && c >= 0, k > l && c <= 0, k == l && c != 0 && !k.more(), k >= noPrice:
			t.Fatalf("%v and %v: keys %x and %x", p, q, k, l)
		}
		if k > 0 {
			lowest, next := stepPrice(k.step()), k.step()+1
			if p.Compare(lowest) < 0 || next < steps-2 && p.Compare(stepPrice(next)) >= 0 {
				t.Fatalf("%v is not in step %d from %v", p, k.step(), lowest)
			}
		}
	})
}

func TestPlacesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lon := rapid.Int32Range(-halfway, halfway).Draw(t, "lon")
		if got := longitude(easting(lon)); got != lon {
			t.Fatalf("easting %d of %d is of %d", easting(lon), lon, got)
		}
		if got := fixed(degrees(lon)); got != lon || atLeast(degrees(lon)) != lon || atMost(degrees(lon)) != lon {
			t.Fatalf("%v is %d", degrees(lon), got)
		}
	})
	for _, lon := range []float64{-180, -90, 0, 45, 90, 135} {
		if e := easting(fixed(lon)); e != uint32((lon+180)/360*(1<<32)) {
			t.Errorf("meridian %v has easting %x", lon, e)
		}
	}
	for lat, want := range map[float64]uint32{90: 0, 85.0511288: 0, 0: 1 << 31, -85.0511288: math.MaxUint32, -90: math.MaxUint32} {
		if s := southing(lat); max(s, want)-min(s, want) > 30 {
			t.Errorf("parallel %v has southing %x, want %x", lat, s, want)
		}
	}
}

// Neighbours on the curve are neighbours on the globe, and all of a quarter come before the next quarter.
func TestCurve(t *testing.T) {
	const unit = 1 << (32 - curveBits)
	seen := map[uint64][2]uint32{}
	for x := range uint32(64) {
		for y := range uint32(64) {
			seen[curve(x*unit, y*unit)] = [2]uint32{x, y}
		}
	}
	for d := range uint64(64*64 - 1) {
		a, okA := seen[d]
		b, okB := seen[d+1]
		if !okA || !okB || max(a[0], b[0])-min(a[0], b[0])+max(a[1], b[1])-min(a[1], b[1]) != 1 {
			t.Fatalf("%d is at %v, %d at %v", d, a, d+1, b)
		}
	}
}
