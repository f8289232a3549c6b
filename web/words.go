package web

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"iod/document"
	"iod/index"
)

// token is what prices are in.
const token = "PEAQ"

// spelt are words of names of data that people write otherwise than in lower case.
var spelt = map[string]string{"pm1": "PM1", "pm2.5": "PM2.5", "pm25": "PM2.5", "pm4": "PM4", "pm10": "PM10", "co": "CO", "co2": "CO₂", "no": "NO", "no2": "NO₂",
	"nox": "NOₓ", "so2": "SO₂", "o3": "O₃", "nh3": "NH₃", "ch4": "CH₄", "h2s": "H₂S", "voc": "VOC", "tvoc": "TVOC", "aqi": "AQI", "uv": "UV", "ph": "pH", "gps": "GPS",
	"gnss": "GNSS", "ais": "AIS", "adsb": "ADS-B", "ndvi": "NDVI", "rssi": "RSSI", "ac": "AC", "dc": "DC", "ev": "EV", "cctv": "CCTV", "rfid": "RFID", "lidar": "LIDAR"}

// human writes a name such as "wind_speed" as people do: "Wind speed". Names that are not of that simple form stay as they are, but for
// what nobody would see in them.
func human(s string) string {
	for _, r := range s {
		if r >= utf8.RuneSelf || unicode.IsUpper(r) || r == ' ' || unicode.IsControl(r) {
			return seen(s)
		}
	}
	words := strings.Fields(strings.NewReplacer("pm2_5", "pm2.5", "_", " ", "-", " ").Replace(s))
	for i, w := range words {
		switch known := spelt[w]; {
		case known != "":
			words[i] = known
		case i == 0:
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// seen writes text so that nothing in it hides: control characters, and those that turn the direction of what follows around or have
// no width, are written by their numbers. Joiners and marks that scripts and emoji need stay. Line breaks stay, too.
func seen(s string) string { return reveal(s, hidden) }

// exact is seen for text in which every character counts: whatever cannot be seen is written by its number.
func exact(s string) string { return reveal(s, func(r rune) bool { return !strconv.IsPrint(r) }) }

func reveal(s string, hides func(rune) bool) string {
	if strings.IndexFunc(s, hides) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hides(r) {
			fmt.Fprintf(&b, "⟨%U⟩", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	switch {
	case r == '\n':
		return false
	case unicode.IsControl(r), r == 0x200b, r == 0xfeff:
		return true
	}
	return 0x202a <= r && r <= 0x202e || 0x2060 <= r && r <= 0x206f || 0xfff9 <= r && r <= 0xfffb || 0xe0000 <= r && r <= 0xe007f
}

// price is a price in words, in full and rounded for the eye.
type price struct {
	Short  string // "42.04"
	Exact  string // "42.03995"; empty when Short is all
	Per    string // "for 30 days"; empty when no period is said
	Planck string // in the chain's smallest unit, 10^-18 of the token: "42039950000000000000"
	Words  string // a sentence
}

// Free reports whether nothing is to be paid.
func (p price) Free() bool { return p.Short == "0" }

// priceIn reads a decimal of the document; nil when there is none.
func priceIn(decimal, period string) *price {
	p, err := index.ParsePrice(decimal)
	if err != nil {
		return nil
	}
	exact := p.String()
	planck := new(big.Int).SetBytes(p[:])
	out := price{Short: round(exact), Per: perPeriod(period), Planck: planck.String()}
	out.Words = inWords(planck, exact, period, out.Per)
	if out.Short != exact {
		out.Exact = grouped(exact)
	}
	if strings.HasPrefix(exact, "0.000000") {
		out.Short, out.Exact = "< 0.000001", exact
	}
	out.Short = grouped(out.Short)
	return &out
}

// inWords says what a price means: what is paid for how long, and what that comes to a day.
func inWords(planck *big.Int, exact, period, per string) string {
	if planck.Sign() == 0 {
		return "Free: nothing is to be paid."
	}
	if per == "" {
		return fmt.Sprintf("%s %s. For how long, the document does not say.", grouped(exact), token)
	}
	d, err := document.ParsePeriod(period)
	if err != nil || d == 24*time.Hour || d <= 0 {
		return fmt.Sprintf("%s %s %s.", grouped(exact), token, per)
	}
	day := new(big.Rat).SetFrac(new(big.Int).Mul(planck, big.NewInt(int64(24*time.Hour))), new(big.Int).Mul(big.NewInt(int64(d)), big.NewInt(1e18)))
	a := round(day.FloatString(18))
	if strings.HasPrefix(a, "0.000000") {
		return fmt.Sprintf("%s %s %s.", grouped(exact), token, per)
	}
	return fmt.Sprintf("%s %s %s: about %s a day.", grouped(exact), token, per, grouped(a))
}

// round shortens a decimal to two digits after the point, or to the two first that are not zero.
func round(decimal string) string {
	whole, frac, ok := strings.Cut(decimal, ".")
	if !ok {
		return decimal
	}
	keep := 2
	if whole == "0" {
		keep = max(2, len(frac)-len(strings.TrimLeft(frac, "0"))+2)
	}
	if len(frac) <= keep {
		return decimal
	}
	digits := []byte(whole + frac[:keep])
	if frac[keep] >= '5' {
		i := len(digits) - 1
		for ; i >= 0 && digits[i] == '9'; i-- {
			digits[i] = '0'
		}
		if i < 0 {
			digits = append([]byte{'1'}, digits...)
		} else {
			digits[i]++
		}
	}
	point := len(digits) - keep
	return strings.TrimSuffix(strings.TrimRight(string(digits[:point])+"."+string(digits[point:]), "0"), ".")
}

// grouped puts thin spaces between the thousands of a decimal.
func grouped(decimal string) string {
	whole, frac, ok := strings.Cut(decimal, ".")
	if len(whole) > 4 && whole[0] != '<' {
		var b strings.Builder
		for i, c := range []byte(whole) {
			if i > 0 && (len(whole)-i)%3 == 0 {
				b.WriteString("\u202f")
			}
			b.WriteByte(c)
		}
		whole = b.String()
	}
	if ok {
		return whole + "." + frac
	}
	return whole
}

// number writes a count with its thousands apart.
func number[T int | int64 | uint64 | uint32](n T) string {
	return grouped(strconv.FormatInt(int64(n), 10))
}

// plural writes a count with its noun.
func plural[T int | int64 | uint64 | uint32](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// perPeriod writes "30d" as "for 30 days".
func perPeriod(period string) string {
	d, err := document.ParsePeriod(period)
	if period == "" || err != nil || d <= 0 {
		return ""
	}
	return "for " + span(d)
}

// span writes a duration in the largest unit that measures it whole.
func span(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d%u.size == 0 {
			return plural(int64(d/u.size), u.name)
		}
	}
	return plural(int64(d/time.Second), "second")
}

// ago says how long before now something was, roughly.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "at an unknown time"
	case d < -time.Minute:
		return "in the future"
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return plural(int64(d/time.Second), "second") + " ago"
	case d < time.Hour:
		return plural(int64(d/time.Minute), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int64(d/time.Hour), "hour") + " ago"
	case d < 60*24*time.Hour:
		return plural(int64(d/(24*time.Hour)), "day") + " ago"
	}
	return "on " + t.UTC().Format("2 Jan 2006")
}

// distance writes km as people say them.
func distance(km float64) string {
	switch {
	case km < 1:
		return fmt.Sprintf("%.0f m", km*1000)
	case km < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", km), ".0") + " km"
	}
	return number(int64(km+0.5)) + " km"
}

// bytesOf writes a size.
func bytesOf(n int64) string {
	switch {
	case n < 10_000:
		return number(n) + " bytes"
	case n < 10_000_000:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// short is an address with its middle left out, for the eye.
func short(s string) string {
	if len(s) < 16 {
		return s
	}
	return s[:6] + "…" + s[len(s)-4:]
}

// kindOf says what a kind of stream is.
func kindOf(kind string) string {
	switch kind {
	case "mqtt":
		return "MQTT messages"
	case "http":
		return "HTTP server"
	case "rtsp":
		return "RTSP video"
	case "tcp":
		return "TCP connection"
	case "udp":
		return "UDP datagrams"
	case "":
		return "not said"
	}
	return kind
}

// unitWords says what a unit of SenML, UCUM or everyday use is; empty when the unit says it itself, or nobody knows.
func unitWords(unit string) string { return unitNames[unit] }

var unitNames = map[string]string{"m": "metres", "km": "kilometres", "cm": "centimetres", "mm": "millimetres", "m/s": "metres per second", "km/h": "kilometres per hour",
	"kn": "knots", "nm/s": "nanometres per second", "Cel": "degrees Celsius", "°C": "degrees Celsius", "K": "kelvin", "%": "per cent", "%RH": "per cent of relative humidity",
	"Pa": "pascals", "hPa": "hectopascals", "kPa": "kilopascals", "bar": "bars", "W": "watts", "kW": "kilowatts", "Wh": "watt-hours", "kWh": "kilowatt-hours",
	"V": "volts", "A": "amperes", "Hz": "hertz", "lx": "lux", "W/m2": "watts per square metre", "W/m²": "watts per square metre", "dB": "decibels",
	"dB(A)": "decibels, A-weighted", "ppm": "parts per million", "ppb": "parts per billion", "ug/m3": "micrograms per cubic metre", "µg/m³": "micrograms per cubic metre",
	"mg/m3": "milligrams per cubic metre", "1/m³": "per cubic metre", "uSv/h": "microsieverts per hour", "µSv/h": "microsieverts per hour", "nSv/h": "nanosieverts per hour",
	"1/h": "per hour", "1/min": "per minute", "1/s": "per second", "lat": "degrees of latitude", "lon": "degrees of longitude", "kg": "kilograms", "g": "grams", "l": "litres",
	"l/s": "litres per second", "m3/s": "cubic metres per second", "m³/s": "cubic metres per second", "deg": "degrees", "°": "degrees", "count": "a number"}
