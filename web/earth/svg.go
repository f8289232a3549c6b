package earth

import (
	"math"
	"strconv"
)

// View is a part of the world as a picture: the place in its middle and the width of the whole world, all in pixels.
type View struct {
	X, Y          float64 // the middle, 0 to 1 as of Project
	World         float64 // pixels of the world's side
	Width, Height float64 // pixels
}

// At returns where a place is in the picture; of the many copies of the world the one nearest to the middle counts.
func (v View) At(lat, lon float64) (x, y float64) {
	x, y = Project(lat, lon)
	x -= math.Round(x - v.X)
	return (x-v.X)*v.World + v.Width/2, (y-v.Y)*v.World + v.Height/2
}

// Bounds returns the box of degrees that the picture shows; west > east where it crosses the date line, -180 to 180 where it is
// wider than the world.
func (v View) Bounds() (south, west, north, east float64) {
	half := v.Height / 2 / v.World
	north, _ = Unproject(0, max(0, v.Y-half))
	south, _ = Unproject(0, min(1, v.Y+half))
	if v.Width >= v.World {
		return south, -180, north, 180
	}
	half = v.Width / 2 / v.World
	_, west = Unproject(0, v.X-half-math.Floor(v.X-half))
	_, east = Unproject(0, v.X+half-math.Floor(v.X+half))
	return south, west, north, east
}

// Fit returns the view of a size in which a box of degrees has room, at most at zoom most (2^zoom·256 pixels make the world).
func Fit(south, west, north, east, width, height, most float64) View {
	x0, y0 := Project(north, west)
	x1, y1 := Project(south, east)
	if west > east {
		x1++
	}
	world := math.Exp2(most) * 256
	if w := x1 - x0; w > 0 {
		world = min(world, width/w)
	}
	if h := y1 - y0; h > 0 {
		world = min(world, height/h)
	}
	x := (x0 + x1) / 2
	return View{X: x - math.Floor(x), Y: (y0 + y1) / 2, World: world, Width: width, Height: height}
}

// fine is how far apart two points of a path are at the least, in pixels.
const fine = 0.8

// AppendPath appends the lines as the data of an SVG path, cut to the picture and to its resolution. Closed lines are rings, which
// are filled.
func (v View) AppendPath(b []byte, lines []Line, closed bool) []byte {
	scale := v.World / Units
	var in, out []spot
	for _, copyOf := range []float64{-1, 0, 1} {
		dx, dy := v.Width/2-(v.X-copyOf)*v.World, v.Height/2-v.Y*v.World
		for _, l := range lines {
			if float64(l.Max.X)*scale+dx < 0 || float64(l.Min.X)*scale+dx > v.Width ||
				float64(l.Max.Y)*scale+dy < 0 || float64(l.Min.Y)*scale+dy > v.Height {
				continue
			}
			in = in[:0]
			for i, p := range l.Points {
				s := spot{float64(p.X)*scale + dx, float64(p.Y)*scale + dy}
				if n := len(in); n == 0 || i == len(l.Points)-1 || math.Abs(s.x-in[n-1].x)+math.Abs(s.y-in[n-1].y) >= fine {
					in = append(in, s)
				}
			}
			if !closed {
				b = v.appendOpen(b, in)
				continue
			}
			if in, out = v.clip(in, out); len(in) > 2 {
				b = append(appendSpots(b, in), 'Z')
			}
		}
	}
	return b
}

type spot struct{ x, y float64 }

// margin is how far beyond the picture's edge paths are cut, so that the cut's own line is not seen.
const margin = 4

// clip cuts a ring to the picture, one side after the other (Sutherland and Hodgman). The slices are reused: it returns them as
// the result and what is left for the next ring.
func (v View) clip(in, out []spot) ([]spot, []spot) {
	for side := range 4 {
		inside := func(s spot) float64 {
			switch side {
			case 0:
				return s.x + margin
			case 1:
				return v.Width + margin - s.x
			case 2:
				return s.y + margin
			}
			return v.Height + margin - s.y
		}
		out = out[:0]
		for i, s := range in {
			before := in[(i+len(in)-1)%len(in)]
			a, b := inside(before), inside(s)
			if (a < 0) != (b < 0) {
				t := a / (a - b)
				out = append(out, spot{before.x + (s.x-before.x)*t, before.y + (s.y-before.y)*t})
			}
			if b >= 0 {
				out = append(out, s)
			}
		}
		in, out = out, in
	}
	return in, out
}

// appendOpen appends the parts of a line that are near the picture.
func (v View) appendOpen(b []byte, line []spot) []byte {
	near := func(s spot) bool {
		return s.x > -margin && s.x < v.Width+margin && s.y > -margin && s.y < v.Height+margin
	}
	for from := 0; from < len(line); {
		if !near(line[from]) && (from+1 == len(line) || !near(line[from+1])) {
			from++
			continue
		}
		to := from + 1
		for to < len(line) && near(line[to]) {
			to++
		}
		b = appendSpots(b, line[from:min(to+1, len(line))])
		from = to
	}
	return b
}

func appendSpots(b []byte, line []spot) []byte {
	for i, s := range line {
		if b = append(b, 'L'); i == 0 {
			b[len(b)-1] = 'M'
		}
		b = strconv.AppendFloat(b, math.Round(s.x*10)/10, 'f', -1, 64)
		b = append(b, ' ')
		b = strconv.AppendFloat(b, math.Round(s.y*10)/10, 'f', -1, 64)
	}
	return b
}
