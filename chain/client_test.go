package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"iod/chain/rpc"
)

func TestWrongNetworkIsRefusedAndNamed(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	o := options(a.url, b.url)
	o.Genesis = b.best.hash
	c := dialFake(t, o) // the second one is right
	if c.Genesis() != b.best.hash {
		t.Errorf("on network %v", c.Genesis())
	}
	if _, from := c.LastHeard(); from != b.url {
		t.Errorf("heard from %s", from)
	}
	o.Endpoints = []string{a.url, "ws://user:secretkey@127.0.0.1:1/secretpath"}
	_, err := Dial(t.Context(), o)
	var un *UnreachableError
	if !errors.Is(err, ErrWrongNetwork) || !errors.As(err, &un) || len(un.Endpoints) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{a.best.hash.String(), b.best.hash.String(), a.url, "refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("error shows a secret: %v", err)
	}
}

func TestSecondEndpointTakesOver(t *testing.T) {
	for name, fault := range map[string]func(n *fakeNode){
		"hangs up": func(n *fakeNode) {
			n.setHook(func(m string, _ []json.RawMessage) string {
				if m != "chain_getBlockHash" {
					n.drop()
				}
				return ""
			})
		},
		"stalls": func(n *fakeNode) { n.setHook(func(string, []json.RawMessage) string { return "-" }) },
		"answers another type": func(n *fakeNode) {
			n.setHook(func(m string, _ []json.RawMessage) string { return `"result":{"a":1}` })
		},
		"answers neither": func(n *fakeNode) { n.setHook(func(m string, _ []json.RawMessage) string { return `"x":1` }) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFake(t, "a"), newFake(t, "a")
			b.growFinal(3)
			o := options(a.url, b.url)
			o.Timeout = 200 * time.Millisecond
			c := dialFake(t, o)
			fault(a)
			blk, err := c.Finalised(within(t))
			if err != nil || blk.Number != 3 {
				t.Fatalf("got %v, %v", blk, err)
			}
			if _, from := c.LastHeard(); from != b.url {
				t.Errorf("heard from %s", from)
			}
		})
	}
}

