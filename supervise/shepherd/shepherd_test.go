package shepherd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// text is anything but NUL.
var text = rapid.Custom(func(t *rapid.T) string {
	return strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "")
})

func TestSpecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Spec{Name: text.Draw(t, "name"), Command: rapid.SliceOfN(text, 1, 4).Draw(t, "command"), Dir: text.Draw(t, "dir"),
			Files: uint64(rapid.Uint32().Draw(t, "files")), Processes: uint64(rapid.Uint32().Draw(t, "processes")),
			Memory: uint64(rapid.Uint32().Draw(t, "memory")), Group: text.Draw(t, "group"),
			Signal: syscall.Signal(rapid.IntRange(0, 64).Draw(t, "signal")), Grace: time.Duration(rapid.Int64().Draw(t, "grace"))}
		if env := rapid.SliceOf(text).Draw(t, "env"); len(env) > 0 {
			want.Env = env
		}
		if rapid.Bool().Draw(t, "user") {
			want.User = &User{UID: int(rapid.Int32().Draw(t, "uid")), GID: int(rapid.Int32().Draw(t, "gid"))}
			if groups := rapid.SliceOf(rapid.IntRange(0, 70_000)).Draw(t, "groups"); len(groups) > 0 {
				want.User.Groups = groups
			}
		}
		raw, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		in := iotest.OneByteReader(bytes.NewReader(append(slices.Clone(raw), "stop 15 1\n"...)))
		spec, rest, err := readSpec(in)
		if err != nil || len(rest) > 1 {
			t.Fatalf("%q, %v", rest, err)
		}
		got, err := decode(spec)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Fatalf("%+v became %+v, %v", want, got, err)
		}
		if again, err := decode(raw); err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("whole: %+v, %v", again, err)
		}
	})
}

func TestBadSpecs(t *testing.T) {
	for _, s := range []Spec{{Name: "a\x00"}, {Env: []string{"A=\x00"}}, {Dir: strings.Repeat("x", MaxSpec)}} {
		if _, err := s.Encode(); err == nil {
			t.Errorf("%.40q is encoded", s.Name)
		}
	}
	for _, s := range []string{"", "command", "command=a\x00what=1", "command=a\x00files=x"} {
		if got, err := decode([]byte(s)); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
	for _, s := range []string{"", "\x00", "name=a\x00", strings.Repeat("x", MaxSpec+10_000)} {
		if _, _, err := readSpec(strings.NewReader(s)); err == nil {
			t.Errorf("%.20q is a spec", s)
		}
	}
}

func TestListen(t *testing.T) {
	dead := stopping{syscall.SIGKILL, time.Hour, true}
	c := listen(iotest.OneByteReader(strings.NewReader("nonsense\nstop x 1\nstop 2 30\nstop 3")), []byte("stop 1 10\n"), dead)
	for _, want := range []stopping{{1, 10 * time.Millisecond, false}, {2, 30 * time.Millisecond, false}, dead} {
		if got := <-c; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if got := <-listen(strings.NewReader(strings.Repeat("x", 10_000)), nil, dead); got != dead {
		t.Errorf("%+v", got)
	}
}

// TestText compares with package strings.
func TestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, b := rapid.StringOfN(rapid.RuneFrom([]rune("ab =\n")), 0, 10, -1).Draw(t, "text"), rapid.SampledFrom([]byte("a =\n")).Draw(t, "byte")
		before, after, found := cut(s, b)
		if wb, wa, wf := strings.Cut(s, string(b)); before != wb || after != wa || found != wf || index(s, b) != strings.IndexByte(s, b) {
			t.Errorf("cut %q at %q", s, b)
		}
		rest, ok := cutPrefix(s, "ab")
		if wr, wo := strings.CutPrefix(s, "ab"); rest != wr || ok != wo {
			t.Errorf("prefix of %q", s)
		}
		s = strings.ReplaceAll(s, "\n", "")
		if got := fields(s); !slices.Equal(got, strings.Fields(s)) {
			t.Errorf("fields of %q: %q", s, got)
		}
		if got := oneLine(doing("a", errors.New("b\nc"))); got != "a: b c" {
			t.Error(got)
		}
	})
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o755, "plain": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	env := []string{"A=1", "PATH=/nowhere::.:" + dir}
	if got, err := lookPath("good", env); err != nil || got != dir+"/good" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := lookPath("./x", nil); err != nil || got != "./x" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"plain", "folder", "none", ""} {
		if got, err := lookPath(bad, env); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
	if got, err := lookPath("good", []string{"PATH=:."}); err == nil {
		t.Errorf("it is found in the working directory: %s", got)
	}
}
