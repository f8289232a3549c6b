package web

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"iod/api"
	"iod/index"
	"iod/key"
	"iod/web/earth"
)

// wrongParameter says which parameter of a page is wrong, and how.
type wrongParameter struct{ name, detail string }

func (w *wrongParameter) Error() string {
	return "The parameter “" + w.name + "” is wrong: " + w.detail
}

// Name is the parameter.
func (w *wrongParameter) Name() string { return w.name }

// Label is what the page calls the parameter.
func (w *wrongParameter) Label() string {
	return map[string]string{"q": "Text", "data_type": "What it measures", "kind": "How it comes", "unit": "Unit", "min_price": "Lowest price", "max_price": "Highest price",
		"owner": "Owner", "verified": "Proof", "since": "Updated within", "near": "Where", "within": "Distance", "bbox": "Part of the map", "sort": "Order", "after": "Page",
		"place": "Where"}[w.name]
}

// Text is the complaint as a sentence.
func (w *wrongParameter) Text() string {
	text := strings.ToUpper(w.detail[:1]) + w.detail[1:]
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// parameters are those of a search that the page knows, in the order in which its addresses have them.
var parameters = []string{"q", "data_type", "kind", "unit", "min_price", "max_price", "owner", "verified", "since", "near", "within",
	"bbox", "sort", "after"}

// several may be given more than once: any of them will do.
var several = map[string]bool{"data_type": true, "kind": true, "unit": true}

// asked is a search as the page's address says it.
type asked struct {
	values url.Values // known parameters that are not empty
	query  index.Query
}

// ask reads the address of a search page. What is empty counts as not there, and unknown parameters are passed over: forms send
// the one, and people who share addresses add the other.
func ask(v url.Values, now time.Time) (asked, error) {
	a := asked{values: url.Values{}}
	for _, name := range parameters {
		given := slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return strings.TrimSpace(s) == "" })
		if len(given) == 0 {
			continue
		}
		if !several[name] {
			given = given[:1]
		}
		slices.Sort(given)
		a.values[name] = slices.Compact(given)
	}
	if !a.values.Has("near") {
		a.values.Del("within")
		if a.values.Get("sort") == string(index.Nearest) {
			a.values.Del("sort")
		}
	}
	if a.values.Has("near") && !a.values.Has("within") {
		a.values.Set("within", "50")
	}
	if a.values.Get("sort") == "newest" {
		a.values.Del("sort")
	}
	q, err := api.ParseQuery(a.values, now)
	var p *api.Problem
	if errors.As(err, &p) && p.Parameter != "" {
		return asked{}, &wrongParameter{p.Parameter, p.Detail}
	} else if err != nil {
		return asked{}, err
	}
	if err := q.Check(); err != nil {
		return asked{}, &wrongParameter{"bbox", err.Error()}
	}
	q.Limit = perPage
	a.query = q
	return a, nil
}

// perPage is how many devices a page lists.
const perPage = 20

// url is the address of the search with some parameters set otherwise (an empty value: without it). The place in the order goes with
// every change but its own.
func (a asked) url(changes ...string) string {
	return "/" + a.with(changes...)
}

func (a asked) with(changes ...string) string {
	v := url.Values{}
	for name, all := range a.values {
		if name != "after" {
			v[name] = all
		}
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if v.Del(changes[i]); changes[i+1] != "" {
			v.Set(changes[i], changes[i+1])
		}
	}
	return encode(v)
}

// without is the address of the search without one value of a parameter.
func (a asked) without(name, value string) string {
	v := url.Values{}
	for n, all := range a.values {
		if n != "after" {
			v[n] = all
		}
	}
	v[name] = slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return s == value })
	return "/" + encode(v)
}

// encode writes parameters in their order; commas stay as they are, for people to read.
func encode(v url.Values) string {
	var b strings.Builder
	for _, name := range parameters {
		for _, value := range v[name] {
			b.WriteByte("?&"[min(b.Len(), 1)])
			b.WriteString(name + "=" + strings.ReplaceAll(url.QueryEscape(value), "%2C", ","))
		}
	}
	return b.String()
}

// Get is the value of a parameter, as the page's address has it.
func (a asked) Get(name string) string { return a.values.Get(name) }

// Narrow reports whether anything narrows the search.
func (a asked) Narrow() bool { return len(a.values) > 0 }

// On counts the filters that narrow the search, the map's part of the world apart.
func (a asked) On() int {
	n := 0
	for name, all := range a.values {
		switch name {
		case "sort", "after", "bbox", "within":
		default:
			n += len(all)
		}
	}
	return n
}

// around finds the place of a name, or reads coordinates, for the parameters near and within.
func around(text string) (near string, km float64, err error) {
	first, second, ok := strings.Cut(text, ",")
	lat, err1 := strconv.ParseFloat(strings.TrimSpace(first), 64)
	lon, err2 := strconv.ParseFloat(strings.TrimSpace(second), 64)
	if ok && err1 == nil && err2 == nil {
		if !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
			return "", 0, &wrongParameter{"place", fmt.Sprintf("%s is no place on the globe: latitude −90 to 90, longitude −180 to 180", text)}
		}
		return fmt.Sprintf("%g,%g", lat, lon), 50, nil
	}
	found := earth.Find(text, 1)
	if len(found) == 0 {
		detail := fmt.Sprintf("no place named “%.60s” is known here. Give a larger city near it, or coordinates such as 40.19,44.55", text)
		if s := earth.Suggest(text); s != "" {
			detail = fmt.Sprintf("no place named “%.60s” is known here. Did you mean %s?", text, s)
		}
		return "", 0, &wrongParameter{"place", detail}
	}
	p := found[0]
	km = 50
	for _, w := range withins {
		if km = w; w >= p.Km*1.5 && w >= 50 {
			break
		}
	}
	return fmt.Sprintf("%g,%g", p.Lat, p.Lon), km, nil
}

// withins are the radii to choose from, km.
var withins = []float64{5, 10, 25, 50, 100, 250, 500, 1000, 2500}

// accountIn reads a text that names an account and nothing else: whoever searches for one wants its page.
func accountIn(text string) (key.AccountID, bool) {
	text = strings.TrimSpace(text)
	if len(text) < 40 {
		return key.AccountID{}, false
	}
	a, err := key.ParseAccount(text)
	return a, err == nil
}
