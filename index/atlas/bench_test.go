package atlas

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// benchRows is how many listings benchmarks and TestMillion have: IOD_ATLAS_ROWS, or 100,000.
func benchRows() int {
	if n, err := strconv.Atoi(os.Getenv("IOD_ATLAS_ROWS")); err == nil && n > 0 {
		return n
	}
	return 100_000
}

// madeUp fills an atlas as the world might look like: towns of very different sizes, some sparse places, a hundred things to
// measure with Zipf's frequencies, one to four offers, prices of few digits, fleets of owners, ages up to two years.
func madeUp(n int) *Atlas {
	a := New(newModel(), Options{Now: func() time.Time { return now }})
	r := rand.New(rand.NewPCG(1, 2))
	types, towns, fleets := rand.NewZipf(r, 1.2, 4, 119), rand.NewZipf(r, 1.1, 20, 3999), rand.NewZipf(r, 1.1, 10, 19999)
	type town struct{ lat, lon, wide float64 }
	places := make([]town, 4000)
	for i := range places {
		places[i] = town{r.Float64()*110 - 45, r.Float64()*360 - 180, 0.02 + r.ExpFloat64()*0.2}
	}
	kinds := []string{"mqtt", "mqtt", "mqtt", "http", "rtsp", "tcp"}
	rows := make([]index.Row, 0, batch)
	for i := range n {
		x := index.Row{Live: true, State: document.Verified, Placed: r.IntN(20) > 0}
		for j := range 4 {
			copy(x.Account[8*j:], appendUint64(r.Uint64())[:8])
		}
		if r.IntN(10) == 0 {
			x.State = document.Unverified
		}
		x.Updated = now.Add(-time.Duration(min(r.ExpFloat64()/6, 1) * float64(2*365*24*time.Hour)))
		x.Rank = index.FirstRank(x.Updated) + index.Rank(i%(1<<20))
		if t := places[towns.Uint64()]; x.Placed {
			x.Lat, x.Lon = degrees(fixed(min(t.lat+r.NormFloat64()*t.wide, 90))), degrees(fixed(turned(t.lon+r.NormFloat64()*t.wide)))
		}
		owner := key.AccountID(appendUint64(fleets.Uint64()))
		x.Owner = &owner
		for range 1 + r.IntN(3)*r.IntN(2) {
			t := types.Uint64()
			o := index.Offer{DataType: fmt.Sprintf("type %d", t), Unit: fmt.Sprintf("unit %d", t%40), Kind: kinds[r.IntN(len(kinds))]}
			if r.IntN(8) > 0 {
				p, err := index.ParsePrice(strconv.FormatFloat(float64(1+r.IntN(999))*[]float64{0.001, 0.01, 0.1, 1}[r.IntN(4)], 'f', 3, 64))
				if err != nil {
					panic(err)
				}
				o.Price = &p
			}
			x.Offers = append(x.Offers, o)
		}
		if rows = append(rows, x); len(rows) == batch || i == n-1 {
			a.apply(rows, 1)
			rows = rows[:0]
		}
	}
	a.loaded.Store(true)
	return a
}

func appendUint64(n uint64) []byte {
	b := make([]byte, 32)
	for i := range 8 {
		b[i] = byte(n >> (8 * i))
	}
	return b
}

// questions are what pages ask.
func questions() map[string]index.Query {
	low, _ := index.ParsePrice("0.5")
	high, _ := index.ParsePrice("25")
	return map[string]index.Query{
		"all":      {},
		"type":     {DataTypes: []string{"type 3"}},
		"common":   {DataTypes: []string{"type 0", "type 1"}, Units: []string{"unit 0", "unit 1"}, Kinds: []string{"mqtt"}},
		"price":    {MinPrice: &low, MaxPrice: &high},
		"many":     {DataTypes: []string{"type 0", "type 5"}, Kinds: []string{"mqtt", "http"}, MaxPrice: &high, State: document.Verified, Since: now.Add(-60 * 24 * time.Hour)},
		"verified": {State: document.Verified},
		"since":    {Since: now.Add(-24 * time.Hour)},
		"owner":    {Owner: new(key.AccountID(appendUint64(3)))},
		"near":     {Near: &index.Near{Lat: 50, Lon: 8, Km: 3000}},
		"europe":   {Box: &index.Box{South: 35, West: -12, North: 70, East: 40}},
	}
}

