package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
)

// until runs an index over a chain to its head.
func until(b *testing.B, s index.Store, c *storetest.Chain) {
	b.Helper()
	head, err := c.Finalised(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	first := uint32(0)
	err = index.Run(ctx, index.Options{Source: c, Store: s, From: &first, Notify: func(p index.Progress) {
		if p.Block >= head.Number {
			cancel()
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBlocks walks a history of sr25519-signed publications of 500 devices, by how many blocks have one.
func BenchmarkBlocks(b *testing.B) {
	var pairs []*key.Pair
	for i := range 500 {
		p, err := key.FromURI(key.Sr25519, fmt.Sprint("//bench", i))
		if err != nil {
			b.Fatal(err)
		}
		pairs = append(pairs, p)
	}
	for _, every := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("publication-every-", every), func(b *testing.B) {
			c := storetest.NewChain("bench")
			for n := 1; n < b.N; n++ {
				if n%every != 0 {
					c.Append()
					continue
				}
				p := pairs[n/every%len(pairs)]
				c.Append(storetest.Write(p.Account(), p.Account(), storetest.Sign(b, p, storetest.Weather(p, uint64(n))), nil))
			}
			s := temp(b)
			b.ResetTimer()
			until(b, s, c)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

const benchListings = 100_000

// filled is a store of many listings of several types, units, prices and places.
func filled(b *testing.B) *sqlite.Store {
	path := filepath.Join(b.TempDir(), "index.db")
	s := open(b, path)
	b.Cleanup(func() { s.Close() })
	if err := s.Reset(b.Context(), index.Origin{}); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	for at := 0; at < benchListings; at += 1000 {
		err := s.Update(b.Context(), func(tx index.Tx) error {
			for n := at; n < at+1000; n++ {
				if err := tx.Put(b.Context(), generated(r, n)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	written := time.Since(began).Seconds()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d listings written at %.0f a second, %d bytes of file each", benchListings, benchListings/written, info.Size()/benchListings)
	return s
}

func generated(r *rand.Rand, n int) *index.Listing {
	var a key.AccountID
	for i := range a {
		a[i] = byte(r.Uint32())
	}
	at := index.Point{Block: uint32(n), Time: storetest.Epoch.Add(time.Duration(n) * time.Second)}
	types := []string{"wind_speed", "temperature", "noise", "video", "traffic", "radiation", "humidity", "light"}
	dataType := types[r.IntN(len(types))]
	return &index.Listing{
		Account: a, State: document.Verified, Raw: []byte(strings.Repeat("x", 1200) + a.String()), Signer: &a, First: at, Updated: at, PresenceAt: at,
		Expires: index.Never, Status: index.Live, Presence: index.Present,
		Device: document.Device{
			Account: a, DataType: dataType, Location: fmt.Sprintf("%.5f,%.5f", r.Float64()*180-90, r.Float64()*360-180), Sequence: uint64(n) + 1,
			Streams: []document.Stream{
				{Name: "main", Kind: "mqtt", DataType: dataType, Unit: "u" + fmt.Sprint(r.IntN(20)), Price: fmt.Sprint(r.IntN(1000)), Description: "station " + fmt.Sprint(n) + " on a roof", Topics: []string{"measurements/#"}},
				{Name: "rare", Kind: "tcp", DataType: fmt.Sprint("rare-", n%5000)},
			},
		},
	}
}

// BenchmarkSearch asks 100,000 listings, from as many goroutines as there are cores.
func BenchmarkSearch(b *testing.B) {
	s := filled(b)
	ten, eleven := price(b, "10"), price(b, "11")
	for _, x := range []struct {
		name string
		q    index.Query
	}{
		{"newest", index.Query{}},
		{"type", index.Query{DataTypes: []string{"noise"}}},
		{"rare-type", index.Query{DataTypes: []string{"rare-77"}}},
		{"type-unit-price", index.Query{DataTypes: []string{"noise"}, Units: []string{"u3"}, MaxPrice: ten}},
		{"price", index.Query{MinPrice: ten, MaxPrice: eleven}},
		{"price-wide", index.Query{MinPrice: ten}},
		{"word-of-all", index.Query{Text: "station"}},
		{"words", index.Query{Text: "station 4711 roof"}},
		{"near", index.Query{Near: &index.Near{Lat: 52.5, Lon: 13.4, Km: 50}}},
		{"near-type", index.Query{DataTypes: []string{"noise"}, Near: &index.Near{Lat: 52.5, Lon: 13.4, Km: 500}}},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Search(b.Context(), x.q); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "searches/s")
		})
	}
}

func price(b *testing.B, s string) *index.Price {
	p, err := index.ParsePrice(s)
	if err != nil {
		b.Fatal(err)
	}
	return &p
}
