package api

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
)

// A listing as stores keep it rendered is a Device, byte for byte.
func TestShow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		l := randomListing(r)
		want, err := json.Marshal(deviceOf(l))
		if err != nil {
			t.Fatal(err)
		}
		got, err := index.Show(l)
		if err != nil || string(got) != string(want) {
			t.Fatalf("rendered %s (%v), want %s", got, err, want)
		}
	}
}

func randomListing(r *rand.Rand) *index.Listing {
	text := func() string {
		all := []string{"", "", "wind_speed", "<script>&amp;", "日本 \u2028", "\"quoted\\\"", "\x01\x7f\t", "40.1,44.5", "-90,180", "1e-9,0.0000001"}
		return all[r.IntN(len(all))]
	}
	account := func() *key.AccountID {
		if r.IntN(3) == 0 {
			return nil
		}
		return &key.AccountID{byte(r.IntN(3))}
	}
	point := func() index.Point {
		p := index.Point{Block: r.Uint32(), Hash: index.Hash{byte(r.IntN(256))}, Extrinsic: int32(r.IntN(3) - 1), FromState: r.IntN(2) == 0}
		if r.IntN(3) > 0 {
			p.Time = time.UnixMilli(r.Int64N(1 << 42)).UTC()
		}
		return p
	}
	l := &index.Listing{
		Account: key.AccountID{byte(r.IntN(3))}, State: document.State(text()), Reason: text(), Vouched: r.IntN(2) == 0, Signer: account(), First: point(), Updated: point(),
		Expires: []uint32{index.Never, 0, 7}[r.IntN(3)], Status: index.Live, Presence: index.Present, PresenceAt: point(), PresenceWho: account(),
	}
	d := &l.Device
	d.Account, d.Owner, d.DataType, d.Location, d.PriceAccess, d.PricePin, d.Sequence = l.Account, account(), text(), text(), text(), text(), r.Uint64()
	d.Fleet = text()
	if r.IntN(2) == 0 {
		d.Node = key.NodeID{byte(r.IntN(256))}
	}
	for range r.IntN(3) {
		d.Streams = append(d.Streams, document.Stream{Name: text(), Kind: text(), DataType: text(), Unit: text(), Description: text(), ContentType: text(),
			Topics: []string{text()}[:r.IntN(2)], Price: text(), Period: text()})
		d.Topics, d.Relays, d.Additional = append(d.Topics, text()), append(d.Relays, text()), append(d.Additional, document.Additional{Type: text(), Data: text()})
	}
	return l
}

// BenchmarkSearch is a search of 20 through all of HTTP but the network, on 20,000 listings in SQLite. cpu-ns/op is what this process used of
// all processors, whatever else runs on the machine: to be compared with 300,000.
func BenchmarkSearch(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "index.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Reset(b.Context(), index.Origin{Genesis: index.Hash{1}}); err != nil {
		b.Fatal(err)
	}
	fill(b, s, 20_000)
	h := New(s, Options{})
	for name, path := range map[string]string{
		"newest":   "/api/v1/devices?limit=20",
		"type":     "/api/v1/devices?limit=20&data_type=type7&max_price=50",
		"near":     "/api/v1/devices?limit=20&near=10,20&within=2000&sort=distance",
		"document": "/api/v1/devices?limit=20&document=true",
	} {
		for _, enc := range []string{"", "gzip"} {
			b.Run(name+enc, func(b *testing.B) {
				runtime.GC()
				b.ReportAllocs()
				began := cpuTime(b)
				for b.Loop() {
					r := httptest.NewRequest(http.MethodGet, path, nil)
					r.Header.Set("Accept-Encoding", enc)
					w := httptest.NewRecorder()
					if h.ServeHTTP(w, r); w.Code != http.StatusOK || w.Body.Len() < 500 {
						b.Fatalf("%d %s", w.Code, w.Body)
					}
				}
				b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// cpuTime is what this process has used of processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func fill(b testing.TB, s index.Store, n int) {
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"wind", "camera"}
	p := storetest.Account(b, "many")
	for from := 0; from < n; from += 1000 {
		err := s.Update(b.Context(), func(tx index.Tx) error {
			for i := from; i < from+1000; i++ {
				d := storetest.Weather(p, uint64(i+1))
				d.Account = key.AccountID{byte(i), byte(i >> 8), byte(i >> 16), 1}
				d.Location = ""
				if i%10 > 0 {
					d.Location = formatPlace(r)
				}
				for j := range d.Streams {
					d.Streams[j] = document.Stream{Name: names[j], Kind: "mqtt", DataType: "type" + string(rune('0'+r.IntN(10))), Unit: "m/s", Price: string(rune('1'+r.IntN(9))) + "0", Period: "30d"}
				}
				at := index.Point{Block: uint32(i), Time: storetest.Epoch.Add(time.Duration(i) * time.Second)}
				l := &index.Listing{Account: d.Account, Device: d, State: document.Verified, Raw: make([]byte, 1500), First: at, Updated: at, PresenceAt: at, Expires: index.Never,
					Status: index.Live, Presence: index.Present, Signer: &d.Account, PresenceWho: &d.Account}
				r := append([]byte{}, l.Raw...)
				copy(r, d.Account[:])
				l.Raw = r
				if err := tx.Put(b.Context(), l); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func formatPlace(r *rand.Rand) string {
	b, err := json.Marshal([]float64{r.Float64()*170 - 85, r.Float64()*360 - 180})
	if err != nil {
		return ""
	}
	return string(b[1 : len(b)-1])
}
