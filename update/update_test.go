package update_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/supervise"
	"iod/update"
)

// TestMain runs this binary again as a device that is killed: DEVICE holds its directory.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DEVICE"); dir != "" {
		device(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// script is a program of a version: it says what it is.
func script(version, more string) []byte {
	return fmt.Appendf(nil, "#!/bin/sh\n# %s\necho is %s $IOD_VERSION\n%s\nexec sleep 1000\n", strings.Repeat(version, 2000), version, more)
}

// program is one whose base is version 0, ready by a line, and to be the version that text holds.
func program(dir, name, version, url string, text []byte) update.Program {
	base := filepath.Join(dir, name+"-base")
	if err := os.WriteFile(base, script("0", ""), 0o755); err != nil {
		panic(err)
	}
	p := update.Program{Program: supervise.Program{Name: name, Command: []string{base},
		Ready: &supervise.Ready{Probe: supervise.Probe{Line: "^is " + version[:1]}}}}
	p.Ready.Line = "^is "
	if url != "" {
		p.Want = &update.Version{Name: version, Sum: sha256.Sum256(text), URL: url, Within: 20 * time.Second}
	}
	return p
}

// shelf serves versions by their name, in answers of at most 20 kB.
func shelf(versions map[string][]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, ok := versions[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	}
}

// rig is a keeper that runs.
type rig struct {
	*update.Keeper
	t     *testing.T
	lines chan supervise.Line
	stop  func()
}

func run(t *testing.T, dir string, programs ...update.Program) *rig {
	t.Helper()
	r := &rig{t: t, lines: make(chan supervise.Line, 10_000)}
	r.Keeper = update.New(update.Options{Programs: programs, Dir: dir, Log: slog.New(slog.DiscardHandler), Grace: time.Second,
		Output: func(l supervise.Line) { r.lines <- l }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// says waits for a line of a program.
func (r *rig) says(program, text string) {
	r.t.Helper()
	for late := time.After(20 * time.Second); ; {
		select {
		case l := <-r.lines:
			if l.Program == program && strings.TrimSpace(l.Text) == text {
				return
			}
		case <-late:
			for _, s := range r.Status() {
				r.t.Errorf("%+v\n%+v", s.ProgramStatus, s.Update)
			}
			r.t.Fatalf("%s did not say %q", program, text)
		}
	}
}

// becomes waits for a phase.
func (r *rig) becomes(name string, phase update.Phase) update.Status {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); ; {
		all := r.Status()
		i := slices.IndexFunc(all, func(s update.Status) bool { return s.Name == name })
		if i >= 0 && all[i].Update != nil && all[i].Update.Phase == phase && all[i].State == supervise.Running {
			return all[i]
		}
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("%s is not %s: %+v", name, phase, all[i].Update)
		}
	}
}

func TestVersions(t *testing.T) {
	versions := map[string][]byte{"1": script("1", ""), "2": []byte("#!/bin/sh\necho not ready\nexit 3\n"), "3": script("3", "")}
	s := httptest.NewServer(shelf(versions))
	defer s.Close()
	dir := t.TempDir()
	at := func(v string) update.Program { return program(dir, "p", v, s.URL+"/"+v, versions[v]) }
	other := update.Program{Program: supervise.Program{Name: "other", Command: []string{"sleep", "1000"}}}
	r := run(t, dir, at("1"), other)
	r.says("p", "is 1 1")
	st := r.becomes("p", update.UpToDate)
	if st.Version != "1" || st.Update.Previous != "" || st.Update.Done != int64(len(versions["1"])) {
		t.Errorf("%+v %+v", st, st.Update)
	}
	pid := r.Status()[1].PID

	if err := r.Apply(t.Context(), []update.Program{at("2"), other}); err != nil {
		t.Fatal(err)
	}
	r.says("p", "not ready")
	r.says("p", "is 1 1")
	st = r.becomes("p", update.Failed)
	if st.Version != "1" || len(st.Update.Failed) != 1 || !strings.Contains(st.Update.Err, "exited with status 3") {
		t.Errorf("%+v %+v", st, st.Update)
	}
	beside := at("3")
	beside.Want.Beside = true
	if err := r.Apply(t.Context(), []update.Program{beside, other}); err != nil {
		t.Fatal(err)
	}
	r.says("p", "is 3 3")
	st = r.becomes("p", update.UpToDate)
	if st.Version != "3" || st.Update.Previous != "1" || st.Trial != nil {
		t.Errorf("%+v %+v", st, st.Update)
	}
	if got := r.Status()[1].PID; got != pid {
		t.Error("another program was restarted")
	}
	if kept, _ := os.ReadDir(filepath.Join(dir, "programs/p/versions")); len(kept) != 2 {
		t.Errorf("%d versions are kept", len(kept))
	}
	r.stop()

	// The current one is torn: the one before runs until it is fetched again.
	sum := sha256.Sum256(versions["3"])
	if err := os.WriteFile(filepath.Join(dir, "programs/p/versions", update.Sum(sum).String()), versions["3"][:1000], 0o755); err != nil {
		t.Fatal(err)
	}
	r = run(t, dir, at("3"), other)
	r.says("p", "is 3 3")
	r.becomes("p", update.UpToDate)

	// Without a version in the manifest its own command runs, and nothing is left on disk.
	plain := at("3")
	plain.Want = nil
	if err := r.Apply(t.Context(), []update.Program{plain}); err != nil {
		t.Fatal(err)
	}
	r.says("p", "is 0")
	if kept, _ := os.ReadDir(filepath.Join(dir, "programs/p/versions")); len(kept) != 0 {
		t.Errorf("%d versions are kept", len(kept))
	}
	if err := r.Apply(t.Context(), []update.Program{{Program: plain.Program, Want: &update.Version{Name: "../x"}}}); err == nil {
		t.Error("a hostile name is applied")
	}
}

// TestOtherUserReachesItsVersion runs a version as nobody.
func TestOtherUserReachesItsVersion(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may run programs as another user")
	}
	text := script("1", "id -un")
	s := httptest.NewServer(shelf(map[string][]byte{"1": text}))
	defer s.Close()
	dir, err := os.MkdirTemp("", "update") // t.TempDir's parent cannot be entered by others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	p := program(dir, "p", "1", s.URL+"/1", text)
	p.User, p.Dir = "nobody", "/"
	r := run(t, dir, p)
	r.says("p", "nobody")
	r.becomes("p", update.UpToDate)
}

// device is a device that updates three programs, until it is killed. Its directory says where from.
func device(dir string) {
	url := os.Getenv("SHELF")
	var programs []update.Program
	for _, name := range []string{"a", "b"} {
		p := program(dir, name, os.Getenv("VERSION"), url+"/"+name+os.Getenv("VERSION"), versionOf(name, os.Getenv("VERSION")))
		p.Want.Beside = name == "b"
		programs = append(programs, p)
	}
	k := update.New(update.Options{Programs: programs, Dir: dir, Log: slog.New(slog.DiscardHandler), Grace: time.Second,
		Output: func(l supervise.Line) { fmt.Println(l.Program, l.Text) }})
	k.Run(context.Background())
}

func versionOf(name, version string) []byte { return script(version, "# "+name) }

// TestKilledWhileUpdating kills a device again and again at any moment of its updates. Each time it comes back both programs run,
// and in the end at the newest version.
func TestKilledWhileUpdating(t *testing.T) {
	versions := map[string][]byte{}
	for _, name := range []string{"a", "b"} {
		for _, v := range []string{"1", "2", "3"} {
			versions[name+v] = versionOf(name, v)
		}
	}
	s := httptest.NewServer(shelf(versions))
	defer s.Close()
	dir := t.TempDir()
	kills := 6 // at most twice in a trial of the same version: a third time would condemn it
	if testing.Short() {
		kills = 3
	}
	start := func(version string) (*exec.Cmd, *bufio.Scanner) {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "DEVICE="+dir, "SHELF="+s.URL, "VERSION="+version)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewScanner(out)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range kills {
		version := fmt.Sprint(1 + n*3/kills)
		c, lines := start(version)
		for ran := map[string]bool{}; len(ran) < 2 && lines.Scan(); { // both run, whatever happened before
			if name, rest, ok := strings.Cut(lines.Text(), " is "); ok {
				ran[name] = true
				if rest[0] < '0' || rest[0] > version[0] {
					t.Errorf("%q runs at version %s", lines.Text(), version)
				}
			}
		}
		kill := time.AfterFunc(time.Duration(r.IntN(150))*time.Millisecond, func() { c.Process.Kill() })
		for lines.Scan() {
		}
		kill.Stop()
		c.Wait()
	}
	c, lines := start("3")
	defer func() { c.Process.Kill(); c.Wait() }()
	stuck := time.AfterFunc(30*time.Second, func() { c.Process.Kill() })
	defer stuck.Stop()
	for ran := map[string]bool{}; len(ran) < 2; {
		if !lines.Scan() {
			t.Fatalf("the newest version does not run: %v", ran)
		}
		if name, _, ok := strings.Cut(lines.Text(), " is 3"); ok {
			ran[name] = true
		}
	}
}
