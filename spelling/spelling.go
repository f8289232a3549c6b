// Package spelling finds the word that somebody meant: the suggestions in error messages.
package spelling

import (
	"iter"
	"strings"
)

// longest is the length in bytes beyond which words are not compared.
const longest = 64

// Nearest returns the candidate of which word is most likely a misspelling, or "" when none is near: at most a third of
// the letters may differ. Case, underscores and hyphens count for nothing.
func Nearest(word string, candidates iter.Seq[string]) string {
	if len(word) > longest {
		return ""
	}
	best, least := "", 1+len(word)/3
	want := plain(word)
	for c := range candidates {
		if len(c) > longest {
			continue
		}
		if d := distance(want, plain(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

var separators = strings.NewReplacer("_", "", "-", "")

func plain(s string) string { return strings.ToLower(separators.Replace(s)) }

// distance is the number of bytes to insert, delete or replace, and of neighbours to exchange, to make b of a.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
