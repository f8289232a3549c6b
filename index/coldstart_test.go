package index_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
)

// seeded starts a development chain that holds n devices, put there by blocks that set storage.
func seeded(b testing.TB, n int) (url string) {
	url, dev := devchaintest.Start(b, devchain.Options{Dir: b.TempDir()})
	c := dial(b, url)
	head, err := c.Finalised(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	m, err := head.Metadata(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n; at += 5000 {
		if _, err := dev.SetStorage(storetest.Seed(b, m, at, min(5000, n-at))); err != nil {
			b.Fatal(err)
		}
	}
	return url
}

// BenchmarkColdStart reads the state of a chain with 100,000 devices over its WebSocket.
func BenchmarkColdStart(b *testing.B) {
	n := 100_000
	if os.Getenv("IOD_DEVICES") != "" {
		n = 10_000
	}
	c := dial(b, seeded(b, n))
	head, err := c.Finalised(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	for b.Loop() {
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "index.db"))
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		began := time.Now()
		err = index.Run(ctx, index.Options{Source: index.ChainSource(c), Store: s, Notify: func(p index.Progress) {
			b.Logf("%6.2fs %s %d of %d at %.0f/s, %v left", time.Since(began).Seconds(), p.Phase, p.Done, p.Total, p.Rate, p.Remaining.Round(time.Second))
			if p.Block >= head.Number && p.Phase == index.Following {
				cancel()
			}
		}})
		cancel()
		if st, errState := s.State(b.Context()); err != nil || errState != nil || st.Verified != uint64(n) || st.SetAside != 0 {
			b.Fatal(err, errState, st)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "devices/s")
}
