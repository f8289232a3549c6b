package market_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"iod/document"
	"iod/index"
	"iod/index/market"
	"iod/index/sqlite"
)

func newMarket(t *testing.T, seed uint64, devices int) *market.Market {
	t.Helper()
	m, err := market.New(seed, devices)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// blocks are all blocks of a market.
func blocks(t *testing.T, m *market.Market) (all []index.Block) {
	t.Helper()
	for b, err := range m.Follow(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, b); b.Number == m.Blocks() {
			break
		}
	}
	return all
}

// TestSame: a seed and a size give the same market, another seed another one.
func TestSame(t *testing.T) {
	text := func(seed uint64) string {
		var b bytes.Buffer
		for _, x := range blocks(t, newMarket(t, seed, 120)) {
			fmt.Fprintf(&b, "%d %v %v %v\n", x.Number, x.Hash, x.Parent, x.Time)
			for _, e := range x.Events {
				fmt.Fprintf(&b, "%v %v %x %d\n", e.Who, e.Account, e.Value, e.Extrinsic)
			}
		}
		return b.String()
	}
	first := text(1)
	if first != text(1) {
		t.Error("the same seed gives another market")
	}
	if first == text(2) {
		t.Error("another seed gives the same market")
	}
}

// TestPlausible: an index believes the market as it does a chain, and finds what there should be.
func TestPlausible(t *testing.T) {
	const devices = 600
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := newMarket(t, 3, devices).Fill(t.Context(), s, nil, nil); err != nil {
		t.Fatal(err)
	}
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Live != devices || st.Ended != 0 || st.Verified < devices*85/100 || st.Verified > devices*97/100 || st.SetAside == 0 {
		t.Errorf("the market is %+v", st)
	}
	if st.Change <= devices {
		t.Errorf("%d lines of history: nobody published again", st.Change)
	}
	count := map[string]int{}
	for r, err := range s.Columns(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Updated.After(market.End) || r.Updated.Before(market.End.AddDate(-1, 0, -1)) {
			t.Fatalf("updated at %v", r.Updated)
		}
		if r.Placed {
			count["placed"]++
		}
		if r.Updated.After(market.End.AddDate(0, 0, -7)) {
			count["of the last week"]++
		}
		if r.Owner != nil && *r.Owner != r.Account && r.State == document.Verified {
			count["owned"]++
		}
		for _, o := range r.Offers {
			if count["offers"]++; o.Price != nil {
				count["priced"]++
			}
		}
	}
	for what, least := range map[string]int{"placed": devices * 90 / 100, "of the last week": devices / 20, "owned": devices / 2, "offers": devices * 3 / 2, "priced": devices} {
		if count[what] < least {
			t.Errorf("%d %s, want at least %d", count[what], what, least)
		}
	}
	if count["placed"] == devices {
		t.Error("nobody says a name in the place of coordinates")
	}
}

func TestViews(t *testing.T) {
	m := newMarket(t, 7, 500)
	one, other := m.Searches(3), m.Searches(3)
	zooms, classes := map[int]bool{}, map[string]bool{}
	for range 5000 {
		v := one.View()
		if again := other.View(); v.Class != again.Class || v.X != again.X || v.Y != again.Y {
			t.Fatalf("the same seed gave %+v and %+v", v, again)
		}
		if n := 1 << v.Z; v.Of == market.OfTile && (v.X < 0 || v.Y < 0 || v.X >= n || v.Y >= n) {
			t.Fatalf("there is no tile %d/%d/%d", v.Z, v.X, v.Y)
		}
		if classes[v.Class] = true; v.Of == market.OfTile {
			zooms[v.Z] = true
		}
	}
	if len(zooms) != 19 || len(classes) < 26 {
		t.Errorf("%d zooms and %d classes of views were asked for", len(zooms), len(classes))
	}
}
