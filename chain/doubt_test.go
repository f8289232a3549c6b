package chain

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// A path that died tells nobody: the first read after a long silence does not wait for it.
func TestQuietConnectionIsDoubted(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	o := options(a.url, b.url)
	o.Timeout = time.Minute
	c := dialFake(t, o)
	c.hurry, c.doubtful = 200*time.Millisecond, time.Hour
	if err := c.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	var dead atomic.Bool
	a.mu.Lock()
	a.frames = func([]byte) bool {
		if dead.Load() {
			<-hold // it reads no more, so that pings stay unanswered too
		}
		return false
	}
	a.mu.Unlock()
	t.Cleanup(func() { close(hold) })
	c.doubtful = 0
	for range 20 { // doubting costs nothing while there is no reason to
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if inUse(c) != a.url {
		t.Fatal("a node was left that answers")
	}
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	for late := time.Now().Add(10 * time.Second); s.doubted.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the last ping is not answered")
		}
	}
	dead.Store(true)
	c.doubtful = time.Hour
	stuck, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // the node's reader has it, and reads no more
	defer cancel()
	if err := c.Probe(stuck); err == nil {
		t.Fatal("a dead node answers")
	}
	c.doubtful = 0
	began := time.Now()
	if err := c.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second || inUse(c) != b.url {
		t.Errorf("answered after %v by %s", took, inUse(c))
	}
}

// While somebody asks, an endpoint that is put off for long is tried all the same now and then, and whoever waits notices at once.
func TestAskingShortensPauses(t *testing.T) {
	a := newFake(t, "a")
	var away atomic.Bool
	a.setHook(func(string, []json.RawMessage) string {
		if away.Load() {
			a.drop()
			return "-"
		}
		return ""
	})
	o := options(a.url)
	o.Retry = time.Nanosecond
	c := dialFake(t, o)
	c.eager = 20 * time.Millisecond
	away.Store(true)
	c.mu.Lock()
	c.backoff, c.endpoints[0].failures = time.Minute, 100 // as after hours
	c.mu.Unlock()
	for late := time.Now().Add(10 * time.Second); ; { // until it is put off for half a minute at least
		if err := c.Probe(t.Context()); err == nil {
			t.Fatal("answered while it was away")
		}
		if e := c.Endpoints()[0]; time.Until(e.Retry) > 10*time.Second {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%+v", c.Endpoints())
		}
	}
	woken := make(chan error, 1)
	go func() {
		_, err := c.sessionWait(t.Context())
		woken <- err
	}()
	away.Store(false)
	for late := time.Now().Add(10 * time.Second); c.Probe(t.Context()) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("asking does not shorten the pause")
		}
	}
	select {
	case err := <-woken:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("who waits sleeps on")
	}
}

func TestNudgeOfClient(t *testing.T) {
	a, other := newFake(t, "a"), newFake(t, "another")
	c := dialFake(t, options(a.url, other.url))
	long := time.Now().Add(time.Hour)
	c.mu.Lock()
	c.endpoints[0].notBefore, c.endpoints[0].anyway = long, long
	c.endpoints[1].notBefore, c.endpoints[1].err = long, ErrWrongNetwork
	c.mu.Unlock()
	c.Nudge()
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Until(c.endpoints[0].notBefore); until > time.Second {
		t.Errorf("put off for %v more", until)
	}
	if !c.endpoints[1].notBefore.Equal(long) || !errors.Is(c.endpoints[1].err, ErrWrongNetwork) {
		t.Error("a node of another network is tried again")
	}
}
