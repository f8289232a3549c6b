//go:build race

package atlas

// raceEnabled is true where sync.Pool forgets at random.
const raceEnabled = true
