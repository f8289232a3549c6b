package sqlite

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"iod/document"
	"iod/index"
	"iod/key"
)

// TestManyMatches: a search finds the same, in the same order, whether SQLite walks what matches or all in the order of the answer.
func TestManyMatches(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Reset(t.Context(), index.Origin{}); err != nil {
		t.Fatal(err)
	}
	const n = 250
	r := rand.New(rand.NewPCG(1, 2))
	var all []*index.Listing
	for i := range n {
		l := &index.Listing{Account: key.AccountID{byte(i >> 8), byte(i)}, Status: index.Live, State: document.Verified, Expires: index.Never}
		l.Updated.Time = l.Updated.Time.AddDate(2000, 0, r.IntN(n/3)) // several at once
		word := "common"
		if i%5 == 0 {
			word = "rare"
		}
		l.Device.Account, l.Device.DataType = l.Account, word
		l.Device.Streams = []document.Stream{{Name: "a", Kind: "tcp", Price: fmt.Sprint(i % 10)}, {Name: "b", Kind: "tcp", Price: fmt.Sprint(i % 10)}}
		all = append(all, l)
	}
	err = s.Update(t.Context(), func(tx index.Tx) error {
		for _, l := range all {
			if err := tx.Put(t.Context(), l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b *index.Listing) int {
		if c := b.Updated.Time.Compare(a.Updated.Time); c != 0 {
			return c
		}
		return slices.Compare(b.Account[:], a.Account[:])
	})
	one, nine := index.Price{}, index.Price{}
	for text, p := range map[string]*index.Price{"1": &one, "9": &nine} {
		if *p, err = index.ParsePrice(text); err != nil {
			t.Fatal(err)
		}
	}
	price := func(l *index.Listing) string { return l.Device.Streams[0].Price }
	for _, x := range []struct {
		name string
		q    index.Query
		want func(*index.Listing) bool
	}{
		{"common word", index.Query{Text: "comm"}, func(l *index.Listing) bool { return l.Device.DataType == "common" }},
		{"rare word", index.Query{Text: "rare"}, func(l *index.Listing) bool { return l.Device.DataType == "rare" }},
		{"common word, one price", index.Query{Text: "comm", MaxPrice: &one, MinPrice: &one}, func(l *index.Listing) bool { return l.Device.DataType == "common" && price(l) == "1" }},
		{"few prices", index.Query{MaxPrice: &one, MinPrice: &one}, func(l *index.Listing) bool { return price(l) == "1" }},
		{"many prices", index.Query{MaxPrice: &nine, MinPrice: &one}, func(l *index.Listing) bool { return price(l) != "0" }},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(l *index.Listing) bool { return !x.want(l) })
		for got := 0; ; {
			x.q.Limit = 60
			page, err := s.Search(t.Context(), x.q)
			found := page.Found
			if err != nil {
				t.Fatalf("%s: %v", x.name, err)
			}
			for i, l := range found {
				if got+i >= len(want) || l.Account != want[got+i].Account {
					t.Fatalf("%s: listing %d is another", x.name, got+i)
				}
			}
			if got += len(found); len(found) < x.q.Limit {
				if got != len(want) {
					t.Errorf("%s: %d found, want %d", x.name, got, len(want))
				}
				break
			}
			if x.q.After = page.Next; page.Next == nil {
				t.Fatalf("%s: the answer ends after %d", x.name, got)
			}
		}
	}
}
