package index_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/index"
)

// copyDir copies the state of a chain on disk, as it stands.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// dialAll connects to the endpoints in the order of preference, with little patience.
func dialAll(t *testing.T, urls ...string) *chain.Client {
	t.Helper()
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: urls, Patience: 300 * time.Millisecond, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// rowsOf indexes the chain anew over a client, and dumps the database.
func rowsOf(t *testing.T, c *chain.Client, until uint32) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	o := &onChain{t: t, client: c, store: openAt(t, path)}
	zero := uint32(0)
	o.index(until, index.Options{From: &zero})
	return dumpSQLite(t, path)
}

// TestEndpoints: among nodes of which one is of another network, one stands still, one lies about how far it is and one flickers, an
// index comes as far as with the honest one alone, and holds the same.
func TestEndpoints(t *testing.T) {
	dir := t.TempDir()
	url, dev := devchaintest.Start(t, devchain.Options{Dir: dir})
	s := newStorm(t, 31, url, dev)
	for n := range uint64(40) {
		s.round(n + 1)
	}
	stopped, _ := dev.Finalised()
	still, _ := devchaintest.Start(t, devchain.Options{Dir: copyDir(t, dir)})
	other, _ := devchaintest.Start(t, devchain.Options{})
	// It calls blocks final that are far beyond what there is, in what it tells unasked.
	inflate := regexp.MustCompile(`("method":"chain_finalizedHead".*"number":"0x)`)
	tall := &liar{change: func(frame []byte) []byte { return inflate.ReplaceAll(frame, []byte("${1}fff")) }}
	lying := tall.start(t, url)
	flickering := newProxy(t, url)

	honest := dial(t, url)
	for name, urls := range map[string][]string{
		"another network, standing still, lying, flickering": {still, other, lying, flickering.URL},
		"lying first":                          {lying, still, flickering.URL},
		"standing still before the honest one": {still, url},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialAll(t, urls...)
			if c.Genesis() != honest.Genesis() {
				t.Fatal("on another network")
			}
			path := filepath.Join(t.TempDir(), "index.db")
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			head, _ := dev.Finalised()
			zero, target := uint32(0), head+30
			grown := false
			err := index.Run(ctx, index.Options{Source: index.ChainSource(c), Store: openAt(t, path), From: &zero, Notify: func(p index.Progress) {
				if p.Block >= stopped && !grown { // what the still one has is taken in
					grown = true
					for n := range uint64(30) {
						s.round(1000 + n)
						if n%10 == 5 {
							flickering.cut()
						}
					}
					target, _ = dev.Finalised()
				}
				if grown && p.Block >= target {
					cancel()
				}
			}})
			if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Fatal(err, ctx.Err())
			}
			compareRows(t, dumpSQLite(t, path), rowsOf(t, honest, target))
		})
	}
	if tall.told.Load() == 0 {
		t.Error("no lie was told")
	}
}

// TestFinalityBroken: a chain that replaces more blocks than it called final is refused, loudly, while it is followed and after a
// restart; the database stays as it was.
func TestFinalityBroken(t *testing.T) {
	dir := t.TempDir()
	first, dev := devchaintest.Start(t, devchain.Options{Dir: dir})
	s := newStorm(t, 41, first, dev)
	for n := range uint64(10) {
		s.round(n + 1)
	}
	common, _ := dev.Finalised()
	second, fork := devchaintest.Start(t, devchain.Options{Dir: copyDir(t, dir)})
	for n := range uint64(10) {
		s.round(100 + n)
	}
	if _, err := fork.NewBlock(40); err != nil { // longer, and other blocks
		t.Fatal(err)
	}
	between := newProxy(t, first)
	path := filepath.Join(t.TempDir(), "index.db")
	store := openAt(t, path)
	c := dialAll(t, between.URL)
	head, _ := dev.Finalised()
	zero := uint32(0)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var before []string
	err := index.Run(ctx, index.Options{Source: index.ChainSource(c), Store: store, From: &zero, Notify: func(p index.Progress) {
		if p.Block >= head && before == nil {
			before = dumpSQLite(t, path)
			between.turn(second)
		}
	}})
	if !errors.Is(err, index.ErrChainReset) || !strings.Contains(err.Error(), "--rebuild") {
		t.Fatalf("followed: %v, want ErrChainReset with what to do", err)
	}
	compareRows(t, dumpSQLite(t, path), before)
	err = index.Run(ctx, index.Options{Source: index.ChainSource(c), Store: store})
	if !errors.Is(err, index.ErrChainReset) {
		t.Fatalf("after a restart: %v, want ErrChainReset", err)
	}
	compareRows(t, dumpSQLite(t, path), before)
	if !bytes.Contains([]byte(err.Error()), []byte("block ")) || common == 0 {
		t.Errorf("the error names no block: %v", err)
	}
	// Back on its own chain it goes on.
	between.turn(first)
	o := &onChain{t: t, client: dialAll(t, between.URL), store: store}
	s.round(1000)
	last, _ := dev.Finalised()
	o.index(last, index.Options{})
	compareRows(t, dumpSQLite(t, path), rowsOf(t, dial(t, first), last))
}
