package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"iod/api/transport"
	"iod/index"
	"iod/index/atlas"
)

// Collection is a GeoJSON FeatureCollection (RFC 7946) of clusters.
type Collection struct {
	Type     string    `json:"type" enum:"FeatureCollection" doc:"Of GeoJSON."`
	Features []Feature `json:"features" doc:"From the north to the south, from west to east; at most 4096."`
	Count    int       `json:"count" doc:"Devices in them."`
	Exact    bool      `json:"exact" doc:"false: there are more, which could not be looked at for the text searched for."`
}

// Feature is a device, or several that are near each other, on a map.
type Feature struct {
	Type       string     `json:"type" enum:"Feature" doc:"Of GeoJSON."`
	ID         string     `json:"id" doc:"zoom/column/row of the Web Mercator tile that it gathers; the same while the map is moved."`
	Box        [4]float64 `json:"bbox" doc:"west, south, east, north of the places; with west > east across the date line. A search with it as bbox lists them." unit:"degrees"`
	Geometry   Geometry   `json:"geometry" doc:"The mean of the places."`
	Properties Properties `json:"properties" doc:"What is there."`
}

// Geometry is a point of GeoJSON.
type Geometry struct {
	Type        string     `json:"type" enum:"Point" doc:"Of GeoJSON."`
	Coordinates [2]float64 `json:"coordinates" doc:"Longitude, latitude, WGS 84." unit:"degrees"`
}

// Properties are those of a Feature.
type Properties struct {
	Count int    `json:"count" doc:"Devices." min:"1"`
	DID   string `json:"did,omitempty" doc:"The device, when there is one."`
	Spot  bool   `json:"spot,omitempty" doc:"All are at one place: no zoom parts them."`
}

const geoType = "application/geo+json"

var (
	paramView = &param[index.Box]{read: readView, spec: spec{
		Name: "bbox", Example: "-30,30,60,72", Doc: "The part of the map looked at: west,south,east,north in degrees. It may reach beyond the date line, as 170,-20,190,20 or 170,-20,-170,20. Absent: the world. " +
			"What lies in cells at its edges is told of whole.",
		Schema: paramBox.Schema,
	}}
	paramZoom = number("zoom", "Zoom of the map in Web Mercator: the world is 256·2^zoom pixels wide, and clusters are 64 pixels apart.", "3", 0, atlas.MaxTileZoom)
	paramTop  = number("top", "How many values of each filter are told of.", "20", 1, 200)
	tileZ     = pathNumber("z", "Zoom.", "2", atlas.MaxTileZoom)
	tileX     = pathNumber("x", "Column, from 180° west.", "2", 1<<atlas.MaxTileZoom-1)
	tileY     = pathNumber("y", "Row, from the north.", "1", 1<<atlas.MaxTileZoom-1)
	mapParams = fieldsOf([]field{paramView, paramZoom}, without(filterParams, paramBox))
)

func without(fields []field, name field) (rest []field) {
	for _, f := range fields {
		if f != name {
			rest = append(rest, f)
		}
	}
	return rest
}

func pathNumber(name, doc, example string, most int64) *param[int64] {
	p := number(name, doc, example, 0, most)
	p.Path = true
	return p
}

// readView reads a part of a map: as readBox does, but it may reach once around beyond the date line.
func readView(s string) (index.Box, error) {
	f, ok := floats(s, 4)
	switch {
	case !ok:
		return index.Box{}, fmt.Errorf("%.80q is not west,south,east,north in degrees", s)
	case math.Abs(f[0]) > 540 || math.Abs(f[2]) > 540 || math.Abs(f[1]) > 90 || math.Abs(f[3]) > 90:
		return index.Box{}, fmt.Errorf("%.80q is not on a map: longitudes are from -540 to 540, latitudes from -90 to 90", s)
	case f[1] > f[3]:
		return index.Box{}, fmt.Errorf("%.80q has its south above its north: the order is west,south,east,north", s)
	}
	return index.Box{West: f[0], South: f[1], East: f[2], North: f[3]}, nil
}

// counting turns the errors of the atlas into problems.
func (s *server) counting(w http.ResponseWriter, err error) error {
	if s.Atlas != nil && !errors.Is(err, atlas.ErrLoading) {
		return err
	}
	transport.RetryAfter(w, 2)
	p := &Problem{Status: http.StatusServiceUnavailable, Type: typeLoading, Title: "Counts are not ready yet", Detail: atlas.ErrLoading.Error()}
	if s.Atlas == nil {
		p.Detail = "this process does not count"
	}
	return p
}

func (s *server) mapView(c *call) (reply, error) {
	q, err := queryOf(c.args, s.Now())
	if err != nil {
		return reply{}, err
	}
	q.Box = nil
	if s.Atlas == nil {
		return reply{}, s.counting(c.w, nil)
	}
	view := paramView.or(c.args, index.Box{South: -90, West: -180, North: 90, East: 180})
	m, err := s.Atlas.Clusters(c.r.Context(), q, view, int(paramZoom.or(c.args, 0)))
	if err != nil {
		return reply{}, s.counting(c.w, err)
	}
	return reply{media: geoType, body: appendMap(nil, &m)}, nil
}

func (s *server) tile(c *call) (reply, error) {
	q, err := queryOf(c.args, s.Now())
	if err != nil {
		return reply{}, err
	}
	z, x, y := tileZ.or(c.args, 0), tileX.or(c.args, 0), tileY.or(c.args, 0)
	for p, n := range map[*param[int64]]int64{tileX: x, tileY: y} {
		if n >= 1<<z {
			return reply{}, wrong(p.Name, "%d is not in the map: at zoom %d there are %d", n, z, 1<<z)
		}
	}
	if s.Atlas == nil {
		return reply{}, s.counting(c.w, nil)
	}
	m, err := s.Atlas.Tile(c.r.Context(), q, int(z), uint32(x), uint32(y))
	if err != nil {
		return reply{}, s.counting(c.w, err)
	}
	return reply{media: geoType, body: appendMap(nil, &m)}, nil
}

