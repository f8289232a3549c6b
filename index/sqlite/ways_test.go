package sqlite

import (
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"iod/index"
	"iod/index/storetest"
)

func openTemp(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Whatever way a search takes, it finds the same.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	s := openTemp(t)
	listings := storetest.Market(5, 900)
	storetest.Ranked(t, s, listings)
	s.patience = time.Minute // some ways are slow
	taken, limited := map[way]int{}, 0
	r := rand.New(rand.NewPCG(8, 9))
	s.choose = func(st *stats, o index.Order, _ float64) choice {
		var all, sure []way
		for w := range ways {
			if x, ok := st.option(w, o); ok {
				if all = append(all, w); !x.walks {
					sure = append(sure, w)
				}
			}
		}
		c := choice{way: all[r.IntN(len(all))]}
		if r.IntN(2) == 0 { // one that was seldom possible
			c.way = slices.MinFunc(all, func(a, b way) int { return taken[a] - taken[b] })
		}
		taken[c.way]++
		if (c.way == walkAll || c.way == walkCombos) && len(sure) > 0 && r.IntN(2) == 0 {
			limited++
			c.limit, c.then = 1+r.IntN(200), sure[r.IntN(len(sure))]
		}
		return c
	}
	const searches = 400
	if n := storetest.Compare(t, s, listings, rand.New(rand.NewPCG(1, 1)), searches); n < searches/3 {
		t.Errorf("only %d searches found anything", n)
	}
	for w := range ways {
		if taken[w] < 3 {
			t.Errorf("only %d searches went the way %q", taken[w], w)
		}
	}
	if limited < 20 {
		t.Errorf("only %d walks were limited", limited)
	}
}

// No way reads a table of listings or offers from end to end, and none that walks sorts.
func TestWaysUseIndexes(t *testing.T) {
	t.Parallel()
	s := openTemp(t)
	listings := storetest.Market(5, 300)
	storetest.Ranked(t, s, listings)
	r, seen := rand.New(rand.NewPCG(3, 4)), map[way]int{}
	err := s.view(t.Context(), func(v view) error {
		for range 400 {
			a, err := v.ask(t.Context(), storetest.Ask(r))
			if err != nil {
				continue // nothing matches, which the first questions tell
			}
			for w := range ways {
				if x, ok := a.stats.option(w, a.Order); ok {
					seen[w]++
					for _, leg := range a.legsOf(w) {
						a.explained(t, w, leg, x.walks && w != rings)
						if w == walkAll || w == walkCombos {
							leg.limit = 10
							a.explained(t, w, leg, true)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for w := range ways {
		if seen[w] < 10 {
			t.Errorf("only %d searches could go the way %q", seen[w], w)
		}
	}
}

// legsOf are all sources that a way goes through.
func (a *asking) legsOf(w way) (all []source) {
	switch x, _ := a.stats.option(w, a.Order); {
	case w == rings:
		x := source{from: curveOffers, args: []any{curveList(stretches(around(*a.Near, 100)))}}
		x.conds.and("o.rank >= ?", a.from)
		return []source{x}
	case !x.walks:
		x := a.source(w)
		x.order = ""
		return []source{x}
	}
	for _, leg := range a.legs(w) {
		all = append(all, leg...)
	}
	return all
}

// explained checks SQLite's own plan for a source.
func (a *asking) explained(t *testing.T, w way, x source, walks bool) {
	t.Helper()
	text, args := a.text(x)
	steps, err := ask(t.Context(), a.v, "plan", scanStep, "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", w, err, text)
	}
	if x.limit > 0 { // which is a scan of what is limited, and no more
		steps = slices.DeleteFunc(steps, func(step string) bool { return step == "SCAN o" || step == "CO-ROUTINE o" })
	}
	for _, step := range steps {
		scans := strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "VIRTUAL TABLE")
		if scans || walks && strings.Contains(step, "TEMP B-TREE") || strings.Contains(step, " o ") && !strings.Contains(step, "SEARCH") {
			t.Errorf("%s: SQLite will %s\n%s", w, step, text)
		}
		if strings.Contains(step, "SEARCH o USING INDEX") {
			t.Errorf("%s: the index does not hold all: SQLite will %s\n%s", w, step, text)
		}
	}
}

func scanStep(rows *sql.Rows) (step string, err error) {
	var id, parent, unused int
	return step, rows.Scan(&id, &parent, &unused, &step)
}
