//go:build !race

package provision_test

// simWorlds share the 72 hours.
const simWorlds = 1
