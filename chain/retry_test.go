package chain

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A command over a flaky link must not see that a connection was dropped.
func TestReadsOutliveDroppedConnections(t *testing.T) {
	for _, transport := range []string{"ws", "http"} {
		t.Run(transport, func(t *testing.T) {
			a := newFake(t, "a")
			a.growFinal(3)
			url := a.url
			if transport == "http" {
				url = a.http
			}
			c := dialFake(t, options(url))
			var drops atomic.Int32
			a.setHook(func(m string, _ []json.RawMessage) string {
				if drops.Add(-1) >= 0 {
					a.drop()
				}
				return ""
			})
			for n := range int32(2) {
				a.drop() // between calls
				if _, err := c.Best(within(t)); err != nil {
					t.Fatalf("after a drop: %v", err)
				}
				drops.Store(n + 1) // in mid-call, and while connecting again
				if b, err := c.Finalised(within(t)); err != nil || b.Number != 3 {
					t.Fatalf("in mid-call, %d times: %v", n+1, err)
				}
				a.drop()
				if _, err := c.Submit(within(t), alice(t), Remark([]byte{byte(n)}), TxOptions{}); err != nil {
					t.Fatalf("submission: %v", err)
				}
			}
		})
	}
}

func TestRetryIsBounded(t *testing.T) {
	a := newFake(t, "a")
	o := options(a.url)
	o.Retry, o.backoff = 100*time.Millisecond, 10*time.Millisecond
	c := dialFake(t, o)
	a.setHook(func(string, []json.RawMessage) string { a.drop(); return "-" })
	start := time.Now()
	if err := c.Probe(within(t)); err == nil {
		t.Fatal("a node that always hangs up answered")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if n := a.count("chain_getBlockHash"); n > 40 {
		t.Errorf("connected %d times", n)
	}
	o.Retry = -1
	a.setHook(nil)
	o.backoff = time.Hour
	d := dialFake(t, o)
	a.drop()
	var un *UnreachableError
	for err := error(nil); err == nil; err = d.Probe(within(t)) { // the drop may not have been noticed yet
		if !errors.As(err, &un) && err != nil {
			t.Fatal(err)
		}
	}
}

func TestGoesBackToAPreferredEndpoint(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	a.growFinal(3)
	b.growFinal(6)
	o := options(a.url, b.url)
	o.climb = 5 * time.Millisecond
	c := dialFake(t, o)
	a.setHook(func(string, []json.RawMessage) string { a.drop(); return "-" })
	a.drop()
	next := uint32(0)
	for blk, err := range c.FollowFinalised(within(t), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if next++; blk.Number != next {
			t.Fatalf("block %d, want %d", blk.Number, next)
		}
		if next == 6 {
			if from := c.LastHeardFrom(); from != b.url {
				t.Fatalf("follows %s", from)
			}
			a.growFinal(4)
			a.setHook(nil) // it is back, and ahead
		}
		if next == 7 {
			if from := c.LastHeardFrom(); from != a.url {
				t.Errorf("block 7 came from %s", from)
			}
			break
		}
	}
	if err := c.Probe(within(t)); err != nil {
		t.Error(err)
	}
}

func TestDoesNotGoBackToANodeThatIsBehind(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	b.growFinal(20)
	o := options(a.url, b.url)
	o.climb = time.Hour
	a.setHook(func(string, []json.RawMessage) string { return `"error":{"code":1,"message":"starting"}` })
	c := dialFake(t, o)
	a.setHook(nil)
	c.mu.Lock()
	s := c.current
	for _, ep := range c.endpoints {
		ep.notBefore = time.Time{}
	}
	c.mu.Unlock()
	if x := c.better(s); x != nil {
		t.Error("took a node that is 20 blocks behind")
	}
	a.growFinal(19)
	c.mu.Lock()
	c.endpoints[0].notBefore = time.Time{}
	c.mu.Unlock()
	x := c.better(s)
	if x == nil {
		t.Fatal("refused a node that is one block behind")
	}
	c.move(s, x, errPreferred)
	if now, err := c.session(t.Context()); err != nil || now.ep.url != a.url {
		t.Errorf("on %v, %v", now, err)
	}
}

func TestLeavesANodeThatStandsStill(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	a.growFinal(20)
	b.growFinal(20)
	o := options(a.url, b.url)
	o.climb = time.Hour
	c := dialFake(t, o)
	var from string
	for blk, err := range c.FollowFinalised(within(t), 0) {
		if err != nil {
			t.Fatal(err)
		}
		switch _, from = c.LastHeard(); blk.Number {
		case 20:
			if from != a.url {
				t.Fatalf("began on %s", from)
			}
			b.growFinal(2) // as far as between any two nodes: no reason to go
			b.growFinal(2) // and further
		case 24:
			if from != b.url {
				t.Errorf("block 24 came from %s", from)
			}
			return
		}
	}
}

func TestIdleClientSeldomLooksForAPreferredEndpoint(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	a.setHook(func(string, []json.RawMessage) string { return `"error":{"code":1,"message":"starting"}` })
	o := options(a.url, b.url)
	o.climb, o.backoff = 20*time.Millisecond, time.Millisecond
	start := time.Now()
	dialFake(t, o)
	a.mu.Lock()
	for a.calls["chain_getBlockHash"] < 3 { // once at first, then two looks
		a.called.Wait()
	}
	a.mu.Unlock()
	if took := time.Since(start); took < 2*climbIdle*o.climb {
		t.Errorf("looked twice within %v", took)
	}
}

func TestWaitersForFinalityShareASubscription(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(3)
	c := dialFake(t, options(a.url))
	const n = 40
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			want := uint32(i%10) + 4 // some soon, some late
			b, err := c.WaitFinalised(within(t), want)
			if err != nil || b.Number != want || b.Hash != a.at(want).hash {
				t.Errorf("block %d: %v, %v", want, b, err)
			}
		})
	}
	for waiting := 0; waiting < n; {
		c.finality.mu.Lock()
		waiting = c.finality.waiting
		c.finality.mu.Unlock()
	}
	a.growFinal(5)
	a.growFinal(5)
	wg.Wait()
	if got := a.count("chain_subscribeFinalizedHeads"); got != 1 {
		t.Errorf("%d subscriptions", got)
	}
	if c.finality.vigil != nil || c.finality.waiting != 0 {
		t.Error("goes on without anybody who waits")
	}
}
