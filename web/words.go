package web

import (
	"fmt"
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

// human writes a name such as "wind_speed" as people do: "Wind speed". Names that are not of that simple form stay as they are.
func human(s string) string {
	if s == "" {
		return ""
	}
	for _, r := range s {
		if r >= utf8.RuneSelf || unicode.IsUpper(r) || r == ' ' {
			return s
		}
	}
	s = strings.TrimSpace(strings.NewReplacer("_", " ", "-", " ").Replace(s))
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// price is a price in words, in full and rounded for the eye.
type price struct {
	Short string // "42.04"
	Exact string // "42.03995"; empty when Short is all
	Per   string // "for 30 days"; empty when no period is said
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
	out := price{Short: round(exact), Per: perPeriod(period)}
	if out.Short != exact {
		out.Exact = grouped(exact)
	}
	if strings.HasPrefix(exact, "0.000000") {
		out.Short, out.Exact = "< 0.000001", exact
	}
	out.Short = grouped(out.Short)
	return &out
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
	return "on " + t.UTC().Format("2 January 2006")
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
