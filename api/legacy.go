package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"iod/api/schema"
	"iod/index"
	"iod/key"
)

// LegacyEntry is a device as the existing marketplace shows it.
type LegacyEntry struct {
	Address   string       `json:"address" doc:"SS58 address of the device's account."`
	Version   string       `json:"version" enum:"v1" doc:"Of the document."`
	Device    LegacyDevice `json:"device" doc:"What the document says."`
	UpdatedAt int64        `json:"updated_at" doc:"Unix time of the block that brought the document." unit:"s"`
}

// LegacyDevice is what the existing marketplace shows of a document.
type LegacyDevice struct {
	DataType    string            `json:"data_type" doc:"What the device measures."`
	Location    string            `json:"location" doc:"A name, or lat,lon in degrees."`
	PriceAccess json.Number       `json:"price_access" doc:"Zero when there is none." unit:"PEAQ"`
	PricePin    json.Number       `json:"price_pin" doc:"Zero when there is none." unit:"PEAQ"`
	StaexMCCID  string            `json:"staex_mcc_id" doc:"Node id in the overlay; empty when there is none."`
	MQTTTopics  []string          `json:"mqtt_topics" doc:"MQTT topic filters."`
	Additional  map[string]string `json:"additional,omitempty" doc:"Further fields; texts are JSON strings."`
}

func legacyOf(l *index.Listing) LegacyEntry {
	d := &l.Device
	e := LegacyEntry{Address: l.Account.String(), Version: "v1", Device: LegacyDevice{
		DataType: d.DataType, Location: d.Location, PriceAccess: jsonNumber(d.PriceAccess), PricePin: jsonNumber(d.PricePin),
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

// jsonNumber is a price as a JSON number, zero when there is none.
func jsonNumber(s string) json.Number {
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

// The parameters of a legacy search, for the API document: it reads them itself.
var legacyParams = []field{
	account("address", "This device, and nothing else."),
	&param[string]{read: readText, spec: spec{
		Name: "filters[0][field]", Example: "data_type", Doc: "Field of a filter. There are up to 16 filters, numbered from 0 to 9999, of three parameters each; all must hold.",
		Schema: schema.Schema{"type": "string", "enum": []string{"data_type", "location", "price_access", "price_pin"}},
	}},
	&param[string]{read: readText, spec: spec{
		Name: "filters[0][condition]", Example: "=", Doc: "Condition of the filter.", Schema: schema.Schema{"type": "string", "enum": []string{"=", "<", ">"}},
	}},
	&param[string]{read: readText, spec: spec{
		Name: "filters[0][value]", Example: "weather", Doc: "What the field is compared with: texts as texts, prices as decimals.", Schema: schema.Schema{"type": "string", "maxLength": maxValue},
	}},
	&param[int64]{spec: spec{
		Name: "limit", Example: "10", Doc: "Most that are answered; above 500 it is 500.", Schema: schema.Schema{"type": "integer", "minimum": 0, "maximum": 1<<32 - 1, "default": legacyDefault},
	}},
	&param[int64]{spec: spec{
		Name: "offset", Example: "0", Doc: "How many to pass over.", Schema: schema.Schema{"type": "integer", "minimum": 0, "maximum": legacyOffset, "default": 0},
	}},
}

// parseLegacy reads the query form of the existing marketplace. Unknown parameters are ignored, as it does.
func parseLegacy(v url.Values) (index.LegacyQuery, error) {
	q := index.LegacyQuery{Limit: legacyDefault}
	for _, name := range slices.Sorted(maps.Keys(v)) {
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
		a, err := key.ParseAccount(v.Get("address"))
		if err != nil {
			return q, wrong("address", "%v", err)
		}
		q.Account = &a
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
		return 0, wrong(name, "%.40q is not a number from 0 to %d", v.Get(name), most)
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

func (s *server) legacy(c *call) (reply, error) {
	q, err := parseLegacy(c.query)
	if err != nil {
		return reply{}, err
	}
	found, err := s.reader.Legacy(c.r.Context(), q)
	if err != nil {
		return reply{}, err
	}
	entries := make([]LegacyEntry, len(found))
	for i, l := range found {
		entries[i] = legacyOf(l)
	}
	return asJSON(entries)
}
