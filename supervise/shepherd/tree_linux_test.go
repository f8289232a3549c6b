package shepherd

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parent := map[int]int{}
		dead := map[int]bool{}
		var all []process
		for pid := 2; pid < 12; pid++ {
			parent[pid] = rapid.IntRange(0, 12).Draw(t, "parent")
			dead[pid] = rapid.IntRange(0, 3).Draw(t, "dead") == 0
			all = append(all, process{pid, parent[pid], dead[pid]})
		}
		got := below(all, 2)
		for pid := 3; pid < 12; pid++ {
			up := pid
			for range 20 {
				if up = parent[up]; up == 2 {
					break
				}
			}
			if want := up == 2 && !dead[pid]; slices.Contains(got, pid) != want {
				t.Fatalf("%d below 2 is %t in %v", pid, !want, parent)
			}
		}
	})
}

func TestTable(t *testing.T) {
	c := exec.Command("sleep", "100")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	find := func() *process {
		all := table()
		if i := slices.IndexFunc(all, func(p process) bool { return p.pid == c.Process.Pid }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	if p := find(); p == nil || p.parent != os.Getpid() || p.dead {
		t.Errorf("%+v", p)
	}
	if resident() < 100<<10 {
		t.Errorf("%d bytes", resident())
	}
	c.Process.Kill()
	c.Wait()
	if p := find(); p != nil && !p.dead {
		t.Errorf("%+v", p)
	}
}
