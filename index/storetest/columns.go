package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// rowOf is what Columns and Rows must say of a listing.
func rowOf(l *index.Listing) index.Row {
	r := index.Row{Rank: l.Rank, Account: l.Account, Live: l.Status == index.Live, State: l.State, Owner: l.Owner(), Updated: l.Updated.Time}
	if r.Live {
		r.Lat, r.Lon, r.Placed = l.Place()
		for _, o := range l.Offers() {
			o.Name, o.Period = "", ""
			r.Offers = append(r.Offers, o)
		}
		r.Words = index.Briefs(l.Words())
	}
	return r
}

// columns: Columns yields all live listings by rank, Rows what is asked for, Listings likewise.
func columns(t *testing.T, s index.Store) {
	listings := Market(3, 80)
	for i, l := range listings {
		if i%9 == 0 {
			l.Status = index.Expired
		}
	}
	Ranked(t, s, listings)
	byRank := slices.SortedFunc(slices.Values(listings), func(a, b *index.Listing) int { return cmp.Compare(a.Rank, b.Rank) })
	for _, after := range []index.Rank{0, byRank[20].Rank, byRank[79].Rank} {
		var got, want []index.Row
		for r, err := range s.Columns(t.Context(), after) {
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(r.Words)
			got = append(got, r)
		}
		for _, l := range byRank {
			if l.Status == index.Live && l.Rank > after {
				want = append(want, rowOf(l))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("columns after %d: %d, want %d", after, len(got), len(want))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("columns:\n%#v\nwant\n%#v", got[i], want[i])
			}
		}
	}
	for range s.Columns(t.Context(), 0) {
		break // whoever has seen enough ends it
	}
	accounts := []key.AccountID{listings[5].Account, {9, 9, 9}, listings[0].Account, listings[1].Account}
	want := []index.Row{rowOf(listings[5]), rowOf(listings[0]), rowOf(listings[1])}
	rows := must(s.Rows(t.Context(), accounts))(t)
	for i := range rows { // of ended listings no more is told
		if !rows[i].Live {
			rows[i].Lat, rows[i].Lon, rows[i].Placed, rows[i].Offers = 0, 0, false, nil
		}
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("rows\n%+v\nwant\n%+v", rows, want)
	}
	if rows := must(s.Rows(t.Context(), nil))(t); len(rows) != 0 {
		t.Errorf("rows of nobody: %+v", rows)
	}
	for _, raw := range []bool{false, true} {
		got := must(s.Listings(t.Context(), accounts, raw))(t)
		if len(got) != 3 || got[0].Account != accounts[0] || got[1].Account != accounts[2] || got[2].Account != accounts[3] || (got[0].Raw != nil) != raw {
			t.Fatalf("listings, raw %v: %+v", raw, got)
		}
		full := *listings[5]
		if full.Raw = got[0].Raw; !reflect.DeepEqual(got[0], &full) {
			t.Errorf("listing\n%+v\nwant\n%+v", got[0], full)
		}
	}
}

// matching: Matching finds the listings that Search does, and says when there are more than are wanted.
func matching(t *testing.T, s index.Store) {
	listings := Market(4, 120)
	Ranked(t, s, listings)
	for _, text := range []string{"roof", "r", "rooftop bridge", "armel", "ÄRMELKANAL", "nothing", "roof nothing", "!", "", "wea", "berlin"} {
		var want []index.Rank
		for _, l := range listings {
			if index.Terms(text) != nil && says(l, text) {
				want = append(want, l.Rank)
			}
		}
		slices.Sort(want)
		got, all, err := s.Matching(t.Context(), text, 1000)
		slices.Sort(got)
		if err != nil || !all || !slices.Equal(got, want) {
			t.Errorf("%q matches %v, all %v, %v; want %v", text, got, all, err, want)
		}
		if len(want) < 2 {
			continue
		}
		got, all, err = s.Matching(t.Context(), text, len(want)-1)
		if err != nil || all || len(got) != len(want)-1 {
			t.Errorf("%q matches %d of at most %d, all %v, %v", text, len(got), len(want)-1, all, err)
		}
		if got, all, err = s.Matching(t.Context(), text, len(want)); err != nil || !all || len(got) != len(want) {
			t.Errorf("%q matches %d of at most %d, all %v, %v", text, len(got), len(want), all, err)
		}
	}
}

