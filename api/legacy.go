package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"iod/index"
	"iod/key"
)

// legacyEntry is a device as the existing marketplace shows it.
type legacyEntry struct {
	Address   string       `json:"address"`
	Version   string       `json:"version"`
	Device    legacyDevice `json:"device"`
	UpdatedAt int64        `json:"updated_at"` // Unix seconds
}

type legacyDevice struct {
	DataType    string            `json:"data_type"`
	Location    string            `json:"location"`
	PriceAccess json.Number       `json:"price_access"`
	PricePin    json.Number       `json:"price_pin"`
	StaexMCCID  string            `json:"staex_mcc_id"`
	MQTTTopics  []string          `json:"mqtt_topics"`
	Additional  map[string]string `json:"additional,omitempty"`
}

func legacyOf(l *index.Listing) legacyEntry {
	d := &l.Device
	e := legacyEntry{Address: l.Account.String(), Version: "v1", Device: legacyDevice{
		DataType: d.DataType, Location: d.Location, PriceAccess: number(d.PriceAccess), PricePin: number(d.PricePin),
		MQTTTopics: append([]string{}, d.Topics...),
	}}
	if d.Node != (key.NodeID{}) {
		e.Device.StaexMCCID = d.Node.String()
	}
	if !l.Updated.Time.IsZero() {
		e.UpdatedAt = l.Updated.Time.Unix()
	}
	for _, a := range d.Additional {
		if e.Device.Additional == nil {
			e.Device.Additional = map[string]string{}
		}
		e.Device.Additional[a.Type] = a.Data
	}
	return e
}

// number is a price as a JSON number, zero when there is none.
func number(s string) json.Number {
	p, err := index.ParsePrice(s)
	if err != nil {
		return "0"
	}
	return json.Number(p.String())
}

// The bounds of a legacy search.
const (
	legacyDefault = 10
	legacyFilters = 16
	legacyOffset  = 1_000_000
)

var filterName = regexp.MustCompile(`^filters\[(\d{1,4})\]\[(field|condition|value)\]$`)

// parseLegacy reads the query form of the existing marketplace. Unknown parameters are ignored, as it does.
func parseLegacy(v url.Values) (index.LegacyQuery, error) {
	q := index.LegacyQuery{Limit: legacyDefault}
	for _, name := range sorted(v) {
		if known := name == "address" || name == "limit" || name == "offset" || filterName.MatchString(name); !known {
			continue
		}
		if len(v[name]) != 1 {
			return q, wrong(name, "given %d times", len(v[name]))
		}
		if len(v[name][0]) > maxValue {
			return q, wrong(name, "%d bytes are too many: at most %d", len(v[name][0]), maxValue)
		}
	}
	if v.Has("address") {
		a, err := parseAccount(v.Get("address"))
		if err != nil {
			return q, wrong("address", "%v", err)
		}
		q.Account = a
		return q, nil
	}
	var err error
	if q.Filters, err = parseFilters(v); err != nil {
		return q, err
	}
	if q.Limit, err = count(v, "limit", legacyDefault, 1<<32-1); err != nil {
		return q, err
	}
	q.Limit = min(q.Limit, index.MaxLimit)
	q.Offset, err = count(v, "offset", 0, legacyOffset)
	return q, err
}

func count(v url.Values, name string, absent, most int) (int, error) {
	if !v.Has(name) {
		return absent, nil
	}
	n, err := strconv.ParseUint(v.Get(name), 10, 32)
	if err != nil || n > uint64(most) {
		return 0, wrong(name, "%q is not a number from 0 to %d", v.Get(name), most)
	}
	return int(n), nil
}

// parseFilters gathers filters[i][field], [condition] and [value] in the order of i.
func parseFilters(v url.Values) ([]index.LegacyFilter, error) {
	var numbers []int
	for name := range v {
		if m := filterName.FindStringSubmatch(name); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, wrong(name, "%v", err)
			}
			if !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
			if len(numbers) > legacyFilters {
				return nil, wrong("filters", "more than %d filters", legacyFilters)
			}
		}
	}
	slices.SortFunc(numbers, cmp.Compare)
	var filters []index.LegacyFilter
	for _, n := range numbers {
		f, err := parseFilter(v, n)
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	return filters, nil
}

func parseFilter(v url.Values, n int) (index.LegacyFilter, error) {
	part := func(name string) string { return fmt.Sprintf("filters[%d][%s]", n, name) }
	for _, name := range []string{"field", "condition", "value"} {
		if !v.Has(part(name)) {
			return index.LegacyFilter{}, wrong(part(name), "is missing")
		}
	}
	f := index.LegacyFilter{Field: v.Get(part("field")), Op: v.Get(part("condition")), Text: v.Get(part("value"))}
	if !slices.Contains([]string{"=", "<", ">"}, f.Op) {
		return f, wrong(part("condition"), "%q is none of = < >", f.Op)
	}
	switch f.Field {
	case "data_type", "location":
	case "price_access", "price_pin":
		p, err := index.ParsePrice(f.Text)
		if err != nil {
			return f, wrong(part("value"), "%v", err)
		}
		f.Price = p
	default:
		return f, wrong(part("field"), "%q is none of data_type, location, price_access, price_pin", f.Field)
	}
	return f, nil
}

func (s *server) legacy(w http.ResponseWriter, r *http.Request) error {
	v, err := values(r)
	if err != nil {
		return err
	}
	q, err := parseLegacy(v)
	if err != nil {
		return err
	}
	if fresh, err := s.fresh(w, r); fresh || err != nil {
		return err
	}
	found, err := s.reader.Legacy(r.Context(), q)
	if err != nil {
		return err
	}
	entries := make([]legacyEntry, len(found))
	for i, l := range found {
		entries[i] = legacyOf(l)
	}
	return answer(w, r, entries)
}
