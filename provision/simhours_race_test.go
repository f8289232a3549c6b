//go:build race

package provision_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// simHours is how long a world lasts. The race detector of Go 1.26 itself crashes once in some thousand hours of a bubble's timers
// (golang/go issue 78156), so that with it a world is short, and the three days pass without it.
const simHours = 6

// TestThreeDaysInTheirTime runs TestThreeDaysOfFaults without the race detector, for two worlds.
func TestThreeDaysInTheirTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run", "^TestThreeDaysOfFaults$", ".")
	c.Env = append(os.Environ(), "IOD_SIM_SEEDS=1", "IOD_SIM_HOURS=72")
	out, err := c.CombinedOutput()
	if err != nil || strings.Count(string(out), "72h0m0s: faults") != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "72h0m0s: faults") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
