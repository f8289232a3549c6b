package link

import (
	"context"
	"os"
	"os/exec"
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
	calm = 100 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ups := make(chan struct{}, 100)
	var wg sync.WaitGroup
	ip(t, "link", "add", "name", "here0", "type", "veth", "peer", "name", "there0")
	wg.Go(func() {
		if err := Watch(ctx, func() { ups <- struct{}{} }); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	told := func(what string, want bool) {
		t.Helper()
		select {
		case <-ups:
			if !want {
				t.Errorf("%s is told as news", what)
			}
		case <-time.After(map[bool]time.Duration{true: 10 * time.Second, false: 5 * calm}[want]):
			if want {
				t.Errorf("%s is not told", what)
			}
		}
	}
	told("nothing", false)
	ip(t, "addr", "add", "10.1.2.3/24", "dev", "here0")
	ip(t, "link", "set", "there0", "up")
	ip(t, "link", "set", "here0", "up")
	told("an interface with an address", true)
	for len(ups) > 0 { // an address of its own that IPv6 makes comes later
		<-ups
	}
	time.Sleep(20 * calm)
	for len(ups) > 0 {
		<-ups
	}
	ip(t, "route", "add", "default", "via", "10.1.2.1")
	told("a route to everywhere", true)
	ip(t, "addr", "change", "10.1.2.3/24", "dev", "here0", "valid_lft", "1000", "preferred_lft", "1000")
	told("an address that is renewed", false)
	ip(t, "link", "set", "there0", "down")
	told("a link that goes", false)
	ip(t, "link", "set", "there0", "up")
	told("a link that comes back", true)
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
