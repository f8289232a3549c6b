package atlas

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"iod/index"
	"iod/key"
)

// Cluster is a cell of a map with the listings in it.
type Cluster struct {
	Cell     Cell    // the same whatever part of the map is looked at
	Lat, Lon float64 // mean of the places, degrees
	N        int
	// Box holds all places, and less than a centimetre around them: a search with it as Query.Box lists them.
	Box     index.Box
	Account *key.AccountID // the listing, when N is 1
	Spot    bool           // all are at one and the same place: no zoom parts them
}

// Cell is a tile of Web Mercator: column X and row Y of 2^Zoom, counted from 180° west and from the north. Its zoom is that of its own
// size, a few above the map's; 32 is a single spot.
type Cell struct {
	Zoom uint8
	X, Y uint32
}

// Map is an answer for a part of a map.
type Map struct {
	Clusters []Cluster // in rows from the north, from west to east
	N        int       // listings in them
	Exact    bool      // false: there are more that could not be looked at
}

// MaxZoom is the highest zoom of a map that makes a difference: from there on every spot stands alone, where there is room for that.
const MaxZoom = 18

// MaxTileZoom is the highest zoom of a tile.
const MaxTileZoom = 24

// mostCells is how many clusters an answer has at most. A part of the map that has more cells is answered in larger ones.
const mostCells = 4096

// Clusters tells what there is in a part of a map at a zoom, as far as q lets through. q.Box narrows as in searches, but view
// only says what to look at: cells at its edges are told of whole, so that clusters stay what they are while the map is moved.
// A view may reach beyond the date line (West > East, or degrees beyond 180).
func (a *Atlas) Clusters(ctx context.Context, q index.Query, view index.Box, zoom int) (Map, error) {
	if !(view.South <= view.North) || math.IsInf(view.West-view.East, 0) || math.IsNaN(view.West-view.East) {
		return Map{}, fmt.Errorf("%w: a view from %v,%v to %v,%v", index.ErrQuery, view.South, view.West, view.North, view.East)
	}
	s, err := a.open(ctx, &q)
	if err != nil {
		return Map{}, err
	}
	defer a.close(s)
	s.grid.look(view, zoom)
	return a.draw(s), nil
}

// Tile is Clusters for one tile of 256 pixels, column x and row y at a zoom. The clusters of neighbouring tiles don't overlap.
func (a *Atlas) Tile(ctx context.Context, q index.Query, zoom int, x, y uint32) (Map, error) {
	if zoom < 0 || zoom > MaxTileZoom || x>>zoom != 0 || y>>zoom != 0 {
		return Map{}, fmt.Errorf("%w: tile %d/%d/%d", index.ErrQuery, zoom, x, y)
	}
	s, err := a.open(ctx, &q)
	if err != nil {
		return Map{}, err
	}
	defer a.close(s)
	s.grid.tile(zoom, x, y)
	return a.draw(s), nil
}

// fineness is how many zooms a cell is above the map's: cells are of 64 pixels, and of 32 and 16 at high zooms, where places are few.
func fineness(zoom int) int {
	switch {
	case zoom < 12:
		return 2
	case zoom < 15:
		return 3
	}
	return 4
}

// grid gathers places by cell. Cells are those of the views' rows and columns.
type grid struct {
	views  []view
	level  int // zoom of the cells
	spots  bool
	cells  []cell
	filled []int32 // cells with anything in them, as they came
	places []place // for spots
}

// view is a part of the map of whole cells, edges included.
type view struct {
	west, east   uint32 // eastings
	north, south uint32 // southings
	first        int    // number of its first cell
	columns      int
}

type cell struct {
	n          int
	one        slot
	sumX       uint64
	sumLat     int64
	west, east uint32
	low, high  int32
}

// place is a listing that stands alone.
type place struct {
	x, y uint32
	lat  int32
	at   slot
}

// look sets the grid up for a view.
func (g *grid) look(b index.Box, zoom int) {
	south, north := max(-90, min(b.South, 90)), max(-90, min(b.North, 90))
	g.views = g.views[:0]
	top, bottom := southing(north), southing(south)
	if b.East-b.West >= 360 {
		g.views = append(g.views, view{0, math.MaxUint32, top, bottom, 0, 0})
	} else {
		west, east := easting(fixed(turned(b.West))), easting(fixed(turned(b.East)))
		if west <= east {
			g.views = append(g.views, view{west, east, top, bottom, 0, 0})
		} else {
			g.views = append(g.views, view{west, math.MaxUint32, top, bottom, 0, 0}, view{0, east, top, bottom, 0, 0})
		}
	}
	g.size(zoom)
}

// turned is a longitude brought to -180 to 180.
func turned(lon float64) float64 {
	if lon >= -180 && lon <= 180 {
		return lon
	}
	lon = math.Mod(lon+180, 360)
	if lon < 0 {
		lon += 360
	}
	return lon - 180
}

