//go:build race

package overlay

// underRace says that cryptography is twenty times slower than it is.
const underRace = true
