package provision_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/access"
	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/overlay"
	"iod/pallet/did"
	"iod/provision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait that is to succeed.
const patience = 30 * time.Second

// journal is a log that tests wait for.
type journal struct {
	*shelf
	attrs []slog.Attr
}

type shelf struct {
	mu      sync.Mutex
	entries []entry
	changed chan struct{}
}

// entry is a log record.
type entry struct {
	msg   string
	attrs map[string]string
}

func newJournal() *journal { return &journal{shelf: &shelf{changed: make(chan struct{})}} }

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	e := entry{r.Message, map[string]string{}}
	add := func(a slog.Attr) bool { e.attrs[a.Key] = a.Value.String(); return true }
	for _, a := range j.attrs {
		add(a)
	}
	r.Attrs(add)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
	close(j.changed)
	j.changed = make(chan struct{})
	return nil
}

func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journal{j.shelf, append(slices.Clip(j.attrs), attrs...)}
}

func (j *journal) WithGroup(string) slog.Handler { return j }

// mark is the place after all entries so far.
func (j *journal) mark() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// await returns the first entry from a place on with the message, for which all of ok hold.
func (j *journal) await(t testing.TB, from int, msg string, ok ...func(entry) bool) entry {
	t.Helper()
	for late := time.After(patience); ; {
		j.mu.Lock()
		changed := j.changed
		for _, e := range j.entries[from:] {
			if e.msg == msg && !slices.ContainsFunc(ok, func(f func(entry) bool) bool { return !f(e) }) {
				j.mu.Unlock()
				return e
			}
		}
		from = len(j.entries)
		j.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			j.mu.Lock()
			defer j.mu.Unlock()
			t.Fatalf("waited too long for %q among %v", msg, j.entries)
		}
	}
}

// count returns how often a message stands in the log from a place on.
func (j *journal) count(from int, msg string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries[from:] {
		if e.msg == msg {
			n++
		}
	}
	return n
}

func has(name, value string) func(entry) bool {
	return func(e entry) bool { return e.attrs[name] == value }
}

// world is a chain, a relay, and a device's account and directory.
type world struct {
	t      *testing.T
	url    string
	dev    *devchain.Chain
	client *chain.Client
	relay  string
	key    *key.Pair
	dir    string
}

func newWorld(t *testing.T, o devchain.Options) *world {
	t.Helper()
	w := &world{t: t, key: newPair(t), dir: t.TempDir()}
	w.url, w.dev = devchaintest.Start(t, o)
	w.client = dial(t, w.url)
	w.relay = startRelay(t)
	w.fund(w.key.Account())
	return w
}

func newPair(t *testing.T) *key.Pair {
	t.Helper()
	p, _, err := key.Generate(key.Sr25519)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// named returns an endowed development account.
func named(t *testing.T, uri string) *key.Pair {
	t.Helper()
	p, err := key.FromURI(key.Sr25519, uri)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func dial(t *testing.T, url string) *chain.Client {
	t.Helper()
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startRelay runs a relay until the test ends and returns its address.
func startRelay(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := overlay.NewRelay(overlay.RelayOptions{Key: key.NewNodeKey(), Advertise: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(ctx context.Context) error { return r.Serve(ctx, ln) })
	return r.Addr().String()
}

// run runs something until the test or the returned function ends it.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (w *world) fund(id key.AccountID) {
	w.t.Helper()
	if _, err := w.dev.SetBalance(id, big.NewInt(1e18)); err != nil {
		w.t.Fatal(err)
	}
}

const deviceText = `key = "unused"
%s

[device]
data_type = "weather"
location = "40.1949288,44.5517725"
%s
[device.additional]
microcontroller = "stm32"

[overlay]
relays = [%q]

[[stream]]
name = "measurements"
kind = "mqtt"
target = %q
topics = ["measurements/#"]
unit = "m/s"
`

// manifest writes and loads the device's manifest; top and device are lines more at the top and in [device].
func (w *world) manifest(top, device, target string) *provision.Manifest {
	w.t.Helper()
	path := filepath.Join(w.dir, "device.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, deviceText, top, device, w.relay, target), 0o600); err != nil {
		w.t.Fatal(err)
	}
	m, err := provision.Load(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// unused is a target where nothing is served.
const unused = "127.0.0.1:9"

// device runs the device until the test or the returned function ends it.
func (w *world) device(m *provision.Manifest) (*journal, func()) {
	w.t.Helper()
	j := newJournal()
	stop := run(w.t, func(ctx context.Context) error {
		return provision.Run(ctx, provision.Options{Manifest: m, Key: w.key, RPC: []string{w.url}, Log: slog.New(j)})
	})
	return j, stop
}

// send runs calls in one transaction and returns its block's number.
func (w *world) send(from *key.Pair, calls ...metadata.Call) uint32 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	tx, err := w.client.Submit(ctx, from, chain.BatchAll(calls...), chain.TxOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := tx.InBest(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Number
}

// standing reads and judges what stands in the best block; zero when nothing does.
func (w *world) standing() (d document.Device, v document.Verdict, raw []byte) {
	w.t.Helper()
	b, err := w.client.Best(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := did.Read(w.t.Context(), b, w.key.Account(), document.DeviceAttribute)
	if err != nil {
		w.t.Fatal(err)
	}
	if a == nil {
		return d, v, nil
	}
	d, v, err = document.ReadDevice(w.key.Account(), document.DeviceAttribute, a.Value)
	if err != nil {
		v.Reason = err.Error()
	}
	return d, v, a.Value
}

// rbac reads the owner's arrangements in the best block and returns what a change of them by change needs.
func (w *world) state(owner key.AccountID, accounts ...key.AccountID) access.State {
	w.t.Helper()
	b, err := w.client.Best(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := access.Read(w.t.Context(), b, owner, w.key.Account(), []string{"measurements"}, accounts...)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) grant(owner *key.Pair, account key.AccountID) uint32 {
	w.t.Helper()
	p, err := access.Grant(owner.Account(), w.key.Account(), []string{"measurements"}, "measurements", account, w.state(owner.Account(), account))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(owner, p.Calls...)
}

func (w *world) revoke(owner *key.Pair, account key.AccountID) uint32 {
	w.t.Helper()
	p, err := access.Revoke(owner.Account(), w.key.Account(), []string{"measurements"}, "measurements", account, w.state(owner.Account(), account))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(owner, p.Calls...)
}

// balance is what the device's account holds.
func (w *world) balance() chain.Planck {
	w.t.Helper()
	b, err := w.client.Best(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	bal, err := b.Balance(w.t.Context(), w.key.Account())
	if err != nil {
		w.t.Fatal(err)
	}
	return bal.Free
}

// nonce is how many transactions the device's account has sent.
func (w *world) nonce() uint32 {
	w.t.Helper()
	b, err := w.client.Best(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	self := w.key.Account()
	raw, err := b.Call(w.t.Context(), "AccountNonceApi_account_nonce", self[:])
	if err != nil || len(raw) != 4 {
		w.t.Fatalf("nonce: %x, %v", raw, err)
	}
	return binary.LittleEndian.Uint32(raw)
}

// blocksUntil makes blocks on a chain that makes none by itself, at a pace that others can follow, until something holds.
func (w *world) blocksUntil(j *journal, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		if _, err := w.dev.NewBlock(1); err != nil {
			w.t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-late:
			j.mu.Lock()
			defer j.mu.Unlock()
			w.t.Fatalf("waited too long; the log is %v", j.entries)
		}
	}
}
