package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// world is where programs of a test live: no processes, and virtual time.
type world struct {
	*Supervisor
	mu     sync.Mutex
	pids   int
	alive  map[string][]*fake
	events []string                 // "start a", "end a"
	lives  map[string]time.Duration // how long a program runs by itself; 0: until it is stopped
	deaf   map[string]bool          // probes get no answer
	late   map[string]time.Duration // how long after its start a program answers
	broken map[string]bool          // cannot be started
}

// fake is a running program.
type fake struct {
	w       *world
	name    string
	version string
	id      int
	born    time.Time
	over    chan struct{}
	once    sync.Once
	result  Exit
}

func (f *fake) pid() int                  { return f.id }
func (f *fake) exited() <-chan struct{}   { return f.over }
func (f *fake) gone() <-chan struct{}     { return f.over }
func (f *fake) exit() Exit                { return f.result }
func (f *fake) read(func(string, string)) {}
func (f *fake) stop(Stop)                 { f.end(Exit{Code: -1, Signal: "terminated"}) }

func (f *fake) end(e Exit) {
	f.once.Do(func() {
		f.w.mu.Lock()
		f.w.events = append(f.w.events, "end "+f.name)
		f.w.alive[f.name] = slices.DeleteFunc(f.w.alive[f.name], func(x *fake) bool { return x == f })
		f.w.mu.Unlock()
		f.result = e
		close(f.over)
	})
}

func newWorld(programs ...Program) *world {
	w := &world{alive: map[string][]*fake{}, lives: map[string]time.Duration{}, deaf: map[string]bool{}, late: map[string]time.Duration{},
		broken: map[string]bool{}}
	w.Supervisor = New(Options{Programs: programs, Log: slog.New(slog.DiscardHandler)})
	w.launch = func(_ context.Context, p *Program, _ string) (launched, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.broken[p.Name+p.Version] {
			return nil, errors.New("no such file")
		}
		w.pids++
		f := &fake{w: w, name: p.Name, version: p.Version, id: w.pids, born: time.Now(), over: make(chan struct{})}
		w.alive[p.Name] = append(w.alive[p.Name], f)
		w.events = append(w.events, "start "+p.Name)
		if d := w.lives[p.Name+p.Version]; d > 0 {
			time.AfterFunc(d, func() { f.end(Exit{Code: 1}) })
		}
		return f, nil
	}
	// A probe asks for the port; the program of that number (a=1, …) answers.
	w.ask = func(_ context.Context, p Probe) error {
		name := string(rune('a' - 1 + p.Port))
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, f := range w.alive[name] {
			if !w.deaf[name+f.version] && time.Since(f.born) >= w.late[name] {
				return nil
			}
		}
		return errors.New("no answer")
	}
	return w
}

// begin is Run less what belongs to the real process.
func (w *world) begin() {
	w.Supervisor.mu.Lock()
	w.phase = running
	for _, p := range w.wanted {
		w.add(p, nil)
	}
	w.Supervisor.mu.Unlock()
	close(w.begun)
}

// set changes how programs behave.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) happened() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, ", ")
}

func (w *world) count(event string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e == event {
			n++
		}
	}
	return n
}

// runs says which programs run, with their versions and process ids.
func (w *world) runs() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]string{}
	for name, fakes := range w.alive {
		for _, f := range fakes {
			all[name] += fmt.Sprintf("%s#%d", f.version, f.id)
		}
	}
	return all
}

func named(name string, after ...string) Program {
	return Program{Name: name, Command: []string{name}, After: after}
}

func probed(p Program) Program {
	p.Ready = &Ready{Probe: Probe{Port: int(p.Name[0]-'a') + 1}}
	return p
}

func TestStartAndStopInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(named("c", "b", "a"), probed(named("b", "a")), probed(named("a")))
		w.late["a"], w.late["b"] = 10*time.Second, 5*time.Second
		w.begin()
		time.Sleep(8 * time.Second)
		if got := w.happened(); got != "start a" {
			t.Errorf("before a is ready: %s", got)
		}
		if s := w.Status(); s[1].Why != "for a" || s[1].State != Waiting || s[2].State != Starting {
			t.Errorf("%+v", s)
		}
		time.Sleep(5 * time.Second)
		if got := w.happened(); got != "start a, start b" {
			t.Errorf("before b is ready: %s", got)
		}
		time.Sleep(5 * time.Second)
		w.end()
		if got, want := w.happened(), "start a, start b, start c, end c, end b, end a"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, s := range w.Status() {
			if s.State != Stopped || s.PID != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestNotReadyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := probed(named("a"))
		a.Ready.Within = 30 * time.Second
		w := newWorld(a, named("b", "a"))
		w.deaf["a"] = true
		w.begin()
		time.Sleep(10 * time.Minute)
		starts := w.count("start a")
		if starts < 5 || starts > 20 || w.count("start b") != 0 {
			t.Errorf("a was started %d times, b %d times", starts, w.count("start b"))
		}
		s := w.Status()[0]
		if !s.Looping || !strings.Contains(s.LastExit.Reason, "not ready within 30s: port 1: no answer") {
			t.Errorf("%+v", s)
		}
		w.set(func() { w.deaf["a"] = false })
		time.Sleep(2 * time.Minute)
		if w.count("start b") != 1 {
			t.Error("b was not started once a was ready")
		}
		w.end()
	})
}

func TestNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := named("a")
		a.Alive = &Alive{Probe: Probe{Port: 1}, Every: 10 * time.Second, Failures: 3}
		w := newWorld(a)
		w.begin()
		set := func(deaf bool, d time.Duration) {
			w.set(func() { w.deaf["a"] = deaf })
			time.Sleep(d)
		}
		set(false, 95*time.Second)
		set(true, 20*time.Second) // two failures
		set(false, time.Hour)
		if n := w.count("start a"); n != 1 {
			t.Fatalf("started %d times", n)
		}
		set(true, 31*time.Second)
		if n := w.count("start a"); n != 2 {
			t.Errorf("started %d times", n)
		}
		set(false, time.Hour)
		s := w.Status()[0]
		if s.State != Running || s.Restarts != 1 || !strings.Contains(s.LastExit.Reason, "not alive: port 1 failed 3 times") || s.Looping {
			t.Errorf("%+v", s)
		}
		if s.Alive == nil || s.Alive.Failures != 0 || time.Since(s.Alive.Asked) > 10*time.Second {
			t.Errorf("%+v", s.Alive)
		}
		w.end()
	})
}

// TestCrashLoopNeverSpins lets a program crash for a day.
func TestCrashLoopNeverSpins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(named("a"), named("b"))
		w.lives["a"], w.broken["b"] = time.Second, true
		w.begin()
		time.Sleep(24 * time.Hour)
		if n := w.count("start a"); n < 1000 || n > 2100 {
			t.Errorf("%d starts in a day", n)
		}
		for _, s := range w.Status() {
			if !s.Looping || len(s.Exits) != keptExits || s.NextTry.IsZero() && s.PID == 0 {
				t.Errorf("%+v", s)
			}
		}
		if s := w.Status()[1]; s.LastExit.Err != "no such file" || s.Restarts != 0 {
			t.Errorf("%+v", s)
		}
		w.set(func() { w.lives["a"], w.broken["b"] = 0, false })
		time.Sleep(5 * time.Minute)
		if s := w.Status()[0]; s.Looping || s.State != Running {
			t.Errorf("while it is healthy: %+v", s)
		}
		w.mu.Lock()
		last := w.alive["a"][0]
		w.mu.Unlock()
		last.end(Exit{})
		time.Sleep(time.Second)
		if s := w.Status()[0]; s.Looping || s.State != Running {
			t.Errorf("after a healthy while: %+v", s)
		}
		w.end()
	})
}

func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(named("a"), named("b", "a"), named("c"))
		w.begin()
		synctest.Wait()
		before := w.runs()
		changed := named("b", "a")
		changed.Env = []string{"X=1"}
		soft := named("a")
		soft.Alive = &Alive{Probe: Probe{Port: 1}}
		soft.Stop.Grace = time.Hour
		if err := w.Apply(t.Context(), []Program{soft, changed, named("d", "b")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		after := w.runs()
		if after["a"] != before["a"] || after["b"] == before["b"] || after["c"] != "" || after["b"] == "" || after["d"] == "" {
			t.Errorf("%v became %v", before, after)
		}
		if err := w.Apply(t.Context(), []Program{named("a", "b"), named("b", "a")}); err == nil || !strings.Contains(err.Error(), "wait for each other: a after b after a") {
			t.Errorf("%v", err)
		}
		if !maps.Equal(w.runs(), after) {
			t.Errorf("a refused change did something: %v", w.runs())
		}
		time.Sleep(time.Minute)
		if s := w.Status()[0]; s.Alive == nil {
			t.Error("the check that came with the change is not made")
		}
		w.end()
		if err := w.Apply(t.Context(), nil); err == nil {
			t.Error("a supervisor that stopped takes programs")
		}
	})
}

