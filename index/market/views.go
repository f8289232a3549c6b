package market

import (
	"fmt"
	"math"
	"math/rand/v2"

	"iod/index"
)

// View is what a page with a map asks for beside a search.
type View struct {
	Class   string // what kind of view it is, in a few words
	Of      Shown
	Z, X, Y int         // of a tile
	Query   index.Query // the filters
}

// Shown is what a view is of.
type Shown int

const (
	OfTile Shown = iota
	OfFacets
	OfStatistics
)

// deepest is the zoom at which a screen shows a street.
const deepest = 18

// View is the next view: mostly tiles of all zooms alike where something is, with and without filters.
func (s *Searches) View() View {
	v := View{Of: OfTile, Class: "statistics"}
	switch n := s.r.IntN(20); {
	case n == 0:
		v.Of = OfStatistics
	case n < 4:
		v.Of, v.Class = OfFacets, "facets"+s.narrow(&v.Query)
	default:
		v.Z = s.r.IntN(deepest + 1)
		v.X, v.Y = tileAt(v.Z, s.r)
		v.Class = fmt.Sprintf("tile, zoom %d to %d", v.Z/5*5, min(v.Z/5*5+4, deepest)) + s.narrow(&v.Query)
	}
	return v
}

// narrow sets a filter in one of two cases, and says which in words.
func (s *Searches) narrow(q *index.Query) string {
	switch s.r.IntN(8) {
	case 0:
		s.byType(q)
		return ", type"
	case 1:
		s.byType(q)
		s.byPrice(q)
		return ", type, price range"
	case 2:
		s.fresh(q)
		return ", fresh"
	case 3:
		q.Text = s.words(s.offer(), 1)
		return ", word"
	}
	return ""
}

// tileAt is a Web Mercator tile on which something may lie.
func tileAt(z int, r *rand.Rand) (x, y int) {
	lat, lon := somewhere(r).near(r)
	n := float64(int(1) << z)
	lat = max(-85, min(85, lat)) * math.Pi / 180
	x = int((wrap(lon) + 180) / 360 * n)
	y = int((1 - math.Asinh(math.Tan(lat))/math.Pi) / 2 * n)
	most := int(n) - 1
	return max(0, min(x, most)), max(0, min(y, most))
}
