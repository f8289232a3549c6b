package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake writes a program that stands in for iod.
func fake(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "iod")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFailedStepIsNamed(t *testing.T) {
	for name, c := range map[string]struct{ script, step, want string }{
		"ends at once":    {"echo out of memory >&2; exit 7", "chain", "chain ended: exit status 7: out of memory"},
		"no such program": {"", "chain", "start chain"},
	} {
		self := fake(t, c.script)
		if c.script == "" {
			self += "-missing"
		}
		var out bytes.Buffer
		err := Run(t.Context(), Options{Self: self, Dir: t.TempDir(), Once: true, Out: &out})
		var failed *StepError
		if !errors.As(err, &failed) || failed.Step != c.step || !strings.Contains(failed.Err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want step %s: %s", name, err, c.step, c.want)
		}
		if out.Len() > 0 {
			t.Errorf("%s: told %q", name, out.String())
		}
	}
}

func TestInterruptedIsNoSuccess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &story{o: Options{Self: fake(t, "exec sleep 60"), Dir: t.TempDir(), Out: &bytes.Buffer{}}}
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := Run(ctx, s.o); !errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted story ends with %v", err)
	}
}

func TestEnvironmentOfTheUserStaysOut(t *testing.T) {
	t.Setenv("IOD_KEY", "//Alice")
	t.Setenv("IOD_RPC", "ws://elsewhere")
	for _, v := range environ() {
		if strings.HasPrefix(v, "IOD_") {
			t.Errorf("%s reaches the story", v)
		}
	}
}

func TestLinesAreCutAnywhere(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{log: log, more: make(chan struct{})}
	w := p.pipe()
	for _, piece := range []string{`{"msg":"o`, "ne\"}\nnot json\n{\"msg\":", `"two"}`, "\n", `{"msg":"three"}`} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("write of %d bytes: %d, %v", len(piece), n, err)
		}
	}
	w.flush()
	var got []string
	for _, l := range p.lines {
		got = append(got, l.str("msg"))
	}
	if strings.Join(got, " ") != "one two three" {
		t.Errorf("lines are %q", got)
	}
	if string(p.lastWords()) != `{"msg":"three"}` {
		t.Errorf("last words are %q", p.lastWords())
	}
	if l, ok := p.newest(func(l line) bool { return l.str("msg") != "three" }); !ok || l.str("msg") != "two" {
		t.Errorf("the newest but three is %v", l)
	}
}

func TestTimesForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Millisecond: "0 ms", 0: "0 ms", 1999 * time.Millisecond: "1999 ms", 12340 * time.Millisecond: "12.3s",
	} {
		if got := ms(d); got != want {
			t.Errorf("%v is told as %q, want %q", d, got, want)
		}
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		s := &story{o: Options{Out: &out, Color: colour}, began: time.Now()}
		s.say("chain", "is up")
		if got := strings.Contains(out.String(), "\x1b["); got != colour {
			t.Errorf("colour %v: told %q", colour, out.String())
		}
	}
}
