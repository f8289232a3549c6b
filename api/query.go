package api

import (
	"net/url"
	"strconv"
)

// Query is a search as the client asks it. Zero fields are left out; the server says what they may be.
type Query struct {
	Text      string
	DataTypes []string // any of them, as with Kinds and Units; all three and the prices of one and the same stream
	Kinds     []string
	Units     []string
	MinPrice  string // decimal, PEAQ
	MaxPrice  string
	Owner     string // address or DID
	Verified  *bool
	Since     string  // a time of RFC 3339, or how long ago: 24h
	Box       string  // "west,south,east,north" in degrees
	Near      string  // "lat,lon" in degrees
	Within    float64 // kilometres
	Sort      string  // newest, price, -price, distance
	Limit     int     // of a page
	After     string  // Page.Next of the page before
	Document  bool    // with documents, to verify them
}

// Values returns the query as parameters of the API.
func (q Query) Values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("q", q.Text)
	for name, values := range map[string][]string{"data_type": q.DataTypes, "kind": q.Kinds, "unit": q.Units} {
		if len(values) > 0 {
			v[name] = values
		}
	}
	set("min_price", q.MinPrice)
	set("max_price", q.MaxPrice)
	set("owner", q.Owner)
	set("since", q.Since)
	set("bbox", q.Box)
	set("near", q.Near)
	set("sort", q.Sort)
	set("after", q.After)
	if q.Verified != nil {
		v.Set("verified", strconv.FormatBool(*q.Verified))
	}
	if q.Within != 0 {
		v.Set("within", strconv.FormatFloat(q.Within, 'g', -1, 64))
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Document {
		v.Set("document", "true")
	}
	return v
}
