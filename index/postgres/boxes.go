package postgres

import (
	"math"

	"iod/index"
)

// slack widens boxes, in degrees: what lies on the edge is decided by the exact conditions.
const slack = 1e-7

// boxes are disjoint boxes within the map's edges that hold all the places where a search looks.
func (s *statement) boxes() []index.Box {
	all := []index.Box{{South: -90, West: -180, North: 90, East: 180}}
	if s.Box != nil {
		all = unrolled(*s.Box)
	}
	if s.km > 0 {
		all = common(all, unrolled(around(s.Near.Lat, s.Near.Lon, s.km)))
	}
	return all
}

// around is the box of a circle; West > East across the date line.
func around(lat, lon, km float64) index.Box {
	reach := km / index.EarthKm * 180 / math.Pi // degrees of latitude
	b := index.Box{South: math.Max(lat-reach-slack, -90), North: math.Min(lat+reach+slack, 90), West: -180, East: 180}
	if math.Abs(lat)+reach > 89.9 {
		return b // a pole is within it or near
	}
	// A meridian touches the circle at this many degrees of longitude.
	side := math.Asin(math.Min(1, math.Sin(reach*math.Pi/180)/math.Cos(lat*math.Pi/180)))*180/math.Pi + slack
	if reach >= 90 || side >= 180 {
		return b
	}
	b.West, b.East = lon-side, lon+side
	if b.West < -180 {
		b.West += 360
	}
	if b.East > 180 {
		b.East -= 360
	}
	return b
}

// unrolled cuts a box at the date line.
func unrolled(b index.Box) []index.Box {
	b.South, b.North = math.Max(b.South-slack, -90), math.Min(b.North+slack, 90)
	west, east := b.West-slack, b.East+slack
	if b.West <= b.East {
		return []index.Box{{South: b.South, West: west, North: b.North, East: east}}
	}
	if west <= east { // all but the whole circle, which the slack closes
		return []index.Box{{South: b.South, West: -180, North: b.North, East: 180}}
	}
	return []index.Box{{South: b.South, West: west, North: b.North, East: 180}, {South: b.South, West: -180, North: b.North, East: east}}
}

// common are the parts that boxes of both lists share. Those of one list are disjoint, and so are they.
func common(a, b []index.Box) (all []index.Box) {
	for _, x := range a {
		for _, y := range b {
			c := index.Box{South: math.Max(x.South, y.South), North: math.Min(x.North, y.North), West: math.Max(x.West, y.West), East: math.Min(x.East, y.East)}
			if c.South <= c.North && c.West <= c.East {
				all = append(all, c)
			}
		}
	}
	return all
}
