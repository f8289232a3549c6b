package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"iod/index"
)

// envBench names a database that holds a market, for the benchmarks: nothing is written to it.
const envBench = "IOD_BENCH_POSTGRES"

// asks are the searches that people make in a market, each with another value each time.
var asks = []struct {
	name string
	ask  func(r *rand.Rand) index.Query
}{
	{"newest", func(*rand.Rand) index.Query { return index.Query{} }},
	{"type", func(r *rand.Rand) index.Query { return index.Query{DataTypes: []string{some(r, types)}} }},
	{"types", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types), some(r, types)}}
	}},
	{"rare type", func(r *rand.Rand) index.Query { return index.Query{DataTypes: []string{"gnss_corrections"}} }},
	{"no such type", func(r *rand.Rand) index.Query { return index.Query{DataTypes: []string{fmt.Sprint("x", r.IntN(1000))}} }},
	{"kind", func(r *rand.Rand) index.Query {
		return index.Query{Kinds: []string{some(r, []string{"mqtt", "http", "udp"})}}
	}},
	{"type kind unit", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{"wind_speed"}, Kinds: []string{"mqtt"}, Units: []string{"m/s"}}
	}},
	{"type of another unit", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{"wind_speed"}, Units: []string{"°C"}}
	}},
	{"price", func(r *rand.Rand) index.Query {
		a := r.Float64() * 20
		return index.Query{MinPrice: amount(a), MaxPrice: amount(a * 1.05)}
	}},
	{"type price", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types)}, MaxPrice: amount(r.Float64() * 10)}
	}},
	{"cheapest", func(r *rand.Rand) index.Query { return index.Query{Order: index.Cheapest} }},
	{"type cheapest", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types)}, Order: index.Cheapest}
	}},
	{"type dearest", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types)}, Order: index.Dearest}
	}},
	{"types cheapest verified", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types), some(r, types)}, State: "verified", Order: index.Cheapest}
	}},
	{"common word", func(r *rand.Rand) index.Query { return index.Query{Text: "sensor"} }},
	{"word", func(r *rand.Rand) index.Query { return index.Query{Text: some(r, types)} }},
	{"two words", func(r *rand.Rand) index.Query { return index.Query{Text: some(r, types) + " " + some(r, cities)} }},
	{"city", func(r *rand.Rand) index.Query { return index.Query{Text: some(r, cities)} }},
	{"prefix", func(r *rand.Rand) index.Query { return index.Query{Text: some(r, cities)[:3]} }},
	{"near", func(r *rand.Rand) index.Query { return index.Query{Near: near(r, 5+r.Float64()*50)} }},
	{"near type", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types)}, Near: near(r, 100)}
	}},
	{"nearest", func(r *rand.Rand) index.Query { return index.Query{Near: near(r, 0), Order: index.Nearest} }},
	{"nearest type", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types)}, Near: near(r, 0), Order: index.Nearest}
	}},
	{"nearest rare", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{"gnss_corrections"}, Near: near(r, 0), Order: index.Nearest}
	}},
	{"box", func(r *rand.Rand) index.Query { return index.Query{Box: boxAt(r, 0.5)} }},
	{"wide box", func(r *rand.Rand) index.Query { return index.Query{Box: boxAt(r, 15)} }},
	{"box type cheapest", func(r *rand.Rand) index.Query {
		return index.Query{DataTypes: []string{some(r, types)}, Box: boxAt(r, 3), Order: index.Cheapest}
	}},
	{"since", func(r *rand.Rand) index.Query {
		return index.Query{Since: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), Units: []string{"dB(A)"}}
	}},
}

var (
	types  = []string{"temperature", "pm2_5", "wind_speed", "video", "noise", "humidity", "water_level", "radiation", "lightning"}
	cities = []string{"berlin", "paris", "london", "tokyo", "sydney", "lima", "cairo", "delhi"}
	places = [][2]float64{{52.5, 13.4}, {48.85, 2.35}, {51.5, -0.12}, {40.7, -74}, {35.7, 139.7}, {-33.9, 151.2}, {19.4, -99.1}, {1.35, 103.8}}
)

func some(r *rand.Rand, all []string) string { return all[r.IntN(len(all))] }

func near(r *rand.Rand, km float64) *index.Near {
	p := places[r.IntN(len(places))]
	return &index.Near{Lat: p[0] + r.Float64() - 0.5, Lon: p[1] + r.Float64() - 0.5, Km: km}
}

