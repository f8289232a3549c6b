package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"iod/index"
	"iod/web/earth"
)

// mapData is what a page says to the script that draws its map, and the picture that stands there without one.
type mapData struct {
	Lat, Lon float64
	Km       float64
	Coarse   bool // the place is an area of Km around Lat, Lon
	Tiles    Tiles
	Picture  *picture
}

// picture is a map drawn by the server: the base as an image, with marks over it.
type picture struct {
	Width, Height int
	Base          string // address of the base map
	Marks         []mark
	Area          *mark // where a coarse place may be
	Ways          []wayOut
}

// mark is a cluster, or a device.
type mark struct {
	X, Y, R     string
	URL, Label  string
	Text, Class string
}

// The size of a map that the server draws, in pixels, and how far in it goes.
const (
	pictureWidth  = 720
	pictureHeight = 460
	pictureZoom   = 9
	markSize      = 44 // pixels that a mark keeps for itself
)

// view is the part of the world that a search is about.
func (p *searchPage) view() earth.View {
	const w, h = pictureWidth, pictureHeight
	switch q := &p.Asked.query; {
	case q.Box != nil:
		return earth.Fit(q.Box.South, q.Box.West, q.Box.North, q.Box.East, w, h, pictureZoom)
	case q.Near != nil:
		dLat := q.Near.Km / 111.2
		dLon := dLat / math.Max(0.05, math.Cos(q.Near.Lat*math.Pi/180))
		if dLon > 170 {
			break
		}
		return earth.Fit(math.Max(-85, q.Near.Lat-dLat), q.Near.Lon-dLon, math.Min(85, q.Near.Lat+dLat), q.Near.Lon+dLon, w, h, pictureZoom)
	}
	return earth.Fit(-58, -180, 78, 180, w, h, pictureZoom)
}

// base is the address of the base map of a view.
func base(v earth.View) string {
	return fmt.Sprintf("/picture.svg?x=%s&y=%s&world=%s&size=%.0f,%.0f", trim(v.X, 6), trim(v.Y, 6), trim(v.World, 1), v.Width, v.Height)
}

func trim(f float64, digits int) string {
	s := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// picture draws a base map: land, borders, and nothing of any listing.
func (s *site) picture(_ context.Context, r *http.Request) (*answer, error) {
	v := r.URL.Query()
	var view earth.View
	for name, to := range map[string]*float64{"x": &view.X, "y": &view.Y, "world": &view.World} {
		f, err := strconv.ParseFloat(v.Get(name), 64)
		if err != nil {
			return nil, &wrongParameter{name, fmt.Sprintf("%.40q is no number", v.Get(name))}
		}
		*to = f
	}
	if _, err := fmt.Sscanf(v.Get("size"), "%f,%f", &view.Width, &view.Height); err != nil {
		return nil, &wrongParameter{"size", "want width,height in pixels"}
	}
	inside := func(f, lo, hi float64) bool { return f >= lo && f <= hi } // so NaN is not
	if !inside(view.X, 0, 1) || !inside(view.Y, 0, 1) || !inside(view.World, 100, 1<<24) || !inside(view.Width, 50, 1600) || !inside(view.Height, 50, 1600) {
		return nil, &wrongParameter{"size", "the picture would be too large, or not of this world"}
	}
	level := earth.Coarse
	if view.World > 2500 {
		level = earth.Fine
	}
	w := earth.Load(level)
	b := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+pictureStyle+`<rect class="s" width="100%%" height="100%%"/><path class="l" d="`,
		view.Width, view.Height, view.Width, view.Height)
	b = view.AppendPath(b, w.Land, true)
	b = append(b, `"/><path class="b" d="`...)
	b = view.AppendPath(b, w.Borders, false)
	b = append(b, `"/></svg>`...)
	return &answer{kind: "image/svg+xml", body: b, forever: true, policy: "default-src 'none'; style-src 'unsafe-inline'"}, nil
}

const pictureStyle = `<style>.s{fill:#dfe7ea}.l{fill:#f7f5ef;stroke:#9db0b8;stroke-width:.7}.b{fill:none;stroke:#cfccc2;stroke-width:.8}` +
	`@media(prefers-color-scheme:dark){.s{fill:#0d151c}.l{fill:#1b2731;stroke:#3b4d5a}.b{stroke:#2f3d48}}</style>`

