package sqlite

import (
	"cmp"
	"math"
	"slices"

	"iod/index"
)

// The globe as cells: a curve (Morton's) through two squares of 180 degrees, each divided in four cellBits times. What is near to each
// other is mostly near to each other on the curve, so that a box is a few stretches of it. A cell is 0.0055 degrees wide and high.
const cellBits = 15

// side is the width of a square in units of 10^-7 degrees.
const side = 1_800_000_000

// cellOf is the cell of a place in units of 10^-7 degrees.
func cellOf(lat, lon int32) int64 {
	y, x := int64(lat)+side/2, int64(lon)+side
	square := min(x/side, 1)
	x -= square * side
	const n = 1 << cellBits
	cx, cy := min(x*n/side, n-1), min(y*n/side, n-1)
	cell := square
	for i := cellBits - 1; i >= 0; i-- {
		cell = cell<<2 | (cy>>i&1)<<1 | cx>>i&1
	}
	return cell
}

// box is a part of the globe in units of 10^-7 degrees, edges included. It never crosses the date line.
type box struct{ south, west, north, east int64 }

func (b box) overlaps(o box) bool {
	return b.south <= o.north && o.south <= b.north && b.west <= o.east && o.west <= b.east
}

func (b box) holds(o box) bool {
	return b.south <= o.south && o.north <= b.north && b.west <= o.west && o.east <= b.east
}

// boxesOf is a box of a query in one or, across the date line, two parts. A place is in it when its coordinates, as
// index.Listing.Place has them, are.
func boxesOf(b index.Box) []box {
	s, n := least(b.South), -least(-b.North)
	if b.West <= b.East {
		return []box{{s, least(b.West), n, -least(-b.East)}}
	}
	return []box{{s, least(b.West), n, side}, {s, -side, n, -least(-b.East)}}
}

// least is the lowest number of 10^-7 degrees that is not below an edge.
func least(edge float64) int64 {
	n := int64(math.Ceil(edge * 1e7))
	for float64(n-1)/1e7 >= edge {
		n--
	}
	for float64(n)/1e7 < edge {
		n++
	}
	return n
}

// around is the least box around a circle, in parts as boxesOf. It may be slightly larger.
func around(n index.Near, km float64) []box {
	const slack = 1e-6 // degrees
	reach := km/index.EarthKm*180/math.Pi + slack
	b := index.Box{South: max(n.Lat-reach, -90), West: -180, North: min(n.Lat+reach, 90), East: 180}
	if math.Abs(n.Lat)+reach < 90 {
		// A meridian touches the circle at this many degrees of longitude.
		wide := math.Asin(min(1, math.Sin(reach*math.Pi/180)/math.Cos(n.Lat*math.Pi/180)))*180/math.Pi + slack
		if wide < 180 {
			b.West, b.East = math.Remainder(n.Lon-wide, 360), math.Remainder(n.Lon+wide, 360)
		}
	}
	return boxesOf(b)
}

// both is what two lists of boxes have in common.
func both(a, b []box) []box {
	var out []box
	for _, x := range a {
		for _, y := range b {
			if x.overlaps(y) {
				out = append(out, box{max(x.south, y.south), max(x.west, y.west), min(x.north, y.north), min(x.east, y.east)})
			}
		}
	}
	return out
}

// stretch is a part of the curve, ends included.
type stretch struct{ from, to int64 }

// quad is a square of the curve.
type quad struct {
	square, x, y int64 // its first column and row of cells
	first        int64 // cell
	depth        int   // how often it can be divided
	area         box
	whole        bool // within the boxes
}

// maxQuads bounds into how many squares boxes are divided: more fit better, and cost a look into the index each.
const maxQuads = 24

// stretches covers boxes with few parts of the curve, in its order.
func stretches(boxes []box) []stretch { return joined(cover(boxes)) }

// cover covers boxes with few squares.
func cover(boxes []box) []quad {
	var quads []quad
	take := func(q quad) {
		for _, b := range boxes {
			q.whole = q.whole || b.holds(q.area)
		}
		if q.whole || slices.ContainsFunc(boxes, q.area.overlaps) {
			quads = append(quads, q)
		}
	}
	for square := range int64(2) {
		take(quadOf(square, 0, 0, square<<(2*cellBits), cellBits))
	}
	for len(quads) < maxQuads {
		i := widest(quads)
		if i < 0 {
			break
		}
		q := quads[i]
		quads = slices.Delete(quads, i, i+1)
		for n := range int64(4) {
			take(q.child(n))
		}
	}
	return quads
}

// widest is the largest square that is better divided; -1: there is none.
func widest(quads []quad) int {
	best := -1
	for i, q := range quads {
		if !q.whole && q.depth > 0 && (best < 0 || q.depth > quads[best].depth) {
			best = i
		}
	}
	return best
}

// child is the n-th quarter.
func (q quad) child(n int64) quad {
	depth := q.depth - 1
	return quadOf(q.square, q.x+(n&1)<<depth, q.y+(n>>1)<<depth, q.first+n<<(2*depth), depth)
}

// quadOf makes the quad of the cells from x, y on, and the area of the places that cellOf has in them.
func quadOf(square, x, y, first int64, depth int) quad {
	edge := func(n int64) int64 { return (n*side + 1<<cellBits - 1) >> cellBits }
	end := func(n int64) int64 {
		if n += 1 << depth; n < 1<<cellBits {
			return edge(n) - 1
		}
		return side // the last cell has the date line, and the poles are in one
	}
	west := (square - 1) * side
	return quad{square, x, y, first, depth, box{edge(y) - side/2, west + edge(x), end(y) - side/2, west + end(x)}, false}
}

func joined(quads []quad) []stretch {
	slices.SortFunc(quads, func(a, b quad) int { return cmp.Compare(a.first, b.first) })
	var all []stretch
	for _, q := range quads {
		last := q.first + 1<<(2*q.depth) - 1
		if n := len(all); n > 0 && all[n-1].to+1 == q.first {
			all[n-1].to = last
			continue
		}
		all = append(all, stretch{q.first, last})
	}
	return all
}

// Offers are counted by squares of every second size, from leastArea to mostArea: 0.09 to 90 degrees.
const (
	leastArea = 4
	mostArea  = 14
)

// areaOf is the square of a depth that a cell is in, as it stands in the table of areas.
func areaOf(cell int64, depth int) int64 { return int64(depth)<<40 | cell>>(2*depth) }

// areas are the squares of the table of areas that make up a square, first and last; or the one that it is a part of, and which part.
func (q *quad) areas() (from, to int64, part float64) {
	switch {
	case q.depth < leastArea:
		a := areaOf(q.first, leastArea)
		return a, a, math.Pow(4, float64(q.depth-leastArea))
	case q.depth%2 == 1:
		a := areaOf(q.first, q.depth-1)
		return a, a + 3, 1
	}
	a := areaOf(q.first, q.depth)
	return a, a, 1
}

// within is which part of a square is within boxes, about.
func (q *quad) within(boxes []box) (part float64) {
	if q.whole {
		return 1
	}
	size := func(b box) float64 { return float64(b.north-b.south+1) * float64(b.east-b.west+1) }
	for _, b := range both([]box{q.area}, boxes) {
		part += size(b) / size(q.area)
	}
	return min(part, 1)
}