func boxAt(r *rand.Rand, half float64) *index.Box {
	p := near(r, 0)
	return &index.Box{South: p.Lat - half, North: p.Lat + half, West: p.Lon - half, East: p.Lon + half}
}

func amount(f float64) *index.Price {
	p, _ := index.ParsePrice(fmt.Sprintf("%.4f", f))
	return &p
}

func bench(b testing.TB) *Store {
	url := os.Getenv(envBench)
	if url == "" {
		b.Skip("set " + envBench + " to the URL of a database that holds a market")
	}
	s, err := Open(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// TestBenchWays tells how long each kind of search takes, the way that it took, and with -v of the slowest the plan.
func TestBenchWays(t *testing.T) {
	s := bench(t)
	taken := map[way]int{}
	s.choose = func(q *index.Query, words []string, g *guess, need int, unpriced bool) way {
		w := choose(q, words, g, need, unpriced)
		taken[way{by: w.by, walk: w.walk}]++
		return w
	}
	for _, x := range asks {
		if only := os.Getenv("IOD_BENCH_ONLY"); only != "" && !strings.Contains(x.name, only) {
			continue
		}
		clear(taken)
		r := rand.New(rand.NewPCG(1, 1))
		var took []time.Duration
		var slowest index.Query
		found := 0
		for i := range 216 {
			q := x.ask(r)
			q.Limit, q.Shown = 20, true
			began := time.Now()
			page, err := s.Search(t.Context(), q)
			if err != nil {
				t.Errorf("%s: %+v: %v", x.name, q, err)
				continue
			}
			if d := time.Since(began); i >= 16 { // the first ones prepare the statement on each connection
				if took = append(took, d); d == slices.Max(took) {
					slowest = q
				}
			}
			found += len(page.Found)
		}
		if len(took) == 0 {
			continue
		}
		slices.Sort(took)
		var all time.Duration
		for _, d := range took {
			all += d
		}
		t.Logf("%-24s median %8v  mean %8v  max %8v  found %4d  %v", x.name, took[len(took)/2].Round(time.Microsecond), (all / time.Duration(len(took))).Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond), found/216, taken)
		if os.Getenv("IOD_BENCH_PLANS") != "" {
			t.Log(explained(t, s, slowest))
		}
	}
}

// explained is how the server answers a search.
func explained(t testing.TB, s *Store, q index.Query) string {
	sample, err := s.sampled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := asked{Query: q, terms: index.Terms(q.Text), size: q.Limit}
	a.guess = sample.guess(&q, a.terms)
	w := choose(&q, a.terms, &a.guess, q.Limit+1, false)
	b := statement{asked: &a, need: q.Limit + 1}
	text := b.text(w)
	c, err := s.read.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	rows, err := c.Query(t.Context(), "EXPLAIN (ANALYZE, BUFFERS) "+text, b.args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := fmt.Sprintf("%+v\n%+v\n%s\n", w, a.guess, text)
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		out += line + "\n"
	}
	return out
}

// typical are the searches that pages and tools make most.
var typical = []string{"newest", "type", "types", "kind", "type kind unit", "type price", "type cheapest", "word", "near type", "nearest type", "box", "wide box", "since"}

// BenchmarkTypical asks typical searches from as many goroutines as the pool has connections.
func BenchmarkTypical(b *testing.B) {
	benchmark(b, func(name string) bool { return slices.Contains(typical, name) })
}

// BenchmarkSearch asks all kinds of searches alike.
func BenchmarkSearch(b *testing.B) { benchmark(b, func(string) bool { return true }) }

func benchmark(b *testing.B, which func(string) bool) {
	s := bench(b)
	var asking []func(*rand.Rand) index.Query
	for _, x := range asks {
		if which(x.name) {
			asking = append(asking, x.ask)
		}
	}
	var mu sync.Mutex
	var took []time.Duration
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		r := rand.New(rand.NewPCG(rand.Uint64(), 1))
		var mine []time.Duration
		for pb.Next() {
			q := asking[r.IntN(len(asking))](r)
			q.Limit, q.Shown = 20, true
			began := time.Now()
			if _, err := s.Search(b.Context(), q); err != nil {
				b.Errorf("%+v: %v", q, err)
				return
			}
			mine = append(mine, time.Since(began))
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, mine...)
	})
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "searches/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
