package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"iod/index"
)

// matches are the listings that have all the words of a text.
type matches struct {
	text string  // in the language of FTS5; empty: none
	most float64 // how many there are at most, as terms were counted
	// sets are the numbers of the words that each word of the text may be. They are nil when there are too many, or when words are cut
	// before they differ: then nobody but FTS5 knows.
	sets [][]int64
}

// What is still looked at of the words that a word of a search is the beginning of.
const (
	// maxForms bounds how many are looked for one by one, each in the order of ranks, which ends when there are enough. Beyond, FTS5 goes
	// through all that begin so, but for the shortest beginnings, of which it has lists.
	maxForms = 200
	// maxNumbers bounds how many are known by number.
	maxNumbers = 4000
)

// matching turns the words of a text into what is to be looked for. Nothing in it is as the caller wrote it: terms are letters and numbers.
func (v view) matching(ctx context.Context, text string) (m matches, err error) {
	var all []string
	terms := index.Terms(text)
	terms = terms[:min(len(terms), index.MaxTerms)]
	for _, t := range terms {
		f, err := v.forms(ctx, t)
		if err != nil || f.text == "" {
			return matches{}, err
		}
		if all = append(all, f.text); m.most == 0 || f.n < m.most {
			m.most = f.n
		}
		if f.numbers != nil {
			m.sets = append(m.sets, f.numbers)
		}
	}
	if m.text = strings.Join(all, " AND "); len(m.sets) < len(terms) {
		m.sets = nil
	}
	return m, nil
}

// forms are the words that a term begins.
type forms struct {
	text    string  // as an expression; empty: there is none
	n       float64 // in how many listings they are at most
	numbers []int64 // ascending; nil: not known
}

func (v view) forms(ctx context.Context, term string) (f forms, err error) {
	type row struct {
		text   string
		number int64
		n      float64
	}
	short := strings.TrimSuffix(cutTerm(term), cutMark)
	rows, err := ask(ctx, v, "words", func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.text, &r.number, &r.n) },
		"SELECT text, number, n FROM term WHERE text BETWEEN ? AND ? AND n > 0"+fmt.Sprintf(" LIMIT %d", maxNumbers+1), short, short+"\U0010FFFF")
	if err != nil {
		return f, err
	}
	var any []string
	known := len(rows) <= maxNumbers
	for _, r := range rows {
		x, sure := asForm(r.text, term)
		if x == "" {
			continue
		}
		if f.n += r.n; len(any) <= maxForms && !slices.Contains(any, x) {
			any = append(any, x)
		}
		f.numbers = append(f.numbers, r.number)
		known = known && sure
	}
	switch {
	case len(any) > maxForms:
		f.text = `"` + term + `"*`
	case len(any) > 0:
		f.text = "(" + strings.Join(any, " OR ") + ")"
	}
	if slices.Sort(f.numbers); !known {
		f.numbers = nil
	}
	return f, nil
}

// asForm is a row of the table of terms as an expression, when it may be a word that the term begins. It is sure unless the word was cut
// before it differs.
func asForm(row, term string) (x string, sure bool) {
	switch whole, cut := strings.CutSuffix(row, cutMark); {
	case strings.HasPrefix(whole, term) && !cut:
		return `"` + whole + `"`, true
	case strings.HasPrefix(whole, term):
		return `"` + whole + `"*`, true
	case cut:
		return `"` + term + `"*`, false
	}
	return "", false
}

// Matching returns the live listings whose words match.
func (s *Store) Matching(ctx context.Context, text string, most int) (ranks []index.Rank, all bool, err error) {
	all = true
	err = s.view(ctx, func(v view) error {
		m, err := v.matching(ctx, text)
		if err != nil || m.text == "" {
			return err
		}
		ranks, err = ask(ctx, v, "words", func(rows *sql.Rows) (r index.Rank, err error) { return r, rows.Scan(&r) },
			"SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", m.text, most+1)
		if all = len(ranks) <= most; !all {
			ranks = ranks[:most]
		}
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("search words: %w", err)
	}
	return ranks, all, nil
}