// appendMap writes a Collection as JSON: thousands of features with few bytes each.
func appendMap(b []byte, m *atlas.Map) []byte {
	b = slices.Grow(b, 64+256*len(m.Clusters))
	b = append(b, `{"type":"FeatureCollection","features":[`...)
	for i := range m.Clusters {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFeature(b, &m.Clusters[i])
	}
	b = strconv.AppendInt(append(b, `],"count":`...), int64(m.N), 10)
	b = strconv.AppendBool(append(b, `,"exact":`...), m.Exact)
	return append(b, '}', '\n')
}

func appendFeature(b []byte, c *atlas.Cluster) []byte {
	b = strconv.AppendUint(append(b, `{"type":"Feature","id":"`...), uint64(c.Cell.Zoom), 10)
	b = strconv.AppendUint(append(b, '/'), uint64(c.Cell.X), 10)
	b = strconv.AppendUint(append(b, '/'), uint64(c.Cell.Y), 10)
	b = append(b, `","bbox":`...)
	b = appendDegrees(b, c.Box.West, c.Box.South, c.Box.East, c.Box.North)
	b = append(b, `,"geometry":{"type":"Point","coordinates":`...)
	b = appendDegrees(b, c.Lon, c.Lat)
	b = strconv.AppendInt(append(b, `},"properties":{"count":`...), int64(c.N), 10)
	if c.Account != nil {
		b = append(append(append(b, `,"did":"`...), c.Account.DID()...), '"')
	}
	if c.Spot {
		b = append(b, `,"spot":true`...)
	}
	return append(b, '}', '}')
}

// appendDegrees writes coordinates to the centimetre.
func appendDegrees(b []byte, all ...float64) []byte {
	for i, f := range all {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		b = strconv.AppendFloat(append(b, sep), math.Round(f*1e7)/1e7, 'f', -1, 64)
	}
	return append(b, ']')
}

// Facets tells what there is to choose from. The numbers of a filter don't depend on what is chosen in it.
type Facets struct {
	Count     int    `json:"count" doc:"Devices that the search finds in all."`
	Exact     bool   `json:"exact" doc:"false: there are at least so many; the text searched for matches more than is looked at."`
	DataTypes Terms  `json:"data_type" doc:"Types of data."`
	Units     Terms  `json:"unit" doc:"Units."`
	Kinds     Terms  `json:"kind" doc:"Kinds of streams."`
	Verified  Truths `json:"verified" doc:"By whether the document is signed."`
	Prices    []Band `json:"price" doc:"Bands of prices, for min_price and max_price. What costs nothing has one of its own first."`
	Ages      []Age  `json:"since" doc:"By when they were updated; the last has no limit."`
}

// Terms are the values of one filter.
type Terms struct {
	Values []Term `json:"values" doc:"Those with the most devices, and those that are chosen, the most frequent first."`
	Others int    `json:"others" doc:"How many further values there are."`
}

// Term is a value of a filter.
type Term struct {
	Value string `json:"value" doc:"For the parameter."`
	Count int    `json:"count" doc:"Devices."`
}

// Truths counts by a filter that is true or false.
type Truths struct {
	True  int `json:"true" doc:"Devices."`
	False int `json:"false" doc:"Devices."`
}

// Band is a range of prices, both edges included.
type Band struct {
	Min   string `json:"min,omitempty" doc:"For min_price; absent: no limit." unit:"PEAQ"`
	Max   string `json:"max,omitempty" doc:"For max_price; absent: no limit." unit:"PEAQ"`
	Count int    `json:"count" doc:"Devices."`
}

// Age counts what was updated within a time.
type Age struct {
	Within string `json:"within,omitempty" doc:"For since; absent: any time." example:"24h"`
	Count  int    `json:"count" doc:"Devices."`
}

func (s *server) facets(c *call) (reply, error) {
	q, err := queryOf(c.args, s.Now())
	if err != nil {
		return reply{}, err
	}
	if s.Atlas == nil {
		return reply{}, s.counting(c.w, nil)
	}
	f, err := s.Atlas.Facets(c.r.Context(), q, int(paramTop.or(c.args, atlas.DefaultTop)))
	if err != nil {
		return reply{}, s.counting(c.w, err)
	}
	return asJSON(facetsOf(&f))
}

func facetsOf(f *atlas.Facets) Facets {
	out := Facets{
		Count: f.N, Exact: f.Exact, DataTypes: termsOf(f.DataTypes), Units: termsOf(f.Units), Kinds: termsOf(f.Kinds), Verified: Truths{f.Verified, f.Unverified},
		Prices: make([]Band, len(f.Prices)), Ages: make([]Age, len(f.Ages)),
	}
	for i, b := range f.Prices {
		out.Prices[i].Count = b.N
		if b.Min != nil {
			out.Prices[i].Min = b.Min.String()
		}
		if b.Max != nil {
			out.Prices[i].Max = b.Max.String()
		}
	}
	for i, a := range f.Ages {
		out.Ages[i].Count = a.N
		if a.Within > 0 {
			out.Ages[i].Within = strconv.Itoa(int(a.Within.Hours())) + "h"
		}
	}
	return out
}

func termsOf(t atlas.Terms) Terms {
	out := Terms{Values: make([]Term, len(t.Top)), Others: t.Others}
	for i, x := range t.Top {
		out.Values[i] = Term{x.Value, x.N}
	}
	return out
}
