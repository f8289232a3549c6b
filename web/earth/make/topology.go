package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"iod/web/earth"
)

// topology is a TopoJSON file of countries: rings made of arcs that neighbours share.
type topology struct {
	Transform struct{ Scale, Translate [2]float64 }
	Arcs      [][][2]float64 // delta-encoded as read, degrees after parseTopology
	Objects   struct {
		Countries, Land struct{ Geometries []geometry }
	}
}

type geometry struct {
	Type       string
	Arcs       json.RawMessage
	Properties struct{ Name string }
	rings      [][][]int // polygons → rings → arcs; ^n is arc n backwards
}

func parseTopology(raw []byte) (*topology, error) {
	var t topology
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, err
	}
	for _, arc := range t.Arcs {
		var x, y float64
		for i, d := range arc {
			x, y = x+d[0], y+d[1]
			arc[i] = [2]float64{x*t.Transform.Scale[0] + t.Transform.Translate[0], y*t.Transform.Scale[1] + t.Transform.Translate[1]}
		}
	}
	for _, all := range [][]geometry{t.Objects.Countries.Geometries, t.Objects.Land.Geometries} {
		for i := range all {
			if err := all[i].parse(len(t.Arcs)); err != nil {
				return nil, err
			}
		}
	}
	return &t, nil
}

func (g *geometry) parse(arcs int) (err error) {
	switch g.Type {
	case "Polygon":
		g.rings = make([][][]int, 1)
		err = json.Unmarshal(g.Arcs, &g.rings[0])
	case "MultiPolygon":
		err = json.Unmarshal(g.Arcs, &g.rings)
	default:
		return fmt.Errorf("geometry %q of type %q", g.Properties.Name, g.Type)
	}
	for _, polygon := range g.rings {
		for _, ring := range polygon {
			for _, a := range ring {
				if max(a, ^a) >= arcs {
					return fmt.Errorf("geometry %q: arc %d of %d", g.Properties.Name, a, arcs)
				}
			}
		}
	}
	return err
}

// ring joins the arcs of a ring; where two meet their common point stands once.
func (t *topology) ring(arcs []int) (points [][2]float64) {
	for _, a := range arcs {
		line := t.Arcs[max(a, ^a)]
		if a < 0 {
			line = slices.Clone(line)
			slices.Reverse(line)
		}
		if len(points) > 0 {
			line = line[1:]
		}
		points = append(points, line...)
	}
	return points
}

// quantise turns degrees into the units of package earth, and drops what then repeats itself or lies on a straight line.
func quantise(points [][2]float64) (out []earth.Point) {
	for _, p := range points {
		x, y := earth.Project(p[1], p[0])
		q := earth.Point{X: int32(math.Round(x * earth.Units)), Y: int32(math.Round(y * earth.Units))}
		n := len(out)
		if n > 0 && out[n-1] == q {
			continue
		}
		if n > 1 && straight(out[n-2], out[n-1], q) {
			out[n-1] = q
			continue
		}
		out = append(out, q)
	}
	return out
}

// unwrap has a line that crosses the date line go on beyond the edge of the world instead of jumping to the other one. A ring that
// goes around the pole is closed along the map's southern edge.
func unwrap(line []earth.Point, ring bool) []earth.Point {
	var off int32
	for i := 1; i < len(line); i++ {
		switch d := line[i].X + off - line[i-1].X; {
		case d > earth.Units/2:
			off -= earth.Units
		case d < -earth.Units/2:
			off += earth.Units
		}
		line[i].X += off
	}
	if n := len(line); ring && off != 0 {
		line = append(line, earth.Point{X: line[n-1].X, Y: earth.Units}, earth.Point{X: line[0].X, Y: earth.Units}, line[0])
	}
	return line
}

// straight reports whether b lies between a and c.
func straight(a, b, c earth.Point) bool {
	ux, uy, vx, vy := int64(b.X-a.X), int64(b.Y-a.Y), int64(c.X-b.X), int64(c.Y-b.Y)
	return ux*vy == uy*vx && ux*vx+uy*vy > 0
}

