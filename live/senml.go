package live

import (
	"encoding/json"
	"strings"
	"time"
)

// relative is below which a SenML time counts from now, in seconds (RFC 8428, section 4.5.3).
const relative = 1 << 28

// isSenML says whether records are a pack: objects, each with a member that only SenML has, and a name at the beginning.
func isSenML(records []any) bool {
	for i, r := range records {
		o, ok := r.(map[string]any)
		if !ok {
			return false
		}
		_, named := firstOf[string](o, "n", "bn")
		if i == 0 && !named {
			return false
		}
		if !named && !has(o, "v", "vs", "vb", "vd", "s", "t", "u") {
			return false
		}
	}
	return len(records) > 0
}

func has(o map[string]any, names ...string) bool {
	for _, name := range names {
		if _, ok := o[name]; ok {
			return true
		}
	}
	return false
}

// senML resolves a pack (RFC 8428, section 4.6): base members hold for their record and all later ones. A pack of a version that is not
// known, or with a member that says by its last character that it must be understood, is not read.
func senML(records []any, now time.Time) (values []value, ok bool) {
	var baseName, baseUnit string
	var baseTime, baseValue, baseSum float64
	for _, r := range records {
		o := r.(map[string]any)
		for name := range o {
			if strings.HasSuffix(name, "_") {
				return nil, false
			}
		}
		if version, there := number(o, "bver"); there && version > 10 {
			return nil, false
		}
		assign(o, "bn", &baseName)
		assign(o, "bu", &baseUnit)
		for name, to := range map[string]*float64{"bt": &baseTime, "bv": &baseValue, "bs": &baseSum} {
			if v, there := number(o, name); there {
				*to = v
			}
		}
		x := value{name: baseName, unit: baseUnit, global: true}
		if n, there := o["n"].(string); there {
			x.name += n
		}
		assign(o, "u", &x.unit)
		t, _ := number(o, "t")
		x.name, x.unit, x.at = short(x.name), short(x.unit), senMLTime(baseTime+t, now)
		if x.name == "" {
			return nil, false
		}
		v, hasValue := number(o, "v")
		if on, there := o["vb"].(bool); there {
			hasValue = true
			if v = 0; on {
				v = 1
			}
		} else if hasValue {
			v += baseValue
		}
		if hasValue && finite(v) && len(values) < maxValues {
			x.v = v
			values = append(values, x)
		}
		if s, there := number(o, "s"); there && finite(s+baseSum) && len(values) < maxValues {
			x.name, x.v = x.name+" (sum)", s+baseSum
			values = append(values, x)
		}
	}
	return values, true
}

func assign(o map[string]any, name string, to *string) {
	if s, ok := o[name].(string); ok {
		*to = s
	}
}

func number(o map[string]any, name string) (float64, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

func senMLTime(seconds float64, now time.Time) time.Time {
	if seconds < relative {
		if t := now.Add(time.Duration(max(seconds, -relative) * float64(time.Second))); near(t, now) {
			return t
		}
		return now
	}
	if t, ok := unixTime(seconds); ok && near(t, now) {
		return t
	}
	return now
}