func BenchmarkCount(b *testing.B) {
	ask(b, func(a *Atlas, q index.Query) error { _, err := a.Count(context.Background(), q); return err })
}
func BenchmarkFacets(b *testing.B) {
	ask(b, func(a *Atlas, q index.Query) error {
		a.version++
		_, err := a.Facets(context.Background(), q, 0)
		return err
	})
}

func ask(b *testing.B, f func(*Atlas, index.Query) error) {
	a := madeUp(benchRows())
	for _, name := range names() {
		q := questions()[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			begin := cpu()
			for b.Loop() {
				if err := f(a, q); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu()-begin)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// cpu is how much processor time the process has had: others may be at work on the machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func names() []string {
	var all []string
	for name := range questions() {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// BenchmarkMap looks at 1600 by 1000 pixels around the largest town.
func BenchmarkMap(b *testing.B) {
	a := madeUp(benchRows())
	m, err := a.Clusters(context.Background(), index.Query{}, index.Box{South: -85, West: -180, North: 85, East: 180}, 6)
	if err != nil {
		b.Fatal(err)
	}
	top := slices.MaxFunc(m.Clusters, func(p, q Cluster) int { return p.N - q.N })
	for _, name := range []string{"all", "type", "many"} {
		for _, zoom := range []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18} {
			q, view := questions()[name], viewAround(top.Lat, top.Lon, zoom)
			b.Run(fmt.Sprintf("%s/zoom%d", name, zoom), func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					m, err := a.Clusters(context.Background(), q, view, zoom)
					if err != nil {
						b.Fatal(err)
					}
					n = len(m.Clusters)
				}
				b.ReportMetric(float64(n), "clusters")
			})
		}
	}
}

func viewAround(lat, lon float64, zoom int) index.Box {
	wide := 1600 / 256.0 * 360 / float64(int(1)<<zoom)
	high := min(wide*1000/1600/2*0.7, 85)
	return index.Box{South: max(lat-high, -85), North: min(lat+high, 85), West: lon - wide/2, East: lon + wide/2}
}

func BenchmarkUpdate(b *testing.B) {
	a := madeUp(benchRows())
	r := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	b.ResetTimer()
	rank := index.FirstRank(now)
	for b.Loop() {
		// the row of some listing, updated
		n := a.columns.order[r.IntN(len(a.columns.order))]
		bl := a.columns.blocks[n]
		i := bl.live.first()
		if i < 0 {
			continue
		}
		rank++
		x := index.Row{Rank: rank, Account: bl.account[i], Live: true, State: document.Verified, Placed: bl.from != unplaced, Offers: []index.Offer{{DataType: "type 1", Kind: "mqtt"}}}
		if x.Placed {
			x.Lat, x.Lon = degrees(bl.lat[i]), degrees(longitude(bl.x[i]))
		}
		a.apply([]index.Row{x}, 1)
	}
}

// TestMillion says how much memory a market takes: IOD_ATLAS_ROWS=1000000 go test -run Million -v ./index/atlas
func TestMillion(t *testing.T) {
	if os.Getenv("IOD_ATLAS_ROWS") == "" {
		t.Skip("IOD_ATLAS_ROWS is not set: reads up to a million listings")
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, begin := heap(), time.Now()
	a := madeUp(benchRows())
	took, after := time.Since(begin), heap()
	offers := 0
	for _, n := range a.columns.order {
		offers += a.columns.blocks[n].liveOffers()
	}
	t.Logf("%d listings with %d offers in %d blocks: %.1f MB, read in %v", a.Len(), offers, len(a.columns.order), float64(after-before)/1e6, took)
	runtime.KeepAlive(a)
}
