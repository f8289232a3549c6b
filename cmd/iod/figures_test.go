//go:build !device && linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/index/postgres/pgtest"
	"iod/index/storetest"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// figures skips a test that measures unless IOD_FIGURES is set: it takes minutes and both processors.
func figures(t *testing.T) {
	t.Helper()
	if os.Getenv("IOD_FIGURES") == "" {
		t.Skip("measures for minutes: set IOD_FIGURES=1")
	}
}

// process is an iod that runs until the test ends.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	began time.Time
	url   string // of the group found in its output
}

// begin starts an iod and waits until a line of its output has an address.
func begin(t *testing.T, address string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("iod", args...), began: time.Now()}
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CACHE_HOME="+t.TempDir())
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines, re := bufio.NewScanner(out), regexp.MustCompile(address); lines.Scan(); {
			if m := re.FindStringSubmatch(lines.Text()); m != nil && p.url == "" {
				p.url = m[1]
				found <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt)
		<-read
		_ = p.cmd.Wait()
	})
	select {
	case <-found:
	case <-read:
		t.Fatalf("iod %v ended", args)
	}
	return p
}

// peak is the most memory that the process had resident, in MB.
func (p *process) peak() float64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("%s", regexp.MustCompile(`(Rss\w+|VmHWM|VmRSS):.*`).FindAll(b, -1))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		p.t.Fatalf("no VmHWM in %s", b)
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kb * 1024 / 1e6
}

// get asks the API; false: it did not answer with 200.
func (p *process) get(path string, v any) bool {
	p.t.Helper()
	r, err := http.Get(p.url + path)
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK && json.NewDecoder(r.Body).Decode(v) == nil
}

// status is what the API says of how far the index is.
type status struct {
	Block   *uint32 `json:"block"`
	Devices struct {
		Live uint64 `json:"live"`
	} `json:"devices"`
}

// until waits until the index has a block, and returns how long it has taken since the process began.
func (p *process) until(block uint32) (took time.Duration, last status) {
	p.t.Helper()
	for {
		var s status
		if p.get("/api/v1/status", &s) && s.Block != nil && *s.Block >= block {
			return time.Since(p.began), s
		}
		time.Sleep(20 * time.Millisecond)
		if time.Since(p.began) > 10*time.Minute {
			p.t.Fatalf("after ten minutes at %+v", s)
		}
	}
}

// databases are the kinds of databases to measure with.
func databases(t *testing.T) map[string]func(t *testing.T) string {
	server := pgtest.New(t)
	return map[string]func(t *testing.T) string{
		"SQLite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "index.db") },
		"PostgreSQL": func(t *testing.T) string { return server.Database(t) },
	}
}

func metadataOf(t *testing.T, url string) *metadata.Metadata {
	t.Helper()
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := c.Finalised(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFigureColdStart: a new index reads the state of a chain with 100,000 devices, each set up in RBAC, as processes of their own.
func TestFigureColdStart(t *testing.T) {
	figures(t)
	const devices = 100_000
	dir := t.TempDir()
	head := seedChain(t, dir, devices)
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			node := begin(t, `rpc +(\S+)`, "chain", "dev", "--dir", dir, "--listen", "127.0.0.1:0", "--manual")
			ix := begin(t, `api +(http://[^/]+)`, "index", "--rpc", node.url, "--database", database(t), "--listen", "127.0.0.1:0")
			took, s := ix.until(head)
			t.Logf("%d devices with their owners' arrangements in %.1f s (%.0f/s), at most %.0f MB resident", devices, took.Seconds(), devices/took.Seconds(), ix.peak())
			if s.Devices.Live != devices {
				t.Errorf("%d are live", s.Devices.Live)
			}
			if took > time.Minute || ix.peak() > 300 {
				t.Error("too slow, or too large")
			}
		})
	}
}

// seedChain writes a chain with many devices to disk, and returns its head.
func seedChain(t *testing.T, dir string, devices int) uint32 {
	t.Helper()
	done := false
	var head uint32
	t.Run("seed", func(t *testing.T) {
		url, dev := devchaintest.Start(t, devchain.Options{Dir: dir, Manual: true})
		m := metadataOf(t, url)
		for at := 0; at < devices; at += 5000 {
			if _, err := dev.SetStorage(storetest.Seed(t, m, at, min(5000, devices-at))); err != nil {
				t.Fatal(err)
			}
		}
		head, _ = dev.Finalised()
		done = true
	})
	if !done {
		t.FailNow()
	}
	return head
}

// TestFigureHistory: a new index walks a long history, every tenth block of which has a publication.
func TestFigureHistory(t *testing.T) {
	figures(t)
	const blocks = 50_000
	url, dev := devchaintest.Start(t, devchain.Options{})
	publish := publisher(t, url)
	for n := range blocks / 10 {
		publish(uint64(n) + 1)
		if _, err := dev.NewBlock(9); err != nil {
			t.Fatal(err)
		}
	}
	head, _ := dev.Finalised()
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			ix := begin(t, `api +(http://[^/]+)`, "index", "--rpc", url, "--from", "0", "--database", database(t), "--listen", "127.0.0.1:0")
			took, s := ix.until(head)
			rate := float64(head) / took.Seconds()
			t.Logf("%d blocks in %.1f s (%.0f/s), at most %.0f MB resident", head, took.Seconds(), rate, ix.peak())
			if s.Devices.Live != 1 || rate < 2000 || ix.peak() > 300 {
				t.Errorf("too slow, too large, or wrong: %+v", s)
			}
		})
	}
}

// publisher returns a function that publishes a document of Alice's with a sequence, and waits until it is in a block.
func publisher(t *testing.T, url string) func(sequence uint64) (block uint32) {
	t.Helper()
	alice, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	first := true
	return func(sequence uint64) uint32 {
		t.Helper()
		call := did.UpdateAttribute(alice.Account(), document.DeviceAttribute, storetest.Sign(t, alice, storetest.Weather(alice, sequence)), nil)
		if first {
			call.Name, first = "add_attribute", false
		}
		tx, err := c.Submit(t.Context(), alice, call, chain.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := tx.Finalised(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return out.Number
	}
}

// TestFigureSearchable: from a node's word that a block is final to the API's answer with what it holds.
func TestFigureSearchable(t *testing.T) {
	figures(t)
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			url, _ := devchaintest.Start(t, devchain.Options{})
			ix := begin(t, `api +(http://[^/]+)`, "index", "--rpc", url, "--from", "0", "--database", database(t), "--listen", "127.0.0.1:0")
			publish := publisher(t, url)
			c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			final := make(chan time.Time, 1000)
			go func() {
				for b, err := range c.FollowFinality(ctx) {
					if err != nil {
						return
					}
					if b.Number > 0 {
						final <- time.Now()
					}
				}
			}()
			var took []time.Duration
			for n := range uint64(200) {
				publish(n + 1)
				at := <-final
				for {
					var page struct{ Devices []json.RawMessage }
					if ix.get("/api/v1/devices?data_type=wind_speed&q=measurements", &page) && len(page.Devices) == 1 &&
						strings.Contains(string(page.Devices[0]), fmt.Sprintf(`"sequence":%d,`, n+1)) {
						break
					}
					if time.Since(at) > 5*time.Second {
						t.Fatalf("publication %d is not found: %+v", n+1, page)
					}
				}
				took = append(took, time.Since(at))
			}
			slices.Sort(took)
			t.Logf("median %v, 99 of 100 %v, longest %v", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
			if took[len(took)*99/100] > 500*time.Millisecond {
				t.Error("too slow")
			}
		})
	}
}
