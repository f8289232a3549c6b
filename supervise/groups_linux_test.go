package supervise_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"iod/supervise"
)

// TestControlGroups looks whether the kernel holds programs to their limits. It needs control groups of version 2 with the controllers
// memory, cpu and pids, which this process may divide.
func TestControlGroups(t *testing.T) {
	eater := program("eater", "eat:100")
	eater.Limits.Memory = 50 << 20
	eater.Policy.First = time.Hour
	forker := supervise.Program{Name: "forker", Command: []string{"sh", "-c", "n=0; while sleep 1000 & do n=$((n+1)); echo forks $n; done; echo full $n"},
		Limits: supervise.Limits{Processes: 10}}
	busy := supervise.Program{Name: "busy", Command: []string{"sh", "-c", "echo up $$; while :; do :; done"}, Limits: supervise.Limits{CPU: 0.2}}
	w := run(t, supervise.Options{Programs: []supervise.Program{busy, eater, forker}, Grace: 100 * time.Millisecond})
	pid := w.pid()
	for _, s := range w.Status() {
		for _, l := range s.Limits {
			if l.By != "control group" {
				t.Skipf("no controllers: %+v", l)
			}
		}
	}
	start := time.Now()
	for {
		e := w.event(supervise.Exited)
		if e.Program == "eater" {
			if !e.Exit.OOM || e.Exit.Signal != "killed" {
				t.Errorf("%+v", e)
			}
			break
		}
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(group), "/iod-") || !strings.Contains(string(group), "/busy-") {
		t.Errorf("%s, %v", group, err)
	}
	time.Sleep(max(0, 2*time.Second-time.Since(start))) // what is measured is time
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var ticks int
	fmt.Sscan(strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))[12], &ticks)
	if took := time.Since(start); float64(ticks)/100 > 0.4*took.Seconds() {
		t.Errorf("%d ms of %v", 10*ticks, took)
	}
	forks := 0
	for drained := false; !drained; {
		select {
		case l := <-w.lines:
			if l.Program == "forker" && strings.HasPrefix(l.Text, "forks ") {
				forks++
			}
		default:
			drained = true
		}
	}
	t.Logf("%d forks, %d ms of CPU in %v", forks, 10*ticks, time.Since(start))
	if forks < 5 || forks > 60 {
		t.Errorf("%d forks", forks)
	}
}
