package web

import (
	"fmt"
	"math"
	"strings"

	"iod/index"
	"iod/web/earth"
)

// place is where a listing says that it is, and how exactly.
type place struct {
	Known    bool    // it can be put on a map
	Lat, Lon float64 // degrees
	Km       float64 // how far from there it may be: half the width of what its digits leave open, or the reach of a name
	Name     string  // in words: of the nearest city, or what the owner wrote
	Digits   string  // the coordinates as the owner wrote them
	Coarse   bool    // shown as an area
	How      string  // says how exact it is
}

// exactKm is up to what uncertainty a place is shown as a point.
const exactKm = 0.06

// placeOf reads where a listing is.
func placeOf(l *index.Listing) place {
	text := strings.TrimSpace(l.Device.Location)
	if lat, lon, ok := l.Place(); ok {
		p := place{Known: true, Lat: lat, Lon: lon, Km: precision(text), Digits: text, Name: earth.Describe(lat, lon)}
		if p.Coarse = p.Km > exactKm; p.Coarse {
			p.How = fmt.Sprintf("The owner rounded the coordinates: it is somewhere within about %s of this point.", distance(nice(p.Km)))
		} else {
			p.How = "Exact, as far as the owner says: the coordinates have four or more digits after the point."
		}
		return p
	}
	if text = seen(text); text == "" {
		return place{How: "The owner does not say where it is."}
	}
	if found := earth.Find(text, 1); len(found) == 1 && earth.Fold(found[0].Name) == earth.Fold(strings.Split(text, ",")[0]) {
		f := found[0]
		return place{Known: true, Lat: f.Lat, Lon: f.Lon, Km: f.Km, Name: text, Coarse: true,
			How: fmt.Sprintf("The owner gives a name, no coordinates. The map shows the area of %s.", f)}
	}
	return place{Name: text, How: "The owner gives a name, no coordinates, and it is none that this map knows."}
}

// precision is half a step of the last digit that coordinates have, in km: "40.2,44.5" is known to 0.05 degrees.
func precision(text string) float64 {
	digits := math.MaxInt
	for part := range strings.SplitSeq(text, ",") {
		_, frac, _ := strings.Cut(strings.TrimSpace(part), ".")
		n := 0
		for n < len(frac) && frac[n] >= '0' && frac[n] <= '9' {
			n++
		}
		digits = min(digits, n)
	}
	return 111.2 * math.Pow(10, -float64(min(digits, 9))) / 2
}

// nice rounds to one digit that is easily said.
func nice(km float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(km)))
	return math.Ceil(km/step) * step
}
