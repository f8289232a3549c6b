package earth

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"iod/spelling"
)

// Place is a city, or a country, in which case Country is empty.
type Place struct {
	Name, Country string
	Lat, Lon      float64 // degrees, to 0.01
	Km            float64 // roughly how far it reaches around that point
	Size          int     // of cities: 4·log2(inhabitants)
}

// String is the name with the country's.
func (p Place) String() string {
	if p.Country == "" || p.Country == p.Name {
		return p.Name
	}
	return p.Name + ", " + p.Country
}

// gazetteer is places.tsv, with cities as a tree over the directions from the earth's centre: its node for a range is the
// middle one, with what is below it on an axis before and what is above it after.
type gazetteer struct {
	countries, cities []Place
	vectors           [][3]float64 // of cities
	byName            map[string][]int
	folded            []string // keys of byName, sorted
	names             []string // of cities and countries, for suggestions
}

var places = sync.OnceValue(func() *gazetteer {
	g, err := parsePlaces(string(Bytes("places.tsv")))
	if err != nil {
		panic(err) // it is part of the binary, and a test reads it
	}
	g.plant(0, len(g.cities), 0)
	for i, p := range g.cities {
		g.vectors = append(g.vectors, vector(p.Lat, p.Lon))
		g.byName[Fold(p.Name)] = append(g.byName[Fold(p.Name)], i)
		g.names = append(g.names, p.Name)
	}
	g.folded = slices.Sorted(maps.Keys(g.byName))
	for _, p := range g.countries {
		g.names = append(g.names, p.Name)
	}
	return g
})

func parsePlaces(s string) (*gazetteer, error) {
	g := &gazetteer{byName: map[string][]int{}}
	country, inCities := "", false
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			inCities = true
			continue
		}
		if name, ok := strings.CutPrefix(line, "\t"); ok {
			country = name
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("places: %q has %d fields", line, len(f))
		}
		lat, err1 := strconv.ParseFloat(f[1], 64)
		lon, err2 := strconv.ParseFloat(f[2], 64)
		size, err3 := strconv.Atoi(f[3])
		if err := cmp.Or(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("places: %q: %w", line, err)
		}
		if inCities {
			// A city of a million reaches some 15 km from its middle, one of ten thousand 2.
			km := math.Sqrt(math.Exp2(float64(size)/4)) * 0.015
			g.cities = append(g.cities, Place{f[0], country, lat, lon, max(2, km), size})
		} else {
			km := float64(size) / Units * 40075 / 2 * math.Cos(lat*math.Pi/180)
			g.countries = append(g.countries, Place{Name: f[0], Lat: lat, Lon: lon, Km: max(5, math.Round(km))})
		}
	}
	return g, nil
}

func vector(lat, lon float64) [3]float64 {
	la, lo := lat*math.Pi/180, lon*math.Pi/180
	return [3]float64{math.Cos(la) * math.Cos(lo), math.Cos(la) * math.Sin(lo), math.Sin(la)}
}

// plant orders cities from to below as a tree.
func (g *gazetteer) plant(from, below, axis int) {
	if below-from < 2 {
		return
	}
	part := g.cities[from:below]
	slices.SortFunc(part, func(a, b Place) int {
		return cmp.Compare(vector(a.Lat, a.Lon)[axis], vector(b.Lat, b.Lon)[axis])
	})
	middle := (from + below) / 2
	g.plant(from, middle, (axis+1)%3)
	g.plant(middle+1, below, (axis+1)%3)
}

// search finds the city nearest to v among from to below; best and least are the nearest one so far and the square of its
// chord's length.
func (g *gazetteer) search(v *[3]float64, from, below, axis int, best *int, least *float64) {
	if from >= below {
		return
	}
	middle := (from + below) / 2
	c := &g.vectors[middle]
	dx, dy, dz := v[0]-c[0], v[1]-c[1], v[2]-c[2]
	if d := dx*dx + dy*dy + dz*dz; d < *least {
		*best, *least = middle, d
	}
	next, side := (axis+1)%3, v[axis]-c[axis]
	if side < 0 {
		g.search(v, from, middle, next, best, least)
		if side*side < *least {
			g.search(v, middle+1, below, next, best, least)
		}
		return
	}
	g.search(v, middle+1, below, next, best, least)
	if side*side < *least {
		g.search(v, from, middle, next, best, least)
	}
}

