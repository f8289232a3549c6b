package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"iod/chain/rpc"
)

// only answers one method with raw JSON, "" leaves it to the node.
func only(method, raw string) func(string, []json.RawMessage) string {
	return func(m string, _ []json.RawMessage) string {
		if m == method {
			return raw
		}
		return ""
	}
}

// What a node must not answer is its fault: the error says so, and names it.
func TestHostileAnswers(t *testing.T) {
	read := func(f func(context.Context, *Client, *Block) error) func(context.Context, *Client, *Block) error {
		return f
	}
	best := read(func(ctx context.Context, c *Client, _ *Block) error { _, err := c.Best(ctx); return err })
	finalised := read(func(ctx context.Context, c *Client, _ *Block) error { _, err := c.Finalised(ctx); return err })
	entries := read(func(ctx context.Context, _ *Client, b *Block) error {
		n := 0
		for _, err := range b.entries(ctx, []byte{1}, nil) {
			if err != nil {
				return err
			}
			if n++; n > 10*pageSize {
				return errors.New("the pages have no end")
			}
		}
		return nil
	})
	raw := read(func(ctx context.Context, _ *Client, b *Block) error { _, err := b.Raw(ctx, []byte{1}); return err })
	call := read(func(ctx context.Context, _ *Client, b *Block) error {
		_, err := b.Call(ctx, "Core_version", nil)
		return err
	})
	body := read(func(ctx context.Context, _ *Client, b *Block) error { _, err := b.Extrinsics(ctx); return err })
	probe := read(func(ctx context.Context, c *Client, _ *Block) error { return c.Probe(ctx) })
	submit := read(func(ctx context.Context, c *Client, _ *Block) error {
		_, err := c.Submit(ctx, alice(t), Remark(nil), TxOptions{})
		return err
	})
	header := func(number string) string {
		return `"result":{"parentHash":"` + (Hash{1}).String() + `","number":` + number + `,"stateRoot":"` + (Hash{1}).String() +
			`","extrinsicsRoot":"` + (Hash{2}).String() + `","digest":{"logs":[]}}`
	}
	page := `"result":["0x01` + strings.Repeat(`00","0x01`, pageSize-1) + `00"]` // full, and always the same key
	for name, tc := range map[string]struct {
		method, raw string
		read        func(context.Context, *Client, *Block) error
		want        error
	}{
		"best head null":             {"chain_getHeader", `"result":null`, best, rpc.ErrProtocol},
		"best head a string":         {"chain_getHeader", `"result":"0x00"`, best, rpc.ErrProtocol},
		"best head deep":             {"chain_getHeader", `"result":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000), best, rpc.ErrProtocol},
		"best head of number 2^32":   {"chain_getHeader", header(`"0x100000000"`), best, rpc.ErrProtocol},
		"best head of number -1":     {"chain_getHeader", header(`-1`), best, rpc.ErrProtocol},
		"finalised head null":        {"chain_getFinalizedHead", `"result":null`, finalised, rpc.ErrProtocol},
		"finalised head short":       {"chain_getFinalizedHead", `"result":"0x00"`, finalised, rpc.ErrProtocol},
		"finalised header null":      {"chain_getHeader", `"result":null`, finalised, rpc.ErrProtocol},
		"header of another hash":     {"chain_getHeader", header(`"0x3"`), finalised, rpc.ErrProtocol},
		"probe null":                 {"chain_getFinalizedHead", `"result":null`, probe, rpc.ErrProtocol},
		"keys null":                  {"state_getKeysPaged", `"result":null`, entries, rpc.ErrProtocol},
		"pages that do not advance":  {"state_getKeysPaged", page, entries, rpc.ErrProtocol},
		"key too long":               {"state_getKeysPaged", `"result":["0x01` + strings.Repeat("00", maxKey) + `"]`, entries, rpc.ErrProtocol},
		"millions of keys":           {"state_getKeysPaged", `"result":[` + strings.Repeat(`"0x",`, maxList) + `"0x"]`, entries, rpc.ErrProtocol},
		"value huge":                 {"state_getStorage", `"result":"0x` + strings.Repeat("00", 1<<20) + `"`, raw, rpc.ErrTooLarge},
		"value of odd digits":        {"state_getStorage", `"result":"0x0"`, raw, rpc.ErrProtocol},
		"value a number":             {"state_getStorage", `"result":7`, raw, rpc.ErrProtocol},
		"call null":                  {"state_call", `"result":null`, call, rpc.ErrProtocol},
		"block of a million nothing": {"chain_getBlock", `"result":{"block":{"extrinsics":[` + strings.Repeat(`"0x",`, maxList) + `"0x"]}}`, body, rpc.ErrProtocol},
		"extrinsics null":            {"chain_getBlock", `"result":{"block":{"extrinsics":null}}`, body, rpc.ErrProtocol},
		"submission null":            {"state_getRuntimeVersion", `"result":null`, submit, rpc.ErrProtocol},
		"no best hash":               {"chain_getBlockHash", `"result":null`, submit, rpc.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newFake(t, "a")
			a.growFinal(3)
			o := options(a.url)
			o.MaxAnswer = 1 << 20
			c := dialFake(t, o)
			b, err := c.Finalised(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a.setHook(only(tc.method, tc.raw))
			err = tc.read(within(t), c, b)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), a.url) {
				t.Errorf("got %.300v, want %v of the node", err, tc.want)
			}
			a.setHook(nil)
			if err := c.Probe(within(t)); err != nil {
				t.Errorf("once the node is honest again: %v", err)
			}
		})
	}
}

func TestNodeThatAnswersNullToEverything(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"ws", "http"} {
		t.Run(transport, func(t *testing.T) {
			a := newFake(t, "a")
			url := a.url
			if transport == "http" {
				url = a.http
			}
			o := options(url)
			o.Retry = 20 * time.Millisecond
			c := dialFake(t, o)
			null := func(string, []json.RawMessage) string { return `"result":null` }
			a.setHook(null)
			if err := c.Probe(within(t)); err == nil {
				t.Error("null proves that a node answers")
			}
			if _, err := c.Properties(within(t)); err == nil {
				t.Error("properties of nothing")
			}
			if _, err := c.Submit(within(t), alice(t), Remark(nil), TxOptions{}); err == nil {
				t.Error("submitted to nobody")
			}
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			var calls atomic.Int32
			a.setHook(func(string, []json.RawMessage) string {
				if calls.Add(1) > 1 {
					cancel()
				}
				return `"result":null`
			})
			if _, err := c.WaitFinalised(ctx, 1); err == nil {
				t.Error("finalised without a head")
			}
			_ = c.Close()
			if _, err := Dial(within(t), options(url)); !errors.Is(err, rpc.ErrProtocol) {
				t.Errorf("dial: %v", err)
			}
		})
	}
}

func TestBlockByNumberOfAnotherNumber(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(5)
	c := dialFake(t, options(a.url))
	a.setHook(func(m string, p []json.RawMessage) string {
		if m == "chain_getBlockHash" && len(p) == 1 && string(p[0]) != "0" {
			return `"result":"` + a.at(2).hash.String() + `"`
		}
		return ""
	})
	if _, err := c.BlockByNumber(within(t), 4); !errors.Is(err, rpc.ErrProtocol) {
		t.Errorf("block 4 that is block 2: %v", err)
	}
	if b, err := c.BlockByNumber(within(t), 2); err != nil || b.Number != 2 {
		t.Errorf("got %v, %v", b, err)
	}
}

func TestGarbageForEventsNamesTheBlock(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(3)
	for name, raw := range map[string]string{"garbage": "0xffffffff", "cut": "0x0800", "what is no event": "0x0400000000fefefe00"} {
		a.at(2).events = raw
		c := dialFake(t, options(a.url))
		b, err := c.BlockByNumber(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Events(within(t))
		var bad *EventsError
		if !errors.As(err, &bad) || bad.Number != 2 || bad.Block != b.Hash || !strings.Contains(err.Error(), b.Hash.String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFinalisedHeadThatJumpsAhead(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "a")
	a.growFinal(5)
	b.growFinal(9)
	c := dialFake(t, options(a.url, b.url))
	far := a.makeBlock(&fakeBlock{hash: Hash{9}, number: 4_000_000_000}, "far")
	if err := collect(t, c, 1, 9, func(blk *Block) {
		if blk.Number == 5 {
			a.finalise(far)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if from := c.LastHeardFrom(); from != b.url {
		t.Errorf("ended on %s", from)
	}
	// Nor is a transaction given up because of it.
	d := dialFake(t, options(a.url))
	a.setHook(func(m string, _ []json.RawMessage) string {
		return map[string]string{"chain_getFinalizedHead": `"result":"` + a.at(5).hash.String() + `"`}[m]
	})
	tx, err := d.Submit(within(t), alice(t), Remark(nil), TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	tries := 0
	a.setHook(func(m string, _ []json.RawMessage) string {
		if m == "chain_getBlock" {
			if tries++; tries > 5 {
				cancel()
			}
		}
		return ""
	})
	a.finalise(far)
	if _, err := tx.Finalised(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
}

// A node that tells the number of a block's parent wrongly cannot make transactions expire.
func TestBodiesOfWrongNumbers(t *testing.T) {
	a := newFake(t, "a")
	a.growFinal(3)
	c := dialFake(t, options(a.url))
	tx, err := c.Submit(within(t), alice(t), Remark(nil), TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	odd := a.makeBlock(&fakeBlock{hash: a.at(3).hash, number: 900, parent: a.at(2)}, "odd") // 901 on top of 3
	var looks atomic.Int32
	a.setHook(func(m string, p []json.RawMessage) string {
		if m == "chain_getBlock" && strings.Contains(fmt.Sprintf("%s", p), odd.hash.String()) && looks.Add(1) > 3 {
			cancel()
		}
		return ""
	})
	a.setBest(odd)
	a.finalise(odd)
	if _, err := tx.Finalised(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
}
