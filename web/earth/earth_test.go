package earth

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWorlds(t *testing.T) {
	for level, want := range map[string]struct{ rings, borders, points int }{Coarse: {100, 180, 4000}, Fine: {1000, 300, 50_000}} {
		w := Load(level)
		points := 0
		for _, l := range w.Land {
			points += len(l.Points)
			first, last := l.Points[0], l.Points[len(l.Points)-1]
			if first != last && first.X != last.X+Units && first.X != last.X-Units {
				t.Errorf("%s: a ring of %d points is open: %v to %v", level, len(l.Points), first, last)
			}
			for i, p := range l.Points[1:] {
				if d := p.X - l.Points[i].X; p.Y < Units && (d > Units/2 || d < -Units/2) {
					t.Errorf("%s: a ring jumps from %v to %v", level, l.Points[i], p)
				}
			}
		}
		if len(w.Land) < want.rings || len(w.Borders) < want.borders || points < want.points {
			t.Errorf("%s has %d rings of %d points and %d borders", level, len(w.Land), points, len(w.Borders))
		}
	}
}

// TestLand asks of places that everybody knows whether they are on land: so the map is the right way round.
func TestLand(t *testing.T) {
	for _, c := range []struct {
		lat, lon float64
		land     bool
	}{
		{48.2, 16.4, true}, {-25, 134, true}, {0, -30, false}, {64, -145, true}, {-10, -55, true}, {42, 51, false}, {66.5, 179, true},
		{66, -173, true}, {-80, 0, true}, {-80, 150, true}, {-78, -125, true}, {30, -140, false}, {-17.8, 178, true}, {9, 80, false},
	} {
		x, y := Project(c.lat, c.lon)
		inside := false
		for _, l := range Load(Fine).Land {
			for _, copyOf := range []float64{-1, 0, 1} {
				if within(l.Points, (x+copyOf)*Units, y*Units) {
					inside = !inside
				}
			}
		}
		if inside != c.land {
			t.Errorf("%v,%v is on land: %v", c.lat, c.lon, inside)
		}
	}
}

func within(ring []Point, x, y float64) (in bool) {
	for i := range ring {
		a, b := ring[i], ring[(i+1)%len(ring)]
		if (float64(a.Y) > y) != (float64(b.Y) > y) && x < float64(b.X-a.X)*(y-float64(a.Y))/float64(b.Y-a.Y)+float64(a.X) {
			in = !in
		}
	}
	return in
}

func TestDecodeRefuses(t *testing.T) {
	off := binary.AppendVarint([]byte{1, 1}, 3*Units)
	for name, b := range map[string][]byte{
		"nothing": {}, "one list": {0}, "a long list": {200, 1, 0}, "half a point": {1, 1, 2}, "a tail": {0, 0, 0}, "off the map": append(off, 0, 0),
		"a number without an end": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if w, err := decode(b); err == nil {
			t.Errorf("%s is read as %v", name, w)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 2, 2, 4, 6, 8, 0})
	f.Add(Bytes("world-110.bin")[:200])
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decode(b) }) // it must not panic, nor take more memory than the bytes can fill
}

func TestProjection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lat, lon := rapid.Float64Range(-85, 85).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
		la, lo := Unproject(Project(lat, lon))
		if math.Abs(la-lat) > 1e-9 || math.Abs(lo-lon) > 1e-9 {
			t.Fatalf("%v,%v comes back as %v,%v", lat, lon, la, lo)
		}
	})
}

func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		south, west := rapid.Float64Range(-84, 83).Draw(t, "south"), rapid.Float64Range(-180, 180).Draw(t, "west")
		north := rapid.Float64Range(south+0.1, 84).Draw(t, "north")
		east := rapid.Float64Range(-180, 180).Draw(t, "east")
		v := Fit(south, west, north, east, 700, 450, 9)
		for _, at := range [][2]float64{{south, west}, {north, east}, {(south + north) / 2, west}} {
			if x, y := v.At(at[0], at[1]); (x < -1 || x > 701) && math.Abs(x-350) < v.World/2-1 || y < -1 || y > 451 {
				t.Fatalf("%v of %v,%v,%v,%v is at %v,%v in %+v", at, south, west, north, east, x, y, v)
			}
		}
	})
}

func TestNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lat, lon := rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
		_, got := Nearest(lat, lon)
		least := math.Inf(1)
		for _, p := range Cities() {
			least = min(least, Distance(lat, lon, p.Lat, p.Lon))
		}
		if math.Abs(got-least) > 1e-6 {
			t.Fatalf("nearest to %v,%v: %v km, looking at all %v", lat, lon, got, least)
		}
	})
}

func TestDescribe(t *testing.T) {
	for at, want := range map[[2]float64]string{
		{40.18, 44.51}: "Yerevan, Armenia", {40.5, 44.51}: "36 km north of Yerevan, Armenia", {48.2082, 16.3738}: "Vienna, Austria",
		{52.3, 13.1}: "11 km south of Potsdam, Germany", {-47, -120}: "",
	} {
		if got := Describe(at[0], at[1]); got != want {
			t.Errorf("%v is described as %q, want %q", at, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	for text, want := range map[string]string{
		"paris": "Paris, France", "KÖLN": "Köln, Germany", "koln": "Köln, Germany", "san jose, costa": "San José, Costa Rica", "Łódź": "Łódź, Poland",
		"germany": "Germany", "new york": "New York City, United States", "sao paulo": "São Paulo, Brazil", " yerevan ": "Yerevan, Armenia",
	} {
		if found := Find(text, 3); len(found) == 0 || found[0].String() != want {
			t.Errorf("%q finds %v, want %s", text, found, want)
		}
	}
	for _, text := range []string{"", " ", ",", "xyzzy", "paris, mongolia", strings.Repeat("a", 10_000)} {
		if found := Find(text, 3); len(found) > 0 {
			t.Errorf("%.20q finds %v", text, found)
		}
	}
	for _, p := range Cities() {
		if again := Find(p.String(), 1); len(again) == 0 || Fold(again[0].Name) != Fold(p.Name) {
			t.Errorf("%s is not found by its own name: %v", p, again)
		}
	}
	if s := Suggest("Yeravan"); s != "Yerevan" {
		t.Errorf("for Yeravan %q is suggested", s)
	}
}

// TestPicture draws views and has an XML parser read the result.
func TestPicture(t *testing.T) {
	for _, v := range []View{
		Fit(-58, -180, 78, 180, 720, 460, 9), Fit(35, -12, 62, 45, 720, 460, 9), Fit(-30, 160, 10, -160, 300, 300, 9), {X: 0.01, Y: 0.5, World: 700, Width: 700, Height: 700},
	} {
		path := string(v.AppendPath(nil, Load(Coarse).Land, true))
		doc := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg"><path d="%s"/></svg>`, path)
		for d := xml.NewDecoder(strings.NewReader(doc)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if len(path) < 500 || strings.ContainsAny(path, "NIe") {
			t.Errorf("%+v is drawn with %d bytes: %.60s", v, len(path), path)
		}
		for _, f := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("MLZ ", r) }) {
			var n float64
			if _, err := fmt.Sscan(f, &n); err != nil || n < -margin-0.1 || n > 725+margin {
				t.Fatalf("%+v: coordinate %q", v, f)
			}
		}
	}
}

// TestRemake makes the data anew where the public data is at hand, and compares.
func TestRemake(t *testing.T) {
	atlas, names := os.Getenv("IOD_WORLD_ATLAS"), os.Getenv("IOD_GEONAMES")
	if atlas == "" || names == "" {
		t.Skip("IOD_WORLD_ATLAS and IOD_GEONAMES name no directories: see command make")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "run", "./make", "-atlas", atlas, "-names", names, "-out", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"world-110.bin", "world-50.bin", "places.tsv"} {
		again, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(again, Bytes(name)) {
			t.Errorf("%s is not made again as it is: %v", name, err)
		}
	}
}

func BenchmarkDescribe(b *testing.B) {
	Describe(0, 0)
	for b.Loop() {
		Describe(48.2, 11.1)
	}
}
