package provision_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"iod/access"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/examples/weather/station"
	"iod/key"
	"iod/metadata"
	"iod/overlay"
	"iod/pallet/did"
	"iod/provision"
)

// startStation runs the weather station with its broker and returns the broker's address.
func startStation(t *testing.T) string {
	t.Helper()
	ready := make(chan string, 1)
	run(t, func(ctx context.Context) error {
		return station.Run(ctx, station.Options{Listen: "127.0.0.1:0", Interval: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
			Ready: func(addr string) { ready <- addr }})
	})
	select {
	case addr := <-ready:
		return addr
	case <-time.After(patience):
		t.Fatal("the station is not ready")
		return ""
	}
}

// consumer dials the world's device as an account.
func (w *world) consumer(account *key.Pair) (*overlay.Dialer, overlay.Target) {
	w.t.Helper()
	addr, err := overlay.ParseRelayAddr(w.relay)
	if err != nil {
		w.t.Fatal(err)
	}
	d := overlay.NewDialer(overlay.DialerOptions{Account: account})
	w.t.Cleanup(func() { _ = d.Close() })
	return d, overlay.Target{Node: w.key.NodeKey().ID(), Relays: []overlay.RelayAddr{addr}}
}

// subscription is a consumer that receives messages.
type subscription struct {
	client *paho.Client
	got    chan *paho.Publish
	lost   chan error
}

// subscribe waits until it is let in and subscribes to a filter.
func (w *world) subscribe(account *key.Pair, filter string) *subscription {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	d, target := w.consumer(account)
	conn, err := d.Dial(ctx, target, "measurements")
	if err != nil {
		w.t.Fatal(err)
	}
	s := &subscription{got: make(chan *paho.Publish, 1000), lost: make(chan error, 10)}
	// paho pings beside what it writes else, and does not lock by itself what is not a TCP connection.
	s.client = paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) { s.got <- p.Packet; return true, nil }},
		OnClientError:      func(err error) { s.lost <- err },
		OnServerDisconnect: func(*paho.Disconnect) { s.lost <- errors.New("disconnected") }})
	if _, err := s.client.Connect(ctx, &paho.Connect{ClientID: "consumer", CleanStart: true, KeepAlive: 60}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter}}}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close(); <-s.client.Done() })
	return s
}

func (s *subscription) receive(t *testing.T) *paho.Publish {
	t.Helper()
	select {
	case p := <-s.got:
		return p
	case <-time.After(patience):
		t.Fatal("no message comes")
		return nil
	}
}

func TestPublishRefuseGrantReceiveRevoke(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	owner, consumer := named(t, "//Alice"), newPair(t)
	j, _ := w.device(w.manifest(fmt.Sprintf("owner = %q", owner.Account()), "", startStation(t)))
	j.await(t, 0, provision.MsgPublished)
	j.await(t, 0, "overlay: relay reached")

	d, target := w.consumer(consumer)
	knock, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if conn, err := d.Dial(knock, target, "measurements"); !errors.Is(err, overlay.ErrSilent) {
		t.Fatalf("without a grant: %v, %v", conn, err)
	}
	w.grant(owner, consumer.Account())
	s := w.subscribe(consumer, "measurements/#")
	if p := s.receive(t); !strings.HasPrefix(p.Topic, "measurements/") {
		t.Errorf("received %s", p.Topic)
	}
	j.await(t, 0, provision.MsgSessionAdmitted, has("account", consumer.Account().String()), has("stream", "measurements"))
	w.revoke(owner, consumer.Account())
	select {
	case <-s.lost:
	case <-time.After(patience):
		t.Fatal("the session goes on after the revocation")
	}
	e := j.await(t, 0, provision.MsgSessionEnded, has("account", consumer.Account().String()))
	if !strings.Contains(e.attrs["reason"], access.ErrRevoked.Error()) {
		t.Errorf("ended for: %s", e.attrs["reason"])
	}
}

