package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain runs this binary again as another user's process, when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONTROL_TEST_DIR"); dir != "" {
		fmt.Println(get(context.Background(), dir))
		return
	}
	goleak.VerifyTestMain(m)
}

// get asks who listens at a directory's socket, and returns what it says or the error.
func get(ctx context.Context, dir string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://device/", nil)
	if err != nil {
		return "", err
	}
	c := Client(dir)
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// device listens at a directory's socket until the test or the returned function ends it.
func device(t *testing.T, dir, says string) (where string, stop func()) {
	t.Helper()
	ln, where, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, says) })) //nolint:errcheck // the client tells
		if err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return where, stop
}

func hears(t *testing.T, dir, want string) {
	t.Helper()
	if got, err := get(t.Context(), dir); err != nil || got != want {
		t.Errorf("heard %q, %v", got, err)
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	if _, err := get(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("nobody listens: %v", err)
	}
	for _, says := range []string{"first", "second"} { // the second finds the socket of the first
		where, stop := device(t, dir, says)
		if info, err := os.Stat(where); err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
			t.Fatalf("%s: %v, %v", where, info, err)
		}
		hears(t, dir, says)
		stop()
		if _, err := get(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("it has ended: %v", err)
		}
	}
}

func TestSomethingElseHasTheName(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		device(t, dir, "elsewhere")
		hears(t, dir, "elsewhere")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is gone: %q, %v", b, err)
	}
}

func TestLongPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a way around the limit")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	where, _ := device(t, dir, "deep down")
	if len(where) < 200 || where[0] == '@' {
		t.Errorf("it listens at %s", where)
	}
	hears(t, dir, "deep down")
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has sockets without a file")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(file, "state")
	where, _ := device(t, dir, "without a file")
	if where[0] != '@' {
		t.Errorf("it listens at %s", where)
	}
	hears(t, dir, "without a file")
	if _, _, err := Listen(dir); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second one: %v", err)
	}
}

// Another user of the machine gets no word in, by either kind of socket, and is not believed either.
func TestStranger(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	open := func(dir string) string { // as careless as can be: only the socket itself keeps strangers out
		t.Helper()
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for d := dir; d != "/" && d != "/tmp"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	root, err := os.MkdirTemp("/tmp", "iod-control-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	dir := open(filepath.Join(root, "state"))
	where, _ := device(t, dir, "secret")
	if err := os.Chmod(where, 0o666); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "file", "state")
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	device(t, missing, "secret")
	exe := filepath.Join(dir, "stranger")
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, missing} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, exe)
		cmd.Env, cmd.Dir = []string{"CONTROL_TEST_DIR=" + at}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "secret") || strings.Contains(string(out), "<nil>") {
			t.Errorf("at %s a stranger hears %q (%v)", at, out, err)
		}
		hears(t, at, "secret") // those who may still do
	}
}

// A connection that says nothing, or too much, or one too many, costs the others nothing.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	device(t, dir, "here")
	var held []io.Closer
	for range 2 * maxConns {
		c, err := dial(t.Context(), dir)
		if err != nil {
			break // the kernel's queue is full
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Close()
	}
	for late := time.Now().Add(20 * time.Second); ; { // those that were held are let go after a moment
		got := huge(t, dir)
		if strings.Contains(got, "431") {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("a huge header is answered with %q", got)
		}
	}
	hears(t, dir, "here")
}

// huge sends a request with a huge header and returns the beginning of the answer.
func huge(t *testing.T, dir string) string {
	t.Helper()
	c, err := dial(t.Context(), dir)
	if err != nil {
		return ""
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n") //nolint:errcheck // the answer tells
	b := make([]byte, 100)
	n, _ := c.Read(b)
	return string(b[:n])
}
