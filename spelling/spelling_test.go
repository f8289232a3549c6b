package spelling

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"relays", "topics", "data_type", "price", "period", "kind"}
	for _, c := range []struct{ word, want string }{
		{"topcis", "topics"}, {"relay", "relays"}, {"dataType", "data_type"}, {"DATA-TYPE", "data_type"},
		{"prize", "price"}, {"kidn", "kind"}, {"rleays", "relays"}, {"zzz", ""}, {"", ""}, {string(make([]byte, 1000)), ""},
	} {
		if got := Nearest(c.word, slices.Values(words)); got != c.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", c.word, got, c.want)
		}
	}
}
