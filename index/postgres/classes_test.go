package postgres

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"iod/index"
	"iod/index/market"
)

// processorTime is how long this user's servers' sessions of a database have used processors; they must be on this machine.
func processorTime(t testing.TB, database string) (all time.Duration) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip(err)
	}
	for _, d := range dirs {
		line, err := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		if err != nil || !strings.HasPrefix(string(line), "postgres: ") || !strings.Contains(string(line), " "+database+" ") {
			continue
		}
		stat, err := os.ReadFile("/proc/" + d.Name() + "/schedstat")
		if err != nil {
			continue
		}
		ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all += time.Duration(ns)
	}
	return all
}

// TestBenchClasses tells of each class of searches in a market (package index/market) what it costs the server in processor time.
func TestBenchClasses(t *testing.T) {
	s := bench(t)
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := market.New(1, int(st.Live))
	if err != nil {
		t.Fatal(err)
	}
	by, weights := map[string][]index.Query{}, map[string]int{}
	searches := m.Searches(7)
	const many = 60
	for range 6000 {
		x := searches.Next()
		weights[x.Class]++
		if only := os.Getenv("IOD_BENCH_ONLY"); len(by[x.Class]) < many && (only == "" || strings.Contains(x.Class, only)) {
			x.Query.Shown = true
			by[x.Class] = append(by[x.Class], x.Query)
		}
	}
	sum := 0.0
	for _, class := range market.Classes() {
		if len(by[class]) == 0 {
			continue
		}
		taken := map[way]int{}
		s.choose = func(q *index.Query, words []string, g *guess, need int, unpriced bool) way {
			w := choose(q, words, g, need, unpriced)
			taken[way{by: w.by, walk: w.walk}]++
			return w
		}
		for _, q := range by[class][:min(len(by[class]), 20)] {
			s.Search(t.Context(), q) //nolint:errcheck // prepares statements
		}
		clear(taken)
		type one struct {
			took time.Duration
			q    index.Query
		}
		var ones []one
		for _, q := range by[class] {
			began := processorTime(t, s.config.Database)
			if _, err := s.Search(t.Context(), q); err != nil {
				t.Errorf("%s: %v", class, err)
			}
			ones = append(ones, one{processorTime(t, s.config.Database) - began, q})
		}
		slices.SortFunc(ones, func(a, b one) int { return int(a.took - b.took) })
		var all time.Duration
		for _, o := range ones {
			all += o.took
		}
		ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }
		mean := all.Seconds() * 1000 / float64(len(ones))
		sum += mean * float64(weights[class]) / 6000
		last := ones[len(ones)-1]
		t.Logf("%-28s weight %.3f mean %6.2f ms, median %s, max %s; %v %+v", class, float64(weights[class])/6000, mean, ms(ones[len(ones)/2].took), ms(last.took), taken, last.q)
	}
	t.Logf("%.2f ms of the server a search", sum)
}