// mapOf makes the map of a search.
func (s *site) mapOf(ctx context.Context, p *searchPage) error {
	a := p.Asked
	m := &p.Map
	m.Tiles = s.Tiles
	if !s.mapped() || p.Wrong != nil {
		return nil
	}
	v := p.view()
	south, west, north, east := v.Bounds()
	zoom := max(0, int(math.Log2(v.World/256)))
	found, err := s.Atlas.Clusters(ctx, a.query, index.Box{South: south, West: west, North: north, East: east}, zoom)
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	pic := &picture{Width: int(v.Width), Height: int(v.Height), Base: base(v)}
	for _, c := range found.Clusters {
		x, y := v.At(c.Lat, c.Lon)
		if x < 0 || y < 0 || x > v.Width || y > v.Height {
			continue
		}
		k := mark{X: trim(x, 1), Y: trim(y, 1), R: "6", Class: "one"}
		if c.N == 1 && c.Account != nil {
			k.URL, k.Label = "/d/"+c.Account.DID(), "a device"
		} else {
			k.R = trim(9+3*math.Log10(float64(c.N)), 1)
			k.Class, k.Text = "many", compact(c.N)
			k.Label = plural(c.N, "device") + " by " + spot(c.Lat, c.Lon)
			k.URL = a.url("bbox", boxIn(grow(c.Box)), "near", "", "within", "", "sort", unNear(a))
		}
		pic.Marks = append(pic.Marks, k)
	}
	pic.Ways = moves(a, v)
	m.Picture = pic
	return nil
}

// unNear is the order of a search that is not around a place any more.
func unNear(a asked) string {
	if s := a.values.Get("sort"); s != string(index.Nearest) {
		return s
	}
	return ""
}

// moves are the links that move the picture about.
func moves(a asked, v earth.View) []wayOut {
	link := func(label string, dx, dy, zoom float64) wayOut {
		n := v
		n.X += dx * v.Width / v.World
		n.X -= math.Floor(n.X)
		n.Y = math.Min(0.95, math.Max(0.05, n.Y+dy*v.Height/v.World))
		n.World = math.Max(v.Width/1.2, v.World*zoom)
		s, w, no, e := n.Bounds()
		return wayOut{Label: label, URL: a.url("bbox", boxIn(index.Box{South: s, West: w, North: no, East: e}), "near", "", "within", "", "sort", unNear(a))}
	}
	return []wayOut{link("closer", 0, 0, 2), link("farther", 0, 0, 0.5), link("west", -0.4, 0, 1), link("north", 0, -0.4, 1), link("south", 0, 0.4, 1), link("east", 0.4, 0, 1)}
}

// grow makes a box of no or little size one that can be looked at, with a margin.
func grow(b index.Box) index.Box {
	h := math.Max(0.02, (b.North-b.South)*0.15)
	width := b.East - b.West
	if width < 0 {
		width += 360
	}
	w := math.Max(0.02, width*0.15)
	out := index.Box{South: math.Max(-90, b.South-h), North: math.Min(90, b.North+h), West: b.West - w, East: b.East + w}
	if width+2*w >= 360 {
		out.West, out.East = -180, 180
		return out
	}
	out.West, out.East = wrap(out.West), wrap(out.East)
	return out
}

func wrap(lon float64) float64 {
	if lon < -180 {
		return lon + 360
	}
	if lon > 180 {
		return lon - 360
	}
	return lon
}

// boxIn writes a box as the parameter bbox.
func boxIn(b index.Box) string {
	return trim(b.West, 4) + "," + trim(b.South, 4) + "," + trim(b.East, 4) + "," + trim(b.North, 4)
}

// compact writes a number in little room: 1234 as 1.2k.
func compact(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n)
	case n < 9950:
		return trim(math.Round(float64(n)/100)/10, 1) + "k"
	case n < 999_500:
		return strconv.Itoa((n+500)/1000) + "k"
	}
	return trim(math.Round(float64(n)/1e5)/10, 1) + "M"
}

// spot says in words where a point is.
func spot(lat, lon float64) string {
	if words := earth.Describe(lat, lon); words != "" {
		return words
	}
	ns, ew := "N", "E"
	if lat < 0 {
		ns = "S"
	}
	if lon < 0 {
		ew = "W"
	}
	return fmt.Sprintf("%.1f° %s, %.1f° %s", math.Abs(lat), ns, math.Abs(lon), ew)
}
