package atlas

import (
	"context"
	"os"
	"testing"
	"time"

	"iod/index"
	"iod/index/market"
	"iod/index/sqlite"
)

// BenchmarkMarket tells what the step in memory costs of each class of searches in the market that a SQLite file holds (iod bench market):
// IOD_BENCH_SQLITE=market.db go test ./index/atlas -run XXX -bench Market
func BenchmarkMarket(b *testing.B) {
	name := os.Getenv("IOD_BENCH_SQLITE")
	if name == "" {
		b.Skip("IOD_BENCH_SQLITE names no market")
	}
	s, err := sqlite.Open(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	st, err := s.State(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	m, err := market.New(1, int(st.Live))
	if err != nil {
		b.Fatal(err)
	}
	a := New(s, Options{})
	if err := a.load(context.Background(), st.Change); err != nil {
		b.Fatal(err)
	}
	by := map[string][]index.Query{}
	searches := m.Searches(1)
	for range 20_000 {
		x := searches.Next()
		by[x.Class] = append(by[x.Class], x.Query)
	}
	for _, class := range market.Classes() {
		all := by[class]
		b.Run(class, func(b *testing.B) {
			var took time.Duration
			most, found, answered, i := time.Duration(0), 0, 0, 0
			for b.Loop() {
				q := all[i%len(all)]
				i++
				began := time.Now()
				hits, _, ok := a.find(context.Background(), q, q.Limit+1)
				d := time.Since(began)
				if took += d; ok {
					found += len(hits)
					answered++
				}
				most = max(most, d)
			}
			b.ReportMetric(float64(most.Microseconds())/1000, "max-ms")
			b.ReportMetric(float64(found)/float64(b.N), "found")
			b.ReportMetric(float64(answered)/float64(b.N), "answered")
		})
	}
}
