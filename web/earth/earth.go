// Package earth is the map under the map: land, borders and the names of places, small enough to travel in the binary. It needs
// no other host.
//
// # Data
//
// In data/, written by command make (see there for how to write it anew):
//
//	world-110.bin, world-50.bin   Natural Earth's land and borders at 1:110 million and 1:50 million: public domain
//	places.tsv                    names of countries (Natural Earth) and cities (GeoNames, CC BY 4.0)
//
// A world file is two lists of lines, the land's rings and the borders that two countries share:
//
//	list    uvarint number of lines, then each
//	line    uvarint number of points, then each
//	point   varint Δx, varint Δy from the point before (the first of the file's list: from 0,0), in 1/65536 of the square
//	        that Web Mercator makes of the world, from its north-western corner. Lines that cross the date line go on
//	        beyond the square, by less than its width
//
// places.tsv is lines of text. First countries, the largest first: name, latitude, longitude, and the square root of its main
// part's area in those units. Then an empty line, and cities, the most populous of a country first: name, latitude, longitude,
// size = 4·log2(inhabitants); a line that begins with a tab names the country of those that follow.
package earth

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
)

//go:embed data
var data embed.FS

// Units is how many units of a world file make the side of the world.
const Units = 65536

// Limit is the latitude at which Web Mercator ends, in degrees.
const Limit = 85.05112877980659

// Point is a place on the map in units, x to the east and y to the south.
type Point struct{ X, Y int32 }

// Project returns where a place is on the square of Web Mercator: x and y from 0 to 1 from its north-western corner.
// Latitudes beyond Limit are at its edge.
func Project(lat, lon float64) (x, y float64) {
	s := math.Sin(max(-Limit, min(Limit, lat)) * math.Pi / 180)
	return lon/360 + 0.5, 0.5 - math.Log((1+s)/(1-s))/(4*math.Pi)
}

// Unproject is the inverse of Project.
func Unproject(x, y float64) (lat, lon float64) {
	return math.Atan(math.Sinh(math.Pi*(1-2*y))) * 180 / math.Pi, (x - 0.5) * 360
}

// Distance returns the great-circle distance in km.
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	const radius, rad = 6371.0088, math.Pi / 180
	a := math.Sin((lat2 - lat1) * rad / 2)
	b := math.Sin((lon2 - lon1) * rad / 2)
	h := a*a + math.Cos(lat1*rad)*math.Cos(lat2*rad)*b*b
	return 2 * radius * math.Asin(min(1, math.Sqrt(h)))
}

// Line is a ring of land, or a border, with the box that holds it.
type Line struct {
	Points   []Point
	Min, Max Point
}

// World is one level of detail.
type World struct{ Land, Borders []Line }

// Levels of detail: the name of a World's file without its ending.
const (
	Coarse = "world-110"
	Fine   = "world-50"
)

var worlds = map[string]func() *World{Coarse: load(Coarse), Fine: load(Fine)}

func load(name string) func() *World {
	return sync.OnceValue(func() *World {
		w, err := decode(Bytes(name + ".bin"))
		if err != nil {
			panic(err) // it is part of the binary, and a test reads it
		}
		return w
	})
}

// Load returns a level. It is read at the first use and shared: don't change it.
func Load(level string) *World { return worlds[level]() }

// Bytes returns a file of data/: world-110.bin, world-50.bin or places.tsv.
func Bytes(file string) []byte {
	b, err := data.ReadFile("data/" + file)
	if err != nil {
		panic(err) // as above
	}
	return b
}

var errShort = errors.New("it ends too early")

// decode reads a world file.
func decode(b []byte) (*World, error) {
	var w World
	var err error
	for _, into := range []*[]Line{&w.Land, &w.Borders} {
		if *into, b, err = decodeLines(b); err != nil {
			return nil, fmt.Errorf("decode map: %w", err)
		}
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("decode map: %d bytes too many", len(b))
	}
	return &w, nil
}

func decodeLines(b []byte) ([]Line, []byte, error) {
	n, b, err := count(b)
	if err != nil {
		return nil, nil, err
	}
	lines := make([]Line, n)
	var x, y int64
	for i := range lines {
		var m int
		if m, b, err = count(b); err != nil {
			return nil, nil, err
		}
		l := Line{Points: make([]Point, m), Min: Point{math.MaxInt32, math.MaxInt32}, Max: Point{math.MinInt32, math.MinInt32}}
		for j := range l.Points {
			dx, w := binary.Varint(b)
			dy, v := binary.Varint(b[max(w, 0):])
			if w <= 0 || v <= 0 {
				return nil, nil, errShort
			}
			b = b[w+v:]
			if x, y = x+dx, y+dy; x < -Units || x > 2*Units || y < 0 || y > Units {
				return nil, nil, fmt.Errorf("point %d,%d is off the map", x, y)
			}
			p := Point{int32(x), int32(y)}
			l.Points[j] = p
			l.Min, l.Max = Point{min(l.Min.X, p.X), min(l.Min.Y, p.Y)}, Point{max(l.Max.X, p.X), max(l.Max.Y, p.Y)}
		}
		lines[i] = l
	}
	return lines, b, nil
}

// count reads the length of a list, of which each member takes a byte at the least.
func count(b []byte) (int, []byte, error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return 0, nil, errShort
	}
	return int(n), b[w:], nil
}
