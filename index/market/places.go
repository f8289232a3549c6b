package market

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// region is where many devices are: degrees, how many in comparison to others, and how far they spread.
type region struct {
	name     string
	lat, lon float64
	weight   float64
	km       float64
	coast    bool
}

// regions are city regions by about how many people live there, and stretches of coast. The date line, both hemispheres and the far
// north are among them.
var regions = []region{
	{"Tokyo", 35.68, 139.69, 37, 40, true}, {"Osaka", 34.69, 135.5, 19, 30, true}, {"Delhi", 28.61, 77.21, 31, 35, false},
	{"Mumbai", 19.08, 72.88, 21, 25, true}, {"Bengaluru", 12.97, 77.59, 13, 20, false}, {"Shanghai", 31.23, 121.47, 28, 35, true},
	{"Beijing", 39.9, 116.41, 21, 35, false}, {"Shenzhen", 22.54, 114.06, 13, 20, true}, {"Chengdu", 30.57, 104.07, 9, 25, false},
	{"Seoul", 37.57, 126.98, 25, 30, true}, {"Busan", 35.18, 129.08, 4, 15, true}, {"Taipei", 25.03, 121.57, 7, 15, true},
	{"Manila", 14.6, 120.98, 14, 20, true}, {"Jakarta", -6.21, 106.85, 11, 25, true}, {"Bangkok", 13.76, 100.5, 11, 25, true},
	{"Ho Chi Minh City", 10.82, 106.63, 9, 20, false}, {"Singapore", 1.35, 103.82, 6, 14, true}, {"Kuala Lumpur", 3.14, 101.69, 8, 20, false},
	{"Dhaka", 23.81, 90.41, 22, 15, false}, {"Karachi", 24.86, 67.0, 16, 20, true}, {"Tehran", 35.69, 51.39, 9, 20, false},
	{"Yerevan", 40.18, 44.51, 2, 10, false}, {"Tbilisi", 41.72, 44.79, 2, 10, false}, {"Istanbul", 41.01, 28.98, 15, 30, true},
	{"Dubai", 25.2, 55.27, 3.5, 20, true}, {"Riyadh", 24.71, 46.68, 7, 25, false}, {"Tel Aviv", 32.09, 34.78, 4, 15, true},
	{"Cairo", 30.04, 31.24, 21, 25, false}, {"Lagos", 6.52, 3.38, 15, 20, true}, {"Nairobi", -1.29, 36.82, 5, 15, false},
	{"Johannesburg", -26.2, 28.05, 6, 25, false}, {"Cape Town", -33.92, 18.42, 5, 15, true}, {"Casablanca", 33.57, -7.59, 4, 12, true},
	{"Accra", 5.6, -0.19, 3, 12, true}, {"Addis Ababa", 9.03, 38.74, 5, 12, false}, {"Moscow", 55.76, 37.62, 12, 35, false},
	{"Saint Petersburg", 59.93, 30.36, 5, 20, true}, {"Kyiv", 50.45, 30.52, 3, 18, false}, {"Warsaw", 52.23, 21.01, 3, 18, false},
	{"Berlin", 52.52, 13.4, 4.5, 22, false}, {"Hamburg", 53.55, 9.99, 3, 18, true}, {"Munich", 48.14, 11.58, 3, 18, false},
	{"Cologne", 50.94, 6.96, 4, 30, false}, {"Frankfurt", 50.11, 8.68, 3, 20, false}, {"Vienna", 48.21, 16.37, 2.5, 15, false},
	{"Zurich", 47.38, 8.54, 2, 15, false}, {"Prague", 50.08, 14.44, 2, 12, false}, {"Budapest", 47.5, 19.04, 2.5, 15, false},
	{"Paris", 48.86, 2.35, 11, 30, false}, {"Lyon", 45.76, 4.84, 2, 15, false}, {"Brussels", 50.85, 4.35, 2, 15, false},
	{"Amsterdam", 52.37, 4.9, 3, 18, true}, {"Rotterdam", 51.92, 4.48, 3, 18, true}, {"London", 51.51, -0.13, 14, 35, false},
	{"Manchester", 53.48, -2.24, 3, 18, false}, {"Dublin", 53.35, -6.26, 1.5, 12, true}, {"Copenhagen", 55.68, 12.57, 2, 14, true},
	{"Oslo", 59.91, 10.75, 1.5, 14, true}, {"Stockholm", 59.33, 18.07, 2, 16, true}, {"Helsinki", 60.17, 24.94, 1.5, 14, true},
	{"Tromsø", 69.65, 18.96, 0.2, 10, true}, {"Longyearbyen", 78.22, 15.65, 0.05, 5, true}, {"Reykjavík", 64.15, -21.94, 0.4, 8, true},
	{"Madrid", 40.42, -3.7, 6, 22, false}, {"Barcelona", 41.39, 2.17, 5, 15, true}, {"Lisbon", 38.72, -9.14, 3, 14, true},
	{"Rome", 41.9, 12.5, 4, 18, false}, {"Milan", 45.46, 9.19, 4, 18, false}, {"Naples", 40.85, 14.27, 3, 12, true},
	{"Athens", 37.98, 23.73, 3, 14, true}, {"Bucharest", 44.43, 26.1, 2, 12, false}, {"Sofia", 42.7, 23.32, 1.3, 10, false},
	{"New York", 40.71, -74.01, 20, 40, true}, {"Boston", 42.36, -71.06, 5, 22, true}, {"Chicago", 41.88, -87.63, 9, 32, true},
	{"Toronto", 43.65, -79.38, 6, 25, true}, {"Montreal", 45.5, -73.57, 4, 18, false}, {"Vancouver", 49.28, -123.12, 2.5, 16, true},
	{"Seattle", 47.61, -122.33, 4, 22, true}, {"San Francisco", 37.77, -122.42, 7, 30, true}, {"Los Angeles", 34.05, -118.24, 13, 40, true},
	{"Denver", 39.74, -104.99, 3, 22, false}, {"Houston", 29.76, -95.37, 7, 30, true}, {"Miami", 25.76, -80.19, 6, 22, true},
	{"Atlanta", 33.75, -84.39, 6, 28, false}, {"Mexico City", 19.43, -99.13, 22, 28, false}, {"Honolulu", 21.31, -157.86, 1, 10, true},
	{"Anchorage", 61.22, -149.9, 0.4, 14, true}, {"São Paulo", -23.55, -46.63, 22, 32, false}, {"Rio de Janeiro", -22.91, -43.17, 13, 24, true},
	{"Buenos Aires", -34.6, -58.38, 15, 28, true}, {"Santiago", -33.45, -70.67, 7, 20, false}, {"Lima", -12.05, -77.04, 11, 22, true},
	{"Bogotá", 4.71, -74.07, 11, 18, false}, {"Quito", -0.18, -78.47, 2, 10, false}, {"Sydney", -33.87, 151.21, 5, 26, true},
	{"Melbourne", -37.81, 144.96, 5, 26, true}, {"Perth", -31.95, 115.86, 2, 18, true}, {"Auckland", -36.85, 174.76, 1.7, 14, true},
	{"Suva", -18.14, 178.44, 0.2, 8, true}, {"Taveuni", -16.85, 179.98, 0.1, 12, true}, {"Apia", -13.83, -171.77, 0.1, 6, true},
	{"North Sea", 56.0, 3.0, 1, 250, true}, {"Gulf of Mexico", 27.0, -91.0, 1, 300, true}, {"Baltic Sea", 57.5, 19.5, 0.8, 200, true},
	{"Bering Sea", 58.0, 179.5, 0.1, 300, true}, {"Ross Sea", -77.85, 166.67, 0.02, 10, true},
}