// encode writes the land's rings and the borders that two countries share.
func (t *topology) encode() []byte {
	var land, borders [][]earth.Point
	for _, g := range t.Objects.Land.Geometries {
		for _, polygon := range g.rings {
			for _, arcs := range polygon {
				if r := unwrap(quantise(t.ring(arcs)), true); len(r) > 3 {
					land = append(land, r)
				}
			}
		}
	}
	uses := make([]int, len(t.Arcs))
	for _, g := range t.Objects.Countries.Geometries {
		for _, polygon := range g.rings {
			for _, arcs := range polygon {
				for _, a := range arcs {
					uses[max(a, ^a)]++
				}
			}
		}
	}
	for a, n := range uses {
		if line := unwrap(quantise(t.Arcs[a]), false); n > 1 && len(line) > 1 {
			borders = append(borders, line)
		}
	}
	slices.SortStableFunc(land, func(a, b []earth.Point) int { return len(b) - len(a) })
	b := appendLines(nil, land)
	return appendLines(b, borders)
}

func appendLines(b []byte, lines [][]earth.Point) []byte {
	b = binary.AppendUvarint(b, uint64(len(lines)))
	var last earth.Point
	for _, line := range lines {
		b = binary.AppendUvarint(b, uint64(len(line)))
		for _, p := range line {
			b = binary.AppendVarint(b, int64(p.X-last.X))
			b = binary.AppendVarint(b, int64(p.Y-last.Y))
			last = p
		}
	}
	return b
}

// label is where a country's name stands, and how large the part of it is that it stands in.
type label struct {
	name     string
	lat, lon float64
	units    int // square root of the area, in units of package earth
}

func (t *topology) labels() (all []label) {
	for _, g := range t.Objects.Countries.Geometries {
		var best []earth.Point
		var most float64
		for _, polygon := range g.rings {
			if r := unwrap(quantise(t.ring(polygon[0])), true); area(r) > most {
				best, most = r, area(r)
			}
		}
		if len(best) < 4 || g.Properties.Name == "" {
			continue
		}
		p := inside(best)
		lat, lon := earth.Unproject(float64(p.X)/earth.Units, float64(p.Y)/earth.Units)
		all = append(all, label{g.Properties.Name, lat, lon, int(math.Sqrt(most))})
	}
	slices.SortFunc(all, func(a, b label) int { return b.units - a.units })
	return all
}

func area(ring []earth.Point) (sum float64) {
	for i, p := range ring {
		q := ring[(i+1)%len(ring)]
		sum += float64(p.X)*float64(q.Y) - float64(q.X)*float64(p.Y)
	}
	return math.Abs(sum) / 2
}

// inside finds the point of a grid over the ring that is farthest from its edge, then looks closer around it.
func inside(ring []earth.Point) (best earth.Point) {
	lo, hi := ring[0], ring[0]
	for _, p := range ring {
		lo.X, lo.Y, hi.X, hi.Y = min(lo.X, p.X), min(lo.Y, p.Y), max(hi.X, p.X), max(hi.Y, p.Y)
	}
	best = earth.Point{X: (lo.X + hi.X) / 2, Y: (lo.Y + hi.Y) / 2}
	most := clearance(ring, best)
	const steps = 24
	for range 3 {
		w, h := (hi.X-lo.X)/steps, (hi.Y-lo.Y)/steps
		for i := range int32(steps + 1) {
			for j := range int32(steps + 1) {
				p := earth.Point{X: lo.X + i*w, Y: lo.Y + j*h}
				if c := clearance(ring, p); c > most {
					best, most = p, c
				}
			}
		}
		lo, hi = earth.Point{X: best.X - w, Y: best.Y - h}, earth.Point{X: best.X + w, Y: best.Y + h}
	}
	return best
}

// clearance is the distance of p from the ring's edge: negative outside.
func clearance(ring []earth.Point, p earth.Point) float64 {
	in, least := false, math.Inf(1)
	px, py := float64(p.X), float64(p.Y)
	for i := range ring {
		a, b := ring[i], ring[(i+1)%len(ring)]
		ax, ay, bx, by := float64(a.X), float64(a.Y), float64(b.X), float64(b.Y)
		if (ay > py) != (by > py) && px < (bx-ax)*(py-ay)/(by-ay)+ax {
			in = !in
		}
		dx, dy := bx-ax, by-ay
		t := 0.0
		if l := dx*dx + dy*dy; l > 0 {
			t = min(1, max(0, ((px-ax)*dx+(py-ay)*dy)/l))
		}
		// Names are wider than high: a step aside counts less than one up.
		least = min(least, math.Hypot((px-ax-t*dx)/2, py-ay-t*dy))
	}
	if !in {
		return -least
	}
	return least
}
