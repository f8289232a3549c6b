package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"iod/index"
)

// maxNames bounds how many names of a kind the writer remembers. Documents make their number.
const maxNames = 1 << 16

// names are ids of texts that were written, so that they need not be looked for again and again. They hold as long as nobody else
// writes and every transaction that added some was committed.
type names struct {
	version int64 // of the data, as another writer would change it
	words   map[string]int64
	combos  map[[3]int64]int64
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
func (x *tx) say(ctx context.Context, rank index.Rank, text string) error {
	_, err := x.exec(ctx, x.s.stmts.words, rank, strings.Join(x.countTerms(text, 1), " "))
	return err
}

// countTerms notes in how many more listings the words of a text are.
func (x *tx) countTerms(text string, by int) []string {
	terms := index.Terms(text)
	for _, t := range terms {
		x.terms[cutTerm(t)] += by
	}
	return terms
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
