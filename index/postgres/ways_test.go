package postgres

import (
	"math/rand/v2"
	"sync"
	"testing"

	"iod/index"
	"iod/index/postgres/pgtest"
	"iod/index/storetest"
)

// Whatever way a search takes, it finds the same.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listings := storetest.Market(5, 900)
	storetest.Ranked(t, s, listings)
	taken := map[way]int{}
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(8, 9))
	s.choose = func(q *index.Query, words []string, g *guess, need int, unpriced bool) way {
		mu.Lock()
		defer mu.Unlock()
		all := ways(q, words)
		w := all[r.IntN(len(all))]
		taken[w]++
		if w.placed() && q.Order == index.Nearest && r.IntN(2) == 0 {
			w.km = 0.5 // so that it has to look further
		}
		return w
	}
	const searches = 400
	if n := storetest.Compare(t, s, listings, rand.New(rand.NewPCG(1, 1)), searches); n < searches/3 {
		t.Errorf("only %d searches found anything", n)
	}
	if len(taken) != 8 {
		t.Errorf("the searches took the ways %v: not all 8", taken)
	}
}
