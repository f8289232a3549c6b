package atlas

import (
	"math/bits"
	"slices"

	"iod/index"
)

// spoken tells which rows of a block have which words: run by run of 64 rows, as a text is looked for in a whole run at once.
type spoken struct {
	runs []run
	any  wordSet // of all rows, be they dead
}

// run is the words of 64 rows. While rows are added all words have masks, and are in their order. A full run has those of few rows first.
type run struct {
	codes []uint16
	ends  [fewRows]uint16 // in codes: of the words that one row has, that two have, …
	rows  []byte          // of those words
	masks []uint64        // of the others: the rows that have it, as bits
}

// fewRows are listed rather than held as a mask.
const fewRows = 6

// say gives a row, which has none yet and is the last, words in their order.
func (s *spoken) say(row int, codes []uint16) {
	for len(s.runs) <= row>>6 {
		if last := len(s.runs) - 1; last >= 0 {
			s.runs[last].settle()
		}
		s.runs = append(s.runs, run{})
	}
	s.runs[row>>6].add(codes, 1<<(row&63))
	for _, c := range codes {
		s.any.set(c)
	}
}

// add adds words of a row.
func (r *run) add(codes []uint16, row uint64) {
	fresh, at := 0, 0
	for _, c := range codes {
		for at < len(r.codes) && r.codes[at] < c {
			at++
		}
		fresh += int(bit(at == len(r.codes) || r.codes[at] != c))
	}
	old := len(r.codes) - 1
	if n := len(r.codes) + fresh; n > cap(r.codes) {
		r.codes, r.masks = grown(r.codes, n+n/4+8), grown(r.masks, n+n/4+8)
	}
	r.codes, r.masks = r.codes[:old+1+fresh], r.masks[:old+1+fresh]
	next := len(codes) - 1
	for to := old + fresh; next >= 0; to-- { // from behind, where there is room
		c := codes[next]
		switch {
		case old >= 0 && r.codes[old] > c:
			r.codes[to], r.masks[to] = r.codes[old], r.masks[old]
			old--
		case old >= 0 && r.codes[old] == c:
			r.codes[to], r.masks[to] = c, r.masks[old]|row
			old--
			next--
		default:
			r.codes[to], r.masks[to] = c, row
			next--
		}
	}
}

// settle makes a full run small.
func (r *run) settle() {
	var n [fewRows + 1]int // words by how many rows have them
	for _, m := range r.masks {
		n[min(bits.OnesCount64(m)-1, fewRows)]++
	}
	full := run{codes: make([]uint16, len(r.codes)), masks: make([]uint64, 0, n[fewRows])}
	var at [fewRows + 1]int // where the next one goes
	size := 0
	for k := range fewRows {
		at[k+1] = at[k] + n[k]
		full.ends[k] = uint16(at[k+1])
		size += n[k] * (k + 1)
	}
	full.rows = make([]byte, size)
	for i, m := range r.masks {
		k := min(bits.OnesCount64(m)-1, fewRows)
		if full.codes[at[k]] = r.codes[i]; k == fewRows {
			full.masks = append(full.masks, m)
		} else {
			rows := full.few(at[k])
			for j := range rows {
				rows[j] = byte(bits.TrailingZeros64(m))
				m &= m - 1
			}
		}
		at[k]++
	}
	*r = full
}

// few are the rows of a word that few have.
func (r *run) few(i int) []byte {
	from, begin := 0, 0
	for k, end := range r.ends {
		if i < int(end) {
			from += (i - begin) * (k + 1)
			return r.rows[from : from+k+1]
		}
		from += (int(end) - begin) * (k + 1)
		begin = int(end)
	}
	return nil
}

// mask is the rows that have the word at a position of codes.
func (r *run) mask(i int) uint64 {
	if few := int(r.ends[fewRows-1]); i >= few {
		return r.masks[i-few]
	}
	var m uint64
	for _, row := range r.few(i) {
		m |= 1 << row
	}
	return m
}

// saying appends the words of a row, in their order.
func (s *spoken) saying(row int, codes []uint16) []uint16 {
	r := &s.runs[row>>6]
	for i, c := range r.codes {
		if r.mask(i)>>(row&63)&1 != 0 {
			codes = append(codes, c)
		}
	}
	slices.Sort(codes)
	return codes
}

// wordSet is a set of words, of which some may stand for others, too.
type wordSet [64]uint64

func (s *wordSet) set(n uint16) { s[n>>6&(uint16(len(s))-1)] |= 1 << (n & 63) }

func (s *wordSet) meets(o *wordSet) bool {
	for i, w := range s {
		if w&o[i] != 0 {
			return true
		}
	}
	return false
}

// wording is a text made ready for the words of blocks.
type wording struct {
	masks  *[1 << 16]uint16 // by word: the terms that begin it
	codes  []uint16         // those with a mask
	all    uint16           // terms
	rarest int              // about how many listings have the rarest one
	sets   []wordSet
}

// set reads terms, of which there are index.MaxTerms at the most. It is not ok when the vocabulary does not know all words that they begin.
func (t *wording) set(v *vocabulary, terms []string) (ok bool) {
	t.clear()
	if t.masks == nil {
		t.masks = new([1 << 16]uint16)
	}
	for i, term := range terms {
		codes, sure := v.beginning(term)
		if !sure {
			return false
		}
		t.sets = append(t.sets, wordSet{})
		n := 0
		for _, c := range codes {
			t.masks[c] |= 1 << i
			t.sets[i].set(c)
			n += int(v.uses[c])
		}
		t.codes = append(t.codes, codes...)
		if i == 0 || n < t.rarest {
			t.rarest = n
		}
	}
	t.all = uint16(1<<len(terms) - 1)
	return true
}

func (t *wording) clear() {
	for _, c := range t.codes {
		t.masks[c] = 0
	}
	t.codes, t.sets, t.all, t.rarest = t.codes[:0], t.sets[:0], 0, 0
}

// maybe says whether a block may have a listing with the words.
func (t *wording) maybe(b *block) bool {
	for i := range t.sets {
		if !b.spoken.any.meets(&t.sets[i]) {
			return false
		}
	}
	return true
}

// narrow leaves the rows that have the words, and says whether there are any, in a block that may have some.
func (t *wording) narrow(b *block, m *bitmap) bool {
	for w, rows := range m {
		if rows != 0 {
			m[w] = rows & t.among(&b.spoken.runs[w])
		}
	}
	return !m.empty()
}

// among are the rows of a run that have the words.
func (t *wording) among(r *run) uint64 {
	var found [index.MaxTerms]uint64
	masks := t.masks
	for i, c := range r.codes {
		m := masks[c]
		if m == 0 {
			continue
		}
		for rows := r.mask(i); m != 0; m &= m - 1 {
			found[bits.TrailingZeros16(m)&(index.MaxTerms-1)] |= rows
		}
	}
	all := ^uint64(0)
	for _, rows := range found[:len(t.sets)] {
		all &= rows
	}
	return all
}

// said says whether a row has the words.
func (t *wording) said(b *block, row int) bool {
	var found uint16
	masks, r := t.masks, &b.spoken.runs[row>>6]
	for i, c := range r.codes {
		if m := masks[c]; m != 0 && r.mask(i)>>(row&63)&1 != 0 {
			found |= m
		}
	}
	return found == t.all
}
