package api

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"iod/index"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// Whatever the query says: it is read or refused by a parameter's name, and what is read is within bounds and can be asked of a store.
func FuzzQuery(f *testing.F) {
	seeds, err := filepath.Glob("testdata/query/*.txt")
	if err != nil || len(seeds) < 20 {
		f.Fatalf("%d seeds (%v), want more", len(seeds), err)
	}
	for _, file := range seeds {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := ParseQuery(v, noon)
		var p *Problem
		switch {
		case err == nil:
			checkQuery(t, raw, q)
		case !errors.As(err, &p) || p.Parameter == "" && raw != "" && !v.Has("") || p.Status != 400:
			t.Fatalf("%q: %v", raw, err)
		}
		if q, err := parseLegacy(v); err == nil && (q.Limit < 0 || q.Limit > index.MaxLimit || q.Offset < 0 || q.Offset > legacyOffset || len(q.Filters) > legacyFilters) {
			t.Fatalf("%q reads as %+v", raw, q)
		}
	})
}

func checkQuery(t *testing.T, raw string, q index.Query) {
	if err := q.Check(); err != nil {
		t.Fatalf("%q reads as what no store can answer: %v", raw, err)
	}
	if q.Limit < 1 || q.Limit > index.MaxLimit || len(q.DataTypes)+len(q.Kinds)+len(q.Units) > 48 || len(q.Text) > maxValue {
		t.Fatalf("%q reads as %+v", raw, q)
	}
	if q.After != nil {
		if m, err := parseMark(formatMark(*q.After, q), q); err != nil || !reflect.DeepEqual(m, q.After) {
			t.Fatalf("mark %+v reads as %+v, %v", q.After, m, err)
		}
	}
}

// A token is of its order, and by distance of its centre; no byte of it can change.
func TestMark(t *testing.T) {
	price := index.Price{15: 7}
	near := &index.Near{Lat: 40.25, Lon: 44.5}
	all := []struct {
		mark index.Mark
		q    index.Query
	}{
		{index.Mark{Rank: 1}, index.Query{}}, {index.Mark{Rank: 1 << 60}, index.Query{}}, {index.Mark{Rank: 5, Price: &price}, index.Query{Order: index.Cheapest}},
		{index.Mark{Rank: 5}, index.Query{Order: index.Dearest}}, {index.Mark{Rank: 6, Km: 1.25}, index.Query{Order: index.Nearest, Near: near}},
	}
	for i, x := range all {
		token := formatMark(x.mark, x.q)
		m, err := parseMark(token, x.q)
		if err != nil || !reflect.DeepEqual(*m, x.mark) {
			t.Errorf("%+v reads as %+v, %v", x.mark, m, err)
		}
		for j, y := range all {
			if y.q.Order != x.q.Order {
				if _, err := parseMark(token, y.q); err == nil {
					t.Errorf("the token of search %d is taken for search %d", i, j)
				}
			}
		}
		for at := range token {
			for _, c := range []byte("A_z9") {
				if changed := token[:at] + string(c) + token[at+1:]; changed != token {
					if _, err := parseMark(changed, x.q); err == nil {
						t.Errorf("%s is taken though %s was given out", changed, token)
					}
				}
			}
		}
	}
	elsewhere := index.Query{Order: index.Nearest, Near: &index.Near{Lat: 40.25, Lon: 44.6}}
	if _, err := parseMark(formatMark(all[4].mark, all[4].q), elsewhere); err == nil {
		t.Error("a token of a search around another place is taken")
	}
}
