package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"iod/index"
	"iod/key"
)

// maxNames bounds how many names of a kind the writer remembers. Documents make their number.
const maxNames = 1 << 16

// names are ids of texts that were written, so that they need not be looked for again and again. They hold as long as nobody else
// writes and every transaction that added some was committed.
type names struct {
	version int64 // of the data, as another writer would change it
	words   map[string]int64
	combos  map[[3]int64]int64
	terms   map[string]int64
	owners  map[key.AccountID]int64
}

func (n *names) forget() { *n = names{version: n.version} }

func remember[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil || len(*m) >= maxNames {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// check forgets the names when another process has written since.
func (x *tx) check(ctx context.Context) error {
	var version int64
	if err := x.t.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return fmt.Errorf("read the version of the data: %w", err)
	}
	if n := &x.s.names; n.version != version {
		n.forget()
		n.version = version
	}
	return nil
}

// word is the id of a text.
func (x *tx) word(ctx context.Context, text string) (int64, error) {
	n := &x.s.names
	if id, ok := n.words[text]; ok {
		return id, nil
	}
	id, err := x.idOf(ctx, x.s.stmts.findWord, x.s.stmts.newWord, text)
	if err == nil {
		remember(&n.words, text, id)
	}
	return id, err
}

// combo is the id of what an offer is, and the ids of its parts.
func (x *tx) combo(ctx context.Context, o index.Offer) (id int64, parts [3]int64, err error) {
	for i, text := range []string{o.DataType, o.Kind, o.Unit} {
		if parts[i], err = x.word(ctx, text); err != nil {
			return 0, parts, err
		}
	}
	n := &x.s.names
	if id, ok := n.combos[parts]; ok {
		return id, parts, nil
	}
	id, err = x.idOf(ctx, x.s.stmts.findCombo, x.s.stmts.newCombo, parts[0], parts[1], parts[2])
	if err == nil {
		remember(&n.combos, parts, id)
	}
	return id, parts, err
}

// idOf finds a row's id or makes the row.
func (x *tx) idOf(ctx context.Context, find, make *sql.Stmt, args ...any) (int64, error) {
	var id int64
	err := x.row(ctx, find, args...).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	res, err := x.exec(ctx, make, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// say makes a listing findable by its words.
func (x *tx) say(ctx context.Context, rank index.Rank, text string, combos []int64) error {
	terms := index.Terms(text)
	marked := slices.Clone(terms)
	for _, c := range combos {
		marked = append(marked, comboMark(c))
	}
	if _, err := x.exec(ctx, x.s.stmts.words, rank, strings.Join(marked, " ")); err != nil {
		return err
	}
	var numbers []int64
	for _, t := range terms {
		short := cutTerm(t)
		n, err := x.term(ctx, short)
		if err != nil {
			return err
		}
		x.terms[short]++
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	_, err := x.exec(ctx, x.s.stmts.said, rank, packNumbers(numbers))
	return err
}

// comboMark is a word that no document says: it stands for a combination of type, kind and unit among the words of a listing that offers it. So a
// search for words and types is one of FTS5 alone.
func comboMark(id int64) string { return "\uE000" + strconv.FormatInt(id, 36) }

// unsay is the inverse of say.
func (x *tx) unsay(ctx context.Context, rank index.Rank, text string) error {
	for _, t := range index.Terms(text) {
		x.terms[cutTerm(t)]--
	}
	for _, stmt := range []*sql.Stmt{x.s.stmts.dropWords, x.s.stmts.dropSaid} {
		if _, err := x.exec(ctx, stmt, rank); err != nil {
			return err
		}
	}
	return nil
}

// term is the number of a word, cut as it is. A new one is written when the transaction ends, with its count: at once, it would be two
// statements more, and a RETURNING among them, which makes FTS5 write out all that it has gathered.
func (x *tx) term(ctx context.Context, text string) (int64, error) {
	if number, ok := x.newTerms[text]; ok {
		return number, nil
	}
	n := &x.s.names
	if number, ok := n.terms[text]; ok {
		return number, nil
	}
	var number int64
	err := x.row(ctx, x.s.stmts.findTerm, text).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return x.newTerm(ctx, text)
	}
	if err != nil {
		return 0, err
	}
	remember(&n.terms, text, number)
	return number, nil
}

// newTerm gives a word the next number.
func (x *tx) newTerm(ctx context.Context, text string) (int64, error) {
	if x.nextTerm == 0 {
		var known int64
		if err := x.row(ctx, x.s.stmts.countTerms).Scan(&known); err != nil {
			return 0, fmt.Errorf("count words: %w", err)
		}
		x.nextTerm = known + 1
	}
	number := x.nextTerm
	x.nextTerm++
	x.tallies["terms"]++
	x.newTerms[text] = number
	return number, nil
}

// writeTerms writes the new words, and the counts of all.
func (x *tx) writeTerms(ctx context.Context) error {
	for _, text := range slices.Sorted(maps.Keys(x.newTerms)) {
		if err := x.do(ctx, x.s.stmts.newTerm, text, x.newTerms[text], x.terms[text]); err != nil {
			return fmt.Errorf("write the word %q: %w", text, err)
		}
		delete(x.terms, text)
	}
	return changed(x.terms, func(text string, by int) error { return x.do(ctx, x.s.stmts.term, by, text) })
}

// packNumbers is a set of numbers as bytes: ascending, the differences as varints.
func packNumbers(numbers []int64) []byte {
	slices.Sort(numbers)
	b, last := make([]byte, 0, 3*len(numbers)), int64(0)
	for _, n := range numbers {
		b, last = binary.AppendUvarint(b, uint64(n-last)), n
	}
	return b
}

// saysAll reports whether a packed set has one of each of the sets, which are sorted.
func saysAll(packed []byte, sets [][]int64) bool {
	var found uint64
	for last := int64(0); len(packed) > 0; {
		diff, size := binary.Uvarint(packed)
		if size <= 0 {
			return false
		}
		packed = packed[size:]
		last += int64(diff)
		for i, set := range sets {
			if _, ok := slices.BinarySearch(set, last); ok {
				found |= 1 << i
			}
		}
	}
	return found == 1<<len(sets)-1
}

// termSize is where words are cut in the table of terms, in bytes: addresses and the like differ before.
const termSize = 16

// cutTerm is a word as it stands in the table of terms. What was cut ends in a character that no word has.
func cutTerm(t string) string {
	if len(t) <= termSize {
		return t
	}
	return strings.ToValidUTF8(t[:termSize], "") + cutMark
}

const cutMark = "~"
