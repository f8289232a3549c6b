package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"iod/web/earth"
)

// place is a city as GeoNames has it.
type place struct {
	ID         int     `json:"geonameid"`
	Name       string  `json:"name"`
	Latitude   float64 `json:"latitude"`
	Longitude  float64 `json:"longitude"`
	Country    string  `json:"countrycode"`
	Population int     `json:"population"`
	nation     string
}

// Which cities are taken: all large ones, capitals, and in thinly settled country those that have no other near by.
const (
	large    = 100_000
	own      = 400_000 // a city of its own, however near another is
	apartKm  = 14
	lonelyKm = 110
)

func readPlaces(dir string) ([]place, error) {
	var cities map[string]place
	var countries map[string]struct{ Name, Capital string }
	for name, into := range map[string]any{"cities15000.json": &cities, "countries.json": &countries} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	all := slices.SortedFunc(maps.Values(cities), func(a, b place) int {
		return cmp.Or(b.Population-a.Population, a.ID-b.ID)
	})
	var taken []place
	near := map[[2]int][]place{} // by whole degrees
	for _, p := range all {
		p.nation = countries[p.Country].Name
		p.Name, _, _ = strings.Cut(p.Name, ",")
		// GeoNames lists parts of cities, too: they are near a larger one.
		d, capital := nearest(near, p), p.Name == countries[p.Country].Capital
		if d < 5 || !capital && (p.Population < own && d < apartKm || p.Population < large && d < lonelyKm) {
			continue
		}
		taken = append(taken, p)
		cell := [2]int{int(math.Floor(p.Latitude)), int(math.Floor(p.Longitude))}
		near[cell] = append(near[cell], p)
	}
	return taken, nil
}

// nearest is the distance to the nearest place that is taken, in km, as far as it is one or two degrees away.
func nearest(near map[[2]int][]place, p place) float64 {
	least := math.Inf(1)
	for y := -1; y <= 1; y++ {
		for x := -3; x <= 3; x++ {
			for _, q := range near[[2]int{int(math.Floor(p.Latitude)) + y, int(math.Floor(p.Longitude)) + x}] {
				least = min(least, earth.Distance(p.Latitude, p.Longitude, q.Latitude, q.Longitude))
			}
		}
	}
	return least
}

// encodePlaces writes the form that earth's package documentation gives.
func encodePlaces(labels []label, places []place) []byte {
	var b bytes.Buffer
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, s)
	}
	for _, l := range labels {
		fmt.Fprintf(&b, "%s\t%.2f\t%.2f\t%d\n", clean(l.name), l.lat, l.lon, l.units)
	}
	b.WriteByte('\n')
	last := ""
	slices.SortStableFunc(places, func(a, b place) int { return strings.Compare(a.Country, b.Country) })
	for _, p := range places {
		if p.nation != last {
			fmt.Fprintf(&b, "\t%s\n", clean(p.nation))
			last = p.nation
		}
		fmt.Fprintf(&b, "%s\t%.2f\t%.2f\t%d\n", clean(p.Name), p.Latitude, p.Longitude, int(math.Log2(float64(p.Population+1))*4))
	}
	return b.Bytes()
}
