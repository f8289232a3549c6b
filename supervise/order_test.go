package supervise

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCycle(t *testing.T) {
	for want, programs := range map[string][]Program{
		"": {named("a"), named("b", "a"), named("c", "a", "b")},
		"programs wait for each other: a after a":                 {named("a", "a")},
		"programs wait for each other: b after c after d after b": {named("a", "b"), named("b", "c"), named("c", "d"), named("d", "b")},
		`program "a" is to start after "x", which is no program`:  {named("a", "x")},
	} {
		if err := CheckOrder(programs); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestCycleIsFound compares with a count of what can be started one after the other.
func TestCycleIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e"}
		var programs []Program
		for _, n := range names {
			programs = append(programs, named(n, rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(t, n)...))
		}
		started := map[string]bool{}
		for range programs {
			for _, p := range programs {
				if !slices.ContainsFunc(p.After, func(n string) bool { return !started[n] }) {
					started[p.Name] = true
				}
			}
		}
		c := Cycle(programs)
		if (c == nil) != (len(started) == len(programs)) {
			t.Fatalf("%v: %v", programs, c)
		}
		for i := 1; i < len(c); i++ {
			p := programs[slices.Index(names, c[i-1])]
			if !slices.Contains(p.After, c[i]) || c[0] != c[len(c)-1] {
				t.Fatalf("%s does not lead anywhere", strings.Join(c, " → "))
			}
		}
	})
}

func TestSameProcess(t *testing.T) {
	p := named("a")
	for name, change := range map[string]func(*Program){
		"policy": func(p *Program) { p.Policy.Max = 1 }, "after": func(p *Program) { p.After = []string{"b"} },
		"ready": func(p *Program) { p.Ready = &Ready{} }, "alive": func(p *Program) { p.Alive = &Alive{} },
		"stop": func(p *Program) { p.Stop.Grace = 1 }, "log": func(p *Program) { p.Log.Size = 1 }, "no env": func(p *Program) { p.Env = []string{} },
	} {
		q := p
		if change(&q); !sameProcess(p, q) {
			t.Errorf("%s: restarts", name)
		}
	}
	for name, change := range map[string]func(*Program){
		"command": func(p *Program) { p.Command = []string{"a", "b"} }, "env": func(p *Program) { p.Env = []string{"A=1"} },
		"user": func(p *Program) { p.User = "nobody" }, "limits": func(p *Program) { p.Limits.Files = 9 },
		"version": func(p *Program) { p.Version = "2" }, "secrets": func(p *Program) { p.Secrets = []Secret{{"A", "f"}} },
		"dir": func(p *Program) { p.Dir = "/" }, "env file": func(p *Program) { p.EnvFile = "f" },
	} {
		q := p
		if change(&q); sameProcess(p, q) {
			t.Errorf("%s: does not restart", name)
		}
	}
}

func TestBeatCountsFailuresInARow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "failures")
		p, row := Pulse{}, 0
		for range rapid.IntRange(0, 30).Draw(t, "beats") {
			var err error
			if row++; rapid.Bool().Draw(t, "well") {
				row = 0
			} else {
				err = fmt.Errorf("no")
			}
			var dead bool
			if p, dead = p.Beat(t0, err, most); p.Failures != row || dead != (row >= most) || (p.Err == "") != (row == 0) {
				t.Fatalf("%+v after %d in a row", p, row)
			}
		}
	})
}
