package chain

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// collect follows finalised blocks from a number until upTo came, calling each for every block.
func collect(t *testing.T, c *Client, from, upTo uint32, each func(*Block)) error {
	t.Helper()
	next := from
	for b, err := range c.FollowFinalised(within(t), from) {
		if err != nil {
			return err
		}
		if b.Number != next {
			t.Fatalf("block %d instead of %d", b.Number, next)
		}
		next++
		if each != nil {
			each(b)
		}
		if b.Number == upTo {
			return nil
		}
	}
	t.Fatal("ended without an error")
	return nil
}

func TestFollowFinalisedCatchesUpAndGoesOn(t *testing.T) {
	for _, transport := range []string{"ws", "http", "ws without lists"} {
		t.Run(transport, func(t *testing.T) {
			a := newFake(t, "a")
			const n = 3*window + 5
			a.growFinal(n)
			url := a.url
			switch transport {
			case "http":
				url = a.http
			case "ws without lists":
				a.setHook(func(m string, p []json.RawMessage) string {
					if m == "chain_getBlockHash" && len(p) > 0 && p[0][0] == '[' {
						return `"error":{"code":-32602,"message":"Invalid params"}`
					}
					return ""
				})
			}
			c := dialFake(t, options(url))
			err := collect(t, c, 0, n+3, func(b *Block) {
				if b.Hash != a.at(b.Number).hash || b.runtime == nil {
					t.Fatalf("block %d is %v, version %v", b.Number, b.Hash, b.runtime)
				}
				before := a.count("state_getStorage")
				if _, err := b.RawEvents(t.Context()); err != nil || a.count("state_getStorage") < before {
					t.Fatal(err)
				}
				if !b.have {
					t.Fatalf("block %d came without its events", b.Number)
				}
				if b.Number >= n {
					a.growFinal(1)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// at returns the best chain's block of a number.
func (n *fakeNode) at(number uint32) *fakeBlock {
	n.mu.Lock()
	defer n.mu.Unlock()
	for b := n.best; b != nil; b = b.parent {
		if b.number == number {
			return b
		}
	}
	return nil
}

func TestFollowFinalisedSurvivesDisconnects(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(10)
	c := dialFake(t, options(a.url))
	if err := collect(t, c, 5, 60, func(b *Block) {
		if b.Number >= 10 {
			if b.Number%7 == 0 {
				a.drop()
			}
			a.growFinal(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestFollowFinalisedNeverGoesBack(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	a.growFinal(20)
	b.growFinal(5) // behind
	c := dialFake(t, options(a.url, b.url))
	var dead atomic.Bool
	a.setHook(func(string, []json.RawMessage) string {
		if dead.Load() {
			a.drop()
			return "-"
		}
		return ""
	})
	if err := collect(t, c, 0, 25, func(blk *Block) {
		if blk.Number == 20 {
			dead.Store(true)
			a.drop()
			go func() { // the second node catches up while it is followed
				b.growFinal(20)
			}()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, from := c.LastHeard(); from != b.url {
		t.Errorf("ended on %s", from)
	}
}

func TestLargeBlocksAreFetchedInSmallerWindows(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(200)
	a.setHook(func(m string, p []json.RawMessage) string {
		if m == "state_getStorage" {
			return `"result":"0x` + strings.Repeat("00", 8<<10) + `"`
		}
		return ""
	})
	o := options(a.url)
	o.MaxAnswer = 100 << 10
	c := dialFake(t, o)
	if err := collect(t, c, 0, 200, func(b *Block) {
		if len(b.raw) != 8<<10 {
			t.Fatalf("block %d has %d bytes of events", b.Number, len(b.raw))
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestNodeThatStaysBehindIsLeft(t *testing.T) {
	a, b, late := newFake(t, "a"), newFake(t, "a"), newFake(t, "a")
	a.growFinal(20)
	b.growFinal(5) // and never more
	late.growFinal(22)
	var dead atomic.Bool
	a.setHook(func(string, []json.RawMessage) string {
		if dead.Load() {
			a.drop()
			return "-"
		}
		return ""
	})
	c := dialFake(t, options(a.url, b.url, late.url))
	if err := collect(t, c, 0, 22, func(blk *Block) {
		if blk.Number == 20 {
			dead.Store(true)
			a.drop()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if from := c.LastHeardFrom(); from != late.url || b.count("chain_subscribeFinalizedHeads") == 0 {
		t.Errorf("ended on %s", from)
	}
}

func TestContradictingFinality(t *testing.T) {
	for name, break_ := range map[string]func(a *fakeNode){
		"next block on another parent": func(a *fakeNode) {
			fork := a.makeBlock(a.makeBlock(a.at(4), "fork"), "fork")
			a.setBest(fork)
			a.finalise(fork)
		},
		"another block of the same number": func(a *fakeNode) {
			fork := a.makeBlock(a.at(4), "fork")
			a.setBest(fork)
			a.finalise(fork)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake(t, "a")
			a.growFinal(5)
			had := a.best.hash
			c := dialFake(t, options(a.url))
			err := collect(t, c, 1, 100, func(b *Block) {
				if b.Number == 5 {
					break_(a)
				}
			})
			var f *FinalityError
			if !errors.As(err, &f) || f.Number != 5 || f.Had != had || f.Got == had {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNodeThatLiesAboutHeadersIsLeft(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	a.growFinal(100)
	b.growFinal(100)
	var lie atomic.Bool
	a.setHook(func(m string, p []json.RawMessage) string {
		if m == "chain_getHeader" && lie.Load() {
			h, _ := json.Marshal(a.at(1).header)
			return `"result":` + string(h)
		}
		return ""
	})
	c := dialFake(t, options(a.url, b.url))
	if _, err := c.Finalised(t.Context()); err != nil { // learns how headers hash
		t.Fatal(err)
	}
	lie.Store(true)
	if err := collect(t, c, 50, 90, nil); err != nil {
		t.Fatal(err)
	}
	if _, from := c.LastHeard(); from != b.url {
		t.Errorf("ended on %s", from)
	}
}

func TestRuntimeUpgradeInMidRun(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(9)
	up := a.grow("")
	up.spec = 2 // the code in its state is the new one; it was itself executed by the old one
	a.finalise(up)
	a.growFinal(10)
	c := dialFake(t, options(a.url))
	if err := collect(t, c, 1, 23, func(b *Block) {
		want := uint32(1)
		if b.Number > 10 {
			want = 2
		}
		v, err := b.Runtime(t.Context())
		if err != nil || v.SpecVersion != want {
			t.Errorf("block %d of version %d, want %d (%v)", b.Number, v.SpecVersion, want, err)
		}
		if b.Number == 20 {
			a.growFinal(3)
		}
	}); err != nil {
		t.Fatal(err)
	}
	b, err := c.BlockByNumber(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	// The node's metadata is still of version 1: it must not be taken for that of version 2.
	if _, err := b.Metadata(within(t)); !errors.Is(err, ErrStaleMetadata) {
		t.Errorf("metadata of another version: %v", err)
	}
}

func TestPrunedNodeYieldsBlocksAndSaysWhatItLacks(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(10)
	a.setHook(func(m string, p []json.RawMessage) string {
		if m == "state_getStorage" || m == "state_getRuntimeVersion" {
			return `"error":{"code":4003,"message":"Client error: UnknownBlock: State already discarded"}`
		}
		return ""
	})
	c := dialFake(t, options(a.url))
	if err := collect(t, c, 0, 10, func(b *Block) {
		if _, err := b.RawEvents(t.Context()); err == nil {
			t.Errorf("block %d has events", b.Number)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWaitFinalised(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(5)
	c := dialFake(t, options(a.url))
	for _, n := range []uint32{3, 5} {
		if b, err := c.WaitFinalised(within(t), n); err != nil || b.Number != n || b.Hash != a.at(n).hash {
			t.Errorf("block %d: %v, %v", n, b, err)
		}
	}
	got := make(chan *Block, 1)
	go func() {
		b, err := c.WaitFinalised(within(t), 8)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	a.growFinal(2)
	a.drop()
	a.growFinal(2)
	if b := <-got; b == nil || b.Number != 8 {
		t.Errorf("got %v", b)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.WaitFinalised(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a block that never comes: %v", err)
	}
}

func TestFollowBestSeesReorganisations(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(3)
	c := dialFake(t, options(a.url))
	fork := a.makeBlock(a.at(2), "fork")
	n := 0
	for b, err := range c.FollowBest(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		switch n++; n {
		case 1:
			if b.Number != 3 {
				t.Fatalf("first block is %d", b.Number)
			}
			a.setBest(fork)
		case 2:
			if b.Hash != fork.hash {
				t.Fatalf("second block is %v", b.Hash)
			}
			a.drop()
			a.grow("on the fork")
		default:
			if b.Number != 4 || b.Parent != fork.hash {
				t.Fatalf("third block is %d on %v", b.Number, b.Parent)
			}
			return
		}
	}
}
