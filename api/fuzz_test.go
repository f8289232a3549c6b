package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"

	"iod/index"
)

// Whatever the query says: it is read or refused by a parameter's name, and what is read is within bounds.
func FuzzQuery(f *testing.F) {
	seeds := []string{
		"", "q=a&limit=5", "filters[0][field]=data_type&filters[0][condition]==&filters[0][value]=x", "near=1,2&within=3",
		"address=5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX", "min_price=1.5&max_price=2&verified=true&after=AAAA",
		"filters[99999][field]=x", "limit=4294967295&offset=1000000", "%zz", "a;b", "filters[0][field]", "within=1", "near=1,1&within=0",
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: "/", RawQuery: raw}
		v, err := values(r)
		if err != nil {
			return
		}
		if q, err := parseQuery(v); err == nil {
			if q.Limit < 0 || q.Limit > index.MaxLimit || q.Near != nil && !(q.Near.Km > 0 && q.Near.Km <= 20040) {
				t.Fatalf("%q reads as %+v", raw, q)
			}
			if q.After != nil {
				if m, err := parseMark(formatMark(*q.After, q.Order), q.Order); err != nil || !reflect.DeepEqual(m, q.After) {
					t.Fatalf("mark %+v reads as %+v, %v", q.After, m, err)
				}
			}
		}
		if q, err := parseLegacy(v); err == nil && (q.Limit < 0 || q.Limit > index.MaxLimit || q.Offset < 0 || q.Offset > legacyOffset || len(q.Filters) > legacyFilters) {
			t.Fatalf("%q reads as %+v", raw, q)
		}
	})
}
