package update

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Unix(1_700_000_000, 0).UTC()

func sumOf(s string) Sum { return sha256.Sum256([]byte(s)) }

func ref(name string) Ref { return Ref{name, sumOf(name)} }

func wanted(name string) *Version { return &Version{Name: name, Sum: sumOf(name), Path: "/x"} }

func TestNext(t *testing.T) {
	one, two := ref("1"), ref("2")
	all := func(Sum) bool { return true }
	only := func(names ...string) func(Sum) bool {
		return func(s Sum) bool { return slices.ContainsFunc(names, func(n string) bool { return sumOf(n) == s }) }
	}
	for _, c := range []struct {
		what string
		want *Version
		s    State
		have func(Sum) bool
		step Step
		runs string
	}{
		{"no version is named", nil, State{}, only(), Nothing, ""},
		{"the first", wanted("1"), State{}, only(), Fetch, ""},
		{"the first is there", wanted("1"), State{}, all, Try, ""},
		{"it is the current one", wanted("1"), State{Current: &one}, all, Nothing, "1"},
		{"another one", wanted("2"), State{Current: &one}, only("1"), Fetch, "1"},
		{"another one is there", wanted("2"), State{Current: &one}, all, Try, "1"},
		{"the current one is torn", wanted("1"), State{Current: &one}, only(), Fetch, ""},
		{"the current one is torn, the one before is whole", wanted("2"), State{Current: &two, Previous: &one}, only("1"), Fetch, "1"},
		{"it has failed", wanted("2"), State{Current: &one}.Fail(two, "x", t0), all, Refuse, "1"},
		{"another one has failed", wanted("2"), State{}.Fail(one, "x", t0), all, Try, ""},
		{"the power failed twice", wanted("2"), State{}.Begin(two).Begin(two), all, Try, ""},
		{"the power failed three times", wanted("2"), State{}.Begin(two).Begin(two).Begin(two), all, Condemn, ""},
		{"it was stopped in between", wanted("2"), State{}.Begin(two).Begin(two).Begin(two).GiveUp(), all, Try, ""},
		{"another one took the power", wanted("1"), State{}.Begin(two).Begin(two).Begin(two), all, Try, ""},
	} {
		runs := ""
		r := c.s.Runs(c.have)
		if r != nil {
			runs = r.Name
		}
		if got := Next(c.want, c.s, c.have, r); got != c.step || runs != c.runs {
			t.Errorf("%s: %s, and %q runs; want %s, and %q", c.what, got, runs, c.step, c.runs)
		}
	}
}

// TestStates walks at random and holds: what runs has stood its trial, and what failed is not tried again.
func TestStates(t *testing.T) {
	if one, two := ref("1"), ref("2"); Next(wanted("2"), State{Current: &two, Previous: &one}, func(Sum) bool { return true }, &one) != Try {
		t.Error("what was fetched again is not run")
	}
	rapid.Check(t, func(t *rapid.T) {
		var s State
		have := map[Sum]bool{}
		proven := map[Sum]bool{}
		failed := map[Sum]bool{}
		names := rapid.SampledFrom([]string{"1", "2", "3"})
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			v := wanted(names.Draw(t, "want"))
			r := Ref{v.Name, v.Sum}
			whole := func(s Sum) bool { return have[s] }
			switch Next(v, s, whole, s.Runs(whole)) {
			case Fetch:
				have[v.Sum] = true
			case Condemn:
				s = s.Fail(r, vanished, t0)
				failed[v.Sum] = true
			case Try:
				if failed[v.Sum] {
					t.Fatalf("%s is tried again", v.Name)
				}
				s = s.Begin(r)
				switch rapid.IntRange(0, 3).Draw(t, "outcome") {
				case 0:
					s, proven[v.Sum] = s.Keep(r), true
				case 1:
					s, failed[v.Sum] = s.Fail(r, "x", t0), true
				case 2:
					s = s.GiveUp()
				}
			case Nothing:
				for sum := range have { // pruned
					have[sum] = slices.Contains(s.Needs(v), sum)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "torn") == 0 {
				have[sumOf(names.Draw(t, "which"))] = false
			}
			if runs := s.Runs(whole); runs != nil && !proven[runs.Sum] {
				t.Fatalf("%s runs and has stood no trial: %+v", runs.Name, s)
			}
			if len(s.Failed) > keptFailed {
				t.Fatalf("%d failures", len(s.Failed))
			}
		}
	})
}

func TestPause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := trouble(rapid.IntRange(0, 2).Draw(t, "kind"))
		n := rapid.IntRange(1, 1<<40).Draw(t, "n")
		d := pause(kind, n, rapid.Float64Range(0, 0.999).Draw(t, "dice"))
		if d < time.Second || d > 36*time.Hour || kind == wrong && d < 5*time.Minute {
			t.Fatalf("%v", d)
		}
	})
}

func TestVersionCheck(t *testing.T) {
	good := Version{Name: "1.2.0-rc.1+x", Sum: sumOf("x"), URL: "https://example.com/x"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Version){
		"version \"../x\"":           func(v *Version) { v.Name = "../x" },
		"version \"\"":               func(v *Version) { v.Name = "" },
		"version \"a\\x00\"":         func(v *Version) { v.Name = "a\x00" },
		"has no SHA-256":             func(v *Version) { v.Sum = Sum{} },
		"either from a URL":          func(v *Version) { v.Path = "/x" },
		"or from a path":             func(v *Version) { v.URL = "" },
		"is not of the form https:/": func(v *Version) { v.URL = "file:///etc/passwd" },
		"not absolute":               func(v *Version) { v.URL, v.Path = "", "x" },
		"fewer than no":              func(v *Version) { v.Most = -1 },
	} {
		v := good
		change(&v)
		if err := v.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	secret := Version{URL: "https://user:pass@example.com/x?token=1"}
	if got := secret.source(); got != "https://example.com/x" {
		t.Error(got)
	}
	if _, err := ParseSum("abc"); err == nil {
		t.Error("abc is a sum")
	}
	if s, err := ParseSum(fmt.Sprint(sumOf("x"))); err != nil || s != sumOf("x") {
		t.Errorf("%v, %v", s, err)
	}
}
