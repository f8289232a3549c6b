package api

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Query is a search as the client asks it. Zero fields are left out; see the package's documentation.
type Query struct {
	Text     string
	DataType string
	Kind     string
	Unit     string
	MinPrice string // decimal
	MaxPrice string
	Owner    string // address or DID
	Verified *bool
	Near     string  // "lat,lon"
	Within   float64 // kilometres
	Limit    int
	After    string
	Document bool // with the documents' bytes
}

// Values are the parameters of the query.
func (q Query) Values() url.Values {
	v := url.Values{}
	for name, s := range map[string]string{"q": q.Text, "data_type": q.DataType, "kind": q.Kind, "unit": q.Unit,
		"min_price": q.MinPrice, "max_price": q.MaxPrice, "owner": q.Owner, "near": q.Near, "after": q.After} {
		if s != "" {
			v.Set(name, s)
		}
	}
	if q.Verified != nil {
		v.Set("verified", strconv.FormatBool(*q.Verified))
	}
	if q.Within != 0 {
		v.Set("within", strconv.FormatFloat(q.Within, 'f', -1, 64))
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Document {
		v.Set("document", "true")
	}
	return v
}

// parameter is what is wrong with a parameter of a request.
type parameter struct{ name, detail string }

func (p *parameter) Error() string { return p.name + ": " + p.detail }

func wrong(name, format string, args ...any) error {
	return &parameter{name, fmt.Sprintf(format, args...)}
}

// maxValue bounds a parameter's value, in bytes.
const maxValue = 512

// single checks that only known parameters are given, each once, and not too long.
func single(v url.Values, known ...string) error {
	for _, name := range sorted(v) {
		if !slices.Contains(known, name) {
			return wrong(name, "no such parameter; there are %s", strings.Join(known, ", "))
		}
		if len(v[name]) != 1 {
			return wrong(name, "given %d times", len(v[name]))
		}
		if len(v[name][0]) > maxValue {
			return wrong(name, "%d bytes are too many: at most %d", len(v[name][0]), maxValue)
		}
	}
	return nil
}

// sorted lists the names so that of several wrong ones always the same is told.
func sorted(v url.Values) []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// parseQuery reads the parameters of a search.
func parseQuery(v url.Values) (index.Query, error) {
	err := single(v, "q", "data_type", "kind", "unit", "min_price", "max_price", "owner", "verified", "near", "within",
		"limit", "after", "document")
	if err != nil {
		return index.Query{}, err
	}
	q := index.Query{Text: v.Get("q"), DataTypes: given(v, "data_type"), Kinds: given(v, "kind"), Units: given(v, "unit")}
	for name, read := range map[string]func(string) error{
		"min_price": func(s string) (err error) { q.MinPrice, err = parsePrice(s); return },
		"max_price": func(s string) (err error) { q.MaxPrice, err = parsePrice(s); return },
		"owner":     func(s string) (err error) { q.Owner, err = parseAccount(s); return },
		"verified":  func(s string) (err error) { q.State, err = parseState(s); return },
		"near":      func(s string) (err error) { q.Near, err = parseNear(s, v.Get("within")); return },
		"limit":     func(s string) (err error) { q.Limit, err = parseLimit(s); return },
		"after":     func(s string) (err error) { q.After, err = parseMark(s, q.Order); return },
		"document":  func(s string) (err error) { q.Raw, err = strconv.ParseBool(s); return },
	} {
		if !v.Has(name) {
			continue
		}
		var own *parameter
		if err := read(v.Get(name)); errors.As(err, &own) {
			return index.Query{}, own
		} else if err != nil {
			return index.Query{}, wrong(name, "%v", err)
		}
	}
	if v.Has("within") && q.Near == nil {
		return index.Query{}, wrong("within", "needs near=lat,lon")
	}
	return q, nil
}

// given are the values of a parameter that are not empty.
func given(v url.Values, name string) []string {
	return slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return s == "" })
}

func parsePrice(s string) (*index.Price, error) {
	p, err := index.ParsePrice(s)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func parseAccount(s string) (*key.AccountID, error) {
	a, err := key.ParseAccount(s)
	if err != nil {
		return nil, err
	}
	return &a, nil
}

func parseState(s string) (document.State, error) {
	switch s {
	case "true":
		return document.Verified, nil
	case "false":
		return document.Unverified, nil
	}
	return "", fmt.Errorf("%q is neither true nor false", s)
}

// parseNear reads the centre and the radius of a circle.
func parseNear(near, within string) (*index.Near, error) {
	first, second, ok := strings.Cut(near, ",")
	lat, errLat := strconv.ParseFloat(strings.TrimSpace(first), 64)
	lon, errLon := strconv.ParseFloat(strings.TrimSpace(second), 64)
	if !ok || errLat != nil || errLon != nil || !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
		return nil, fmt.Errorf("%q is not lat,lon in degrees", near)
	}
	n := &index.Near{Lat: lat, Lon: lon, Km: 50}
	if within != "" {
		km, err := strconv.ParseFloat(within, 64)
		if err != nil || !(km > 0 && km <= 20040) {
			return nil, wrong("within", "%q is not a number of kilometres from 0 to 20040", within)
		}
		n.Km = km
	}
	return n, nil
}

func parseLimit(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > index.MaxLimit {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", s, index.MaxLimit)
	}
	return n, nil
}

// A mark is written as base64url of 8 bytes of rank, big-endian, and behind them, in orders by price, 16 bytes of price (none when there is
// no price) or, by distance, the 8 bytes of the float64.
const rankSize = 8

func formatMark(m index.Mark, o index.Order) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(m.Rank))
	switch {
	case o == index.Nearest:
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(m.Km))
	case m.Price != nil:
		b = append(b, m.Price[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseMark(s string, o index.Order) (*index.Mark, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < rankSize {
		return nil, fmt.Errorf("%q is not the next of a page", s)
	}
	m := &index.Mark{Rank: index.Rank(binary.BigEndian.Uint64(b))}
	rest := b[rankSize:]
	byPrice := o == index.Cheapest || o == index.Dearest
	switch {
	case o == index.Nearest && len(rest) == 8:
		m.Km = math.Float64frombits(binary.BigEndian.Uint64(rest))
	case byPrice && len(rest) == len(index.Price{}):
		p := index.Price(rest)
		m.Price = &p
	case o != index.Nearest && len(rest) == 0:
	default:
		return nil, fmt.Errorf("%q is not the next of a page of this search", s)
	}
	return m, nil
}
