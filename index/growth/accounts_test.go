package growth

import (
	"math/rand/v2"
	"testing"
)

func TestAccountsAreAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	table, want := newAccounts(), map[uint64]bool{}
	hashes := []uint64{0, 2, 4, 1 << 63, 1<<63 | 2}
	for range 5000 {
		hashes = append(hashes, r.Uint64()&^1, r.Uint64()&(1<<20-1)&^1) // the latter are close to each other
	}
	for range 50_000 {
		h := hashes[r.IntN(len(hashes))]
		place := table.find(h)
		live, known := table.at(place)
		wantLive, wantKnown := want[max(h, 2)]
		if live != wantLive || known != wantKnown {
			t.Fatalf("of %x it says %v, %v; want %v, %v", h, live, known, wantLive, wantKnown)
		}
		live = r.IntN(2) == 0
		table.set(place, h, live)
		want[max(h, 2)] = live
	}
	if table.used != len(want) {
		t.Errorf("it holds %d, want %d", table.used, len(want))
	}
}
