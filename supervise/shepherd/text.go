package shepherd

// Packages strings, bytes and fmt would make this one come late: see the package doc.

// index returns the place of a byte, or -1.
func index(s string, b byte) int {
	for i := range len(s) {
		if s[i] == b {
			return i
		}
	}
	return -1
}

// cut cuts at the first b.
func cut(s string, b byte) (before, after string, found bool) {
	if i := index(s, b); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// cutPrefix takes a prefix away.
func cutPrefix(s, prefix string) (rest string, found bool) {
	if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

// fields cuts at spaces.
func fields(s string) (all []string) {
	for more := true; more; {
		var word string
		if word, s, more = cut(s, ' '); word != "" {
			all = append(all, word)
		}
	}
	return all
}

// oneLine is an error's text without line ends.
func oneLine(err error) string {
	b := []byte(err.Error())
	for i := range b {
		if b[i] == '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

// stepError says at what something failed.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

func doing(step string, err error) error { return &stepError{step, err} }
