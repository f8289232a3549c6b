package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"iod/key"
	"iod/metadata"
)

// txFake is a node whose blocks say that extrinsic 0 succeeded.
func txFake(t *testing.T) (*fakeNode, *Client) {
	t.Helper()
	n := newFake(t, "a")
	n.growFinal(3)
	return n, dialFake(t, options(n.url))
}

// success is System.Events of one extrinsic that succeeded, as the metadata has it.
func success(t *testing.T) string {
	t.Helper()
	m := parseMetadata(t, "metadata-v14.scale")
	_, _, err := m.StorageType("System", "Events")
	if err != nil {
		t.Fatal(err)
	}
	// one record: ApplyExtrinsic(0), System.ExtrinsicSuccess{weight 1, Normal, Yes}, no topics
	raw := []byte{4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, extra := range [][]byte{raw, {4, 0, 0, 0, 0, 0, 0, 0, 4, 4, 0, 0, 0}} {
		if e, err := m.DecodeEvents(extra); err == nil && len(e) == 1 && e[0].Name == "ExtrinsicSuccess" {
			return fmt.Sprintf("%#x", extra)
		}
	}
	t.Fatal("no form of ExtrinsicSuccess fits the metadata")
	return ""
}

func submit(t *testing.T, c *Client, k *key.Pair, o TxOptions) *Tx {
	t.Helper()
	tx, err := c.Submit(within(t), k, Remark([]byte("x")), o)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func (n *fakeNode) growWith(t *testing.T, parent *fakeBlock, salt string, txs ...string) *fakeBlock {
	b := n.makeBlock(parent, salt, txs...)
	b.events = success(t)
	n.setBest(b)
	return b
}

func TestTransactionIsFollowedThroughAReorganisation(t *testing.T) {
	n, c := txFake(t)
	tx := submit(t, c, alice(t), TxOptions{})
	raw := <-n.submitted
	base := n.best
	first := n.growWith(t, base, "first", raw)
	o, err := tx.InBest(within(t))
	if err != nil || o.Block != first.hash || o.Index != 0 || len(o.Events) != 1 {
		t.Fatalf("in best: %+v, %v", o, err)
	}
	other := n.growWith(t, n.growWith(t, base, "other"), "other") // without it
	if again := <-n.submitted; again != raw {
		t.Error("what was sent again is another transaction")
	}
	n.drop() // and the connection breaks in the middle of it
	last := n.growWith(t, other, "with it", raw)
	n.finalise(last)
	o, err = tx.Finalised(within(t))
	if err != nil || o.Block != last.hash {
		t.Fatalf("final: %+v, %v", o, err)
	}
	c.tracker.mu.Lock()
	defer c.tracker.mu.Unlock()
	if c.tracker.chase != nil || len(c.tracker.txs) != 0 {
		t.Error("heads are still followed with nothing to look for")
	}
}

func TestFinalityThatSkipsBlocksIsSeen(t *testing.T) {
	n, c := txFake(t)
	tx := submit(t, c, alice(t), TxOptions{})
	b := n.growWith(t, n.best, "", <-n.submitted)
	for range 5 {
		n.grow("")
	}
	n.finalise(n.best)
	if o, err := tx.Finalised(within(t)); err != nil || o.Number != b.number {
		t.Fatalf("got %+v, %v", o, err)
	}
}

func TestTransactionOverHTTP(t *testing.T) {
	n := newFake(t, "a")
	n.growFinal(3)
	c := dialFake(t, options(n.http))
	tx := submit(t, c, alice(t), TxOptions{})
	b := n.growWith(t, n.best, "", <-n.submitted)
	if o, err := tx.InBest(within(t)); err != nil || o.Block != b.hash {
		t.Fatalf("in best: %+v, %v", o, err)
	}
	n.finalise(b)
	if o, err := tx.Finalised(within(t)); err != nil || o.Block != b.hash {
		t.Fatalf("final: %+v, %v", o, err)
	}
}

func nonceOf(t *testing.T, raw string) uint32 {
	t.Helper()
	b := mustHex(t, raw)
	x, err := DecodeExtrinsic(parseMetadata(t, "metadata-v14.scale"), b[2+bytesOver(b):])
	if err != nil {
		t.Fatal(err)
	}
	v, _ := x.Extra.Get("CheckNonce")
	if f, ok := v.(metadata.Fields); ok {
		v = f[0].Value
	}
	return uint32(v.(uint64))
}

func TestNoncesOfManyInFlight(t *testing.T) {
	n, c := txFake(t)
	n.nonce = 7
	k := alice(t)
	const count = 20
	txs := make(chan *Tx, count)
	for range count {
		go func() {
			tx, err := c.Submit(within(t), k, Remark([]byte("x")), TxOptions{})
			if err != nil {
				t.Error(err)
			}
			txs <- tx
		}()
	}
	var raws []string
	for want := uint32(7); want < 7+count; want++ {
		raw := <-n.submitted
		if got := nonceOf(t, raw); got != want {
			t.Fatalf("nonce %d, want %d", got, want)
		}
		raws = append(raws, raw)
	}
	if asked := n.count("system_accountNextIndex"); asked != 1 {
		t.Errorf("asked for the nonce %d times", asked)
	}
	b := n.makeBlock(n.best, "", raws...)
	n.setBest(b)
	n.finalise(b)
	for range count {
		tx := <-txs
		if tx == nil {
			t.Fatal("a transaction was not submitted")
		}
		// The events say nothing of these extrinsics, which is an error; here it matters that all are found.
		if _, err := tx.Finalised(within(t)); err == nil {
			t.Error("an outcome without events")
		}
	}
}

// refuse makes the node answer the first count submissions with an error.
func refuse(n *fakeNode, count int32, answer string) {
	var left atomic.Int32
	left.Store(count)
	n.setHook(func(m string, _ []json.RawMessage) string {
		if m == "author_submitExtrinsic" && left.Add(-1) >= 0 {
			return `"error":` + answer
		}
		return ""
	})
}

func TestRefusalsAreTyped(t *testing.T) {
	invalid := func(data string) string { return `{"code":1010,"message":"Invalid Transaction","data":"` + data + `"}` }
	for _, tc := range []struct {
		answer string
		want   error
	}{
		{invalid("Transaction has a bad signature"), ErrBadProof},
		{invalid("Transaction is outdated"), ErrNonceTaken},
		{`{"code":1014,"message":"Priority is too low"}`, ErrNonceTaken},
		{`{"code":1012,"message":"Transaction is temporarily banned"}`, ErrBanned},
		{`{"code":1016,"message":"Immediately Dropped"}`, ErrPoolFull},
		{invalid("Custom error: 7"), ErrRefused},
		{`{"code":1011,"message":"Unknown"}`, ErrRefused},
	} {
		n, c := txFake(t)
		refuse(n, 100, tc.answer)
		if _, err := c.Submit(within(t), alice(t), Remark(nil), TxOptions{}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.answer, err)
		}
		if _, ok := c.accounts.of(alice(t).Account()).local(); ok {
			t.Errorf("%s: a nonce is still in use", tc.answer)
		}
	}
	for _, answer := range []string{invalid("Inability to pay some fees (e.g. account balance too low)"), `{"code":1010,"message":"{\"invalid\":{\"payment\":null}}"}`} {
		n, c := txFake(t)
		refuse(n, 1, answer)
		_, err := c.Submit(within(t), alice(t), Remark(nil), TxOptions{})
		var pay *ErrCannotPay
		if !errors.As(err, &pay) || pay.Account != alice(t).Account() {
			t.Errorf("%s: %v", answer, err)
		}
		if c.LastHeardFrom() != n.url || n.count("chain_getBlockHash") > 3 {
			t.Error("the node was left for its answer")
		}
	}
}

// LastHeardFrom is the endpoint of LastHeard.
func (c *Client) LastHeardFrom() string { _, from := c.LastHeard(); return from }

func TestNonceTakenByAnotherClientIsReplaced(t *testing.T) {
	n, c := txFake(t)
	n.nonce = 3
	tx := submit(t, c, alice(t), TxOptions{})
	if got := nonceOf(t, <-n.submitted); got != 3 {
		t.Fatalf("nonce %d", got)
	}
	n.mu.Lock()
	n.nonce = 5 // 3 is ours and in the pool, 4 is another client's
	n.mu.Unlock()
	refuse(n, 1, `{"code":1014,"message":"Priority is too low: (1 vs 1)"}`)
	second := submit(t, c, alice(t), TxOptions{})
	if got := nonceOf(t, <-n.submitted); got != 5 || second.Nonce() != 5 || tx.Nonce() != 3 {
		t.Errorf("nonce %d, want 5", got)
	}
	fixed := uint32(4)
	refuse(n, 9, `{"code":1014,"message":"Priority is too low: (1 vs 1)"}`)
	if _, err := c.Submit(within(t), alice(t), Remark(nil), TxOptions{Nonce: &fixed}); !errors.Is(err, ErrNonceTaken) {
		t.Errorf("a nonce that the caller insists on: %v", err)
	}
}

func TestTransactionWhoseNonceWasUsedByAnother(t *testing.T) {
	n, c := txFake(t)
	tx := submit(t, c, alice(t), TxOptions{Immortal: true}) // blocks come faster than its answer
	<-n.submitted
	n.mu.Lock()
	n.nonce = 1
	n.mu.Unlock()
	refuse(n, 100, `{"code":1010,"message":"Invalid Transaction","data":"Transaction is outdated"}`)
	end := make(chan error, 1)
	go func() {
		_, err := tx.Finalised(within(t))
		end <- err
	}()
	for {
		select {
		case err := <-end:
			if !errors.Is(err, ErrNonceTaken) {
				t.Errorf("got %v", err)
			}
			return
		default:
			n.finalise(n.grow("without it"))
			if err := c.Probe(within(t)); err != nil { // paces the blocks
				t.Fatal(err)
			}
		}
	}
}

// waitFor waits until a method was called so often.
func waitFor(t *testing.T, n *fakeNode, method string, least int) {
	t.Helper()
	ctx := within(t)
	defer context.AfterFunc(ctx, n.called.Broadcast)()
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.calls[method] < least {
		if ctx.Err() != nil {
			t.Fatalf("%s was not called %d times", method, least)
		}
		n.called.Wait()
	}
}

func TestTransactionExpires(t *testing.T) {
	n, c := txFake(t)
	tx := submit(t, c, alice(t), TxOptions{Period: 4})
	<-n.submitted
	for range 4 { // valid up to block 3+4-1
		n.grow("without it")
	}
	n.finalise(n.best)
	if _, err := tx.Finalised(within(t)); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v", err)
	}
	if _, ok := tx.acc.local(); ok {
		t.Error("its nonce is still in use")
	}
}

