package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"iod/supervise"
)

// errDown is what a disk says after the power failed.
var errDown = errors.New("the power is off")

// inode is a file of a crashDisk.
type inode struct {
	data, synced         []byte
	executable, syncedEx bool
}

// crashDisk is a disk that loses what was not synced: of each directory any of the states since its last sync may be what is left, of
// each file any beginning of what was written since, or zeros.
type crashDisk struct {
	mu    sync.Mutex
	dirs  map[string]map[string]*inode
	since map[string][]map[string]*inode // states of a directory since its last sync, that one first
	left  int                            // steps until the power fails; negative: it does not
	steps int
	down  chan struct{} // closed when the power fails
}

func newCrashDisk() *crashDisk {
	return &crashDisk{dirs: map[string]map[string]*inode{}, since: map[string][]map[string]*inode{}, left: -1, down: make(chan struct{})}
}

// step is one operation, before which the power may fail.
func (d *crashDisk) step() error {
	select {
	case <-d.down:
		return errDown
	default:
	}
	d.steps++
	if d.left == 0 {
		close(d.down)
		return errDown
	}
	d.left--
	return nil
}

// changed notes a state of a directory.
func (d *crashDisk) changed(dir string) {
	state := map[string]*inode{}
	for n, i := range d.dirs[dir] {
		state[n] = i
	}
	d.since[dir] = append(d.since[dir], state)
}

// reboot brings the power back.
func (d *crashDisk) reboot(r *rand.Rand, left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir, states := range d.since {
		chosen := states[r.IntN(len(states))]
		d.dirs[dir] = map[string]*inode{}
		for name, i := range chosen {
			d.dirs[dir][name] = i
		}
		d.since[dir] = []map[string]*inode{chosen}
	}
	torn := map[*inode]bool{}
	for _, files := range d.dirs {
		for _, i := range files {
			if torn[i] || bytes.Equal(i.data, i.synced) {
				continue
			}
			torn[i] = true
			if len(i.data) < len(i.synced) {
				if r.IntN(2) == 0 {
					i.data = i.synced
				}
			} else if n := len(i.synced) + r.IntN(len(i.data)-len(i.synced)+1); r.IntN(2) == 0 {
				i.data = i.data[:n]
			} else {
				i.data = append(slices.Clone(i.data[:n]), make([]byte, len(i.data)-n)...)
			}
			if r.IntN(2) == 0 {
				i.executable = i.syncedEx
			}
		}
	}
	d.left, d.down = left, make(chan struct{})
}

func (d *crashDisk) Make(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirs[dir] == nil {
		d.dirs[dir] = map[string]*inode{}
		d.changed(dir)
	}
	return nil
}

func (d *crashDisk) at(path string) (map[string]*inode, string) {
	return d.dirs[filepath.Dir(path)], filepath.Base(path)
}

func (d *crashDisk) Read(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, name := d.at(path)
	if dir[name] == nil {
		return nil, os.ErrNotExist
	}
	return slices.Clone(dir[name].data), nil
}

func (d *crashDisk) Open(path string) (io.ReadCloser, error) {
	b, err := d.Read(path)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (d *crashDisk) Append(path string) (file, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, name := d.at(path)
	if dir == nil {
		return nil, 0, os.ErrNotExist
	}
	if dir[name] == nil {
		if err := d.step(); err != nil {
			return nil, 0, err
		}
		dir[name] = &inode{}
		d.changed(filepath.Dir(path))
	}
	return &crashFile{d, dir[name]}, int64(len(dir[name].data)), nil
}

func (d *crashDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	dir, name := d.at(from)
	other, as := d.at(to)
	other[as] = dir[name]
	delete(dir, name)
	d.changed(filepath.Dir(to))
	d.changed(filepath.Dir(from))
	return nil
}

func (d *crashDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, name := d.at(path)
	if dir[name] == nil {
		return os.ErrNotExist
	}
	if err := d.step(); err != nil {
		return err
	}
	delete(dir, name)
	d.changed(filepath.Dir(path))
	return nil
}

func (d *crashDisk) List(dir string) (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.dirs[dir] {
		names = append(names, name)
	}
	return names, nil
}

func (d *crashDisk) Sync(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.since[dir] = nil
	d.changed(dir)
	return nil
}

func (d *crashDisk) Free(string) (uint64, error) { return 1 << 40, nil }

type crashFile struct {
	d *crashDisk
	i *inode
}

func (f *crashFile) change(change func()) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		return err
	}
	change()
	return nil
}

func (f *crashFile) Write(b []byte) (int, error) {
	err := f.change(func() { f.i.data = append(slices.Clone(f.i.data), b...) })
	return len(b), err
}
func (f *crashFile) Truncate(int64) error { return f.change(func() { f.i.data = nil }) }
func (f *crashFile) Sync() error {
	return f.change(func() { f.i.synced, f.i.syncedEx = slices.Clone(f.i.data), f.i.executable })
}
func (f *crashFile) Executable() error { return f.change(func() { f.i.executable = true }) }
func (f *crashFile) Close() error      { return nil }

// bench is a supervisor without processes, on whose disk the power may fail.
type bench struct {
	t      *testing.T
	disk   *crashDisk
	bad    map[Sum]bool
	proven map[Sum]bool

	mu     sync.Mutex
	runs   supervise.Program
	tried  []string
	sure   string // the version that must run after whatever happens, since the keeper said so; or was to replace it
	saying []string
}