// reach[i] is the sum of the weights of the regions up to i.
var reach = func() []float64 {
	sums, sum := make([]float64, len(regions)), 0.0
	for i, r := range regions {
		sum += r.weight
		sums[i] = sum
	}
	return sums
}()

// somewhere picks a region by weight.
func somewhere(r *rand.Rand) *region {
	x := r.Float64() * reach[len(reach)-1]
	for i, sum := range reach {
		if x < sum {
			return &regions[i]
		}
	}
	return &regions[len(regions)-1]
}

// near picks a place in a region: denser towards its middle, now and then far out.
func (g *region) near(r *rand.Rand) (lat, lon float64) {
	km := math.Abs(r.NormFloat64()) * g.km
	if r.IntN(12) == 0 {
		km *= 8
	}
	way := r.Float64() * 2 * math.Pi
	lat = g.lat + km/111.2*math.Cos(way)
	lat = min(max(lat, -89.9), 89.9)
	lon = g.lon + km/111.2*math.Sin(way)/math.Cos(lat*math.Pi/180)
	return lat, math.Remainder(lon, 360)
}

// location is what a document says of its place: most say coordinates of one to a hundred metres, some the name of the region.
func (g *region) location(r *rand.Rand) string {
	if r.IntN(20) == 0 {
		return g.name
	}
	lat, lon := g.near(r)
	digits := 3 + r.IntN(4)
	return fmt.Sprintf("%.*f,%.*f", digits, lat, digits, lon)
}
