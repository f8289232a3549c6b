package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
)

// counted counts the searches that a store is asked in its own way.
type counted struct {
	index.Picker
	searches atomic.Int64
}

func (c *counted) Search(ctx context.Context, q index.Query) (index.Page, error) {
	c.searches.Add(1)
	return c.Picker.Search(ctx, q)
}

// either asks one of two readers, at random for each page.
type either struct {
	index.Reader
	other index.Reader
	r     *rand.Rand
}

func (e *either) Search(ctx context.Context, q index.Query) (index.Page, error) {
	if e.r.IntN(2) == 0 {
		return e.other.Search(ctx, q)
	}
	return e.Reader.Search(ctx, q)
}

// inMemory: with an atlas in front of it, the store finds the same; of one search some pages may come from here and some from there, and what
// is written counts at once, before the atlas has heard of it.
func inMemory(t *testing.T, s index.Store) {
	store := &counted{Picker: s.(index.Picker)}
	listings := Market(6, 700)
	Ranked(t, s, listings)
	write(t, s, listings[0])
	hub := feed.New(s, feed.Options{Pace: time.Millisecond})
	a := atlas.New(s, atlas.Options{Hub: hub})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 2)
	go func() { ran <- hub.Run(ctx) }()
	go func() { ran <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-ran, <-ran); err != nil {
			t.Error(err)
		}
	}()
	reader, r := atlas.NewReader(store, a), rand.New(rand.NewPCG(4, 4))
	settle := func() { // until a search does not come to the store
		for before := int64(-1); store.searches.Load() != before; runtime.Gosched() {
			before = store.searches.Load()
			must(reader.Search(t.Context(), index.Query{}))(t)
		}
	}
	settle()
	before := store.searches.Load()
	Compare(t, reader, listings, r, 200)
	if n := store.searches.Load() - before; n > 400 {
		t.Errorf("%d pages come from the store in its own way: the test shows less than it should", n)
	}
	Compare(t, &either{store, reader, r}, listings, r, 150)
	for range 40 {
		l := listings[r.IntN(len(listings))]
		switch r.IntN(3) {
		case 0:
			l.Status = index.Expired
		default:
			l.Status, l.Updated.Time = index.Live, Epoch.Add(time.Duration(r.IntN(1000))*time.Second)
			l.Device.Location, l.Device.DataType = place(r), pick(r, marketTypes)
		}
		write(t, s, l)
		Compare(t, reader, listings, r, 2)
	}
	settle()
	Compare(t, reader, listings, r, 100)
}

// write puts a listing with a line of history, and notes its rank.
func write(t testing.TB, s index.Store, l *index.Listing) {
	t.Helper()
	err := s.Update(t.Context(), func(tx index.Tx) error {
		return errors.Join(tx.Put(t.Context(), l), tx.Record(t.Context(), index.Entry{Account: l.Account, Action: index.Published, Raw: l.Raw}))
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Rank = must(s.Get(t.Context(), l.Account))(t).Rank
}