func (b *bench) Run(ctx context.Context) error     { <-ctx.Done(); return nil }
func (b *bench) Status() []supervise.ProgramStatus { return nil }
func (b *bench) Tail(string) []supervise.Line      { return nil }
func (b *bench) fail(format string, args ...any) {
	b.t.Errorf("%s\nhistory: %s", fmt.Sprintf(format, args...), strings.Join(b.saying, "; "))
}
func (b *bench) say(format string, args ...any) {
	b.saying = append(b.saying, fmt.Sprintf(format, args...))
}

// whole reports whether a command may be run: the manifest's, or a file that is what its name says, and executable.
func (b *bench) whole(p supervise.Program) (sum Sum, base bool) {
	path := p.Command[0]
	if path == "./base" {
		return sum, true
	}
	sum, err := ParseSum(filepath.Base(path))
	if err != nil {
		b.fail("%s is run", path)
	}
	b.disk.mu.Lock()
	dir, name := b.disk.at(path)
	i := dir[name]
	b.disk.mu.Unlock()
	if i == nil || sumOf(string(i.data)) != sum || !i.executable {
		b.fail("%s (%s) is run and is not whole: %+v", path, p.Version, i)
	}
	return sum, false
}

func (b *bench) Apply(_ context.Context, programs []supervise.Program) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs = programs[0]
	b.say("runs %q", b.runs.Version)
	if sum, base := b.whole(b.runs); !base && !b.proven[sum] {
		b.fail("version %s runs and has stood no trial", b.runs.Version)
	}
	if b.sure != "" && b.runs.Version != b.sure {
		b.fail("%q runs after %q was the current version", b.runs.Version, b.sure)
	}
	return nil
}

func (b *bench) Try(_ context.Context, next supervise.Program, _ supervise.TryOptions) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum, _ := b.whole(next)
	b.tried = append(b.tried, next.Version)
	b.say("tries %s", next.Version)
	raw, _ := b.disk.Read(filepath.Join("/state/programs/p/state"))
	if !bytes.Contains(raw, []byte(`"trying":{"version":"`+next.Version+`"`)) {
		b.fail("%s is tried and that is not on disk: %s", next.Version, raw)
	}
	b.disk.mu.Lock()
	err := b.disk.step() // the power may fail while it is tried
	b.disk.mu.Unlock()
	if err != nil {
		return supervise.ErrChanged
	}
	if b.bad[sum] {
		return &supervise.TrialError{Reason: "it is bad"}
	}
	b.proven[sum] = true
	b.runs = next
	b.sure = "" // until it is on disk, it or the one before
	return nil
}

// serve runs a keeper until it has nothing more to do, or the power fails. It reports whether it came to the end.
func (b *bench) serve(want *Version) (done bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	k := New(Options{Dir: "/state", Log: slog.New(slog.DiscardHandler),
		Programs: []Program{{Program: supervise.Program{Name: "p", Command: []string{"./base"}}, Want: want}}})
	k.disk, k.sup = b.disk, b
	started := make(chan struct{})
	k.o.Changed = sync.OnceFunc(func() { close(started) })
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	down := b.disk.down
	select {
	case <-started:
	case <-down:
	}
	idle := make(chan struct{})
	go func() { k.workers.Wait(); close(idle) }()
	select {
	case <-idle:
		done = true
	case <-down:
	}
	cancel()
	if err := <-ended; err != nil {
		b.t.Error(err)
	}
	<-idle
	return done
}

// TestPowerFails lets the power fail at every step of two updates, the second of which is bad, and a third, again and again.
func TestPowerFails(t *testing.T) {
	stopTimeForTests(t)
	dir := t.TempDir()
	contents := map[string]string{}
	versions := make([]*Version, 3)
	for i := range versions {
		name := fmt.Sprint(i + 1)
		contents[name] = strings.Repeat("version "+name+"\n", 5000*(i+1))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(contents[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		versions[i] = &Version{Name: name, Sum: sumOf(contents[name]), Path: path}
	}
	story := func(left int, seed uint64) (steps int) {
		r := rand.New(rand.NewPCG(seed, uint64(left)))
		b := &bench{t: t, disk: newCrashDisk(), bad: map[Sum]bool{versions[1].Sum: true}, proven: map[Sum]bool{}}
		b.disk.left = left
		for _, v := range versions {
			b.say("want %s", v.Name)
			for failures := 0; !b.serve(v); failures++ {
				if failures > 100 {
					b.fail("the power failed for ever")
					return
				}
				next := -1
				if failures < 1 && seed > 0 { // three times in one trial would condemn the version
					next = r.IntN(30)
				}
				b.disk.reboot(r, next)
				b.say("power failed")
			}
			b.say("done")
			if good := !b.bad[v.Sum]; good {
				b.sure = v.Name
				if b.runs.Version != v.Name {
					b.fail("%q runs in the end, not %s", b.runs.Version, v.Name)
				}
			} else if b.runs.Version == v.Name {
				b.fail("%s runs in the end", v.Name)
			}
		}
		if n := len(b.tried); seed == 0 && n > 3+1 {
			b.fail("tried %v", b.tried)
		}
		names, _ := b.disk.List("/state/programs/p/versions")
		if len(names) > 2 {
			b.fail("%d versions are kept", len(names))
		}
		return b.disk.steps
	}
	n := story(-1, 0)
	if n < 40 {
		t.Fatalf("only %d steps", n)
	}
	seeds := uint64(4)
	if testing.Short() {
		seeds = 2
	}
	for left := range n {
		for seed := range seeds {
			if story(left, seed); t.Failed() {
				t.Fatalf("when the power failed at step %d of %d, seed %d", left, n, seed)
			}
		}
	}
	t.Logf("%d steps", n)
}

// stopTimeForTests makes trials that fail cost no time.
func stopTimeForTests(t *testing.T) {
	was := stopTime
	stopTime = 0
	t.Cleanup(func() { stopTime = was })
}
