package api

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"iod/api/schema"
	"iod/document"
	"iod/index"
	"iod/key"
)

// The parameters of searches.
var (
	paramText = &param[string]{read: readText, spec: spec{
		Name: "q", Example: "wind", Doc: "Words, each of which begins a word of what the document says.",
		Schema: schema.Schema{"type": "string", "maxLength": maxValue},
	}}
	paramDataType = texts("data_type", "Type of data of a stream, exactly. Several: any of them.", "wind_speed")
	paramKind     = &param[string]{read: readKind, spec: spec{
		Name: "kind", Example: "mqtt", Many: 16, Doc: "Kind of a stream: mqtt, http, rtsp, tcp or udp. Several: any of them.",
		Schema: schema.Schema{"type": "string", "pattern": kindPattern},
	}}
	paramUnit     = texts("unit", "Unit of a stream, exactly. Several: any of them.", "m/s")
	paramMinPrice = price("min_price", "Least price, for one period of a stream or the access price of version 1. Those without a price don't match.", "1.5")
	paramMaxPrice = price("max_price", "Highest price.", "50")
	paramOwner    = account("owner", "Who decides on access, as far as it is proven: address, DID or 0x-hex. The device itself when its document names no owner.")
	paramVerified = boolean("verified", "true: only devices whose document is signed by their account. false: only the others.")
	paramSince    = &param[since]{read: readSince, spec: spec{
		Name: "since", Example: "24h", Doc: "Updated then or later: a time as in RFC 3339, or how long ago as a number and s, m, h, d or w.",
		Schema: schema.Schema{"type": "string", "anyOf": []schema.Schema{{"format": "date-time"}, {"pattern": agoPattern}}},
	}}
	paramBox = &param[index.Box]{read: readBox, spec: spec{
		Name: "bbox", Example: "44,40,45,41", Doc: "west,south,east,north in degrees, as in GeoJSON; with west > east across the date line.",
		Schema: schema.Schema{"type": "string", "pattern": `^[-+0-9.eE]+(,[-+0-9.eE]+){3}$`},
	}}
	paramNear = &param[index.Near]{read: readNear, spec: spec{
		Name: "near", Example: "40.2,44.5", Doc: "lat,lon in degrees: what lies around it.",
		Schema: schema.Schema{"type": "string", "pattern": `^ *[-+0-9.eE]+ *, *[-+0-9.eE]+ *$`},
	}}
	paramWithin = &param[float64]{read: readKm, spec: spec{
		Name: "within", Example: "20", Doc: "How far around near, in kilometres. Absent: 50; with sort=distance, anywhere.",
		Schema: schema.Schema{"type": "number", "exclusiveMinimum": 0, "maximum": maxKm, "x-unit": "km"},
	}}
	paramSort = &param[index.Order]{read: readOrder, spec: spec{
		Name: "sort", Example: "price", Doc: "newest: last updated first. price: cheapest first, -price: dearest first; of the streams that match; those without a price last. distance: nearest first, needs near.",
		Schema: schema.Schema{"type": "string", "enum": []string{"newest", "price", "-price", "distance"}, "default": "newest"},
	}}
	paramLimit = &param[int64]{read: func(s string) (int64, error) { return readNumber(s, 1, index.MaxLimit) }, spec: spec{
		Name: "limit", Example: "20", Doc: "Most on a page.",
		Schema: schema.Schema{"type": "integer", "minimum": 1, "maximum": index.MaxLimit, "default": index.DefaultLimit},
	}}
	paramAfter = &param[string]{read: readText, spec: spec{
		Name: "after", Doc: "next of the page before, of a search with the same sort and near. It is opaque.",
		Schema: schema.Schema{"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 128},
	}}
	paramDocument = boolean("document", "true: with the document's bytes, so that the client can verify it.")
)

// filterParams narrow a search; pageParams are its order and page.
var (
	filterParams = []field{paramText, paramDataType, paramKind, paramUnit, paramMinPrice, paramMaxPrice, paramOwner, paramVerified, paramSince,
		paramBox, paramNear, paramWithin}
	pageParams = []field{paramSort, paramLimit, paramAfter}
)

func texts(name, doc, example string) *param[string] {
	return &param[string]{read: readText, spec: spec{Name: name, Doc: doc, Example: example, Many: 16, Schema: schema.Schema{"type": "string", "maxLength": maxValue}}}
}

func price(name, doc, example string) *param[index.Price] {
	return &param[index.Price]{read: index.ParsePrice, spec: spec{
		Name: name, Doc: doc + " Decimal.", Example: example,
		Schema: schema.Schema{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?$`, "maxLength": 64, "x-unit": "PEAQ"},
	}}
}

func account(name, doc string) *param[key.AccountID] {
	return &param[key.AccountID]{read: key.ParseAccount, spec: spec{
		Name: name, Doc: doc, Example: "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX", Schema: schema.Schema{"type": "string", "maxLength": 100},
	}}
}

// maxKm is half around the earth.
const (
	maxKm     = 20040
	defaultKm = 50

	kindPattern = "^[a-z0-9_-]{1,32}$"
	agoPattern  = "^[0-9]{1,6}[smhdw]$"
)

var (
	kindShape = regexp.MustCompile(kindPattern)
	agoShape  = regexp.MustCompile(agoPattern)
)

func readKind(s string) (string, error) {
	if !kindShape.MatchString(s) {
		return "", fmt.Errorf("%.40q is no kind of stream: there are mqtt, http, rtsp, tcp, udp", s)
	}
	return s, nil
}

// since is a time, or how long ago.
type since struct {
	at  time.Time
	ago time.Duration // when at is zero
}

// from is the time as of now, in whole seconds.
func (s since) from(now time.Time) time.Time {
	if s.at.IsZero() {
		return now.Add(-s.ago).UTC().Truncate(time.Second)
	}
	return s.at
}

func readSince(s string) (since, error) {
	if agoShape.MatchString(s) {
		n, err := strconv.Atoi(s[:len(s)-1])
		if err != nil {
			return since{}, err
		}
		unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
		if limit := 100 * 365 * 24 * time.Hour; time.Duration(n) > limit/unit {
			return since{}, fmt.Errorf("%q is more than a hundred years", s)
		}
		return since{ago: time.Duration(n) * unit}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
		return since{}, fmt.Errorf("%.40q is neither a time such as 2026-11-25T12:00:00Z nor a number and s, m, h, d or w", s)
	}
	return since{at: t.UTC()}, nil
}

// floats reads n numbers separated by commas.
func floats(s string, n int) ([]float64, bool) {
	parts := strings.Split(s, ",")
	if len(parts) != n {
		return nil, false
	}
	all := make([]float64, n)
	for i, p := range parts {
		f, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || math.IsNaN(f) {
			return nil, false
		}
		all[i] = f
	}
	return all, true
}

func readBox(s string) (index.Box, error) {
	f, ok := floats(s, 4)
	switch {
	case !ok:
		return index.Box{}, fmt.Errorf("%.80q is not west,south,east,north in degrees", s)
	case math.Abs(f[0]) > 180 || math.Abs(f[2]) > 180 || math.Abs(f[1]) > 90 || math.Abs(f[3]) > 90:
		return index.Box{}, fmt.Errorf("%.80q is not on the globe: longitudes are from -180 to 180, latitudes from -90 to 90", s)
	case f[1] > f[3]:
		return index.Box{}, fmt.Errorf("%.80q has its south above its north: the order is west,south,east,north", s)
	}
	return index.Box{West: f[0], South: f[1], East: f[2], North: f[3]}, nil
}

func readNear(s string) (index.Near, error) {
	f, ok := floats(s, 2)
	if !ok || math.Abs(f[0]) > 90 || math.Abs(f[1]) > 180 {
		return index.Near{}, fmt.Errorf("%.80q is not lat,lon in degrees", s)
	}
	return index.Near{Lat: f[0], Lon: f[1]}, nil
}

func readKm(s string) (float64, error) {
	km, err := strconv.ParseFloat(s, 64)
	if err != nil || !(km > 0 && km <= maxKm) {
		return 0, fmt.Errorf("%.40q is not a number of kilometres from 0 to %d", s, maxKm)
	}
	return km, nil
}

var orders = map[string]index.Order{"newest": index.Newest, "price": index.Cheapest, "-price": index.Dearest, "distance": index.Nearest}

func readOrder(s string) (index.Order, error) {
	o, ok := orders[s]
	if !ok {
		return "", fmt.Errorf("%.40q is none of newest, price, -price, distance", s)
	}
	return o, nil
}

func readNumber(s string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%.40q is not a number from %d to %d", s, least, most)
	}
	return n, nil
}

// queryOf reads what all parameters of a search say together. Empty texts say nothing, as those of a form that is not filled in.
func queryOf(a args, now time.Time) (index.Query, error) {
	q := index.Query{
		Text: paramText.or(a, ""), DataTypes: given(paramDataType, a), Kinds: paramKind.all(a), Units: given(paramUnit, a),
		MinPrice: paramMinPrice.ptr(a), MaxPrice: paramMaxPrice.ptr(a), Owner: paramOwner.ptr(a),
		Box: paramBox.ptr(a), Near: paramNear.ptr(a), Order: paramSort.or(a, index.Newest), Limit: int(paramLimit.or(a, index.DefaultLimit)),
		Raw: paramDocument.or(a, false),
	}
	if s, ok := paramSince.get(a); ok {
		q.Since = s.from(now)
	}
	if verified, ok := paramVerified.get(a); ok {
		if q.State = document.Unverified; verified {
			q.State = document.Verified
		}
	}
	if q.MinPrice != nil && q.MaxPrice != nil && string(q.MinPrice[:]) > string(q.MaxPrice[:]) {
		return q, wrong(paramMinPrice.Name, "%v is more than max_price %v", q.MinPrice, q.MaxPrice)
	}
	km, within := paramWithin.get(a)
	switch {
	case q.Near == nil && within:
		return q, wrong(paramWithin.Name, "needs near=lat,lon")
	case q.Near == nil && q.Order == index.Nearest:
		return q, wrong(paramSort.Name, "by distance needs near=lat,lon")
	case q.Near != nil && !within && q.Order != index.Nearest:
		km = defaultKm
	}
	if q.Near != nil {
		q.Near.Km = km
	}
	if token, ok := paramAfter.get(a); ok {
		var err error
		if q.After, err = parseMark(token, q); err != nil {
			return q, wrong(paramAfter.Name, "%v", err)
		}
	}
	return q, nil
}

// given are the values that are not empty.
func given(p *param[string], a args) (all []string) {
	for _, s := range p.all(a) {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// ParseQuery reads a search in the form of the API's /api/v1/devices from the query of a URL; now is for since=24h. The error is a *Problem that names the wrong
// parameter.
func ParseQuery(v url.Values, now time.Time) (index.Query, error) {
	a, err := parse(searchFields, v, nil)
	if err != nil {
		return index.Query{}, err
	}
	return queryOf(a, now)
}

var searchFields = fieldsOf(filterParams, pageParams, []field{paramDocument})

func fieldsOf(lists ...[]field) (all []field) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var errMark = errors.New("not the next of a page: take it as it was answered")

// FormatMark writes the token for the page after m of a search: ParseQuery reads it as the parameter after.
func FormatMark(m index.Mark, q index.Query) string { return formatMark(m, q) }
