package atlas

import (
	"slices"
	"strings"

	"iod/index"
)

// vocabulary gives the words of listings numbers. What most listings have no other one has, their addresses, has none: of those, and of
// whatever there is no room for, it only knows how they may begin. So it either knows all words that a term begins, or that it does not.
type vocabulary struct {
	code   map[string]uint16
	text   []string
	uses   []uint32 // listings, by code
	free   []uint16
	sorted []uint16            // codes by text
	heads  map[string]struct{} // the first one to four bytes of words without a number; it only grows
	room   int                 // words there are numbers for
}

// The bounds of what is known of words.
const (
	mostWords = 1<<16 - 1
	mostOfOne = 512 // words of a listing
)

func newVocabulary() vocabulary {
	return vocabulary{code: map[string]uint16{}, heads: map[string]struct{}{}, room: mostWords}
}

// take appends the numbers of a listing's words, in their order, and counts it.
func (v *vocabulary) take(words []string, codes []uint16) []uint16 {
	for _, w := range words {
		n, known := v.code[w]
		switch {
		case len(codes) >= mostOfOne || strings.HasSuffix(w, index.BriefMark):
			v.behead(w)
			continue
		case known:
			v.uses[n]++
		default:
			var ok bool
			if n, ok = v.add(w); !ok {
				v.behead(w)
				continue
			}
		}
		codes = append(codes, n)
	}
	slices.Sort(codes)
	return codes
}

func (v *vocabulary) behead(word string) {
	word = strings.TrimSuffix(word, index.BriefMark)
	for n := range min(len(word), index.BriefHead) {
		if _, known := v.heads[word[:n+1]]; !known {
			v.heads[strings.Clone(word[:n+1])] = struct{}{}
		}
	}
}

func (v *vocabulary) add(word string) (n uint16, ok bool) {
	if last := len(v.free) - 1; last >= 0 {
		n, v.free = v.free[last], v.free[:last]
	} else if len(v.text) >= v.room {
		return 0, false
	} else {
		n = uint16(len(v.text))
		v.text, v.uses = append(v.text, ""), append(v.uses, 0)
	}
	word = strings.Clone(word)
	v.text[n], v.uses[n], v.code[word] = word, 1, n
	v.sorted = slices.Insert(v.sorted, v.from(word), n)
	return n, true
}

// from is the position of the first word that does not come before a text.
func (v *vocabulary) from(text string) int {
	pos, _ := slices.BinarySearchFunc(v.sorted, text, func(n uint16, text string) int { return strings.Compare(v.text[n], text) })
	return pos
}

// drop counts a listing less that has words.
func (v *vocabulary) drop(codes []uint16) {
	for _, n := range codes {
		if v.uses[n]--; v.uses[n] > 0 {
			continue
		}
		pos := v.from(v.text[n])
		v.sorted = slices.Delete(v.sorted, pos, pos+1)
		delete(v.code, v.text[n])
		v.text[n] = ""
		v.free = append(v.free, n)
	}
}

// beginning are the words that a term begins; not sure when there may be others.
func (v *vocabulary) beginning(term string) (codes []uint16, sure bool) {
	if _, other := v.heads[term[:min(len(term), index.BriefHead)]]; other {
		return nil, false
	}
	from := v.from(term)
	to := from
	for to < len(v.sorted) && strings.HasPrefix(v.text[v.sorted[to]], term) {
		to++
	}
	return v.sorted[from:to], true
}
