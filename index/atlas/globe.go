package atlas

import (
	"math"

	"iod/index"
)

// Places are kept as integers of three kinds:
//
//	latitude    ten-millionths of a degree
//	easting     32 bits around the globe from 180° west, so that the upper bits of a map's tile are its column.
//	            One unit is less than a ten-millionth of a degree, so it tells longitudes apart as well
//	southing    32 bits down the square of Web Mercator, so that the upper bits are the tile's row; what lies beyond
//	            85.05° is at the edge
const (
	degree  = 10_000_000
	halfway = 180 * degree
	// A turn of 360 degrees has 2^32 eastings: degree*360/2^32 in lowest terms is lowest/2^shrink.
	lowest = 3_515_625
	shrink = 22
)

// fixed is the nearest integer latitude or longitude.
func fixed(deg float64) int32 { return int32(math.Round(deg * degree)) }

// atLeast and atMost are the integers on this side of a limit in degrees.
func atLeast(deg float64) int32 {
	n := math.Round(deg * degree)
	if n/degree < deg {
		n++
	}
	return int32(n)
}

func atMost(deg float64) int32 {
	n := math.Round(deg * degree)
	if n/degree > deg {
		n--
	}
	return int32(n)
}

// degrees is the angle that an integer stands for.
func degrees(n int32) float64 { return float64(n) / degree }

// easting of a longitude.
func easting(lon int32) uint32 {
	return uint32(min(uint64(int64(lon)+halfway)<<shrink/lowest, math.MaxUint32))
}

// longitude of an easting: the only one that has it.
func longitude(east uint32) int32 {
	return int32(int64((uint64(east)*lowest+1<<shrink-1)>>shrink) - halfway)
}

// southing of a latitude in degrees.
func southing(lat float64) uint32 {
	sin := math.Sin(lat * math.Pi / 180)
	y := (0.5 - math.Log((1+sin)/(1-sin))/(4*math.Pi)) * (1 << 32)
	return uint32(max(0, min(y, math.MaxUint32))) // the poles are infinitely far
}

// unplaced is the place on the curve of what has none; all places are before it.
const unplaced = 1 << (2 * curveBits)

// trailed stands in the place of a place in blocks that are in the order of ranks.
const trailed = unplaced + 1

const curveBits = 24

// curve is the distance along a Hilbert curve of the square, which keeps neighbours together.
func curve(x, y uint32) uint64 {
	x, y = x>>(32-curveBits), y>>(32-curveBits)
	var d uint64
	for s := uint32(1) << (curveBits - 1); s > 0; s >>= 1 {
		var rx, ry uint32
		if x&s != 0 {
			rx = 1
		}
		if y&s != 0 {
			ry = 1
		}
		d = d<<2 | uint64(3*rx^ry)
		if ry == 0 {
			if rx == 1 {
				x, y = ^x, ^y
			}
			x, y = y, x
		}
	}
	return d
}

// extent is what the places of a block lie within, edges included.
type extent struct {
	west, east   uint32
	north, south uint32 // southings
	low, high    int32  // latitudes
}

// nowhere is the extent of nothing.
var nowhere = extent{west: math.MaxUint32, north: math.MaxUint32, low: math.MaxInt32, high: math.MinInt32}

func (e *extent) add(x, y uint32, lat int32) {
	e.west, e.east = min(e.west, x), max(e.east, x)
	e.north, e.south = min(e.north, y), max(e.south, y)
	e.low, e.high = min(e.low, lat), max(e.high, lat)
}

// edge says whether a place is at the edge of the extent.
func (e *extent) edge(x, y uint32, lat int32) bool {
	return x == e.west || x == e.east || y == e.north || y == e.south || lat == e.low || lat == e.high
}

// span is a run of eastings, both included. The second of two is there when a box crosses the date line.
type span struct{ west, east uint32 }

// spans are the eastings between two meridians in degrees of the globe; west > east crosses the date line.
func spans(s []span, west, east float64) []span {
	w, e := easting(atLeast(west)), easting(atMost(east))
	switch {
	case west > east:
		return append(s, span{w, math.MaxUint32}, span{0, e})
	case w <= e:
		return append(s, span{w, e})
	}
	return s // between two neighbouring places
}

// where says how an extent lies to something.
type where int

const (
	outside where = iota
	across
	inside
)

func (e *extent) toBox(in []span, low, high int32) where {
	if e.high < low || e.low > high {
		return outside
	}
	w := outside
	for _, s := range in {
		switch {
		case e.west >= s.west && e.east <= s.east:
			if e.low >= low && e.high <= high {
				return inside
			}
			return across
		case e.east >= s.west && e.west <= s.east:
			w = across
		}
	}
	return w
}

// hull is a box that a circle lies in.
func hull(n *index.Near) index.Box {
	const slack = 1e-6 // degrees
	reach := n.Km/index.EarthKm*180/math.Pi + slack
	b := index.Box{South: max(n.Lat-reach, -90), West: -180, North: min(n.Lat+reach, 90), East: 180}
	if math.Abs(n.Lat)+reach >= 90 {
		return b
	}
	// A meridian touches the circle at this many degrees of longitude.
	wide := math.Asin(min(1, math.Sin(reach*math.Pi/180)/math.Cos(n.Lat*math.Pi/180)))*180/math.Pi + slack
	if wide < 180 {
		b.West, b.East = turned(n.Lon-wide), turned(n.Lon+wide)
	}
	return b
}

// farther is how far from a place everything in an extent is at least, in kilometres.
func (e *extent) farther(lat, lon float64) float64 {
	away, reach := e.reach(lat, lon)
	return max(0, away-reach)
}

// reach is how far the middle of an extent is from a place, and how far from its middle anything in it is at most.
func (e *extent) reach(lat, lon float64) (away, reach float64) {
	west, east := degrees(longitude(e.west)), degrees(longitude(e.east))
	low, high := degrees(e.low), degrees(e.high)
	// From its middle one comes to any place of the extent along a meridian and then along a parallel.
	parallel := 1.0
	if low > 0 || high < 0 {
		parallel = math.Cos(min(math.Abs(low), math.Abs(high)) * math.Pi / 180)
	}
	reach = ((high-low)/2+(east-west)/2*parallel)*math.Pi/180*index.EarthKm + 1e-4
	return index.Distance(lat, lon, (low+high)/2, (west+east)/2), reach
}

// toCircle says how an extent lies to a circle: certain of inside and outside.
func (e *extent) toCircle(n *index.Near) where {
	away, reach := e.reach(n.Lat, n.Lon)
	switch {
	case away+reach <= n.Km:
		return inside
	case away-reach > n.Km:
		return outside
	}
	return across
}