// ranks: a listing's rank is of its update, stays as long as that, and is nobody else's.
func ranks(t *testing.T, s index.Store) {
	begin(t, s)
	at := func(l *index.Listing, ms int64) {
		l.Updated.Time = time.Time{}
		if ms != 0 {
			l.Updated.Time = time.UnixMilli(ms).UTC()
		}
	}
	rank := func(n byte) index.Rank { return must(s.Get(t.Context(), key.AccountID{n}))(t).Rank }
	var all []*index.Listing
	for n := range byte(6) {
		all = append(all, listing(n+1, func(l *index.Listing) { at(l, []int64{1000, 1000, 0, 0, 1001, 1 << 50}[n]) }))
	}
	put(t, s, all...)
	for n, want := range []index.Rank{1000 << 20, 1000<<20 + 1, 0, 1, 1001 << 20, index.FirstRank(time.UnixMilli(1 << 50))} {
		if got := rank(byte(n + 1)); got != want {
			t.Errorf("listing %d has the rank %d, want %d", n+1, got, want)
		}
	}
	first := all[0]
	for _, change := range []func(){
		func() { first.Presence = index.Gone }, func() { first.Status = index.Removed }, func() { first.Status = index.Live }, func() { first.Expires = 7 },
	} {
		change()
		put(t, s, first)
		if got := rank(1); got != 1000<<20 {
			t.Errorf("seen again, it has the rank %d", got)
		}
	}
	at(first, 1001)
	put(t, s, first)
	if got := rank(1); got != 1001<<20+1 {
		t.Errorf("updated, it has the rank %d", got)
	}
	first.Updated.Event++
	put(t, s, first)
	if got := rank(1); got != 1001<<20+2 {
		t.Errorf("updated again within a millisecond, it has the rank %d", got)
	}
	if got := firsts(find(t, s, index.Query{})); !slices.Equal(got, []byte{6, 1, 5, 2, 4, 3}) {
		t.Errorf("newest first: %v", got)
	}
}

// boxes: edges are part of a box; it may cross the date line and touch the poles.
func boxes(t *testing.T, s index.Store) {
	places := []string{"10,20", "10.0000001,20", "-10,20.0000001", "89.9999999,0", "90,-180", "90,180", "-90,5", "0,180", "0,-180", "0,179.9999999",
		"0,-179.9999999", "52.52,13.4049999", "Berlin"}
	begin(t, s)
	for i, p := range places {
		put(t, s, listing(byte(i+1), func(l *index.Listing) { l.Device.Location = p }))
	}
	for _, x := range []struct {
		box  index.Box
		want []byte
	}{
		{index.Box{South: 10, West: 20, North: 10, East: 20}, []byte{1}},
		{index.Box{South: -10, West: 20, North: 10.0000001, East: 20.0000001}, []byte{3, 2, 1}},
		{index.Box{South: -10, West: 20, North: 10, East: 20}, []byte{1}},
		{index.Box{South: 89.9999999, West: -180, North: 90, East: 180}, []byte{6, 5, 4}},
		{index.Box{South: 90, West: 170, North: 90, East: -170}, []byte{6, 5}},
		{index.Box{South: -90, West: 5, North: -90, East: 5}, []byte{7}},
		{index.Box{South: -1, West: 179.9999999, North: 1, East: -179.9999999}, []byte{11, 10, 9, 8}},
		{index.Box{South: -1, West: 180, North: 1, East: -180}, []byte{9, 8}},
		{index.Box{South: -1, West: 180, North: 1, East: 180}, []byte{8}},
		{index.Box{South: 52.52, West: 13.404, North: 52.5200001, East: 13.405}, []byte{12}},
		{index.Box{South: -90, West: -180, North: 90, East: 180}, []byte{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}},
		{index.Box{South: 1, West: 1, North: 2, East: 2}, []byte{}},
	} {
		if got := firsts(find(t, s, index.Query{Box: &x.box})); !slices.Equal(got, x.want) {
			t.Errorf("in %+v: %v, want %v", x.box, got, x.want)
		}
	}
	for _, b := range []index.Box{{South: 2, North: 1}, {South: -91}, {North: 91}, {West: -181}, {East: 180.5}} {
		if _, err := s.Search(t.Context(), index.Query{Box: &b}); err == nil {
			t.Errorf("%+v is searched", b)
		}
	}
}

// meanwhile: while listings are written, each answer is of one committed state.
func meanwhile(t *testing.T, s index.Store) {
	const many = 40
	begin(t, s)
	write := func(round int) {
		var all []*index.Listing
		for n := range byte(many) {
			all = append(all, listing(n+1, func(l *index.Listing) {
				l.Updated.Time = Epoch.Add(time.Duration(round*1000+rand.IntN(900)) * time.Millisecond)
				l.Device.DataType = fmt.Sprint("round", round)
				l.Device.Streams = []document.Stream{{Name: "a", Kind: "mqtt", Price: fmt.Sprint(round)}, {Name: "b", Kind: "http"}}
			}))
		}
		put(t, s, all...)
	}
	write(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := 1; round <= 30; round++ {
			write(round)
		}
	}()
	defer func() { <-done }()
	for searching := true; searching; {
		select {
		case <-done:
			searching = false
		default:
		}
		for _, q := range []index.Query{{}, {Shown: true}, {Kinds: []string{"mqtt"}, Order: index.Cheapest}, {Text: "round"}} {
			found := must(s.Search(t.Context(), q))(t).Found
			if len(found) != many {
				t.Fatalf("%+v finds %d of %d", q, len(found), many)
			}
			for _, f := range found {
				if f.Rank.Milli()/1000 != found[0].Rank.Milli()/1000 {
					t.Fatalf("%+v finds listings of two states", q)
				}
			}
		}
	}
}
