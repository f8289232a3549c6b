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
	mostWords   = 1<<16 - 1
	mostOfOne   = 3072 // of a listing, in bytes
	spokenWords = 64   // words of a set of words
)

func newVocabulary() vocabulary {
	return vocabulary{code: map[string]uint16{}, heads: map[string]struct{}{}, room: mostWords}
}

// appendWord writes a number: most in one byte, since the words that most listings have are among the first, else behind a 255.
func appendWord(b []byte, n uint16) []byte {
	if n < 255 {
		return append(b, byte(n))
	}
	return append(b, 255, byte(n>>8), byte(n))
}

// eachWord reads numbers.
func eachWord(b []byte, f func(uint16)) {
	for i := 0; i < len(b); i++ {
		n := uint16(b[i])
		if n == 255 {
			n = uint16(b[i+1])<<8 | uint16(b[i+2])
			i += 2
		}
		f(n)
	}
}

// take appends the numbers of a listing's words, and counts it.
func (v *vocabulary) take(words []string, codes []byte) []byte {
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
		codes = appendWord(codes, n)
	}
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
func (v *vocabulary) drop(codes []byte) {
	eachWord(codes, func(n uint16) {
		if v.uses[n]--; v.uses[n] > 0 {
			return
		}
		pos := v.from(v.text[n])
		v.sorted = slices.Delete(v.sorted, pos, pos+1)
		delete(v.code, v.text[n])
		v.text[n] = ""
		v.free = append(v.free, n)
	})
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

// wordSet is a set of words, of which some may stand for others, too.
type wordSet [spokenWords]uint64

func (s *wordSet) set(n uint16) { s[n>>6&(spokenWords-1)] |= 1 << (n & 63) }

func (s *wordSet) meets(o *wordSet) bool {
	for i, w := range s {
		if w&o[i] != 0 {
			return true
		}
	}
	return false
}

// wording is a text made ready for a trail.
type wording struct {
	masks []uint16 // by word: the terms that begin it
	codes []uint16 // those with a mask
	all   uint16   // terms; 0: no text
	sets  []wordSet
}

// set reads terms, of which there are index.MaxTerms at the most. rarest is about how many listings have the rarest one. It is not ok when the
// vocabulary does not know.
func (t *wording) set(v *vocabulary, terms []string) (rarest int, ok bool) {
	t.clear()
	if t.masks == nil {
		t.masks = make([]uint16, 1<<16)
	}
	for i, term := range terms {
		codes, sure := v.beginning(term)
		if !sure {
			return 0, false
		}
		t.sets = append(t.sets, wordSet{})
		n := 0
		for _, c := range codes {
			t.masks[c] |= 1 << i
			t.sets[i].set(c)
			n += int(v.uses[c])
		}
		t.codes = append(t.codes, codes...)
		if i == 0 || n < rarest {
			rarest = n
		}
	}
	t.all = uint16(1<<len(terms) - 1)
	return rarest, true
}

func (t *wording) clear() {
	for _, c := range t.codes {
		t.masks[c] = 0
	}
	t.codes, t.sets, t.all = t.codes[:0], t.sets[:0], 0
}

// maybe says whether a block of a trail may have a listing with the words.
func (t *wording) maybe(b *block) bool {
	for i := range t.sets {
		if !b.spoken.meets(&t.sets[i]) {
			return false
		}
	}
	return true
}

// said says whether row i of a block of a trail has the words.
func (t *wording) said(b *block, i int) bool {
	var found uint16
	words, masks := b.saying(i), t.masks
	for i := 0; i < len(words); i++ {
		n := uint16(words[i])
		if n == 255 {
			n = uint16(words[i+1])<<8 | uint16(words[i+2])
			i += 2
		}
		found |= masks[n]
	}
	return found == t.all
}
