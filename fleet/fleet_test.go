package fleet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"iod/access"
	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

const (
	alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
	bob   = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
)

func TestMembers(t *testing.T) {
	got, err := parseMembers("list", strings.NewReader("# ours\n\nmole did:peaq:"+alice+"\n  gw-1\t"+bob+"   # the other\n"))
	if err != nil || len(got) != 2 || got[0].Name != "mole" || got[0].Account.String() != alice || got[1].Name != "gw-1" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ReadMembers(filepath.Join(t.TempDir(), "none")); err != nil || got != nil {
		t.Errorf("no list: %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"one":                         "list:1: want a name and a DID",
		"one two three":               "list:1: want a name",
		"\nOne " + alice:              "list:2: name \"One\"",
		"a " + alice + "\na " + bob:   "list:2: the name a stands in line 1",
		"a " + alice + "\nb " + alice: "list:2: the device of line 1",
		"a 5F":                        "list:1: ",
		strings.Repeat("x y z\n", 30): "list:20: ",
	} {
		_, err := parseMembers("list", strings.NewReader(text))
		if !errors.Is(err, ErrList) || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 20 {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := parseMembers("list", strings.NewReader(strings.Repeat("x", 1<<20))); err == nil {
		t.Error("an endless line: no error")
	}
}

func FuzzMembers(f *testing.F) {
	f.Add("# ours\nmole did:peaq:" + alice + "\n")
	f.Add("a 5F\n\x00 b")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseMembers("list", strings.NewReader(text))
		if err != nil {
			return
		}
		var b strings.Builder
		for _, m := range all {
			fmt.Fprintf(&b, "%s %s\n", m.Name, m.Account.DID())
		}
		again, err := parseMembers("list", strings.NewReader(b.String()))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(all) {
			t.Fatalf("%v became %v, %v", all, again, err)
		}
	})
}

// world is a chain with an owner and a fleet on it.
type world struct {
	t      testing.TB
	client *chain.Client
	owner  *key.Pair
	fleet  *Fleet
	keys   []*key.Pair
}

func newWorld(t testing.TB, o devchain.Options, devices int) *world {
	url, _ := devchaintest.Start(t, o)
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	owner, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: c, owner: owner, fleet: &Fleet{Name: "harbour", Owner: owner.Account(), Streams: []string{"wind", "camera"}}}
	for i := range devices {
		k, err := key.FromURI(key.Sr25519, fmt.Sprintf("//Fleet//%d", i))
		if err != nil {
			t.Fatal(err)
		}
		w.keys = append(w.keys, k)
		w.fleet.Members = append(w.fleet.Members, Member{fmt.Sprintf("gw-%04d", i), k.Account()})
	}
	return w
}

