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
}

// maxForms bounds how many words a word of a search is the beginning of, and is still looked for as them: each of them is found in the order
// of ranks, and so ends when there are enough. Beyond, FTS5 goes through all that begin so, but for the shortest ones, of which it has
// lists.
const maxForms = 200

// matching turns the words of a text into what FTS5 is to look for. Nothing in it is as the caller wrote it: terms are letters and numbers.
func (v view) matching(ctx context.Context, text string) (m matches, err error) {
	var all []string
	terms := index.Terms(text)
	for _, t := range terms[:min(len(terms), index.MaxTerms)] {
		some, n, err := v.forms(ctx, t)
		if err != nil || some == "" {
			return matches{}, err
		}
		if all = append(all, some); m.most == 0 || n < m.most {
			m.most = n
		}
	}
	m.text = strings.Join(all, " AND ")
	return m, nil
}

// forms are the words that a term begins, as an expression, and how many listings they are in at most. Empty: there is none.
func (v view) forms(ctx context.Context, term string) (text string, n float64, err error) {
	short := strings.TrimSuffix(cutTerm(term), cutMark)
	type form struct {
		text string
		n    float64
	}
	forms, err := ask(ctx, v, "words", func(rows *sql.Rows) (f form, err error) { return f, rows.Scan(&f.text, &f.n) },
		"SELECT text, n FROM term WHERE text BETWEEN ? AND ? AND n > 0 LIMIT ?", short, short+"\U0010FFFF", maxForms+1)
	if err != nil {
		return "", 0, err
	}
	if len(forms) > maxForms {
		return `"` + term + `"*`, maxForms * enough, nil
	}
	var any []string
	for _, f := range forms {
		x := asForm(f.text, term)
		if x != "" && !slices.Contains(any, x) {
			any = append(any, x)
		}
		if x != "" {
			n += f.n
		}
	}
	if len(any) == 0 {
		return "", 0, nil
	}
	return "(" + strings.Join(any, " OR ") + ")", n, nil
}

// asForm is a row of the table of terms as an expression, when it may be a word that the term begins.
func asForm(row, term string) string {
	switch whole, cut := strings.CutSuffix(row, cutMark); {
	case strings.HasPrefix(whole, term) && !cut:
		return `"` + whole + `"`
	case strings.HasPrefix(whole, term):
		return `"` + whole + `"*`
	case cut:
		return `"` + term + `"*`
	}
	return ""
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
