package provision_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"iod/provision"
)

// What an idle device may cost.
const (
	idleResident = 15_000_000 // bytes
	idleMonth    = 3 << 20    // bytes of all traffic in 30 days
	idleCPU      = 0.001      // of one core
	settling     = 60 * time.Second
)

// TestIdle measures what `iod device run` costs while nothing happens: real processes, the device of the stripped build for
// devices (make device), with every byte between the device and the chain or the relay passing a counting proxy. It takes as long as IOD_IDLE says:
//
//	IOD_IDLE=1h go test -run '^TestIdle$' -v -timeout 80m ./provision
func TestIdle(t *testing.T) {
	span, err := time.ParseDuration(os.Getenv("IOD_IDLE"))
	if err != nil {
		t.Skip("set IOD_IDLE to a duration, such as 1h, to measure an idle device")
	}
	dir := t.TempDir()
	bin, lean := build(t, filepath.Join(dir, "iod")), build(t, filepath.Join(dir, "iod-device"), "-tags", "device")
	rpc := spawn(t, bin, dir, "chain", "dev", "--listen", "127.0.0.1:0", "--block-time", "6s", "--finality-lag", "2").field(t, "rpc")
	relay := spawn(t, bin, dir, "relay", "--listen", "127.0.0.1:0", "--node-key", "relay.key").field(t, "relay")
	var key struct{ Address string }
	if err := json.Unmarshal(output(t, bin, dir, "key", "new", "--out", "device.key"), &key); err != nil {
		t.Fatal(err)
	}
	output(t, bin, dir, "account", "faucet", key.Address, "--rpc", rpc)
	relayHost, relayNode, _ := strings.Cut(strings.TrimPrefix(relay, "tls://"), "/")
	toChain, toRelay := count(t, strings.TrimPrefix(rpc, "ws://")), count(t, relayHost)
	manifest := fmt.Sprintf("rpc = [%q]\nkey = \"device.key\"\n[device]\ndata_type = \"weather\"\n[overlay]\nrelays = [%q]\n"+
		"[[stream]]\nname = \"measurements\"\nkind = \"mqtt\"\ntarget = \"127.0.0.1:1883\"\ntopics = [\"measurements/#\"]\n"+
		"[[program]]\nname = \"station\"\ncommand = [\"sleep\", \"infinity\"]\n",
		"ws://"+toChain.addr, "tls://"+toRelay.addr+"/"+relayNode)
	if err := os.WriteFile(filepath.Join(dir, "device.toml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	device := spawn(t, lean, dir, "device", "run", "-c", "device.toml")
	device.await(t, "msg", provision.MsgPublished)
	pause(t, settling)
	before := []reading{toChain.read(), toRelay.read()}
	cpu, wrote, files := ticks(t, device.pid()), written(t, device.pid()), times(t, filepath.Join(dir, ".iod"))
	pause(t, span)
	spent := float64(ticks(t, device.pid())-cpu) / 100 / span.Seconds()
	resident := status(t, device.pid(), "VmRSS")
	var total int64
	for i, c := range []*counter{toChain, toRelay} {
		r := c.read().minus(before[i])
		total += r.wire()
		t.Logf("%s: %d bytes out, %d in, %d segments: %d bytes on the wire in %s", []string{"chain", "relay"}[i], r.out, r.in, r.segments, r.wire(), span)
	}
	month := int64(float64(total) * float64(30*24*time.Hour) / float64(span))
	t.Logf("a month: %.2f MiB; resident %.1f MiB, of it %.1f anonymous, at most %.1f; %.4f %% of a core", float64(month)/(1<<20),
		float64(resident)/(1<<20), float64(status(t, device.pid(), "RssAnon"))/(1<<20), float64(status(t, device.pid(), "VmHWM"))/(1<<20), 100*spent)
	if resident > idleResident || spent > idleCPU || span >= time.Hour && month > idleMonth { // at first pings are frequent
		t.Errorf("an idle device costs too much")
	}
	if n := written(t, device.pid()) - wrote; n != 0 {
		t.Errorf("an idle device wrote %d bytes to disk", n)
	}
	if now := times(t, filepath.Join(dir, ".iod")); !maps.Equal(now, files) {
		t.Errorf("the state directory changed: %v, then %v", files, now)
	}
}

// written is how many bytes a process has caused to be written to storage.
func written(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("io of %d has no write_bytes", pid)
	return 0
}

// times tells when each file below a directory was changed, and its size.
func times(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all[path] = fmt.Sprint(info.ModTime(), " ", info.Size())
		}
		return err
	})
	if err != nil || len(all) < 3 {
		t.Fatalf("%d files in %s (%v)", len(all), dir, err)
	}
	return all
}