func (w *world) observe() *Observed {
	w.t.Helper()
	b, err := w.client.Finalised(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := Observe(w.t.Context(), b, w.fleet, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) plan(fund uint64) *Plan {
	w.t.Helper()
	p, err := MakePlan(w.fleet, w.owner, w.observe(), chain.NewPlanck(fund))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// setUp sends what is missing and returns in how many transactions.
func (w *world) setUp(fund uint64) int {
	w.t.Helper()
	batches, err := w.client.Batches(w.t.Context(), w.owner.Public(), w.plan(fund).Calls)
	if err != nil {
		w.t.Fatal(err)
	}
	var sent []*chain.Tx
	for _, calls := range batches {
		tx, err := w.client.Submit(w.t.Context(), w.owner, chain.BatchAll(calls...), chain.TxOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		sent = append(sent, tx)
	}
	for _, tx := range sent {
		if _, err := tx.Finalised(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	return len(batches)
}

// publish sends a device's own document, as a device does.
func (w *world) publish(ctx context.Context, k *key.Pair) error {
	vouch, err := document.SignVouch(w.owner, k.Account())
	if err != nil {
		return err
	}
	d := document.Device{Account: k.Account(), Node: k.NodeKey().ID(), DataType: "weather", Sequence: uint64(time.Now().UnixMilli()),
		Owner: &w.fleet.Owner, Vouch: vouch, Fleet: w.fleet.Name, Streams: []document.Stream{{Name: "wind", Kind: "tcp"}}}
	raw, err := d.Sign(k)
	if err != nil {
		return err
	}
	tx, err := w.client.Submit(ctx, k, did.AddAttribute(k.Account(), document.DeviceAttribute, raw, nil), chain.TxOptions{})
	if err != nil {
		return err
	}
	_, err = tx.Finalised(ctx)
	return err
}

// A fleet is set up once; what is added, spent, forged or left out by an interruption is mended by setting up again.
func TestSetUp(t *testing.T) {
	w := newWorld(t, devchain.Options{BlockTime: 50 * time.Millisecond}, 5)
	p := w.plan(1e18)
	if p.Entities != 13 || p.Vouched != 5 || p.Funded != 5 || p.Funds.String() != "5000000000000000000" {
		t.Errorf("plan %d %d %d %s", p.Entities, p.Vouched, p.Funded, p.Funds)
	}
	if n := w.setUp(1e18); n != 1 {
		t.Errorf("%d transactions", n)
	}
	if p := w.plan(1e18); len(p.Calls) != 0 {
		t.Errorf("set up, and %d calls more", len(p.Calls))
	}
	if err := w.publish(t.Context(), w.keys[2]); err != nil {
		t.Fatal(err)
	}
	for i, s := range w.observe().Members {
		if s.InOrder(w.fleet) != (i == 2) || !s.Vouched || (s.Problem == "not published") == (i == 2) || s.Published().IsZero() == (i == 2) {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
	// The publication cost a fee: the device is given what it paid.
	if p := w.plan(1e18); p.Funded != 1 || len(p.Calls) != 1 {
		t.Errorf("after a publication: %d funded, %d calls", p.Funded, len(p.Calls))
	}
	w.overwriteVouch(3)
	if p := w.plan(0); p.Vouched != 1 || p.Funded != 0 {
		t.Errorf("a vouch overwritten by a stranger: %d vouched", p.Vouched)
	}
	w.setUp(0)
	if s := w.observe().Members[3]; !s.Vouched {
		t.Errorf("a vouch that was overwritten: %+v", s)
	}
	other, err := key.FromURI(key.Sr25519, "//Bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MakePlan(w.fleet, other, w.observe(), chain.Planck{}); err == nil {
		t.Error("another's key: no error")
	}
}

// overwriteVouch does what the registry lets strangers do.
func (w *world) overwriteVouch(i int) {
	w.t.Helper()
	eve, err := key.FromURI(key.Sr25519, "//Eve")
	if err != nil {
		w.t.Fatal(err)
	}
	name := access.VouchAttribute(w.fleet.Members[i].Account)
	calls := []metadata.Call{did.AddAttribute(w.fleet.Owner, "eve", nil, nil), did.UpdateAttribute(w.fleet.Owner, name, []byte("0x00"), nil)}
	tx, err := w.client.Submit(w.t.Context(), eve, chain.BatchAll(calls...), chain.TxOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Finalised(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// A thousand devices, from nothing to published: the owner's few transactions, then each device's own.
func BenchmarkThousand(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, devchain.Options{BlockTime: time.Second, FinalityLag: 1}, 1000)
		b.StartTimer()
		start := time.Now()
		n := w.setUp(1e18)
		setUp := time.Since(start)
		g, ctx := errgroup.WithContext(b.Context())
		g.SetLimit(250)
		for _, k := range w.keys {
			g.Go(func() error { return w.publish(ctx, k) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		all := time.Since(start)
		b.StopTimer()
		for _, s := range w.observe().Members {
			if !s.InOrder(w.fleet) {
				b.Fatalf("%s: %+v", s.Name, s)
			}
		}
		b.ReportMetric(float64(n), "transactions")
		b.ReportMetric(setUp.Seconds(), "set-up-s")
		b.ReportMetric(all.Seconds(), "all-published-s")
		b.StartTimer()
	}
}