func TestNodesErrorIsNoReasonToLeave(t *testing.T) {
	a := newFake(t, "a")
	c := dialFake(t, options(a.url))
	a.setHook(func(m string, _ []json.RawMessage) string {
		return map[string]string{"state_call": `"error":{"code":-32601,"message":"Method not found"}`}[m]
	})
	b, err := c.Best(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Call(t.Context(), "Core_version", nil)
	if !lacks(err) || !strings.Contains(err.Error(), a.url) || !strings.Contains(err.Error(), "state_call") {
		t.Errorf("a method that a node lacks: %v", err)
	}
	if err := c.Probe(t.Context()); err != nil || a.count("chain_getBlockHash") != 2 {
		t.Errorf("%v after %d connections", err, a.count("chain_getBlockHash")-1)
	}
}

func TestNoStormOnADeadNode(t *testing.T) {
	a := newFake(t, "a")
	o := options(a.url)
	o.backoff = time.Hour
	c := dialFake(t, o)
	a.drop()
	var un *UnreachableError
	for range 100 {
		if err := c.Probe(within(t)); err != nil && !errors.As(err, &un) {
			t.Fatalf("got %v", err)
		}
	}
	if n := a.count("chain_getBlockHash"); n > 2 {
		t.Errorf("connected %d times", n)
	}
}

func TestNodeThatHangsUpOnBatches(t *testing.T) {
	a := newFake(t, "a")
	a.frames = func(f []byte) bool { return f[0] == '[' }
	a.storage["0x01"], a.storage["0x02"] = "0xaa", "0x"
	c := dialFake(t, options(a.url))
	a.setHook(func(m string, _ []json.RawMessage) string {
		return map[string]string{"state_queryStorageAt": `"error":` + notFound}[m]
	})
	ctx := within(t)
	var kvs []KeyValue
	for {
		b, err := c.Best(ctx)
		if err == nil {
			if kvs, err = b.Raw(ctx, []byte{1}, []byte{2}, []byte{3}); err == nil {
				break
			}
		}
		var un *UnreachableError
		if !errors.As(err, &un) && !strings.Contains(err.Error(), "closed") && !strings.Contains(err.Error(), "EOF") {
			t.Fatalf("got %v", err)
		}
	}
	if len(kvs) != 3 || !bytes.Equal(kvs[0].Value, []byte{0xaa}) || kvs[1].Value == nil || len(kvs[1].Value) != 0 || kvs[2].Value != nil {
		t.Errorf("got %v", kvs)
	}
}

func TestRawReadsInOneRequest(t *testing.T) {
	a := newFake(t, "a")
	a.storage["0x01"], a.storage["0x02"] = "0xaa", "0x"
	c := dialFake(t, options(a.url))
	b, err := c.Best(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kvs, err := b.Raw(t.Context(), []byte{1}, []byte{2}, []byte{3})
	if err != nil || !bytes.Equal(kvs[0].Value, []byte{0xaa}) || kvs[1].Value == nil || kvs[2].Value != nil || a.count("state_queryStorageAt") != 1 {
		t.Errorf("got %v, %v", kvs, err)
	}
}

func TestKeyLeftOutIsNotTakenForAbsent(t *testing.T) {
	a := newFake(t, "a")
	a.storage["0x01"], a.storage["0x02"] = "0xaa", "0xbb"
	c := dialFake(t, options(a.url))
	b, err := c.Best(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.setHook(func(m string, _ []json.RawMessage) string {
		return map[string]string{"state_queryStorageAt": `"result":[{"block":"` + b.Hash.String() + `","changes":[["0x01","0xaa"]]}]`}[m]
	})
	kvs, err := b.Raw(t.Context(), []byte{1}, []byte{2})
	if err != nil || !bytes.Equal(kvs[0].Value, []byte{0xaa}) || !bytes.Equal(kvs[1].Value, []byte{0xbb}) {
		t.Errorf("got %v, %v", kvs, err)
	}
}

func TestMetadataIsAskedForOnceAndCached(t *testing.T) {
	a := newFake(t, "a")
	dir := t.TempDir()
	o := options(a.url)
	o.Cache = dir
	read := func() {
		t.Helper()
		c := dialFake(t, o)
		b, err := c.Best(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m, err := b.Metadata(t.Context()); err != nil || m.Version() != 14 {
			t.Fatal(err)
		}
	}
	read()
	read()
	if n := a.count("state_getMetadata"); n != 1 {
		t.Errorf("metadata was asked for %d times", n)
	}
	path := cachePath(dir, a.best.hash, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, torn := range [][]byte{whole[:len(whole)/2], nil, append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1)} {
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		read()
		if n := a.count("state_getMetadata"); n != 2+i {
			t.Errorf("torn file %d: asked for %d times", i, n)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
			t.Errorf("torn file %d was not mended: %v", i, err)
		}
	}
}

func TestPropertiesAreBounded(t *testing.T) {
	for raw, want := range map[string]*Properties{
		`{}`: {SS58Prefix: 42},
		`{"ss58Format":42,"tokenDecimals":18,"tokenSymbol":"PEAQ"}`:        {42, 18, "PEAQ"},
		`{"ss58Format":[0],"tokenDecimals":[10,12],"tokenSymbol":["DOT"]}`: {0, 10, "DOT"},
		`{"ss58Format":null,"tokenDecimals":[]}`:                           {SS58Prefix: 42},
		`{"tokenDecimals":39}`:                                             nil,
		`{"ss58Format":16384}`:                                             nil,
		`{"tokenDecimals":-1}`:                                             nil,
		`{"tokenSymbol":"ABCDEFGHIJKLMNOPQ"}`:                              nil,
		`{"tokenSymbol":"A\u001b[31m"}`:                                    nil,
		`{"tokenDecimals":"many"}`:                                         nil,
		`{"tokenDecimals":1e99}`:                                           nil,
	} {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &m); err != nil {
			t.Fatal(err)
		}
		got, err := parseProperties(m)
		if (err == nil) != (want != nil) || want != nil && got != *want {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	c := dialFake(t, options(newFake(t, "a").url))
	if p, err := c.Properties(t.Context()); err != nil || p != (Properties{42, 18, "PEAQ"}) {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestEntriesMustAscend(t *testing.T) {
	a := newFake(t, "a")
	c := dialFake(t, options(a.url))
	b, err := c.Best(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]string{"other prefix": `["0x99"]`, "descending": `["0x0102","0x0101"]`, "the same": `["0x0101","0x0101"]`} {
		a.setHook(func(m string, _ []json.RawMessage) string {
			return map[string]string{"state_getKeysPaged": `"result":` + keys}[m]
		})
		n := 0
		for _, err = range b.entries(within(t), []byte{1}, nil) {
			n++
		}
		if !errors.Is(err, rpc.ErrProtocol) && !errors.As(err, new(*UnreachableError)) {
			t.Errorf("%s: %v after %d", name, err, n)
		}
	}
}

func TestWatchStorage(t *testing.T) {
	for _, transport := range []string{"ws", "http"} {
		t.Run(transport, func(t *testing.T) {
			a := newFake(t, "a")
			a.storage["0x01"] = "0xaa"
			url := a.url
			if transport == "http" {
				url = a.http
			}
			c := dialFake(t, options(url))
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			n := 0
			for ch, err := range c.WatchStorage(ctx, [][]byte{{1}, {2}}) {
				switch n++; n {
				case 1:
					if err != nil || len(ch.Changes) != 2 || !bytes.Equal(ch.Changes[0].Value, []byte{0xaa}) || ch.Changes[1].Value != nil {
						t.Fatalf("first: %v, %v", ch, err)
					}
					a.mu.Lock()
					a.storage["0x02"] = "0xbb"
					a.mu.Unlock()
					if transport == "ws" {
						a.drop() // the new value comes with the next connection
					} else {
						a.grow("x")
					}
				case 2:
					last := ch.Changes[len(ch.Changes)-1]
					if err != nil || !bytes.Equal(last.Value, []byte{0xbb}) {
						t.Fatalf("second: %v, %v", ch, err)
					}
					cancel()
				case 3:
					if !errors.Is(err, context.Canceled) {
						t.Errorf("end: %v", err)
					}
				}
			}
			if n != 3 {
				t.Errorf("yielded %d times", n)
			}
		})
	}
}

func TestCloseEndsFollowers(t *testing.T) {
	a := newFake(t, "a")
	c := dialFake(t, options(a.url))
	done := make(chan error, 3)
	began := make(chan struct{}, 3)
	go func() {
		var last error
		for _, err := range c.FollowFinalised(context.Background(), 0) {
			last = err
			began <- struct{}{}
		}
		done <- last
	}()
	go func() {
		var last error
		for _, err := range c.FollowBest(context.Background()) {
			last = err
			began <- struct{}{}
		}
		done <- last
	}()
	go func() {
		_, err := c.WaitFinalised(context.Background(), 100)
		done <- err
	}()
	<-began
	<-began
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("ended by %v", err)
		}
	}
	if err := c.Probe(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func ExampleDial() {
	c, err := Dial(context.Background(), Options{Endpoints: []string{"ws://127.0.0.1:1"}})
	if err != nil {
		fmt.Println("no node there")
		return
	}
	defer c.Close()
	best, err := c.Best(context.Background())
	fmt.Println(best, err)
	// Output: no node there
}
