package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/index/storetest"
	"iod/key"
)

// TestCounts: what is counted as rows change is what there is, whatever happened.
func TestCounts(t *testing.T) {
	t.Parallel()
	s := openTemp(t)
	zero := uint32(0)
	storetest.Fill(t, s, index.Options{Source: storetest.Random(t, 4, 120, 8), From: &zero})
	counted(t, s)
	listings := storetest.Market(3, 200)
	storetest.Ranked(t, s, listings)
	counted(t, s)
	err := s.Update(t.Context(), func(tx index.Tx) error {
		for i, l := range listings {
			switch i % 4 {
			case 0:
				l.Status = index.Removed
			case 1:
				l.Device.Location, l.Device.Streams = "1.5,2.5", []document.Stream{{Name: "x", Kind: "tcp", DataType: "other", Price: "7"}}
			case 2:
				l.Updated.Time = l.Updated.Time.Add(300 * time.Hour)
			}
			if err := tx.Put(t.Context(), l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	counted(t, s)
}

// counted compares the tables of counts with what they count.
func counted(t *testing.T, s *Store) {
	t.Helper()
	rows := func(text string) (all []string) {
		t.Helper()
		all, err := query(t.Context(), s, "counts", func(rows *sql.Rows) (x string, err error) { return x, rows.Scan(&x) }, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return all
	}
	same := func(what, counts, counting string) {
		t.Helper()
		if got, want := strings.Join(rows(counts), "\n"), strings.Join(rows(counting), "\n"); got != want || want == "" {
			t.Errorf("%s are counted as\n%s\nwant\n%s", what, got, want)
		}
	}
	same("offers", "SELECT n FROM tally WHERE what = 'offers'", "SELECT count(*) FROM offer")
	same("live listings", "SELECT n FROM tally WHERE what = 'live'", "SELECT count(*) FROM listing WHERE status = 'live'")
	same("verified ones", "SELECT n FROM tally WHERE what = 'verified'", "SELECT count(*) FROM listing WHERE status = 'live' AND verified")
	same("combinations", "SELECT id || ' ' || n FROM combo WHERE n <> 0 ORDER BY id", "SELECT combo || ' ' || count(*) FROM offer GROUP BY combo ORDER BY combo")
	for depth := leastArea; depth <= mostArea; depth += 2 {
		square := fmt.Sprintf("(%d << 40) | (cell >> %d)", depth, 2*depth)
		same("areas", fmt.Sprintf("SELECT square || ' ' || n FROM area WHERE n <> 0 AND square >> 40 = %d ORDER BY square", depth),
			fmt.Sprintf("SELECT (%s) || ' ' || count(*) FROM offer WHERE cell IS NOT NULL GROUP BY %[1]s ORDER BY %[1]s", square))
	}
	same("times", "SELECT step || ' ' || n FROM step WHERE of = 2 AND n <> 0 ORDER BY step",
		"SELECT (rank >> 47) || ' ' || count(*) FROM offer GROUP BY rank >> 47 ORDER BY rank >> 47")
	same("prices", "SELECT sum(n) FROM step WHERE of = 1", "SELECT count(*) FROM offer WHERE price IS NOT NULL")
	for _, table := range []string{"words", "said", "legacy"} {
		id := map[string]string{"words": "rowid"}[table]
		if id == "" {
			id = "rank"
		}
		same(table, "SELECT "+id+" FROM "+table+" ORDER BY 1", "SELECT rank FROM listing WHERE status = 'live' ORDER BY 1")
	}
	want := map[string]int{}
	for r, err := range s.Columns(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Get(t.Context(), r.Account)
		if err != nil {
			t.Fatal(err)
		}
		for _, term := range index.Terms(l.Words()) {
			want[cutTerm(term)]++
		}
	}
	for _, text := range rows("SELECT text FROM term WHERE n <> 0") {
		if n := rows("SELECT n FROM term WHERE text = '" + text + "'"); n[0] != fmt.Sprint(want[text]) {
			t.Errorf("%s is counted %s times, want %d", text, n[0], want[text])
		}
		delete(want, text)
	}
	if len(want) > 0 {
		t.Errorf("words are not counted: %v", want)
	}
}

// TestTooBroad: a search ends with its time, and a caller's own end stays one.
func TestTooBroad(t *testing.T) {
	t.Parallel()
	s := openTemp(t)
	storetest.Ranked(t, s, storetest.Market(1, 50))
	s.patience = time.Nanosecond
	for _, q := range []index.Query{{}, {Text: "roof"}, {Order: index.Cheapest}} {
		if _, err := s.Search(t.Context(), q); !errors.Is(err, index.ErrTooBroad) {
			t.Errorf("%+v without time: %v", q, err)
		}
	}
	if _, err := s.Legacy(t.Context(), index.LegacyQuery{Limit: 10}); !errors.Is(err, index.ErrTooBroad) {
		t.Errorf("in the old form without time: %v", err)
	}
	s.patience = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, index.Query{}); !errors.Is(err, context.Canceled) || errors.Is(err, index.ErrTooBroad) {
		t.Errorf("by a caller who is gone: %v", err)
	}
	if _, err := s.Search(t.Context(), index.Query{}); err != nil {
		t.Errorf("thereafter: %v", err)
	}
	if _, err := s.Search(t.Context(), index.Query{Owner: &key.AccountID{}, Order: "no"}); !errors.Is(err, index.ErrQuery) {
		t.Errorf("a query that makes no sense: %v", err)
	}
}
