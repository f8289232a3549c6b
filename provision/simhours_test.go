//go:build !race

package provision_test

// simHours is how long a world lasts.
const simHours = 72