// tile sets the grid up for a tile.
func (g *grid) tile(zoom int, x, y uint32) {
	side := uint64(1) << (32 - zoom)
	west, north := uint64(x)*side, uint64(y)*side
	g.views = append(g.views[:0], view{uint32(west), uint32(west + side - 1), uint32(north), uint32(north + side - 1), 0, 0})
	g.size(zoom)
}

// size chooses the size of cells and makes the views whole cells. It depends on the size of the view only, so that it stays while the
// map is moved.
func (g *grid) size(zoom int) {
	zoom = max(0, zoom)
	g.spots = zoom >= MaxZoom
	g.level = min(zoom+fineness(zoom), 28)
	var wide, high uint64
	for _, v := range g.views {
		wide += uint64(v.east - v.west)
		high = uint64(v.south - v.north)
	}
	for g.level > 0 && (wide>>(32-g.level)+2)*(high>>(32-g.level)+2) > mostCells {
		g.level--
	}
	shift := 32 - g.level
	side := uint32(1<<shift - 1) // 2^32-1 at level 0
	for i := range g.views {
		v := &g.views[i]
		v.west, v.north, v.east, v.south = v.west&^side, v.north&^side, v.east|side, v.south|side
	}
	if len(g.views) == 2 && g.views[1].east >= g.views[0].west { // once around
		g.views[0].west, g.views[0].east = 0, math.MaxUint32
		g.views = g.views[:1]
	}
	total := 0
	for i := range g.views {
		v := &g.views[i]
		v.first, v.columns = total, int((v.east-v.west)>>shift)+1
		total += v.columns * (int((v.south-v.north)>>shift) + 1)
	}
	if cap(g.cells) < total {
		g.cells = make([]cell, total+total/4)
	}
	g.cells = g.cells[:cap(g.cells)]
	g.filled, g.places = g.filled[:0], g.places[:0]
}

// mostSpots is how many places are told apart at the highest zooms.
const mostSpots = mostCells

// draw gathers the listings that meet the plan.
func (a *Atlas) draw(s *scratch) Map {
	g := &s.grid
	if g.spots {
		if a.gather(s, func(v *view, b *block, m *bitmap) bool { return g.single(v, b, m) }) {
			return g.spotMap(a.columns, s.exact)
		}
	}
	a.gather(s, func(v *view, b *block, m *bitmap) bool { g.count(v, b, m); return true })
	out := g.gridMap(a.columns, s.exact)
	for _, n := range g.filled {
		g.cells[n] = cell{}
	}
	return out
}

// gather hands the rows that meet the plan to take, block by block, for each view that a block touches, until it says no.
func (a *Atlas) gather(s *scratch, take func(*view, *block, *bitmap) bool) bool {
	for _, n := range a.columns.order {
		b := a.columns.blocks[n]
		ready := false
		for i := range s.grid.views {
			v := &s.grid.views[i]
			if b.alive == 0 || b.from == unplaced || b.within.west > v.east || b.within.east < v.west || b.within.north > v.south || b.within.south < v.north {
				continue
			}
			if !ready {
				if !s.plan.rows(b, &s.rows) || !s.plan.offered(b, &s.rows) {
					break
				}
				ready = true
			}
			if !take(v, b, &s.rows) {
				return false
			}
		}
	}
	return true
}

func (v *view) has(x, y uint32) bool {
	return x >= v.west && x <= v.east && y >= v.north && y <= v.south
}

// cell is the number of the cell of a place within the view.
func (g *grid) cell(v *view, x, y uint32) int32 {
	shift := 32 - g.level
	return int32(v.first + int((y-v.north)>>shift)*v.columns + int((x-v.west)>>shift))
}

// count puts the rows of a block into their cells.
func (g *grid) count(v *view, b *block, m *bitmap) {
	e := &b.within
	if *m == b.live && v.has(e.west, e.north) && v.has(e.east, e.south) {
		if n := g.cell(v, e.west, e.north); n == g.cell(v, e.east, e.south) {
			g.whole(n, b)
			return
		}
	}
	for w, word := range m {
		for rest := word; rest != 0; rest &= rest - 1 {
			i := w<<6 + bits.TrailingZeros64(rest)
			if x, y := b.x[i], b.y[i]; v.has(x, y) {
				n := g.cell(v, x, y)
				c := &g.cells[n]
				if c.n == 0 {
					*c = cell{0, slotOf(b.number, i), 0, 0, x, x, b.lat[i], b.lat[i]}
					g.filled = append(g.filled, n)
				}
				c.n++
				c.sumX, c.sumLat = c.sumX+uint64(x), c.sumLat+int64(b.lat[i])
				c.west, c.east, c.low, c.high = min(c.west, x), max(c.east, x), min(c.low, b.lat[i]), max(c.high, b.lat[i])
			}
		}
	}
}

