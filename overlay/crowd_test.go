package overlay

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"iod/key"
)

// 500 consumers come at once, with default limits all over, and all are served at the same time.
func TestCrowd(t *testing.T) {
	crowd := 500
	if underRace {
		crowd = 50 // all ends are in this one process: the machine, not the overlay, would be what is tested
	}
	w := build(t, setup{handler: TCP(service(t))})
	pairs := make([]*key.Pair, 20) // deriving is not what is tested
	for i := range pairs {
		pairs[i] = testPair(t, fmt.Sprintf("//Consumer//%d", i))
	}
	w.dopts.MaxPendingPerAccount = crowd
	w.run.stop(t)
	w.startDevice(t)
	conns := make([]net.Conn, crowd)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range crowd {
		d := newTestDialer(t, DialerOptions{Account: pairs[i%len(pairs)]})
		wg.Go(func() {
			c, err := d.Dial(t.Context(), w.target, "s")
			if err != nil {
				t.Errorf("consumer %d: %v", i, err)
				return
			}
			conns[i] = c
			word := fmt.Sprintf("consumer %d", i)
			io.WriteString(c, word) //nolint:errcheck // the read tells
			if err := expectErr(c, word); err != nil {
				t.Errorf("consumer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d consumers served after %v", crowd, time.Since(began))
	if n := len(w.device.Status().Sessions); n != crowd {
		t.Errorf("%d sessions", n)
	}
	for i, c := range conns {
		if c == nil {
			continue
		}
		io.WriteString(c, " again") //nolint:errcheck // the read tells
		if err := expectErr(c, " again"); err != nil {
			t.Errorf("consumer %d, second word: %v", i, err)
		}
		c.Close()
	}
}
