package web

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/index"
	"iod/index/storetest"
)

func TestPriceInWords(t *testing.T) {
	for _, c := range []struct{ decimal, period, short, exact, per string }{
		{"42.03995", "30d", "42.04", "42.03995", "for 30 days"},
		{"42", "1d", "42", "", "for 1 day"},
		{"0", "", "0", "", ""},
		{"0.5", "12h", "0.5", "", "for 12 hours"},
		{"0.00123456", "90s", "0.0012", "0.00123456", "for 90 seconds"},
		{"9.999", "1h", "10", "9.999", "for 1 hour"},
		{"999999.999", "7d", "1\u202f000\u202f000", "999\u202f999.999", "for 7 days"},
		{"0.000000000000000001", "1s", "< 0.000001", "0.000000000000000001", "for 1 second"},
		{"123456789012345678.123456789012345678", "", "123\u202f456\u202f789\u202f012\u202f345\u202f678.12", "123\u202f456\u202f789\u202f012\u202f345\u202f678.123456789012345678", ""},
		{"1", "0d", "1", "", ""},
		{"1", "for ever", "1", "", ""},
	} {
		p := priceIn(c.decimal, c.period)
		if p == nil || p.Short != c.short || p.Exact != c.exact || p.Per != c.per {
			t.Errorf("%s for %q is told as %+v", c.decimal, c.period, p)
		}
	}
	for _, bad := range []string{"", "1e3", "-1", "NaN"} {
		if p := priceIn(bad, "30d"); p != nil {
			t.Errorf("%q is told as %+v", bad, p)
		}
	}
}

func TestPriceInASentence(t *testing.T) {
	for _, c := range []struct{ decimal, period, words, planck string }{
		{"42.03995", "30d", "42.03995 PEAQ for 30 days: about 1.4 a day.", "42039950000000000000"},
		{"0.5", "12h", "0.5 PEAQ for 12 hours: about 1 a day.", "500000000000000000"},
		{"2", "1d", "2 PEAQ for 1 day.", "2000000000000000000"},
		{"12345.6", "", "12\u202f345.6 PEAQ. For how long, the document does not say.", "12345600000000000000000"},
		{"0", "30d", "Free: nothing is to be paid.", "0"},
		{"0.000000000000000001", "30d", "0.000000000000000001 PEAQ for 30 days.", "1"},
	} {
		if p := priceIn(c.decimal, c.period); p == nil || p.Words != c.words || p.Planck != c.planck {
			t.Errorf("%s for %q is told as %+v", c.decimal, c.period, p)
		}
	}
}

// TestRound: rounding stays near, and never says more digits than it was given.
func TestRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`(0|[1-9][0-9]{0,5})(\.[0-9]{1,17}[1-9])?`).Draw(t, "decimal")
		a, err := index.ParsePrice(s)
		if err != nil {
			t.Skip()
		}
		b, err := index.ParsePrice(round(s))
		if err != nil || len(round(s)) > len(s)+1 {
			t.Fatalf("%s is rounded to %s: %v", s, round(s), err)
		}
		if whole, _, _ := strings.Cut(s, "."); whole != "0" {
			if lo, hi := a.String(), b.String(); len(strings.Split(lo, ".")[0]) > len(strings.Split(hi, ".")[0]) {
				t.Fatalf("%s is rounded to %s", lo, hi)
			}
		}
	})
}

func TestHuman(t *testing.T) {
	for in, want := range map[string]string{"wind_speed": "Wind speed", "PM2.5": "PM2.5", "": "", "_": "", "שלום": "שלום", "co2": "CO₂", "pm2_5": "PM2.5", "uv_index": "UV index", "soil_ph": "Soil pH", "a\u202eb": "a⟨U+202E⟩b", "👩‍🚀": "👩‍🚀", "x\ty": "x⟨U+0009⟩y", "sea level": "sea level", "a-b": "A b"} {
		if got := human(in); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 30 * time.Second: "30 seconds ago", 61 * time.Second: "1 minute ago", 47 * time.Hour: "47 hours ago", 72 * time.Hour: "3 days ago",
		90 * 24 * time.Hour: "on 27 Aug 2026", -time.Hour: "in the future",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%v ago is told as %q, want %q", d, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "at an unknown time" {
		t.Errorf("no time is told as %q", got)
	}
}

func TestPlaceIsAsExactAsItsDigits(t *testing.T) {
	for location, want := range map[string]struct {
		known, coarse bool
		km            float64
	}{
		"40.1949288,44.5517725": {true, false, 0},
		"40.1949,44.5517":       {true, false, 0},
		"40.195, 44.552":        {true, false, 0.06},
		"40.2,44.5":             {true, true, 5.6},
		"40,44":                 {true, true, 56},
		"40.19,44":              {true, true, 56},
		"Lyon":                  {true, true, 9},
		"Lyon, France":          {true, true, 9},
		"my cellar":             {false, false, 0},
		"":                      {false, false, 0},
	} {
		w := storetest.Weather(storetest.Account(t, "place"), 1)
		w.Location = location
		p := placeOf(&index.Listing{Device: w})
		if p.Known != want.known || p.Coarse != want.coarse || p.Km > want.km*1.3+0.01 || p.Km < want.km*0.7 {
			t.Errorf("%q is taken as %+v", location, p)
		}
		if p.How == "" {
			t.Errorf("%q: it is not said how exact that is", location)
		}
	}
}

func TestAround(t *testing.T) {
	for text, want := range map[string]string{"40.19, 44.55": "40.19,44.55", "Lyon": "45.75,4.85", "lyon, france": "45.75,4.85", "-33.9,18.4": "-33.9,18.4"} {
		if near, km, err := around(text); err != nil || near != want || km != 50 {
			t.Errorf("%q is %s, %v km, %v", text, near, km, err)
		}
	}
	if _, km, err := around("Germany"); err != nil || km < 250 {
		t.Errorf("around Germany is %v km, %v", km, err)
	}
	for text, want := range map[string]string{"91,0": "no place on the globe", "Atlantis": "no place named", "Yeravan": "Did you mean Yerevan?", "NaN,NaN": "no place on the globe", strings.Repeat("x", 9999): "no place named"} {
		if _, _, err := around(text); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.20q is told as %v", text, err)
		}
	}
}
