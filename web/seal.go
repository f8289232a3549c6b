package web

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"iod/key"
)

// seal draws an account's mark: three arcs whose beginnings and lengths come from its id, so that the eye tells devices apart.
// It is an ornament: what tells accounts apart for certain is the address beside it.
func seal(a key.AccountID) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg class="seal" viewBox="-20 -20 40 40" aria-hidden="true" focusable="false">`)
	for i, r := range [3]float64{17, 11.5, 6} {
		from := float64(a[i*5]) / 256 * 2 * math.Pi
		long := (0.22 + float64(a[i*5+1])/256*0.6) * 2 * math.Pi
		large := 0
		if long > math.Pi {
			large = 1
		}
		fmt.Fprintf(&b, `<path class="hue%d" d="M%.1f %.1fA%g %g 0 %d 1 %.1f %.1f"/>`, a[i*5+2]%6,
			r*math.Cos(from), r*math.Sin(from), r, r, large, r*math.Cos(from+long), r*math.Sin(from+long))
	}
	b.WriteString(`<circle r="2"/></svg>`)
	return template.HTML(b.String())
}
