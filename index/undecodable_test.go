package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/index"
	"iod/index/storetest"
	"iod/key"
	"iod/pallet/did"
)

// liar is a node that passes on what an honest one says, but for one text, as often as it is told to.
type liar struct {
	said, instead []byte
	left          atomic.Int64
	change        func(frame []byte) []byte // in the place of said and instead
	told          atomic.Int64              // how many lies were
}

func (l *liar) answer(frame []byte) []byte {
	if l.change != nil {
		changed := l.change(frame)
		if !bytes.Equal(changed, frame) {
			l.told.Add(1)
		}
		return changed
	}
	if !bytes.Contains(frame, l.said) || l.left.Add(-1) < 0 {
		return frame
	}
	return bytes.ReplaceAll(frame, l.said, l.instead)
}

// start serves until the test ends.
func (l *liar) start(t *testing.T, honest string) (url string) {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		client, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer client.CloseNow()
		node, _, err := websocket.Dial(ctx, honest, nil)
		if err != nil {
			return
		}
		defer node.CloseNow()
		pass := func(from, to *websocket.Conn, change func([]byte) []byte) {
			defer wg.Done()
			defer cancel()
			from.SetReadLimit(1 << 24)
			for {
				kind, frame, err := from.Read(ctx)
				if err != nil || to.Write(ctx, kind, change(frame)) != nil {
					return
				}
			}
		}
		wg.Add(2)
		go pass(client, node, func(b []byte) []byte { return b })
		go pass(node, client, l.answer)
		<-ctx.Done()
	}))
	t.Cleanup(func() { cancel(); srv.CloseClientConnections(); srv.Close(); wg.Wait() })
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func dial(t testing.TB, url string) *chain.Client {
	t.Helper()
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestUndecodableBlock: a block that metadata cannot decode is set aside when it stays so, and taken in when it does not; those
// around it are taken in anyhow.
func TestUndecodableBlock(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	honest := dial(t, url)
	var blocks []uint32
	var last *chain.Outcome
	for _, uri := range []string{"//Alice", "//Bob", "//Charlie"} {
		p, err := key.FromURI(key.Sr25519, uri)
		if err != nil {
			t.Fatal(err)
		}
		o := &onChain{t: t, client: honest}
		last = o.send(p, did.AddAttribute(p.Account(), document.DeviceAttribute, storetest.Sign(t, p, storetest.Weather(p, 1000)), nil))
		blocks = append(blocks, last.Number)
	}
	b, err := honest.BlockByNumber(t.Context(), blocks[1])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.RawEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name        string
		lies        int64
		live, aside uint64
	}{{"for ever", 1 << 40, 2, 1}, {"twice", 2, 3, 0}} {
		t.Run(x.name, func(t *testing.T) {
			l := &liar{said: fmt.Appendf(nil, "%#x", raw), instead: fmt.Appendf(nil, "%#xff", raw[:len(raw)/2])}
			l.left.Store(x.lies)
			var log bytes.Buffer
			o := &onChain{t, dial(t, l.start(t, url)), openStore(t)}
			zero := uint32(0)
			st := o.index(last.Number, index.Options{From: &zero, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if st.Live != x.live || st.SetAside != x.aside {
				t.Fatalf("%d live and %d set aside, want %d and %d\n%s", st.Live, st.SetAside, x.live, x.aside, log.String())
			}
			if l.left.Load() > x.lies-2 {
				t.Errorf("only %d lies were told", x.lies-l.left.Load())
			}
			asides, err := o.store.Asides(t.Context(), 0, 10)
			if err != nil || uint64(len(asides)) != x.aside {
				t.Fatalf("%d set aside, %v", len(asides), err)
			}
			for _, a := range asides {
				if a.At.Block != blocks[1] || a.At.Hash != b.Hash || a.Size != len(raw)/2+1 || !strings.Contains(a.Reason, "whole block") {
					t.Errorf("set aside: %+v", a)
				}
				if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), b.Hash.String()) {
					t.Errorf("the log does not name the block:\n%s", log.String())
				}
			}
		})
	}
}

// TestColdStartUndecodable: an entry of the registry's state that cannot be decoded costs itself alone.
func TestColdStartUndecodable(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	honest := &onChain{t: t, client: dial(t, url)}
	var last *chain.Outcome
	var entry []byte
	var charlie key.AccountID
	for _, uri := range []string{"//Alice", "//Bob", "//Charlie"} {
		p, err := key.FromURI(key.Sr25519, uri)
		if err != nil {
			t.Fatal(err)
		}
		charlie = p.Account()
		entry = storetest.Sign(t, p, storetest.Weather(p, 1000))
		last = honest.send(p, did.AddAttribute(p.Account(), document.DeviceAttribute, entry, nil))
	}
	// An entry begins with the name's length as a compact integer: Charlie's becomes longer than all that follows.
	size := len(entry)<<2 | 1
	rest := fmt.Sprintf("%x%02x%02x%x", document.DeviceAttribute, byte(size), byte(size>>8), entry)
	l := &liar{said: []byte("0x40" + rest), instead: []byte("0xfe" + rest)}
	l.left.Store(1 << 40)
	o := &onChain{t, dial(t, l.start(t, url)), openStore(t)}
	if st := o.index(last.Number, index.Options{}); st.Live != 2 || st.SetAside != 1 {
		t.Errorf("with an entry that cannot be decoded: %+v", st)
	}
	asides, err := o.store.Asides(t.Context(), 0, 10)
	if err != nil || len(asides) != 1 {
		t.Fatalf("%d set aside, %v", len(asides), err)
	}
	if a := asides[0]; a.Account == nil || *a.Account != charlie || !strings.Contains(a.Reason, "undecodable: entry 0x") || a.At.Block != last.Number {
		t.Errorf("set aside: %+v", a)
	}
}

// TestStoreNamesBlock: a store that refuses one block takes in those before it, and the error names that block.
func TestStoreNamesBlock(t *testing.T) {
	s := openStore(t)
	c := storetest.NewChain("refused")
	p := storetest.Account(t, "device")
	for n := range 20 {
		if n == 12 {
			c.Append(storetest.Write(p.Account(), p.Account(), storetest.Sign(t, p, storetest.Weather(p, 5)), nil)) // block 13
			continue
		}
		c.Append()
	}
	zero := uint32(0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := index.Run(ctx, index.Options{Source: c, Store: refusing{s}, From: &zero, Patience: time.Nanosecond})
	if err == nil || !strings.Contains(err.Error(), "write block 13 to the index: no room") {
		t.Errorf("error %v", err)
	}
	if st, err := s.State(t.Context()); err != nil || st.Cursor == nil || st.Cursor.Number != 12 {
		t.Errorf("at %+v, %v; want block 12", st.Cursor, err)
	}
}

// refusing is a store that refuses whatever has a listing.
type refusing struct{ index.Store }

func (r refusing) Update(ctx context.Context, f func(index.Tx) error) error {
	return r.Store.Update(ctx, func(tx index.Tx) error { return f(refusingTx{tx}) })
}

type refusingTx struct{ index.Tx }

func (refusingTx) Put(context.Context, *index.Listing) error { return errors.New("no room") }
