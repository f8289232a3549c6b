package live

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestRead(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	for _, x := range []struct{ payload, form, want string }{
		{"21.5", "number", "=21.5"},
		{" -3e2\n", "number", "=-300"},
		{"NaN", "text", ""},
		{"Inf", "text", ""},
		{"0x1p3", "text", ""},
		{"1e999", "text", ""},
		{"1_000", "text", ""},
		{"12 °C", "text", ""},
		{"", "text", ""},
		{"open", "text", ""},
		{"\xff\xfe", "binary", ""},
		{"true", "json", "=1"},
		{"null", "json", ""},
		{`"5"`, "json", ""},
		{`{"a":1} {"b":2}`, "text", ""},
		{`{"temperature":21.5,"indoor":{"humidity":40,"on":true},"name":"x"}`, "json", "indoor.humidity=40 indoor.on=1 temperature=21.5"},
		{`{"temperature":{"value":21.5,"unit":"Cel"},"value":3,"unit":"m"}`, "json", "=3 m"},
		{`{"temperature":{"value":21.5,"unit":"Cel"}}`, "json", "temperature=21.5 Cel"},
		{`[1,2,[3]]`, "json", "0=1 1=2 2.0=3"},
		{`{"time":"2026-11-25T11:59:00Z","v":1}`, "json", "v=1 @-60"},
		{`{"timestamp":1795607940000,"v":1}`, "json", "v=1 @-60"},
		{`{"ts":1795607940.5,"v":1}`, "json", "v=1 @-59.5"},
		{`{"time":12,"v":1}`, "json", "time=12 v=1"},
		{`{"time":"1970-01-01T00:00:00Z","v":1}`, "json", "v=1"},
		{deep, "json", ""},
		{`{"big":1e999}`, "json", ""},
		// RFC 8428, section 5.1.1 to 5.1.4
		{`[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]`, "senml", "urn:dev:ow:10e2073a01080063=23.1 Cel"},
		{`[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]`, "senml",
			"urn:dev:ow:10e2073a01080063:voltage=120.1 V urn:dev:ow:10e2073a01080063:current=1.2 A"},
		{`[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1795608000.001,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},{"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]`, "senml",
			"urn:dev:ow:10e2073a0108006:voltage=120.1 V @0.001 urn:dev:ow:10e2073a0108006:current=1.2 A @-4.999 urn:dev:ow:10e2073a0108006:current=1.3 A @-3.999"},
		{`[{"bn":"a","bv":100,"v":1},{"n":"b","v":2}]`, "senml", "a=101 ab=102"},
		{`[{"n":"door","vb":true},{"n":"tag","vs":"x"},{"n":"e","s":5,"bs":2},{"n":"data","vd":"aGk"}]`, "senml", "door=1 e (sum)=7"},
		{`[{"n":"a","v":1,"t":-10}]`, "senml", "a=1 @-10"},
		{`[{"n":"a","v":1,"x_":1}]`, "json", ""},
		{`[{"n":"a","v":1,"bver":11}]`, "json", ""},
		{`[{"v":1}]`, "json", "0.v=1"},
		{`[{"n":"","v":1}]`, "json", ""},
		{`[{"n":"a","v":"1"},{"n":"b","v":2}]`, "senml", "b=2"},
		{`[]`, "json", ""},
	} {
		values, form := read([]byte(x.payload), now)
		var got []string
		for _, v := range values {
			s := fmt.Sprintf("%s=%v", v.name, v.v)
			if v.unit != "" {
				s += " " + v.unit
			}
			if d := v.at.Sub(now); d != 0 {
				s += fmt.Sprintf(" @%v", math.Round(d.Seconds()*1000)/1000)
			}
			got = append(got, s)
		}
		if form != x.form || strings.Join(got, " ") != x.want {
			t.Errorf("%.80q: %s %q, want %s %q", x.payload, form, strings.Join(got, " "), x.form, x.want)
		}
	}
}

// Whatever arrives, the numbers found are finite, few, near in time, and can be told as JSON.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`[{"bn":"a","bt":1.7e9,"n":"b","u":"V","v":1,"t":-1e300}]`, `{"a":[1,{"b":true}],"time":1e300}`, "1", "\x00", `[{"n":"a","t":1e308,"bt":1e308,"v":1,"bv":-1e308}]`,
		`[{"n":"a","v":1e308,"bv":1e308}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		values, form := read(b, now)
		if len(values) > maxValues || form == "" {
			t.Fatalf("%d values, form %q", len(values), form)
		}
		for _, v := range values {
			if !finite(v.v) || !near(v.at, now) || utf8.RuneCountInString(v.name) > 2*maxText {
				t.Fatalf("%+v", v)
			}
		}
		p := New(Stream{}, Options{Now: func() time.Time { return now }})
		p.Take("t", b)
		if _, err := json.Marshal(p.curves); err != nil {
			t.Fatal(err)
		}
	})
}
