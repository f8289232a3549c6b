package atlas

import "strings"

// label is what an offer is of, as codes into three dictionaries.
type label struct{ dataType, unit, kind uint32 }

// labels gives every label a number. A number whose last offer goes is given anew.
type labels struct {
	types, units, kinds words
	number              map[label]uint32
	all                 []label
	uses                []uint32 // offers, by number
	free                []uint32
}

func newLabels() labels {
	return labels{types: newWords(), units: newWords(), kinds: newWords(), number: map[label]uint32{}}
}

// take counts one more offer of a label.
func (l *labels) take(dataType, unit, kind string) uint32 {
	t, tKnown := l.types.code[dataType]
	u, uKnown := l.units.code[unit]
	k, kKnown := l.kinds.code[kind]
	if tKnown && uKnown && kKnown {
		if n, ok := l.number[label{t, u, k}]; ok {
			l.uses[n]++
			return n
		}
	}
	x := label{l.types.take(dataType), l.units.take(unit), l.kinds.take(kind)}
	var n uint32
	if last := len(l.free) - 1; last >= 0 {
		n, l.free = l.free[last], l.free[:last]
		l.all[n], l.uses[n] = x, 1
	} else {
		n = uint32(len(l.all))
		l.all, l.uses = append(l.all, x), append(l.uses, 1)
	}
	l.number[x] = n
	return n
}

// drop counts one offer less.
func (l *labels) drop(n uint32) {
	if l.uses[n]--; l.uses[n] > 0 {
		return
	}
	x := l.all[n]
	delete(l.number, x)
	l.types.drop(x.dataType)
	l.units.drop(x.unit)
	l.kinds.drop(x.kind)
	l.free = append(l.free, n)
}

// words is a dictionary that forgets what is not used.
type words struct {
	code map[string]uint32
	text []string
	uses []uint32 // labels, by code
	free []uint32
}

func newWords() words { return words{code: map[string]uint32{}} }

func (w *words) take(s string) uint32 {
	if n, ok := w.code[s]; ok {
		w.uses[n]++
		return n
	}
	s = strings.Clone(s) // not to hold on to all that it was read from
	var n uint32
	if last := len(w.free) - 1; last >= 0 {
		n, w.free = w.free[last], w.free[:last]
		w.text[n], w.uses[n] = s, 1
	} else {
		n = uint32(len(w.text))
		w.text, w.uses = append(w.text, s), append(w.uses, 1)
	}
	w.code[s] = n
	return n
}

func (w *words) drop(n uint32) {
	if w.uses[n]--; w.uses[n] == 0 {
		delete(w.code, w.text[n])
		w.text[n] = ""
		w.free = append(w.free, n)
	}
}
