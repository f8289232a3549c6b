package index

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"iod/key"
)

// The bounds of a text search.
const (
	// MaxTerms is how many words of Query.Text are looked for; further ones are passed over.
	MaxTerms = 16
	// maxTerm is after how many characters a word is cut, in documents and in searches alike.
	maxTerm = 64
)

// didPrefix is what a DID has before its address. Nobody looks for it.
var didPrefix = strings.TrimSuffix(key.AccountID{}.DID(), key.AccountID{}.String())

// Terms returns the words of a text as searches compare them, each once, in the order in which they come: what stands between
// characters that are neither letters nor numbers, in lower case and without marks ("Ärmelkanal" is armelkanal). A DID is the word of
// its address. A listing
// matches a text when each of the text's first MaxTerms terms begins one of the terms of Listing.Words.
func Terms(text string) []string {
	var terms []string
	seen := map[string]bool{}
	for _, w := range strings.FieldsFunc(plainText(strings.ReplaceAll(text, didPrefix, " ")), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }) {
		if w = cut(w); !seen[w] {
			seen[w] = true
			terms = append(terms, w)
		}
	}
	return terms
}

// The forms of terms in rows.
const (
	briefSize = 16 // bytes of the longest that are whole
	BriefHead = 4  // bytes that are left of longer ones
	BriefMark = "~"
)

// Brief is a term as Row.Words has it: whole, or, since most long ones are addresses, the first bytes with a BriefMark behind, which no term has.
func Brief(term string) string {
	if len(term) <= briefSize {
		return term
	}
	return term[:BriefHead] + BriefMark
}

// Briefs are the terms of a text as Row.Words has them.
func Briefs(text string) []string {
	terms := Terms(text)
	for i, t := range terms {
		terms[i] = Brief(t)
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// plainText is text in lower case without marks; what is not UTF-8 becomes U+FFFD, which is no letter.
func plainText(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune {
				if unicode.Is(unicode.Mn, r) {
					return -1
				}
				return unicode.ToLower(r)
			}, norm.NFD.String(strings.ToValidUTF8(text, "\uFFFD")))
		}
	}
	return strings.ToLower(text)
}

func cut(w string) string {
	n := 0
	for i := range w {
		if n++; n > maxTerm {
			return w[:i]
		}
	}
	return w
}
