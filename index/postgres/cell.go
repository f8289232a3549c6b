package postgres

import (
	"cmp"
	"math"
	"slices"

	"iod/index"
)

// A cell is a place as one number, in which places that are near each other mostly are near each other: latitude and longitude in 31 bits
// each, from -90 and -180 on, their bits by turns (Morton's order), the latitude's first. So the places within a square of the map are a
// range of numbers, and any box is some ranges.
const cellBits = 31

// cellOf is the cell of a place in degrees.
func cellOf(lat, lon float64) int64 {
	return spread(part(lat, -90, 180))<<1 | spread(part(lon, -180, 360))
}

// part is where x lies in a span, in cellBits bits.
func part(x, from, span float64) uint64 {
	n := math.Floor((x - from) / span * (1 << cellBits))
	return uint64(min(max(n, 0), 1<<cellBits-1))
}

// spread puts a zero before each bit.
func spread(n uint64) int64 {
	n = (n | n<<16) & 0x0000ffff0000ffff
	n = (n | n<<8) & 0x00ff00ff00ff00ff
	n = (n | n<<4) & 0x0f0f0f0f0f0f0f0f
	n = (n | n<<2) & 0x3333333333333333
	n = (n | n<<1) & 0x5555555555555555
	return int64(n)
}

// cells are those from lo to hi, both included.
type cells struct{ lo, hi int64 }

// mostRanges bounds by how many ranges boxes are covered, about: more fit closer and cost more to begin with.
const mostRanges = 20

// square is a square of the map at a level: its side is 1/2^level of the map's.
type square struct {
	level uint
	y, x  uint64
	whole bool // nothing of it is outside of the boxes
}

// plot is a box in parts.
type plot struct{ south, north, west, east uint64 }

// cover returns ascending ranges of cells that hold all the places in the boxes, and not many others.
func cover(boxes []index.Box) []cells {
	plots := make([]plot, len(boxes))
	for i, b := range boxes {
		plots[i] = plot{part(b.South, -90, 180), part(b.North, -90, 180), part(b.West, -180, 360), part(b.East, -180, 360)}
	}
	all := []square{}
	if s, ok := (square{}).within(plots); ok {
		all = append(all, s)
	}
	for len(all) < mostRanges {
		// The largest square that is not wholly inside is cut in four.
		largest := -1
		for i, s := range all {
			if !s.whole && s.level < cellBits && (largest < 0 || s.level < all[largest].level) {
				largest = i
			}
		}
		if largest < 0 {
			break
		}
		s := all[largest]
		all = slices.Delete(all, largest, largest+1)
		for i := range uint64(4) {
			if quarter, ok := (square{level: s.level + 1, y: s.y<<1 | i>>1, x: s.x<<1 | i&1}).within(plots); ok {
				all = append(all, quarter)
			}
		}
	}
	return ranges(all)
}

// within tells whether a square has anything of the plots, and notes when it is wholly inside of one.
func (s square) within(plots []plot) (square, bool) {
	shift := cellBits - s.level
	south, west := s.y<<shift, s.x<<shift
	north, east := south+1<<shift-1, west+1<<shift-1
	touches := false
	for _, p := range plots {
		if p.south > north || p.north < south || p.west > east || p.east < west {
			continue
		}
		touches = true
		s.whole = s.whole || p.south <= south && p.north >= north && p.west <= west && p.east >= east
	}
	return s, touches
}

// ranges are the cells of squares, adjoining ones joined.
func ranges(squares []square) []cells {
	all := make([]cells, len(squares))
	for i, s := range squares {
		shift := 2 * (cellBits - s.level)
		lo := (spread(s.y)<<1 | spread(s.x)) << shift
		all[i] = cells{lo, lo + 1<<shift - 1}
	}
	slices.SortFunc(all, func(a, b cells) int { return cmp.Compare(a.lo, b.lo) })
	joined := all[:0]
	for _, c := range all {
		if n := len(joined); n > 0 && joined[n-1].hi+1 == c.lo {
			joined[n-1].hi = c.hi
		} else {
			joined = append(joined, c)
		}
	}
	return joined
}