// whole puts a block into a cell that it lies within.
func (g *grid) whole(n int32, b *block) {
	c, e := &g.cells[n], &b.within
	if c.n == 0 {
		*c = cell{0, slotOf(b.number, b.live.first()), 0, 0, e.west, e.east, e.low, e.high}
		g.filled = append(g.filled, n)
	}
	c.n += b.alive
	c.sumX, c.sumLat = c.sumX+b.sumX, c.sumLat+b.sumLat
	c.west, c.east, c.low, c.high = min(c.west, e.west), max(c.east, e.east), min(c.low, e.low), max(c.high, e.high)
}

// single notes every place, unless there are too many.
func (g *grid) single(v *view, b *block, m *bitmap) bool {
	for w, word := range m {
		for rest := word; rest != 0; rest &= rest - 1 {
			i := w<<6 + bits.TrailingZeros64(rest)
			if !v.has(b.x[i], b.y[i]) {
				continue
			}
			if len(g.places) == mostSpots {
				return false
			}
			g.places = append(g.places, place{b.x[i], b.y[i], b.lat[i], slotOf(b.number, i)})
		}
	}
	return true
}

// answer makes clusters of cells. Accounts are kept together, so that an answer is few pieces of memory.
type answer struct {
	Map
	columns  *columns
	accounts []key.AccountID
}

func newAnswer(c *columns, exact bool, clusters, single int) *answer {
	return &answer{Map{make([]Cluster, 0, clusters), 0, exact}, c, make([]key.AccountID, 0, single)}
}

// around is added to a box on every side, in degrees: half of what places are rounded to, and a little.
const around = 6e-8

func (a *answer) add(at Cell, c *cell) {
	west, east := degrees(longitude(c.west)), degrees(longitude(c.east))
	low, high := degrees(c.low), degrees(c.high)
	out := Cluster{
		Cell: at, N: c.n, Spot: c.west == c.east && c.low == c.high, Lat: low, Lon: west,
		Box: index.Box{South: max(low-around, -90), West: max(west-around, -180), North: min(high+around, 90), East: min(east+around, 180)},
	}
	if !out.Spot {
		out.Lat = float64(c.sumLat) / float64(c.n) / degree
		out.Lon = float64(c.sumX)/float64(c.n)*360/(1<<32) - 180
	}
	if c.n == 1 {
		a.accounts = append(a.accounts, *a.columns.accountAt(c.one))
		out.Account = &a.accounts[len(a.accounts)-1]
	}
	a.Clusters = append(a.Clusters, out)
	a.N += c.n
}

func (g *grid) gridMap(columns *columns, exact bool) Map {
	single := 0
	for _, n := range g.filled {
		single += int(bit(g.cells[n].n == 1))
	}
	a := newAnswer(columns, exact, len(g.filled), single)
	shift := 32 - g.level
	for _, n := range g.filled {
		v := &g.views[0]
		if len(g.views) == 2 && int(n) >= g.views[1].first {
			v = &g.views[1]
		}
		row, column := (int(n)-v.first)/v.columns, (int(n)-v.first)%v.columns
		a.add(Cell{uint8(g.level), v.west>>shift + uint32(column), v.north>>shift + uint32(row)}, &g.cells[n])
	}
	slices.SortFunc(a.Clusters, func(p, q Cluster) int {
		return cmp.Or(cmp.Compare(p.Cell.Y, q.Cell.Y), cmp.Compare(p.Cell.X, q.Cell.X))
	})
	return a.Map
}

// spotMap makes a cluster of every spot.
func (g *grid) spotMap(columns *columns, exact bool) Map {
	slices.SortFunc(g.places, func(p, q place) int {
		return cmp.Or(cmp.Compare(p.y, q.y), cmp.Compare(p.x, q.x))
	})
	spots, single := 0, 0
	g.runs(func(run []place) { spots++; single += int(bit(len(run) == 1)) })
	a := newAnswer(columns, exact, spots, single)
	g.runs(func(run []place) {
		p, c := run[0], cell{n: len(run), one: run[0].at, west: run[0].x, east: run[0].x, low: run[0].lat, high: run[0].lat}
		for _, q := range run { // beyond 85 degrees all are on one line
			c.sumX, c.sumLat = c.sumX+uint64(q.x), c.sumLat+int64(q.lat)
			c.low, c.high = min(c.low, q.lat), max(c.high, q.lat)
		}
		a.add(Cell{32, p.x, p.y}, &c)
	})
	return a.Map
}

// runs calls f for those at one spot each.
func (g *grid) runs(f func([]place)) {
	for rest := g.places; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].x == rest[0].x && rest[n].y == rest[0].y {
			n++
		}
		f(rest[:n])
		rest = rest[n:]
	}
}
