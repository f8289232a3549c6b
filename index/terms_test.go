package index_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"iod/index"
)

func TestTerms(t *testing.T) {
	for text, want := range map[string][]string{
		"":                              nil,
		" !?\x00'\"":                    nil,
		"Wind speed, wind-speed m/s":    {"wind", "speed", "m", "s"},
		"Ärmelkanal ARMELKANAL a\u0308": {"armelkanal", "a"},
		"Ångström 東京 Ελλάδα Привет": {"angstrom", "東京", "ελλαδα", "привет"},
		"pm2.5 ½ Ⅷ":                    {"pm2", "5", "½", "ⅷ"},
		"did:peaq:5GrwvaEF 5Grw":       {"5grwvaef", "5grw"},
		"\xff\xfeabc\xffd":             {"abc", "d"},
		strings.Repeat("ü", 100):       {strings.Repeat("u", 64)},
		strings.Repeat("雨", 65) + " 雨": {strings.Repeat("雨", 64), "雨"},
	} {
		if got := index.Terms(text); !slices.Equal(got, want) {
			t.Errorf("terms of %q: %q, want %q", text, got, want)
		}
	}
}

// The terms of terms are themselves: a search for a term that a document has finds it.
func FuzzTerms(f *testing.F) {
	for _, s := range []string{"Straße İstanbul", "a\u0301\u0301b", "ﬁ ǅ ʰ", "\xed\xa0\x80x", "K\u212A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		terms := index.Terms(s)
		for _, x := range terms {
			if !utf8.ValidString(x) || strings.ContainsRune(x, 0) || x == "" {
				t.Errorf("term %q of %q", x, s)
			}
		}
		if again := index.Terms(strings.Join(terms, " ")); !slices.Equal(again, terms) {
			t.Errorf("terms %q of %q have the terms %q", terms, s, again)
		}
	})
}
