package postgres

import (
	"math"
	"math/rand/v2"
	"testing"

	"iod/index"
)

func inside(all []cells, c int64) bool {
	for _, r := range all {
		if c >= r.lo && c <= r.hi {
			return true
		}
	}
	return false
}

// Every place in a box is in a cell of its cover, which is not much larger than the box.
func TestCover(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		size := math.Pow(10, 1-5*r.Float64())
		lat, lon := r.Float64()*180-90, r.Float64()*360-180
		b := index.Box{South: max(lat-size, -90), North: min(lat+size, 90), West: lon - size*2, East: lon + size*2}
		if b.West < -180 {
			b.West += 360
		}
		if b.East > 180 {
			b.East -= 360
		}
		boxes := unrolled(b)
		all := cover(boxes)
		if len(all) == 0 || len(all) > mostRanges+3 {
			t.Fatalf("%+v is covered by %d ranges", b, len(all))
		}
		covered, area := 0.0, 0.0
		for i, c := range all {
			if covered += float64(c.hi - c.lo + 1); i > 0 && c.lo <= all[i-1].hi+1 || c.hi < c.lo {
				t.Fatalf("%+v: ranges %+v", b, all)
			}
		}
		for _, b := range boxes {
			area += (b.North - b.South) / 180 * (b.East - b.West) / 360 * (1 << (2 * cellBits))
			for range 20 {
				y, x := b.South+r.Float64()*(b.North-b.South), b.West+r.Float64()*(b.East-b.West)
				if !inside(all, cellOf(y, x)) {
					t.Fatalf("%v,%v in %+v is not covered by %+v", y, x, b, all)
				}
			}
			for _, corner := range [][2]float64{{b.South, b.West}, {b.South, b.East}, {b.North, b.West}, {b.North, b.East}} {
				if !inside(all, cellOf(corner[0], corner[1])) {
					t.Fatalf("the corner %v of %+v is not covered", corner, b)
				}
			}
		}
		if covered > 4*area {
			t.Errorf("%+v is covered %.1f times", b, covered/area)
		}
	}
	if all := cover([]index.Box{{South: -90, West: -180, North: 90, East: 180}}); len(all) != 1 || all[0] != (cells{0, 1<<(2*cellBits) - 1}) {
		t.Errorf("the globe is covered by %+v", all)
	}
	if all := cover(nil); len(all) != 0 {
		t.Errorf("nothing is covered by %+v", all)
	}
	if all := cover([]index.Box{{South: 90, West: 180, North: 90, East: 180}}); !inside(all, cellOf(90, 180)) {
		t.Errorf("the last corner is not covered by %+v", all)
	}
}