// build makes a stripped binary of iod.
func build(t *testing.T, bin string, flags ...string) string {
	t.Helper()
	c := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", bin}, flags, []string{"iod/cmd/iod"})...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// pause lets the time pass that is measured.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("ended early")
	}
}

// spawned is a process of iod that logs JSON lines to both of its streams.
type spawned struct {
	cmd   *exec.Cmd
	lines chan map[string]any
}

func spawn(t *testing.T, bin, dir string, args ...string) *spawned {
	t.Helper()
	p := &spawned{cmd: exec.Command(bin, append(args, "-o", "json")...), lines: make(chan map[string]any, 1024)}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			var l map[string]any
			if json.Unmarshal(s.Bytes(), &l) == nil {
				select {
				case p.lines <- l:
				default: // nobody reads what comes so late
				}
			}
		}
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
		wg.Wait()
		r.Close()
	})
	return p
}

func (p *spawned) pid() int { return p.cmd.Process.Pid }

// field waits for a line with a member and returns its value.
func (p *spawned) field(t *testing.T, name string) string {
	t.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case l := <-p.lines:
			if s, ok := l[name].(string); ok {
				return s
			}
		case <-late:
			t.Fatalf("%v says no %s", p.cmd.Args, name)
		}
	}
}

func (p *spawned) await(t *testing.T, name, value string) {
	t.Helper()
	for p.field(t, name) != value {
	}
}

func output(t *testing.T, bin, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(bin, append(args, "-o", "json")...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

// ticks returns the processor time of a process in hundredths of a second.
func ticks(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("stat of %d: %v, %v", pid, err1, err2)
	}
	return user + system
}

// status returns a member of a process's status that is in kB, in bytes.
func status(t *testing.T, pid int, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("status of %d has no %s", pid, name)
	return 0
}

// counter is a TCP proxy that counts what passes.
type counter struct {
	addr    string
	out, in atomic.Int64 // bytes of payload

	mu       sync.Mutex
	open     map[*net.TCPConn]bool
	segments int64 // of connections that are over
}

type reading struct{ out, in, segments int64 }

func (r reading) minus(o reading) reading {
	return reading{r.out - o.out, r.in - o.in, r.segments - o.segments}
}

// wire is all that passed, with 40 bytes of TCP and IP headers for each segment, acknowledgements among them.
func (r reading) wire() int64 { return r.out + r.in + 40*r.segments }

func count(t *testing.T, target string) *counter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{addr: ln.Addr().String(), open: map[*net.TCPConn]bool{}}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.join(ctx, conn.(*net.TCPConn), target) })
		}
	})
	t.Cleanup(func() { cancel(); ln.Close(); wg.Wait() })
	return c
}

func (c *counter) join(ctx context.Context, device *net.TCPConn, target string) {
	defer device.Close()
	_ = device.SetKeepAlive(false)
	node, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer node.Close()
	c.mu.Lock()
	c.open[device] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.segments += segments(device)
		delete(c.open, device)
	}()
	stop := context.AfterFunc(ctx, func() { device.Close(); node.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { pass(device, node, &c.in) })
	pass(node, device, &c.out)
	wg.Wait()
}

// pass copies and counts until either side ends, and then ends both.
func pass(dst, src net.Conn, n *atomic.Int64) {
	defer dst.Close()
	defer src.Close()
	_, _ = io.Copy(io.MultiWriter(dst, tally{n}), src)
}

type tally struct{ n *atomic.Int64 }

func (t tally) Write(b []byte) (int, error) {
	t.n.Add(int64(len(b)))
	return len(b), nil
}

// segments is how many TCP segments passed on a connection, as the kernel counts them.
func segments(conn *net.TCPConn) (n int64) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int64(i.Segs_in) + int64(i.Segs_out)
		}
	})
	return n
}

func (c *counter) read() reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := reading{out: c.out.Load(), in: c.in.Load(), segments: c.segments}
	for conn := range c.open {
		r.segments += segments(conn)
	}
	return r
}
