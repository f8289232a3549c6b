package feed

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"iod/index"
)

// gather takes changes until there are as many, and forgets what it had at a reset.
func gather(ctx context.Context, f *Feed, n int, nap func()) (ids []int64, resets int, err error) {
	for len(ids) < n {
		events, err := f.Next(ctx)
		switch {
		case errors.Is(err, ErrReset):
			resets++
			ids = nil
			continue
		case err != nil:
			return ids, resets, err
		}
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		if f.After() < ids[len(ids)-1] {
			return ids, resets, errors.New("the place is before what was told")
		}
		nap()
	}
	return ids, resets, nil
}

// Followers of any speed, who begin anywhere, are each told of everything once and in order.
func TestNothingIsLostOrToldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.add(2000)
		h := running(t, f, Options{Keep: 700})
		const more = 5000
		var followers sync.WaitGroup
		for i := range 40 {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			from := r.IntN(2000)
			start := Place{ID: f.all()[from]}
			feed, err := h.Follow(t.Context(), index.Query{}, &start)
			if err != nil {
				t.Fatal(err)
			}
			followers.Go(func() {
				slow := time.Duration(r.IntN(3)) * time.Second
				got, resets, err := gather(t.Context(), feed, 2000-from-1+more, func() { time.Sleep(slow) })
				if want := f.all()[from+1:]; err != nil || resets != 0 || !slices.Equal(got, want) {
					t.Errorf("follower %d from %d: %d changes, %v; want %d", i, from, len(got), err, len(want))
				}
			})
		}
		r := rand.New(rand.NewPCG(1, 2))
		for left := more; left > 0; {
			n := min(left, r.IntN(1200))
			f.add(n)
			left -= n
			time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
		}
		followers.Wait()
		if h.kept > 700+index.MaxLimit {
			t.Errorf("%d changes are kept", h.kept)
		}
	})
}

// One reader looks at the store for all who keep up.
func TestTheStoreIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.add(1)
		h := running(t, f, Options{})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var followers sync.WaitGroup
		for range 100 {
			feed, err := h.Follow(ctx, index.Query{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			followers.Go(func() {
				if got, _, err := gather(ctx, feed, 500, func() {}); err != nil || !slices.Equal(got, f.all()[1:]) {
					t.Errorf("%d changes, %v", len(got), err)
				}
			})
		}
		begin := time.Now()
		for range 50 {
			f.add(10)
			time.Sleep(20 * time.Millisecond)
		}
		followers.Wait()
		if took := time.Since(begin); took > 1200*time.Millisecond {
			t.Errorf("the last change came after %v", took)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.reads > 20 {
			t.Errorf("the store was read %d times", f.reads)
		}
	})
}

