package chain

import (
	"slices"
	"testing"
	"time"
)

func inUse(c *Client) string {
	for _, e := range c.Endpoints() {
		if e.InUse {
			return e.Endpoint
		}
	}
	return ""
}

func TestSetEndpoints(t *testing.T) {
	a, b, d := newFake(t, "a"), newFake(t, "a"), newFake(t, "a")
	o := options(a.url, b.url)
	o.climb = 2 * time.Millisecond
	c := dialFake(t, o)
	set := func(urls ...string) {
		t.Helper()
		if err := c.SetEndpoints(urls); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range c.Endpoints() {
			got = append(got, e.Endpoint)
		}
		if !slices.Equal(got, urls) {
			t.Fatalf("endpoints %v, want %v", got, urls)
		}
	}
	probe := func(want string) {
		t.Helper()
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := inUse(c); got != want {
			t.Fatalf("in use is %s, want %s", got, want)
		}
	}
	probe(a.url)
	conns := func(n *fakeNode) int { n.mu.Lock(); defer n.mu.Unlock(); return n.calls["chain_getBlockHash"] }
	before := conns(a)
	set(a.url, d.url) // the one in use stays, and its connection
	probe(a.url)
	if conns(a) != before {
		t.Error("it was connected to again although it stays")
	}
	set(b.url, d.url) // it goes
	probe(b.url)
	set(d.url, b.url) // another one is preferred now: the client moves over
	for late := time.Now().Add(10 * time.Second); inUse(c) != d.url; time.Sleep(time.Millisecond) {
		if err := c.Probe(t.Context()); err != nil || time.Now().After(late) {
			t.Fatalf("never moved over: %v", err)
		}
	}
	if err := c.SetEndpoints(nil); err == nil {
		t.Error("no endpoint at all")
	}
	if e := c.Endpoints(); e[0].Heard.IsZero() || e[0].Since.IsZero() || e[0].Err != nil {
		t.Errorf("%+v", e[0])
	}
}

func TestEndpointsTellWhatIsWrong(t *testing.T) {
	a, other := newFake(t, "a"), newFake(t, "another network")
	c := dialFake(t, options(a.url, other.url))
	a.setHook(nil)
	a.drop()
	if err := c.SetEndpoints([]string{other.url}); err != nil {
		t.Fatal(err)
	}
	if err := c.Probe(t.Context()); err == nil {
		t.Fatal("a node of another network is used")
	}
	if e := c.Endpoints(); len(e) != 1 || e[0].InUse || e[0].Err == nil || e[0].Retry.IsZero() {
		t.Errorf("%+v", e)
	}
}