// TestApplyLeadsThere applies lists at random and looks what runs.
func TestApplyLeadsThere(t *testing.T) {
	lists := rapid.Custom(func(rt *rapid.T) []Program {
		var all []Program
		for name := 'a'; name <= 'e'; name++ {
			if !rapid.Bool().Draw(rt, "there") {
				continue
			}
			p := named(string(name))
			p.Version = rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "version")
			for _, q := range all {
				if rapid.Bool().Draw(rt, "after") {
					p.After = append(p.After, q.Name)
				}
			}
			p.Policy.Max = time.Duration(rapid.IntRange(0, 1).Draw(rt, "policy")) * time.Hour
			all = append(all, p)
		}
		return all
	})
	rapid.Check(t, func(rt *rapid.T) {
		first, rest := lists.Draw(rt, "first"), rapid.SliceOfN(lists, 1, 5).Draw(rt, "rest")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(first...)
			w.begin()
			synctest.Wait()
			was, before := first, w.runs()
			for _, list := range rest {
				if err := w.Apply(t.Context(), list); err != nil {
					rt.Fatal(err)
				}
				synctest.Wait()
				now := w.runs()
				for _, p := range list {
					i := slices.IndexFunc(was, func(q Program) bool { return q.Name == p.Name })
					switch {
					case !strings.HasPrefix(now[p.Name], p.Version+"#"):
						rt.Errorf("%s is %q", p.Name, now[p.Name])
					case i >= 0 && was[i].Version == p.Version && now[p.Name] != before[p.Name]:
						rt.Errorf("%s was restarted", p.Name)
					}
				}
				if len(now) != len(list)+strings.Count(fmt.Sprint(now), ":]")+empty(now) {
					rt.Errorf("%v runs for %v", now, list)
				}
				was, before = list, now
			}
			w.end()
			if got := w.runs(); empty(got) != len(got) {
				rt.Errorf("left: %v", got)
			}
		})
	})
}

func empty(m map[string]string) (n int) {
	for _, v := range m {
		if v == "" {
			n++
		}
	}
	return n
}

func TestTry(t *testing.T) {
	next := func(version string) Program {
		p := probed(named("a"))
		p.Version = version
		return p
	}
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprintf("beside %t", beside), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(next("1"), named("b", "a"))
				w.begin()
				time.Sleep(time.Second)
				o := TryOptions{Beside: beside, Within: 20 * time.Second}
				w.set(func() { w.deaf["a2"] = true }) // the old one answers, beside it
				if !beside {
					var failed *TrialError
					if err := w.Try(t.Context(), next("2"), o); !errors.As(err, &failed) || !strings.Contains(failed.Reason, "not ready within 20s") {
						t.Errorf("one that is not ready: %v", err)
					}
				}
				w.set(func() { w.lives["a3"], w.late["a"], w.deaf["a1"] = time.Second, 2*time.Second, true })
				if err := w.Try(t.Context(), next("3"), o); err == nil || !strings.Contains(err.Error(), "status 1") {
					t.Errorf("one that ends: %v", err)
				}
				w.set(func() { w.broken["a4"] = true })
				if err := w.Try(t.Context(), next("4"), o); err == nil || !strings.Contains(err.Error(), "no such file") {
					t.Errorf("one that is not there: %v", err)
				}
				w.set(func() { w.deaf["a1"] = false })
				time.Sleep(10 * time.Second)
				if got := w.runs()["a"]; !strings.HasPrefix(got, "1#") || strings.Count(got, "#") != 1 {
					t.Errorf("afterwards %s runs", got)
				}
				if beside && w.count("start a") != 1+1 { // the first, and 3
					t.Errorf("the old one was started again: %s", w.happened())
				}
				if err := w.Try(t.Context(), next("5"), o); err != nil {
					t.Errorf("a good one: %v", err)
				}
				if got := w.runs()["a"]; !strings.HasPrefix(got, "5#") || strings.Count(got, "#") != 1 {
					t.Errorf("then %s runs", got)
				}
				s := w.Status()[0]
				if s.Version != "5" || s.State != Running || s.Trial != nil || w.count("start b") != 1 {
					t.Errorf("%+v", s)
				}
				w.mu.Lock()
				f := w.alive["a"][0]
				w.mu.Unlock()
				f.end(Exit{Code: 3})
				time.Sleep(time.Second)
				if got := w.runs()["a"]; !strings.HasPrefix(got, "5#") {
					t.Errorf("after an exit %s runs", got)
				}
				w.Supervisor.end()
			})
		})
	}
}

// TestTryIsGivenUp changes the programs, and stops the supervisor, while a version is tried.
func TestTryIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(named("a"), named("b"))
		w.begin()
		synctest.Wait()
		for _, interrupt := range []func(){
			func() {
				if err := w.Apply(t.Context(), []Program{named("a")}); err != nil {
					t.Error(err)
				}
			},
			w.end,
		} {
			p := named("a")
			p.Version = "2"
			done := make(chan error)
			go func() { done <- w.Try(t.Context(), p, TryOptions{Within: time.Hour}) }()
			time.Sleep(time.Second)
			if s := w.Status()[0]; s.Trial == nil || s.Trial.Version != "2" || s.Trial.State != Running {
				t.Errorf("%+v", s)
			}
			interrupt()
			if err := <-done; !errors.Is(err, ErrChanged) {
				t.Errorf("%v", err)
			}
			synctest.Wait()
			if got := w.runs(); got["a"] != "" && !strings.HasPrefix(got["a"], "#") || got["b"] != "" {
				t.Errorf("%v", got)
			}
		}
	})
}