func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.set(true)
		h := running(t, f, Options{})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := h.Follow(ctx, index.Query{}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("before the store was read: %v", err)
		}
		f.set(false)
		feed, err := h.Follow(t.Context(), index.Query{}, &Place{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			f.set(true)
			f.add(30)
			time.Sleep(10 * time.Second)
			f.set(false)
		}
		if got, resets, err := gather(t.Context(), feed, 90, func() {}); err != nil || resets != 0 || !slices.Equal(got, f.all()) {
			t.Errorf("%d changes, %d resets, %v", len(got), resets, err)
		}
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.add(50)
		h := running(t, f, Options{})
		feed, err := h.Follow(t.Context(), index.Query{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		oldTag := h.tag // the hub rests
		for i, then := range []func(){
			func() { f.reset(9) },                         // empty
			func() { f.add(10); time.Sleep(time.Second) }, // fills: no reset
			func() { f.reset(10); f.add(200) },            // another, already larger
			func() { f.reset(10); f.add(3); f.remove(1) }, // the same begins anew
			func() { f.add(5); time.Sleep(time.Second) },  // no reset
			func() { f.reset(11); f.add(4); f.remove(2) }, // as many as before
			func() { f.alter(3); f.remove(3) },            // no reset: nobody looks at older ones
			func() { f.alter(len(f.all()) - 1) },          // another one
		} {
			then()
			wait, stop := context.WithTimeout(t.Context(), 3*time.Second)
			resets := 0
			for {
				_, err := feed.Next(wait)
				if errors.Is(err, ErrReset) {
					resets++
				} else if err != nil {
					break
				}
			}
			stop()
			if want := []int{1, 0, 1, 1, 0, 1, 0, 1}[i]; resets != want {
				t.Errorf("step %d: %d resets, want %d", i, resets, want)
			}
			if st, _ := f.State(t.Context()); feed.After() != st.Change {
				t.Errorf("step %d: the place is %d, want %d", i, feed.After(), st.Change)
			}
		}
		for _, x := range []struct {
			place string
			err   error
		}{{"2", nil}, {string(appendID(nil, 2, h.tag)), nil}, {string(appendID(nil, 2, oldTag)), ErrReset}, {"99999", ErrReset}} {
			p, err := ParsePlace(x.place)
			if err != nil {
				t.Fatal(err)
			}
			feed, err := h.Follow(t.Context(), index.Query{}, &p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := feed.Next(t.Context()); !errors.Is(err, x.err) {
				t.Errorf("from %s: %v, want %v", x.place, err, x.err)
			}
		}
	})
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.add(10)
		h := running(t, f, Options{})
		for _, x := range []struct {
			name  string
			q     index.Query
			match func(device int) bool
		}{
			{"type", index.Query{DataTypes: []string{"type1"}}, func(d int) bool { return d%3 == 1 }},
			{"two types", index.Query{DataTypes: []string{"type1", "type2"}}, func(d int) bool { return d%3 > 0 }},
			{"text", index.Query{Text: "TYPE2"}, func(d int) bool { return d%3 == 2 }},
			{"beginning", index.Query{Text: "typ"}, func(d int) bool { return true }},
			{"two words", index.Query{Text: "typ type0"}, func(d int) bool { return d%3 == 0 }},
			{"elsewhere", index.Query{Near: &index.Near{Lat: -10, Lon: 20, Km: 100}}, func(int) bool { return false }},
			{"here", index.Query{Near: &index.Near{Lat: 10, Lon: 20, Km: 100}}, func(int) bool { return true }},
			{"no word", index.Query{Text: "?"}, func(int) bool { return false }},
		} {
			feed, err := h.Follow(t.Context(), x.q, nil)
			if err != nil {
				t.Fatal(err)
			}
			f.mu.Lock()
			before := len(f.history)
			f.mu.Unlock()
			f.add(300)
			f.remove(4)
			f.remove(5)
			time.Sleep(time.Second)
			var want, got []int64
			f.mu.Lock()
			for i, e := range f.history[before:] {
				device := (before + i) % 100
				if e.Action == index.RemovedOwn {
					device = 4 + i - 300
				}
				if x.match(device) {
					want = append(want, e.ID)
				}
			}
			f.mu.Unlock()
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			for {
				events, err := feed.Next(ctx)
				if err != nil {
					break
				}
				for _, e := range events {
					got = append(got, e.ID)
				}
			}
			stop()
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d changes, want %d", x.name, len(got), len(want))
			}
		}
		if _, err := h.Follow(t.Context(), index.Query{Order: "?"}, nil); !errors.Is(err, index.ErrQuery) {
			t.Error(err)
		}
	})
}

func TestPlaces(t *testing.T) {
	for s, ok := range map[string]bool{"0": true, "12": true, "12-0a0b0c0d": true, "": false, "-1": false, "+1": false, "x": false, "1-": false,
		"1-0a0b0c0": false, "1-0a0b0c0dd": false, "1-0x0b0c0d": false, "1-+a0b0c0d": false, "9223372036854775808": false, "1 ": false} {
		p, err := ParsePlace(s)
		if (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
		if err == nil && p.tagged && string(appendID(nil, p.ID, p.tag)) != s {
			t.Errorf("%q is read as %+v", s, p)
		}
	}
}
