package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what a device may say.
const (
	MaxStreams   = 64
	MaxTopics    = 64
	MaxRelays    = 8
	maxPrice     = 40 // digits
	maxFraction  = 18 // digits after the point: planck
	maxLabel     = 256
	maxTopic     = 1024
	maxReadPrice = 400 // characters: what version 1 writers make of a floating-point number
)

var (
	streamName  = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	decimal     = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	periodShape = regexp.MustCompile(`^([1-9][0-9]{0,4})([smhd])$`)
)

// Kinds are the kinds of streams.
var kinds = map[string]bool{"mqtt": true, "http": true, "rtsp": true, "tcp": true, "udp": true}

// ValidStreamName reports whether name is 1 to 32 of a-z, 0-9, _ and -.
func ValidStreamName(name string) bool { return streamName.MatchString(name) }

// ValidFleetName reports whether name is 1 to 32 of a-z, 0-9, _ and -.
func ValidFleetName(name string) bool { return streamName.MatchString(name) }

// NormalPrice checks a decimal amount of at most 40 digits, 18 of them after the point, without sign or exponent, and returns
// it without superfluous zeros: "042.50" becomes "42.5".
func NormalPrice(s string) (string, error) {
	if !decimal.MatchString(s) || len(s) > maxReadPrice {
		return "", fmt.Errorf("price %.40q: want a decimal number such as 42.5", s)
	}
	whole, fraction, _ := strings.Cut(s, ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	switch {
	case len(fraction) > maxFraction:
		return "", fmt.Errorf("price %.40q: more than %d digits after the point", s, maxFraction)
	case len(whole)+len(fraction) > maxPrice:
		return "", fmt.Errorf("price %.40q: more than %d digits", s, maxPrice)
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole, nil
}

// readPrice is NormalPrice for what others wrote: a fraction finer than planck, which a version 1 writer makes of a
// floating-point number, is cut off.
func readPrice(s string) (string, error) {
	if whole, fraction, ok := strings.Cut(s, "."); ok && len(s) <= maxReadPrice && decimal.MatchString(s) && len(fraction) > maxFraction {
		s = whole + "." + fraction[:maxFraction]
	}
	return NormalPrice(s)
}

// ParsePeriod reads a period as in "30d", "12h", "15m" or "90s".
func ParsePeriod(s string) (time.Duration, error) {
	m := periodShape.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("period %.20q: want a number and s, m, h or d, as in 30d", s)
	}
	n, _ := strconv.Atoi(m[1])
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	return time.Duration(n) * unit, nil
}

// ParseLocation reads "lat,lon" in degrees, -90 to 90 and -180 to 180; ok is false for a name, or for what is out of range.
func ParseLocation(s string) (lat, lon float64, ok bool) {
	a, b, found := strings.Cut(s, ",")
	if !found || len(s) > maxLabel {
		return 0, 0, false
	}
	lat, err := strconv.ParseFloat(strings.TrimSpace(a), 64)
	if err != nil || !(math.Abs(lat) <= 90) {
		return 0, 0, false
	}
	lon, err = strconv.ParseFloat(strings.TrimSpace(b), 64)
	if err != nil || !(math.Abs(lon) <= 180) {
		return 0, 0, false
	}
	return lat, lon, true
}

// ValidTopicFilter reports whether filter is an MQTT topic filter of at most 1024 bytes: + stands for a whole level, # for
// all levels from the last on.
func ValidTopicFilter(filter string) bool {
	if filter == "" || len(filter) > maxTopic || !utf8.ValidString(filter) || strings.ContainsRune(filter, 0) {
		return false
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if strings.Contains(level, "#") && (level != "#" || i != len(levels)-1) {
			return false
		}
		if strings.Contains(level, "+") && level != "+" {
			return false
		}
	}
	return true
}

// NewAdditional returns a field with a text as its value, in the form in which the existing marketplace writes texts: as a JSON
// string.
func NewAdditional(name, value string) Additional {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return Additional{name, value}
	}
	return Additional{name, strings.TrimSuffix(b.String(), "\n")}
}

// Text returns the value without the quotes that stand around texts; other values (numbers, true, lists) as they are.
func (a Additional) Text() string {
	var s string
	if strings.HasPrefix(a.Data, `"`) && json.Unmarshal([]byte(a.Data), &s) == nil {
		return s
	}
	// The existing marketplace's writer puts texts with quotes in them between single ones.
	if n := len(a.Data); n >= 2 && a.Data[0] == '\'' && a.Data[n-1] == '\'' {
		return a.Data[1 : n-1]
	}
	return a.Data
}

// checkLabel bounds a short text for people.
func checkLabel(what, s string) error {
	switch {
	case len(s) > maxLabel:
		return fmt.Errorf("%s of %d bytes is longer than %d", what, len(s), maxLabel)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s is not UTF-8", what)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s %.40q has a control character", what, s)
	}
	return nil
}

func checkTopics(topics []string) error {
	if len(topics) > MaxTopics {
		return fmt.Errorf("%d topics are more than %d", len(topics), MaxTopics)
	}
	for _, t := range topics {
		if !ValidTopicFilter(t) {
			return fmt.Errorf("topic %.60q is no MQTT topic filter", t)
		}
	}
	return nil
}

// checkRelay looks at the form only: the overlay parses addresses for use.
func checkRelay(s string) error {
	if err := checkLabel("relay address", s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "tls" || u.Port() == "" || len(u.Path) != 53 || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("relay %.80q: want tls://host:port/<node id>", s)
	}
	return nil
}

var errEmpty = errors.New("is empty")
