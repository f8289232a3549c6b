package chain

import (
	"encoding/json"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// silentEndpoint takes connections and never says anything.
func silentEndpoint(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts; nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return "ws://" + ln.Addr().String()
}

func TestSilentEndpointHoldsUpNobody(t *testing.T) {
	good := newFake(t, "hurry")
	o := options(silentEndpoint(t), silentEndpoint(t), good.url)
	o.Timeout = time.Minute
	begin := time.Now()
	c := dialFake(t, o)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("connected after %v", took)
	}
	if _, from := c.LastHeard(); from != good.url {
		t.Errorf("connected to %s", from)
	}
}

// TestSlowEndpointIsGivenTime: what was too slow for a hurry is tried again when nothing else is any good.
func TestSlowEndpointIsGivenTime(t *testing.T) {
	slow := newFake(t, "slow")
	var asked atomic.Int32
	slow.setHook(func(method string, _ []json.RawMessage) string {
		if method == "chain_getBlockHash" && asked.Add(1) == 1 {
			return "-"
		}
		return ""
	})
	o := options(slow.url, "ws://127.0.0.1:1")
	c := dialFake(t, o)
	if _, from := c.LastHeard(); from != slow.url {
		t.Errorf("connected to %s", from)
	}
	if asked.Load() < 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}
