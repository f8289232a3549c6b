package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// store is a program's directory:
//
//	state            State as JSON in one line, and the line's SHA-256 in hex in another
//	versions/<sum>   files that had this SHA-256 when they were put there, executable
//	fetch/<sum>      what has come of one so far, not executable
//	fetch/<sum>.tag  by which the server knows that it has not changed
//
// Files are named by what is in them: no text of a manifest becomes a path.
type store struct {
	disk disk
	dir  string

	mu    sync.Mutex
	whole map[Sum]bool // looked at before
}

func newStore(d disk, dir string) *store { return &store{disk: d, dir: dir, whole: map[Sum]bool{}} }

func (s *store) path(sum Sum) string { return filepath.Join(s.dir, "versions", sum.String()) }
func (s *store) part(sum Sum) string { return filepath.Join(s.dir, "fetch", sum.String()) }
func (s *store) tag(sum Sum) string  { return s.part(sum) + ".tag" }

// load reads the state. One that is torn or not there is a state that remembers nothing but what is whole on disk.
func (s *store) load() (State, error) {
	b, err := s.disk.Read(filepath.Join(s.dir, "state"))
	if errors.Is(err, os.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the state of a program: %w", err)
	}
	line, rest, _ := bytes.Cut(b, []byte{'\n'})
	sum := sha256.Sum256(line)
	var st State
	if strings.TrimSpace(string(rest)) != hex.EncodeToString(sum[:]) || json.Unmarshal(line, &st) != nil {
		return s.salvage(), nil
	}
	return st, nil
}

// salvage makes a state of what is whole on disk: it ran once, or was to.
func (s *store) salvage() (st State) {
	names, _ := s.disk.List(filepath.Join(s.dir, "versions"))
	for _, name := range names {
		if sum, err := ParseSum(name); err == nil && s.has(sum) {
			st.Current, st.Previous = &Ref{Name: "unknown", Sum: sum}, st.Current
		}
	}
	return st
}

// save writes the state so that it is the old one or the new one whenever power is lost.
func (s *store) save(st State) error {
	if err := s.replace(filepath.Join(s.dir, "state"), func() ([]byte, error) {
		line, err := json.Marshal(st)
		sum := sha256.Sum256(line)
		return fmt.Appendf(line, "\n%x\n", sum), err
	}); err != nil {
		return fmt.Errorf("remember the state of a program: %w", err)
	}
	return nil
}

// replace writes a small file whole.
func (s *store) replace(path string, content func() ([]byte, error)) error {
	b, err := content()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := s.disk.Make(dir); err != nil {
		return err
	}
	f, size, err := s.disk.Append(path + ".new")
	if err != nil {
		return err
	}
	if size > 0 {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = s.disk.Rename(path+".new", path)
	}
	if err != nil {
		s.disk.Remove(path + ".new")
		return err
	}
	return s.disk.Sync(dir)
}

// has reports whether a version is whole on disk. It is read whole the first time; one that is torn is removed.
func (s *store) has(sum Sum) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole[sum] {
		return true
	}
	got, err := s.hash(s.path(sum))
	if err != nil {
		return false
	}
	if got != sum {
		s.disk.Remove(s.path(sum))
		return false
	}
	s.whole[sum] = true
	return true
}

func (s *store) hash(path string) (sum Sum, err error) {
	f, err := s.disk.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, make([]byte, 64<<10)); err != nil {
		return sum, err
	}
	return Sum(h.Sum(nil)), nil
}

// errSum says that a whole file is another one.
var errSum = errors.New("its SHA-256 is another one")

// keep makes what was fetched a version, if it is the one, and throws it away otherwise. It is executable only then.
func (s *store) keep(sum Sum) error {
	f, _, err := s.disk.Append(s.part(sum))
	if err != nil {
		return err
	}
	got, err := s.hash(s.part(sum))
	if err == nil && got != sum {
		err = fmt.Errorf("%w: %s", errSum, got)
	}
	if err == nil {
		err = f.Executable()
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		if errors.Is(err, errSum) {
			s.forget(sum)
		}
		return err
	}
	if err := s.disk.Make(filepath.Dir(s.path(sum))); err != nil {
		return err
	}
	if err := s.disk.Rename(s.part(sum), s.path(sum)); err != nil {
		return err
	}
	if err := errors.Join(s.disk.Sync(filepath.Dir(s.path(sum))), s.disk.Sync(filepath.Dir(s.part(sum)))); err != nil {
		return err
	}
	s.disk.Remove(s.tag(sum))
	s.mu.Lock()
	s.whole[sum] = true
	s.mu.Unlock()
	return nil
}

// forget throws away what has come of a version.
func (s *store) forget(sum Sum) {
	s.disk.Remove(s.part(sum))
	s.disk.Remove(s.tag(sum))
}

// prune removes what is not needed.
func (s *store) prune(needed []Sum) {
	for _, sub := range []string{"versions", "fetch"} {
		names, _ := s.disk.List(filepath.Join(s.dir, sub))
		for _, name := range names {
			sum, err := ParseSum(strings.TrimSuffix(name, ".tag"))
			if err == nil && slices.Contains(needed, sum) {
				continue
			}
			s.disk.Remove(filepath.Join(s.dir, sub, name))
			s.mu.Lock()
			delete(s.whole, sum)
			s.mu.Unlock()
		}
	}
}
