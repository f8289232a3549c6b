package sqlite

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"iod/index"
)

// Every place within a box is in a cell of its stretches, whatever the box; those of a circle are within the box around it.
func TestStretches(t *testing.T) {
	lat, lon := rapid.Float64Range(-90, 90), rapid.Float64Range(-180, 180)
	edge := rapid.SampledFrom([]float64{-180, -90, -1e-7, 0, 1e-7, 45, 89.9999999, 90, 179.9999999, 180})
	any := func(t *rapid.T, g *rapid.Generator[float64], name string, most float64) float64 {
		if x := edge.Draw(t, name); math.Abs(x) <= most && rapid.Bool().Draw(t, "edge") {
			return x
		}
		return g.Draw(t, name)
	}
	within := func(boxes []box, y, x int32) bool {
		return slices.ContainsFunc(boxes, func(b box) bool { return b.holds(box{int64(y), int64(x), int64(y), int64(x)}) })
	}
	rapid.Check(t, func(t *rapid.T) {
		s, n := any(t, lat, "south", 90), any(t, lat, "north", 90)
		b := index.Box{South: min(s, n), North: max(s, n), West: any(t, lon, "west", 180), East: any(t, lon, "east", 180)}
		y, x := index.E7(any(t, lat, "lat", 90)), index.E7(any(t, lon, "lon", 180))
		boxes := boxesOf(b)
		in := b.South <= float64(y)/1e7 && float64(y)/1e7 <= b.North
		if w, e := b.West <= float64(x)/1e7, float64(x)/1e7 <= b.East; b.West <= b.East {
			in = in && w && e
		} else {
			in = in && (w || e)
		}
		if within(boxes, y, x) != in {
			t.Fatalf("%v holds %d,%d: %v, want %v", boxes, y, x, !in, in)
		}
		covered := func(boxes []box) bool {
			all := stretches(boxes)
			if len(all) > maxQuads+3 {
				t.Fatalf("%d stretches", len(all))
			}
			c := cellOf(y, x)
			return slices.ContainsFunc(all, func(s stretch) bool { return s.from <= c && c <= s.to })
		}
		if in && !covered(boxes) {
			t.Fatalf("%v does not cover %d,%d", boxes, y, x)
		}
		near := index.Near{Lat: b.South, Lon: b.West}
		km := index.Distance(near.Lat, near.Lon, float64(y)/1e7, float64(x)/1e7)
		if boxes := around(near, km); !within(boxes, y, x) || !covered(boxes) {
			t.Fatalf("the %v around %v km of %v do not cover %d,%d", boxes, km, near, y, x)
		}
	})
}

// A small box is a small part of the curve.
func TestStretchesAreFew(t *testing.T) {
	for _, b := range []index.Box{{South: 52.3, West: 13.1, North: 52.7, East: 13.8}, {South: -0.2, West: -0.2, North: 0.2, East: 0.2},
		{South: -10, West: 179, North: -9, East: -179}, {South: 35, West: -10, North: 60, East: 30}} {
		boxes := boxesOf(b)
		var cells, area float64
		for _, s := range stretches(boxes) {
			cells += float64(s.to - s.from + 1)
		}
		const one = float64(side) / (1 << cellBits)
		for _, b := range boxes {
			area += (float64(b.north-b.south)/one + 1) * (float64(b.east-b.west)/one + 1)
		}
		if cells > 2*area {
			t.Errorf("%+v: %.0f cells, want at most twice %.0f", b, cells, area)
		}
	}
}
