package metadata

import "strings"

// nearest returns the candidate that name is most likely a misspelling of, or "" when none is near. Case and
// underscores count for nothing, so that polkadot.js' addAttribute finds add_attribute.
func nearest(name string, candidates func(yield func(string) bool)) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", 1+len(name)/3
	want := plain(name)
	for c := range candidates {
		if len(c) > 64 {
			continue
		}
		if d := distance(want, plain(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

func plain(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// distance is the number of bytes to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
