package live

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// value is one number that a message brought.
type value struct {
	name   string // within the topic; empty: the message is nothing but the number
	unit   string // empty: as the stream says
	at     time.Time
	v      float64
	global bool // the name stands for itself, whatever the topic (SenML)
}

// Limits of one message.
const (
	maxParsed = 256 << 10 // bytes; larger ones are shown raw
	maxValues = 512       // of a message
	maxDepth  = 6         // of objects in objects
	maxText   = 120       // characters of a name or a unit
	timeLimit = 20 * 365 * 24 * time.Hour
)

// read finds the numbers in a message: SenML (RFC 8428), JSON, or a plain number. form says what it is: senml, json, number,
// text or binary. Times that a message tells are taken when they are within twenty years of now.
func read(payload []byte, now time.Time) (values []value, form string) {
	switch text := bytes.TrimSpace(payload); {
	case !utf8.Valid(payload):
		return nil, "binary"
	case len(text) == 0 || len(payload) > maxParsed:
		return nil, "text"
	case text[0] == '[' || text[0] == '{' || text[0] == '"' || text[0] == 't' || text[0] == 'f' || text[0] == 'n':
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil || d.More() {
			return nil, "text"
		}
		if records, ok := v.([]any); ok && isSenML(records) {
			if values, ok := senML(records, now); ok {
				return values, "senml"
			}
			return nil, "json"
		}
		r := reader{now: now, at: timeIn(v, now)}
		r.walk("", v, 0)
		return r.values, "json"
	default:
		if v, err := strconv.ParseFloat(string(text), 64); err == nil && finite(v) && plain(text) {
			return []value{{at: now, v: v}}, "number"
		}
		return nil, "text"
	}
}

// plain tells a decimal number from what ParseFloat reads besides.
func plain(text []byte) bool {
	return len(text) <= 40 && !bytes.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) })
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// reader gathers the numbers of a JSON value.
type reader struct {
	now, at time.Time
	values  []value
}

func (r *reader) add(name, unit string, v any) bool {
	var n float64
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil || !finite(f) {
			return false
		}
		n = f
	case bool:
		if v {
			n = 1
		}
	default:
		return false
	}
	if len(r.values) < maxValues {
		r.values = append(r.values, value{name: short(name), unit: short(unit), at: r.at, v: n})
	}
	return true
}

// walk finds numbers by their path: {"indoor": {"temperature": 21.5}} is indoor.temperature. An object with value and unit is one number.
func (r *reader) walk(path string, v any, depth int) {
	if r.add(path, "", v) || depth == maxDepth {
		return
	}
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch v := v.(type) {
	case map[string]any:
		unit, hasUnit := firstOf[string](v, "unit", "units", "uom")
		if number, ok := v["value"]; ok && hasUnit && r.add(path, unit, number) {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if depth == 0 && isTime(name) && !r.at.Equal(r.now) {
				continue
			}
			r.walk(join(name), v[name], depth+1)
		}
	case []any:
		for i, x := range v {
			r.walk(join(strconv.Itoa(i)), x, depth+1)
		}
	}
}

func firstOf[T any](o map[string]any, names ...string) (v T, ok bool) {
	for _, name := range names {
		if v, ok = o[name].(T); ok {
			return v, true
		}
	}
	return v, false
}

// isTime says whether a member is by custom the time of what stands beside it.
func isTime(name string) bool {
	return slices.Contains([]string{"time", "timestamp", "ts", "datetime", "date", "measured_at"}, name)
}

// timeIn is the time that an object tells of itself, or now.
func timeIn(v any, now time.Time) time.Time {
	o, ok := v.(map[string]any)
	if !ok {
		return now
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if !isTime(name) {
			continue
		}
		switch x := o[name].(type) {
		case string:
			if t, err := time.Parse(time.RFC3339Nano, x); err == nil && near(t, now) {
				return t
			}
		case json.Number:
			if f, err := x.Float64(); err == nil {
				for _, unit := range []float64{1, 1e-3, 1e-6} { // seconds, milliseconds, microseconds
					if t, ok := unixTime(f * unit); ok && near(t, now) {
						return t
					}
				}
			}
		}
	}
	return now
}

// unixTime is the time of seconds since 1970; false when there are far too many.
func unixTime(seconds float64) (time.Time, bool) {
	if !(math.Abs(seconds) < 1e11) {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))), true
}

func near(t, now time.Time) bool {
	d := t.Sub(now)
	return d < timeLimit && d > -timeLimit
}

// short cuts a text for the page.
func short(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxText {
			return s[:i] + "…"
		}
	}
	return s
}