func TestLostPoolGetsTheTransactionAgain(t *testing.T) {
	n, c := txFake(t)
	tx := submit(t, c, alice(t), TxOptions{})
	raw := <-n.submitted
	again := make(chan string, 1)
	go func() { again <- <-n.submitted }()
	var got string
	for got == "" {
		head := n.grow("without it")
		select {
		case got = <-again:
		default:
			waitFor(t, n, "chain_getBlock", int(head.number)-3)
		}
	}
	if got != raw {
		t.Error("another transaction was sent")
	}
	n.finalise(n.growWith(t, n.best, "", raw))
	if _, err := tx.Finalised(within(t)); err != nil {
		t.Error(err)
	}
}

func TestConnectionThatBreaksInMidSubmissionSendsTheSameBytes(t *testing.T) {
	n, c := txFake(t)
	var once atomic.Bool
	var first atomic.Value
	n.setHook(func(m string, p []json.RawMessage) string {
		if m == "author_submitExtrinsic" && once.CompareAndSwap(false, true) {
			first.Store(string(p[0]))
			go n.drop()
			return "-"
		}
		return ""
	})
	tx, err := c.Submit(within(t), alice(t), Remark(nil), TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	raw := <-n.submitted
	if `"`+raw+`"` != first.Load() {
		t.Error("other bytes were sent the second time")
	}
	n.finalise(n.growWith(t, n.best, "", raw))
	if _, err := tx.Finalised(within(t)); err != nil {
		t.Error(err)
	}
}

func TestAccountNonces(t *testing.T) {
	a := &account{}
	if n := a.choose(5); n != 5 {
		t.Errorf("chose %d", n)
	}
	for n := uint32(5); n < 9; n++ {
		a.use(n)
	}
	if n, ok := a.local(); !ok || n != 9 {
		t.Errorf("next is %d", n)
	}
	a.done(6, false) // a hole below 7 and 8
	if n, ok := a.local(); !ok || n != 6 {
		t.Errorf("the hole is not filled first: %d", n)
	}
	if n := a.choose(5); n != 6 {
		t.Errorf("a node that lags behind makes it %d", n)
	}
	if n := a.choose(7); n != 9 {
		t.Errorf("hole that another filled: %d", n)
	}
	for _, n := range []uint32{5, 7, 8} {
		a.done(n, true)
	}
	if _, ok := a.local(); ok || len(a.holes) != 0 {
		t.Error("with nothing in flight the chain is to be asked")
	}
}
