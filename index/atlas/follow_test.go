package atlas

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"iod/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settle lets the atlas look at the store once more; tests run in a bubble of virtual time.
func settle() {
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

func TestFollowsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		w := &world{rand: rand.New(rand.NewPCG(1, 1))}
		for range 1500 {
			m.put(w.row(1000))
		}
		a := New(m, Options{})
		if _, err := a.Count(t.Context(), index.Query{}); !errors.Is(err, ErrLoading) || a.Ready() {
			t.Fatalf("before it is loaded: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := a.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for range 5 {
			settle()
			if !a.Ready() {
				t.Fatal("not ready")
			}
			checkColumns(t, a.columns)
			for range 20 {
				m.checkCount(t, a, w.query())
			}
			for range w.rand.IntN(2000) { // more than one page of changes
				m.put(w.row(1000))
			}
		}
		m.reset()
		for range 300 {
			m.put(w.row(1000))
		}
		settle()
		checkColumns(t, a.columns)
		m.checkCount(t, a, index.Query{})
		m.reset()
		settle()
		m.checkCount(t, a, index.Query{})
		stop()
		run.Wait()
	})
}

// failing is a store that is away at times.
type failing struct {
	*model
	mu   sync.Mutex
	away bool
}

func (f *failing) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *failing) Changes(ctx context.Context, after int64, limit int) ([]index.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errors.New("the database is away")
	}
	return f.model.Changes(ctx, after, limit)
}

func TestStoreGoesAwayAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{model: newModel()}
		w := &world{rand: rand.New(rand.NewPCG(2, 1))}
		a := New(f, Options{})
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = a.Run(ctx) })
		for range 3 {
			settle()
			f.checkCount(t, a, index.Query{})
			f.set(true)
			before := len(f.matching(index.Query{}))
			for range 700 {
				f.put(w.row(300))
			}
			settle()
			if c, err := a.Count(ctx, index.Query{}); err != nil || c.N != before {
				t.Fatalf("while the store is away: %+v, %v; want %d", c, err, before)
			}
			f.set(false)
		}
		settle()
		f.checkCount(t, a, index.Query{})
		stop()
		run.Wait()
	})
}

// Every answer is of one moment: a listing that moves from type to type is always there once.
func TestAnswersAreOfOneMoment(t *testing.T) {
	m, a := filled(16)
	w := &world{rand: rand.New(rand.NewPCG(3, 1))}
	const listings = 200
	move := func(i int) {
		r := w.row(1)
		r.Live, r.Placed = true, true
		copy(r.Account[:], fmt.Sprintf("account %d", i))
		r.Lat, r.Lon = w.place()
		r.Offers = []index.Offer{{DataType: w.one("wind", "rain"), Kind: "mqtt"}}
		a.apply([]index.Row{r}, 1)
	}
	for i := range listings {
		move(i)
	}
	_ = m
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					if n == 0 {
						t.Error("nothing was asked")
					}
					return
				default:
				}
				f, err := a.Facets(context.Background(), index.Query{}, 0)
				sum := 0
				for _, x := range f.DataTypes.Top {
					sum += x.N
				}
				g, err2 := a.Clusters(context.Background(), index.Query{}, index.Box{South: -90, West: -180, North: 90, East: 180}, 3)
				if err != nil || err2 != nil || sum != listings || f.N != listings || g.N != listings {
					t.Errorf("facets %d of %d, map %d: %v %v", sum, f.N, g.N, err, err2)
					return
				}
			}
		})
	}
	for i := range 5000 {
		move(i % listings)
	}
	close(done)
	readers.Wait()
}

func TestTextThatMatchesTooMuch(t *testing.T) {
	m, a := filled(64)
	a.MaxMatches = 10
	w := &world{rand: rand.New(rand.NewPCG(4, 1))}
	for range 100 {
		w.change(m, a, 1000)
	}
	for i, text := range []string{"5gab", "5gabnothing", "nothing of the kind"} {
		c, err := a.Count(t.Context(), index.Query{Text: text})
		if want := []Count{{10, false}, {0, true}, {0, true}}[i]; err != nil || c != want {
			t.Errorf("%q: %+v, %v; want %+v", text, c, err, want)
		}
	}
}

func TestWrongQueries(t *testing.T) {
	_, a := filled(64)
	for _, q := range []index.Query{{Order: "upside down"}, {Box: &index.Box{South: 2, North: 1}}, {Near: &index.Near{Lat: 91}}} {
		if _, err := a.Count(t.Context(), q); !errors.Is(err, index.ErrQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, at := range [][3]int{{-1, 0, 0}, {25, 0, 0}, {2, 4, 0}, {2, 0, 4}, {0, 1, 0}} {
		if _, err := a.Tile(t.Context(), index.Query{}, at[0], uint32(at[1]), uint32(at[2])); !errors.Is(err, index.ErrQuery) {
			t.Errorf("tile %v: %v", at, err)
		}
	}
}

// Questions leave nothing behind but their answers.
func TestQuestionsAllocateTheirAnswersOnly(t *testing.T) {
	m, a := filled(64)
	w := &world{rand: rand.New(rand.NewPCG(5, 1))}
	for range 3000 {
		w.change(m, a, 3000)
	}
	_, high := w.place()
	q := index.Query{DataTypes: []string{"wind", "rain"}, State: w.state(), Since: now.Add(-48 * time.Hour), Near: &index.Near{Lat: 40, Lon: high, Km: 9000}}
	for name, f := range map[string]struct {
		ask  func() error
		most float64
	}{
		"count": {func() error { _, err := a.Count(context.Background(), q); return err }, 1},
		"clusters": {func() error {
			_, err := a.Clusters(context.Background(), q, index.Box{South: -80, West: -180, North: 80, East: 180}, 4)
			return err
		}, 4},
		"tile":   {func() error { _, err := a.Tile(context.Background(), q, 1, 1, 0); return err }, 4},
		"facets": {func() error { _, err := a.Facets(context.Background(), q, 0); return err }, 40},
	} {
		got := testing.AllocsPerRun(50, func() {
			if err := f.ask(); err != nil {
				t.Error(err)
			}
		})
		if got > f.most && !raceEnabled {
			t.Errorf("%s: %v allocations, want at most %v", name, got, f.most)
		}
	}
}
