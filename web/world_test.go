//go:build unix

package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/spareport"
)

// binary is the real iod, made at the first use, with the flags that package e2e uses, so that it is compiled once for both.
var binary struct {
	sync.Once
	dir string
	err error
}

// iodDir is a directory that holds the iod binary.
func iodDir(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("real processes take their time")
	}
	binary.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "iod-bin-"); binary.err != nil {
			return
		}
		c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary.dir+"/", "iod/cmd/iod")
		if out, err := c.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("build iod: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.dir
}

// world is a development chain with an index over it whose pages are served: real processes, but for the chain.
type world struct {
	t          *testing.T
	dir        string
	rpc, pages string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.rpc, _ = devchaintest.Start(t, devchain.Options{BlockTime: 200 * time.Millisecond, FinalityLag: 1})
	w.pages = w.started("api", "index", "-o", "json", "--rpc", w.rpc, "--listen", "127.0.0.1:0", "--database", "index.db", "--rate", "0")
	return w
}

// environ is what a person's shell has: iod in the path, and nothing set for it.
func (w *world) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "IOD_") || strings.HasPrefix(v, "PATH=") || strings.HasPrefix(v, "HOME=")
	})
	return append(env, "PATH="+iodDir(w.t)+":"+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"), "PYTHONUNBUFFERED=1")
}

// running is a process of a test. It is ended, with all that it started, at the end of the test or by stop.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	errs  lockedBuffer
	stop  func()
}

// lockedBuffer keeps the last words of a process.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) start(dir, program string, args ...string) *running {
	w.t.Helper()
	p := &running{cmd: exec.Command(program, args...)}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr, p.cmd.WaitDelay = dir, w.environ(), &p.errs, time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		w.t.Fatalf("start %s %v: %v", program, args, err)
	}
	p.lines = bufio.NewScanner(out)
	p.stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait() // it was killed
	})
	w.t.Cleanup(p.stop)
	return p
}

// line waits for a line of output that want takes.
func (w *world) line(p *running, what string, want func(string) bool) string {
	w.t.Helper()
	late := time.AfterFunc(patience, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	defer late.Stop()
	var all []string
	for p.lines.Scan() {
		if want(p.lines.Text()) {
			return p.lines.Text()
		}
		all = append(all, p.lines.Text())
	}
	p.stop()
	w.t.Fatalf("%s: %s ended, or was ended after %v; it said %q and\n%s", what, p.cmd, patience, all, p.errs.String())
	return ""
}

// started runs iod and returns the member of the first JSON object that it prints with it.
func (w *world) started(member string, args ...string) (value string) {
	w.t.Helper()
	p := w.start(w.dir, filepath.Join(iodDir(w.t), "iod"), args...)
	w.line(p, strings.Join(args[:2], " "), func(line string) bool {
		var v map[string]any
		_ = json.Unmarshal([]byte(line), &v) // other lines are none
		value, _ = v[member].(string)
		return value != ""
	})
	return value
}

// iod runs a command of iod to its end and returns what it printed.
func (w *world) iod(args ...string) string {
	w.t.Helper()
	return w.shell(w.dir, "iod "+strings.Join(args, " "))
}

// shell has a shell run a text that was pasted into it.
func (w *world) shell(dir, text string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", text)
	c.Dir, c.Env, c.WaitDelay = dir, w.environ(), time.Second
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("%s\n%v: %s%s", text, err, out, errs.String())
	}
	return string(out)
}

// page waits until the page of a path is there and says something.
func (w *world) page(path, text string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		body, err := fetch(ctx, w.pages+path)
		if err == nil && strings.Contains(body, text) {
			return body
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			w.t.Fatalf("%s does not say %q: %v", path, text, err)
		}
	}
}

func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered with %s", url, res.Status)
	}
	return string(body), err
}

// freePort is a port of loopback that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := spareport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// endWorlds leaves nothing behind.
func endWorlds() {
	http.DefaultClient.CloseIdleConnections()
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
}
