package devchain

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"iod/key"
)

const childVariable = "DEVCHAIN_TEST_CHILD"

func childDir() string { return os.Getenv(childVariable) }

// runChild serves a chain from dir until it is killed, and says where.
func runChild(dir string) {
	c, err := New(Options{Dir: dir, FinalityLag: 3})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("listening", ln.Addr())
	if err := c.Serve(context.Background(), ln); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

type child struct {
	cmd  *osexec.Cmd
	addr string
}

func startChild(t *testing.T, dir string) child {
	t.Helper()
	cmd := osexec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // in case the test ends before
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("child says %q (%v)", line, err)
	}
	return child{cmd, addr}
}

func (c child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait() // says that it was killed
}

// TestKilledProcessLosesNoBlock kills a serving process again and again in the midst of transactions. Every transaction that
// a client saw in a block must be there afterwards, in that block unless it was not final, and the chain must go on.
func TestKilledProcessLosesNoBlock(t *testing.T) {
	dir := t.TempDir()
	alice := keyPair(t, key.Sr25519, "//Alice")
	nonce, total := uint32(0), 0
	for round := range 8 {
		proc := startChild(t, dir)
		k := dial(t, proc.addr)
		var next uint32
		var genesis string
		k.call(&next, "system_accountNextIndex", alice.Account().String())
		k.call(&genesis, "chain_getBlockHash", 0)
		if next < nonce {
			proc.kill()
			t.Fatalf("round %d: nonce is %d, but %d transactions were seen in blocks", round, next, nonce)
		}
		g := [32]byte(unhex(t, genesis))
		s := signer{rt: runtime{spec: 1, tx: 1}, genesis: g, era: []byte{0}, birth: g}
		seen := 0
		for want := 3 + rand.IntN(30); seen < want; next++ {
			k.call(nil, "author_submitAndWatchExtrinsic", hexBytes(s.sign(t, alice, next, 0, remark("x"))))
			for !strings.Contains(string(k.note("author_extrinsicUpdate")), "inBlock") {
			}
			seen++
		}
		if round%2 == 0 { // leave some on the way
			for i := range uint32(5) {
				k.send("author_submitExtrinsic", hexBytes(s.sign(t, alice, next+i, 0, remark("y"))))
			}
		}
		proc.kill()
		nonce, total = next, total+seen
	}
	proc := startChild(t, dir)
	k := dial(t, proc.addr)
	var events string
	k.call(&events, "state_getStorage", hexBytes([]byte(eventsKey)))
	proc.kill()
	c, err := New(Options{Dir: dir, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.nonce(alice.Account()); got < nonce || total < 24 {
		t.Errorf("nonce is %d after %d transactions of which %d were seen", got, nonce, total)
	}
	checkLinks(t, c)
}

// checkLinks walks the best chain: each block names its parent, and its nonce is what its transactions made it.
func checkLinks(t *testing.T, c *Chain) {
	t.Helper()
	for n := 1; n < len(c.led.canon); n++ {
		b := c.led.canon[n]
		if b.parentHash != c.led.canon[n-1].id || b.header.hash() != b.id || int(b.number) != n {
			t.Fatalf("block %d does not follow its parent", n)
		}
		if commitment(c.led.body(b)...) != b.extrinsicsRoot {
			t.Fatalf("block %d does not hold its extrinsics", n)
		}
	}
}

// TestLogCutAnywhereOpens cuts a log at every byte of its last records, as a power cut may: the chain opens with the blocks
// before the cut. A byte changed in the middle is refused.
func TestLogCutAnywhereOpens(t *testing.T) {
	dir := t.TempDir()
	c, err := New(Options{Dir: dir, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewBlock(3); err != nil {
		t.Fatal(err)
	}
	before := c.led.log.size
	if _, err := c.NewBlock(1); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	for cut := int(before); cut < len(whole); cut += 7 {
		reopened := reopen(t, whole[:cut])
		if n, _ := reopened.Best(); n != 3 && n != 4 {
			t.Fatalf("cut at %d: head is %d", cut, n)
		}
		if _, err := reopened.NewBlock(1); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		checkLinks(t, reopened)
		reopened.Close()
	}
	damaged := append([]byte(nil), whole...)
	damaged[before/2] ^= 1
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, logName), damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Dir: bad, Manual: true}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged log: %v", err)
	}
}

func reopen(t *testing.T, log []byte) *Chain {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, logName), log, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Dir: dir, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
