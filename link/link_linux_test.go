package link

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ip runs iproute2, the judge of what the kernel tells.
func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// again runs the test once more, in a process that has a network of its own.
func again(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"ip", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs ip and unshare")
		}
	}
	if err := exec.Command("unshare", "-n", "true").Run(); err != nil {
		t.Skip("needs to be allowed a network namespace")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-n", exe, "-test.run", "^TestKernelTells$", "-test.v")
	cmd.Env = append(os.Environ(), "LINK_TEST=inside")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestKernelTells makes interfaces, addresses and routes come and go, in a namespace of its own.
func TestKernelTells(t *testing.T) {
	if os.Getenv("LINK_TEST") == "" {
		again(t)
		return
	}
	for _, args := range [][]string{{"add", "name", "here0", "type", "veth", "peer", "name", "there0"},
		{"set", "lo", "up"}, {"set", "here0", "addrgenmode", "none"},
		{"set", "there0", "addrgenmode", "none"}} { // IPv6 would make addresses at a moment of its own
		ip(t, append([]string{"link"}, args...)...)
	}
	k := newKernel(t)
	k.expect("a link that comes", true, k.running(2), "link set there0 up", "link set here0 up")
	k.expect("an address", true, k.said(), "addr add 10.1.2.3/24 dev here0")
	k.expect("a route to everywhere", true, k.said(), "route add default via 10.1.2.1")
	k.expect("an address that is renewed", false, k.said(), "addr change 10.1.2.3/24 dev here0 valid_lft 1000 preferred_lft 1000")
	k.expect("a route to a place", false, k.said(), "route add 10.9.0.0/16 via 10.1.2.1")
	k.expect("an interface of another name", false, k.said(), "link set here0 alias somewhere")
	k.expect("a link that goes", false, k.running(0), "link set there0 down")
	k.expect("a link that comes back", true, k.running(2), "link set there0 up")
	k.expect("an address that goes", false, k.said(), "addr del 10.1.2.3/24 dev here0")
	k.expect("an address that comes back", true, k.said(), "addr add 10.1.2.3/24 dev here0")

	ctx, cancel := context.WithCancel(t.Context())
	ups := make(chan struct{}, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Watch(ctx, func() { ups <- struct{}{} }); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	for i := 1; ; i++ { // whenever it has begun to watch
		ip(t, "addr", "add", fmt.Sprintf("10.4.%d.1/24", i), "dev", "here0")
		select {
		case <-ups:
			return
		case <-time.After(2 * calm):
			if i == 100 {
				t.Fatal("an address is not told")
			}
		}
	}
}

// kernel reads what the kernel says, message by message in its order, so that nothing hangs on when it says it.
type kernel struct {
	t     *testing.T
	f     *os.File
	s     *sight
	marks int
}

func newKernel(t *testing.T) *kernel {
	f, err := subscribe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	k := &kernel{t: t, f: f, s: newSight()}
	if err := k.s.begin(); err != nil {
		t.Fatal(err)
	}
	return k
}

// said ends the reading when everything that the commands caused has been said: another name of the loopback interface comes after it.
func (k *kernel) said() func([]byte) bool {
	k.marks++
	mark := fmt.Sprintf("mark-%d-", k.marks)
	return func(b []byte) bool {
		if b == nil {
			ip(k.t, "link", "set", "lo", "alias", mark)
		}
		return bytes.Contains(b, []byte(mark))
	}
}

// running ends the reading when so many links run, which the kernel finds out when it likes.
func (k *kernel) running(n int) func([]byte) bool {
	return func(b []byte) bool { return b != nil && len(k.s.running) == n }
}

// expect runs commands of ip, reads until the end is there, and compares whether there was news.
func (k *kernel) expect(what string, want bool, end func([]byte) bool, commands ...string) {
	k.t.Helper()
	for _, c := range commands {
		ip(k.t, strings.Fields(c)...)
	}
	news := false
	buf := make([]byte, 16<<10)
	if err := k.f.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		k.t.Fatal(err)
	}
	for done := end(nil); !done; {
		n, err := k.f.Read(buf)
		if err != nil {
			k.t.Fatalf("%s: %v; %d links run", what, err, len(k.s.running))
		}
		news = k.s.take(buf[:n]) || news
		done = end(buf[:n])
	}
	if news != want {
		k.t.Errorf("%s: news: %v", what, news)
	}
}

func TestNewsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		news := make(chan struct{}, 1)
		var ups atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() { gather(ctx, news, func() { ups.Add(1) }) })
		for range 10 {
			news <- struct{}{}
			time.Sleep(calm / 2)
		}
		synctest.Wait()
		if ups.Load() != 0 {
			t.Error("told before it was over")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := ups.Load(); n != 1 {
			t.Errorf("told %d times", n)
		}
		cancel()
		wg.Wait()
	})
}

func FuzzTake(f *testing.F) {
	s := newSight()
	if err := s.begin(); err != nil {
		f.Skip(err)
	}
	f.Add([]byte("\x14\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		newSight().take(b)
		s.take(b)
		if len(s.addresses) > maxSeen || len(s.routes) > maxSeen || len(s.running) > maxSeen {
			t.Error("it remembers without bound")
		}
	})
}