// Nearest returns the city nearest to a point and its distance in km.
func Nearest(lat, lon float64) (Place, float64) {
	g, v := places(), vector(lat, lon)
	best, least := 0, math.Inf(1)
	g.search(&v, 0, len(g.cities), 0, &best, &least)
	p := g.cities[best]
	return p, Distance(lat, lon, p.Lat, p.Lon)
}

// How far from a city a point is described by it, in km.
const (
	hereKm = 6
	farKm  = 800
)

// Describe says in words where a point is: "Yerevan, Armenia", "40 km north of Yerevan, Armenia". Empty where no city is within
// 800 km.
func Describe(lat, lon float64) string {
	p, km := Nearest(lat, lon)
	switch {
	case km > farKm:
		return ""
	case km < hereKm:
		return p.String()
	}
	return fmt.Sprintf("%.0f km %s of %s", km, Bearing(p.Lat, p.Lon, lat, lon), p)
}

var winds = [8]string{"north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"}

// Bearing returns the direction from one point to another as one of eight winds.
func Bearing(lat1, lon1, lat2, lon2 float64) string {
	const rad = math.Pi / 180
	dl := (lon2 - lon1) * rad
	y := math.Sin(dl) * math.Cos(lat2*rad)
	x := math.Cos(lat1*rad)*math.Sin(lat2*rad) - math.Sin(lat1*rad)*math.Cos(lat2*rad)*math.Cos(dl)
	return winds[int(math.Round(math.Atan2(y, x)/(math.Pi/4))+8)%8]
}

// Find returns the places of a name, cities before countries and large ones first, at most limit: those of exactly this name
// (case and accents count for nothing; "Name, Country" chooses among several), then those that begin with it.
func Find(text string, limit int) (found []Place) {
	g := places()
	name, country, _ := strings.Cut(Fold(text), ",")
	name, country = strings.TrimSpace(name), strings.TrimSpace(country)
	if name == "" {
		return nil
	}
	take := func(p Place) {
		if country == "" || strings.HasPrefix(Fold(p.Country), country) {
			found = append(found, p)
		}
	}
	for _, i := range g.byName[name] {
		take(g.cities[i])
	}
	slices.SortStableFunc(found, largest)
	exact := len(found)
	from, _ := slices.BinarySearch(g.folded, name)
	for _, folded := range g.folded[from:] {
		if !strings.HasPrefix(folded, name) {
			break
		}
		for _, i := range g.byName[folded] {
			if folded != name {
				take(g.cities[i])
			}
		}
	}
	slices.SortStableFunc(found[exact:], largest)
	var countries []Place
	for _, p := range g.countries {
		if f := Fold(p.Name); country == "" && strings.HasPrefix(f, name) {
			if f == name { // before cities that only begin with it
				found = slices.Insert(found, exact, p)
				continue
			}
			countries = append(countries, p)
		}
	}
	found = append(found, countries...)
	return found[:min(limit, len(found))]
}

func largest(a, b Place) int {
	return cmp.Or(b.Size-a.Size, strings.Compare(a.Name, b.Name), strings.Compare(a.Country, b.Country))
}

// Suggest returns the place that somebody meant who mistyped its name; empty when none is near.
func Suggest(text string) string {
	return spelling.Nearest(strings.TrimSpace(text), iter.Seq[string](slices.Values(places().names)))
}

// apart are the letters and signs that don't come apart into a letter and its accent.
var apart = strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "þ", "th", "ð", "d", "đ", "d", "ø", "o", "ł", "l", "ħ", "h", "ı", "i",
	"ə", "e", "‘", "", "’", "", "ʻ", "", "'", "", "-", " ")

// Fold returns text in small letters without accents, as Find compares names.
func Fold(text string) string {
	decomposed := norm.NFD.String(strings.ToLower(strings.TrimSpace(text)))
	return apart.Replace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, decomposed))
}

// Cities returns all cities, in no order that means anything. Don't change them.
func Cities() []Place { return places().cities }
