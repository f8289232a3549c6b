package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is a service manager that collects what it is told.
func manager(t *testing.T, name string) <-chan string {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := make([]byte, 4096); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			said <- string(b[:n])
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return said
}

func TestProtocol(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@iod-test-" + filepath.Base(t.TempDir()) + t.Name()} {
		said := manager(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "")
		n := FromEnvironment()
		if os.Getenv("NOTIFY_SOCKET") != "" {
			t.Error("children see the socket")
		}
		before := monotonic()
		if err := errors.Join(n.Ready("two\nlines"), n.Reloading(), n.Ready(""), n.Status("all is well"), n.Stopping()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"READY=1\nSTATUS=two lines", "RELOADING=1\nMONOTONIC_USEC=", "READY=1", "STATUS=all is well", "STOPPING=1"} {
			got := <-said
			if !strings.HasPrefix(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
			if micros, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC="); ok {
				if d, err := time.ParseDuration(micros + "us"); err != nil || before > 0 && (d < before || d > before+time.Minute) {
					t.Errorf("reloads at %s, now is %v", micros, before)
				}
			}
		}
	}
}

func TestNobodyListens(t *testing.T) {
	if err := (&Notifier{}).Ready("x"); err != nil {
		t.Error(err)
	}
	if err := (&Notifier{socket: filepath.Join(t.TempDir(), "none")}).Ready("x"); err == nil {
		t.Error("a socket that is not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Notifier{}).Watch(ctx, func(context.Context) error { t.Error("asked"); return nil }); err != nil {
		t.Error(err)
	}
}

// Signs of life come while there is life, and stop when there is none.
func TestWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	said := manager(t, name)
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "40000")
	n := FromEnvironment()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var sick error
	var asked int
	var wg sync.WaitGroup
	wg.Go(func() {
		n.Watch(ctx, func(ctx context.Context) error { //nolint:errcheck // always nil
			mu.Lock()
			defer mu.Unlock()
			asked++
			return sick
		})
	})
	for range 3 {
		if got := <-said; got != "WATCHDOG=1" {
			t.Fatal(got)
		}
	}
	mu.Lock()
	sick = errors.New("deadlock")
	asked = 0
	mu.Unlock()
	for {
		mu.Lock()
		enough := asked > 5
		mu.Unlock()
		if enough {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for len(said) > 0 {
		<-said // sent before
	}
	mu.Lock()
	asked = 0
	mu.Unlock()
	for {
		mu.Lock()
		enough := asked > 3
		mu.Unlock()
		if enough {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if len(said) > 0 {
		t.Errorf("told %q although nothing lives", <-said)
	}
	cancel()
	wg.Wait()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "40000")
	t.Setenv("WATCHDOG_PID", "1")
	if n := FromEnvironment(); n.watchdog != 0 {
		t.Error("another process's watchdog")
	}
}