func TestOwnerVouchesLater(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	owner := named(t, "//Bob")
	j, _ := w.device(w.manifest(fmt.Sprintf("owner = %q", owner.Account()), "", unused))
	j.await(t, 0, provision.MsgPublished)
	if d, v, _ := w.standing(); d.Owner == nil || *d.Owner != owner.Account() || v.Vouched || v.State != document.Verified {
		t.Fatalf("before the vouch: %+v, %+v", d, v)
	}
	calls, err := access.VouchCalls(owner, w.key.Account(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	from := j.mark()
	w.send(owner, calls...)
	e := j.await(t, from, provision.MsgPublished)
	if e.attrs["reason"] != "the owner vouched for the device" || e.attrs["changes"] != "[owner's vouch]" {
		t.Errorf("published for: %v", e.attrs)
	}
	if _, v, _ := w.standing(); !v.Vouched {
		t.Fatalf("after the vouch: %+v", v)
	}
	// A stranger who takes the vouch away changes nothing, nor does one who takes the document away too.
	from = j.mark()
	eve := named(t, "//Eve")
	w.send(eve, did.AddAttribute(owner.Account(), "x", nil, nil), did.RemoveAttribute(owner.Account(), access.VouchAttribute(w.key.Account())),
		did.AddAttribute(w.key.Account(), "x", nil, nil), did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
	j.await(t, from, provision.MsgPublished)
	if _, v, _ := w.standing(); !v.Vouched {
		t.Errorf("after strangers took vouch and document away: %+v", v)
	}
}

// disturbances are what strangers can do to a document.
func (w *world) disturbances(old []byte) map[string]metadata.Call {
	forged := named(w.t, "//Ferdie")
	d := document.Device{Account: forged.Account(), DataType: "gold", Sequence: 1 << 62}
	raw, err := d.Sign(forged)
	if err != nil {
		w.t.Fatal(err)
	}
	short := uint32(1)
	self, name := w.key.Account(), document.DeviceAttribute
	return map[string]metadata.Call{
		"removed":        did.RemoveAttribute(self, name),
		"junk":           did.UpdateAttribute(self, name, []byte("junk"), nil),
		"empty":          did.UpdateAttribute(self, name, nil, nil),
		"another's":      did.UpdateAttribute(self, name, raw, nil),
		"cut":            did.UpdateAttribute(self, name, old[:len(old)-1], nil),
		"made to expire": did.UpdateAttribute(self, name, old, &short),
	}
}

func TestHealsWhatStrangersDo(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	eve := named(t, "//Eve")
	j, _ := w.device(w.manifest("", "", unused))
	j.await(t, 0, provision.MsgPublished)
	before, _, old := w.standing()
	w.send(eve, did.AddAttribute(w.key.Account(), "x", nil, nil))
	for name, call := range w.disturbances(old) {
		from := j.mark()
		number := w.send(eve, call)
		j.await(t, from, provision.MsgDisturbed)
		e := j.await(t, from, provision.MsgPublished)
		d, v, _ := w.standing()
		if v.State != document.Verified || d.Sequence <= before.Sequence {
			t.Errorf("%s: sequence %d after %d, %+v", name, d.Sequence, before.Sequence, v)
		}
		if e.attrs["number"] != fmt.Sprint(number+1) {
			t.Errorf("%s in block %d, healed in %s", name, number, e.attrs["number"])
		}
		before = d
	}
}

func TestReplayedDocumentIsReplaced(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	eve := named(t, "//Eve")
	j, stop := w.device(w.manifest("", "price_pin = \"1\"", unused))
	j.await(t, 0, provision.MsgPublished)
	_, _, old := w.standing()
	stop()
	j, _ = w.device(w.manifest("", "price_pin = \"2\"", unused))
	j.await(t, 0, provision.MsgPublished)
	newer, _, _ := w.standing()
	from := j.mark()
	w.send(eve, did.AddAttribute(w.key.Account(), "x", nil, nil), did.UpdateAttribute(w.key.Account(), document.DeviceAttribute, old, nil))
	j.await(t, from, provision.MsgPublished)
	if d, v, _ := w.standing(); d.PricePin != "2" || d.Sequence <= newer.Sequence || v.State != document.Verified {
		t.Errorf("after a replay: %+v, %+v", d, v)
	}
}

func TestHealsAreBounded(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	eve := named(t, "//Eve")
	j, _ := w.device(w.manifest("", "heals_per_hour = 2", unused))
	j.await(t, 0, provision.MsgPublished)
	w.send(eve, did.AddAttribute(w.key.Account(), "x", nil, nil))
	for range 2 {
		from := j.mark()
		w.send(eve, did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
		j.await(t, from, provision.MsgPublished)
	}
	had := w.balance()
	from := j.mark()
	w.send(eve, did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
	j.await(t, from, provision.MsgWaiting, func(e entry) bool { return strings.Contains(e.attrs["err"], "too often") })
	if now := w.balance(); now.Cmp(had) != 0 || j.count(from, provision.MsgPublished) != 0 {
		t.Errorf("paid from %s to %s", had, now)
	}
}

func TestRestartCostsNothing(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	target := startStation(t)
	consumer := newPair(t)
	m := w.manifest("", "", target)
	j, stop := w.device(m)
	j.await(t, 0, provision.MsgPublished)
	w.grant(w.key, consumer.Account())
	w.subscribe(consumer, "measurements/#").receive(t)
	stop()
	had := w.balance()
	j, _ = w.device(m)
	j.await(t, 0, provision.MsgUpToDate)
	w.subscribe(consumer, "measurements/#").receive(t)
	if now := w.balance(); now.Cmp(had) != 0 {
		t.Errorf("paid from %s to %s", had, now)
	}
}

func TestEmptyAccountIsPublishedOnceFunded(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	w.key = newPair(t)
	j, _ := w.device(w.manifest("", "", unused))
	e := j.await(t, 0, provision.MsgWaiting)
	if !strings.Contains(e.attrs["hint"], "send some PEAQ to "+w.key.Account().String()) {
		t.Errorf("it says: %v", e.attrs)
	}
	w.fund(w.key.Account())
	j.await(t, 0, provision.MsgPublished)
}

func TestSecondProvisionerWins(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	first, _ := w.device(w.manifest("", "", unused))
	first.await(t, 0, provision.MsgPublished)
	w.dir = t.TempDir()
	second, _ := w.device(w.manifest("", "price_pin = \"2\"", unused))
	second.await(t, 0, provision.MsgPublished)
	e := first.await(t, 0, provision.MsgConflict, func(e entry) bool { return e.attrs["relay"] == "" })
	if !strings.Contains(e.attrs["reason"], "another iod device run publishes") {
		t.Errorf("it says: %v", e.attrs)
	}
	first.await(t, 0, provision.MsgConflict, func(e entry) bool { return e.attrs["relay"] != "" })
	// What strangers do is now the second one's affair.
	from := first.mark()
	w.send(named(t, "//Eve"), did.AddAttribute(w.key.Account(), "x", nil, nil), did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
	second.await(t, 0, provision.MsgDisturbed)
	second.await(t, second.mark()-1, provision.MsgPublished)
	if d, _, _ := w.standing(); d.PricePin != "2" || first.count(from, provision.MsgPublished) != 0 {
		t.Errorf("the first one still publishes: %+v", d)
	}
}

func TestTwoInOneStateDirectory(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	m := w.manifest("", "", unused)
	j, _ := w.device(m)
	j.await(t, 0, provision.MsgPublished)
	err := provision.Run(t.Context(), provision.Options{Manifest: m, Key: w.key, RPC: []string{w.url}})
	if !errors.Is(err, provision.ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
}

// forward joins what a listener accepts with an address, until the test or the returned function ends it.
func forward(t *testing.T, ln net.Listener, addr string) (stop func()) {
	t.Helper()
	return run(t, func(ctx context.Context) error {
		return overlay.Forward(ctx, ln, func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}, slog.New(slog.DiscardHandler))
	})
}

func TestProgramsRunWhileTheChainIsAway(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	real := strings.TrimPrefix(w.url, "ws://")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	w.url = "ws://" + addr
	m := w.manifest("", "", unused)
	m.Programs = []provision.Program{{Name: "sleeper", Command: []string{"sleep", "3600"}}}
	j, stop := w.device(m)
	j.await(t, 0, provision.MsgProgramStarted, has("program", "sleeper"))
	j.await(t, 0, provision.MsgWaiting)
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	forward(t, ln, real)
	j.await(t, 0, provision.MsgPublished)
	if j.count(0, provision.MsgProgramStarted) != 1 || j.count(0, provision.MsgProgramEnded) > 0 {
		t.Error("the program was restarted because of the chain")
	}
	stop()
	j.await(t, 0, provision.MsgProgramEnded, has("program", "sleeper"))
}

func TestEndpointOfAnotherNetwork(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	other, _ := devchaintest.Start(t, devchain.Options{GenesisHash: &[32]byte{1}})
	real := strings.TrimPrefix(w.url, "ws://")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	cut := forward(t, ln, real)
	m, j := w.manifest("", "", unused), newJournal()
	run(t, func(ctx context.Context) error {
		return provision.Run(ctx, provision.Options{Manifest: m, Key: w.key, RPC: []string{"ws://" + addr, other}, Log: slog.New(j)})
	})
	j.await(t, 0, provision.MsgPublished)
	cut()
	j.await(t, 0, "cannot use node", has("endpoint", other), func(e entry) bool { return strings.Contains(e.attrs["error"], "another network") })
	w.send(named(t, "//Eve"), did.AddAttribute(w.key.Account(), "x", nil, nil), did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	from := j.mark()
	forward(t, ln, real)
	j.await(t, from, provision.MsgPublished)
}

func TestRelayThatIsAway(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	w.relay = strings.Replace(w.relay, "127.0.0.1:", "127.0.0.2:", 1)
	j, _ := w.device(w.manifest("", "", unused))
	j.await(t, 0, "overlay: relay lost")
	j.await(t, 0, provision.MsgPublished)
}

func TestRuntimeUpgrade(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	j, _ := w.device(w.manifest("", "", unused))
	j.await(t, 0, provision.MsgPublished)
	if _, err := w.dev.Upgrade(devchain.Upgrade{MetadataHash: true}); err != nil {
		t.Fatal(err)
	}
	from := j.mark()
	w.send(named(t, "//Eve"), did.AddAttribute(w.key.Account(), "x", nil, nil), did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
	j.await(t, from, provision.MsgPublished)
}

func TestSessionsEndWithTheLease(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	consumer := newPair(t)
	m := w.manifest("", "", startStation(t))
	m.Lease = 2 * time.Second
	j, _ := w.device(m)
	j.await(t, 0, provision.MsgPublished)
	w.grant(w.key, consumer.Account())
	s := w.subscribe(consumer, "measurements/#")
	s.receive(t)
	w.dev.Stall(true)
	defer w.dev.Stall(false)
	e := j.await(t, 0, provision.MsgSessionEnded)
	if !strings.Contains(e.attrs["reason"], access.ErrLease.Error()) {
		t.Errorf("ended for: %s", e.attrs["reason"])
	}
	select {
	case <-s.lost:
	case <-time.After(patience):
		t.Fatal("the session goes on without a lease")
	}
}

func TestPasswordThatIsMissing(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	m := w.manifest("", "", unused)
	m.Streams[0].User, m.Streams[0].PasswordEnv = "u", "BROKER_PASSWORD"
	err := provision.Run(t.Context(), provision.Options{Manifest: m, Key: w.key, RPC: []string{w.url}, Env: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), "BROKER_PASSWORD") {
		t.Errorf("a password that is not set: %v", err)
	}
}

func TestChainThatComesBack(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	eve := named(t, "//Eve")
	j, _ := w.device(w.manifest("", "", unused))
	j.await(t, 0, provision.MsgPublished)
	w.send(eve, did.AddAttribute(w.key.Account(), "x", nil, nil))
	for range 3 {
		from := j.mark()
		w.dev.DropConnections()
		w.client = dial(t, w.url)
		w.send(eve, did.RemoveAttribute(w.key.Account(), document.DeviceAttribute))
		j.await(t, from, provision.MsgPublished)
	}
}

func TestPublicationSurvivesReorganisation(t *testing.T) {
	w := newWorld(t, devchain.Options{Manual: true, FinalityLag: 6})
	if _, err := w.dev.NewBlock(6); err != nil { // so that the account's funds are final
		t.Fatal(err)
	}
	j, _ := w.device(w.manifest("", "", unused))
	w.blocksUntil(j, func() bool { _, _, raw := w.standing(); return raw != nil })
	if _, err := w.dev.Reorganise(devchain.Reorg{Depth: 2, Length: 3, Drop: true}); err != nil {
		t.Fatal(err)
	}
	w.blocksUntil(j, func() bool { return j.count(0, provision.MsgPublished) > 0 })
	if d, v, raw := w.standing(); raw == nil || v.State != document.Verified || d.DataType != "weather" {
		t.Errorf("after the reorganisation: %+v, %+v", d, v)
	}
	if n := w.nonce(); n != 1 || j.count(0, provision.MsgDisturbed) != 0 {
		t.Errorf("its own publication was taken for a stranger's doing: %d transactions", n)
	}
}

func TestValidityIsRenewed(t *testing.T) {
	w := newWorld(t, devchain.Options{Manual: true})
	m := w.manifest("", "", unused)
	m.Device.ValidFor = 9
	j, _ := w.device(m)
	w.blocksUntil(j, func() bool { return j.count(0, provision.MsgPublished) >= 3 })
	if j.count(0, provision.MsgDisturbed) != 0 {
		t.Error("the end of its own validity was taken for a stranger's doing")
	}
}

func TestApplyAndRemove(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m := w.manifest("", "", unused)
	plan := func() *provision.Plan {
		t.Helper()
		b, err := w.client.Best(ctx)
		if err != nil {
			t.Fatal(err)
		}
		actual, err := provision.Observe(ctx, b, m, w.key.Account())
		if err != nil {
			t.Fatal(err)
		}
		p, err := provision.MakePlan(m, w.key.Account(), w.key.NodeKey().ID(), actual)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if done, err := provision.Apply(ctx, w.client, w.key, plan()); err != nil || done.Outcome == nil || done.Raw == nil {
		t.Fatalf("%+v, %v", done, err)
	}
	if p := plan(); !p.Empty() {
		t.Errorf("once more: %s", p.Diff())
	}
	if done, err := provision.Apply(ctx, w.client, w.key, plan()); err != nil || done.Outcome != nil {
		t.Errorf("an empty plan: %+v, %v", done, err)
	}
	if _, err := provision.Remove(ctx, w.client, w.key); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Remove(ctx, w.client, w.key); !errors.Is(err, provision.ErrNothing) {
		t.Errorf("a second removal: %v", err)
	}
	// A stranger occupied the name of a device that has never written.
	w.key = newPair(t)
	w.fund(w.key.Account())
	w.send(named(t, "//Eve"), did.AddAttribute(w.key.Account(), document.DeviceAttribute, []byte("junk"), nil))
	if _, err := provision.Remove(ctx, w.client, w.key); err != nil {
		t.Fatal(err)
	}
	if _, _, raw := w.standing(); raw != nil {
		t.Error("the stranger's attribute is still there")
	}
}
