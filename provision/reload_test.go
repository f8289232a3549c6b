package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"iod/access"
	"iod/audit"
	"iod/control"
	"iod/devchain"
	"iod/provision"
)

// runner is a device that a test asks and changes.
type runner struct {
	*world
	dev  *provision.Device
	log  *journal
	stop func()
	path string
}

// start runs a device by a manifest file.
func (w *world) start(text string) *runner {
	w.t.Helper()
	r := &runner{world: w, log: newJournal(), path: filepath.Join(w.dir, "device.toml")}
	r.write(text)
	m, err := provision.Load(r.path)
	if err != nil {
		w.t.Fatal(err)
	}
	r.dev, err = provision.NewDevice(provision.Options{Manifest: m, Key: w.key, RPC: []string{w.url}, Log: slog.New(r.log), Version: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	r.stop = run(w.t, r.dev.Run)
	return r
}

func (r *runner) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reload writes another manifest and reloads.
func (r *runner) reload(text string) *provision.Reload {
	r.t.Helper()
	r.write(text)
	got, err := r.dev.Reload(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// until waits for a condition on the device's status.
func (r *runner) until(what string, ok func(provision.Status) bool) provision.Status {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		s := r.dev.Status()
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("waited too long until %s; the status is %+v", what, s)
		}
	}
}

func (r *runner) healthy() provision.Status {
	r.t.Helper()
	return r.until("it is healthy", func(s provision.Status) bool { return s.Healthy && s.Document.State == "in step" })
}

func says(c provision.Difference) func(provision.Difference) bool {
	return func(x provision.Difference) bool { return x == c }
}

func TestReloadChangesOnlyWhatDiffers(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	consumer := newPair(t)
	station, second := startStation(t), startRelay(t)
	base := func(extra string, relays ...string) string {
		quoted := make([]string, len(relays))
		for i, r := range relays {
			quoted[i] = fmt.Sprintf("%q", r)
		}
		return fmt.Sprintf("key = \"unused\"\nstate = \"state\"\n[device]\ndata_type = \"weather\"\n[overlay]\nrelays = [%s]\n"+
			"[[stream]]\nname = \"measurements\"\nkind = \"mqtt\"\ntarget = %q\ntopics = [\"measurements/#\"]\n%s", strings.Join(quoted, ","), station, extra)
	}
	r := w.start(base("", w.relay))
	r.log.await(t, 0, provision.MsgPublished)
	w.grant(w.key, consumer.Account())
	s := w.subscribe(consumer, "measurements/#")
	s.receive(t)
	r.healthy()

	got := r.reload(base("price = \"42.5\"\nperiod = \"30d\"\n[[stream]]\nname = \"camera\"\nkind = \"tcp\"\ntarget = \"127.0.0.1:9\"\n", w.relay, second))
	for _, want := range []provision.Difference{{What: "stream", Name: "measurements", How: "changed"}, {What: "stream", Name: "camera", How: "added"},
		{What: "relay", Name: second, How: "added"}} {
		if !slices.ContainsFunc(got.Changes, says(want)) {
			t.Errorf("no %v among %v", want, got.Changes)
		}
	}
	r.until("both relays are reached and the document follows", func(s provision.Status) bool {
		return s.Healthy && len(s.Relays) == 2 && s.Document.State == "in step" && len(s.Document.Changes) == 0
	})
	if d, _, _ := w.standing(); len(d.Streams) != 2 || d.Streams[0].Price != "42.5" || len(d.Relays) != 2 {
		t.Errorf("the document says %+v", d)
	}
	s.receive(t)

	// More topics, and fewer again: whoever uses only what stays is left alone.
	r.reload(strings.Replace(base("", w.relay, second), "[\"measurements/#\"]", "[\"measurements/#\", \"more\"]", 1))
	if got := r.reload(base("", w.relay, second)); !slices.ContainsFunc(got.Changes, says(provision.Difference{What: "topics", Name: "measurements", How: "changed"})) {
		t.Errorf("%v", got.Changes)
	}
	s.receive(t)

	// A relay that goes is left when the session over it is over.
	r.reload(base("", second))
	s.receive(t)
	if st := r.dev.Status(); len(st.Sessions) != 1 || st.Sessions[0].Out == 0 || !st.Relays[0].Retiring {
		t.Errorf("%+v, %+v", st.Sessions, st.Relays)
	}

	// A stream that moves begins anew.
	from := r.log.mark()
	r.reload(strings.Replace(base("", w.relay), station, "127.0.0.1:9", 1))
	r.log.await(t, from, provision.MsgSessionEnded)
	select {
	case <-s.lost:
	case <-time.After(patience):
		t.Fatal("the session goes on although its stream moved")
	}
}

func TestReloadOfTheOwner(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	alice, bob, consumer, station := named(t, "//Alice"), named(t, "//Bob"), newPair(t), startStation(t)
	text := func(owner string) string {
		return fmt.Sprintf(deviceText, fmt.Sprintf("owner = %q\nstate = \"state\"", owner), "", w.relay, station)
	}
	r := w.start(text(alice.Account().String()))
	r.log.await(t, 0, provision.MsgPublished)
	w.grant(alice, consumer.Account())
	s := w.subscribe(consumer, "measurements/#")
	s.receive(t)
	from := r.log.mark()
	r.reload(text(bob.Account().String()))
	r.log.await(t, from, provision.MsgSessionEnded)
	<-s.lost
	r.log.await(t, from, provision.MsgPublished)
	w.grant(bob, consumer.Account())
	w.subscribe(consumer, "measurements/#").receive(t)
	if st := r.dev.Status(); st.Identity.Owner != bob.Account().String() || st.Identity.Vouched {
		t.Errorf("%+v", st.Identity)
	}
	// The new owner's vouch is what is watched now.
	from = r.log.mark()
	calls, err := access.VouchCalls(bob, w.key.Account(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	w.send(bob, calls...)
	r.log.await(t, from, provision.MsgPublished)
	r.until("it is vouched for", func(s provision.Status) bool { return s.Identity.Vouched })
}

func TestReloadRefusesAndSays(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	good := fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, unused)
	r := w.start(good)
	r.log.await(t, 0, provision.MsgPublished)
	r.healthy()
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"mistakes": {strings.Replace(good, "data_type", "data_typ", 1), "did you mean"},
		"torn":     {good[:len(good)/2], "device.toml:"},
		"empty":    {"", "key is missing"},
		"secret":   {strings.Replace(good, "unit = \"m/s\"", "user = \"u\"\npassword_env = \"NOT_THERE\"", 1), "NOT_THERE"},
	} {
		r.write(c.text)
		_, err := r.dev.Reload(t.Context())
		if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		s := r.dev.Status()
		if s.Healthy || s.Manifest.Refused == nil || !strings.Contains(s.Manifest.Refused.Error, c.want) {
			t.Errorf("%s: the status says %+v", name, s.Manifest)
		}
	}
	os.Remove(r.path)
	if _, err := r.dev.Reload(t.Context()); !errors.Is(err, provision.ErrRefused) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if got := r.reload(good); len(got.Changes)+len(got.Restart) != 0 {
		t.Errorf("the same again: %+v", got)
	}
	if s := r.healthy(); s.Manifest.Refused != nil {
		t.Errorf("%+v", s.Manifest)
	}
	if got := r.reload(strings.Replace(good, "state = \"state\"", "state = \"elsewhere\"", 1)); !slices.Equal(got.Restart, []string{"state"}) {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "elsewhere")); err == nil {
		t.Error("the other state directory is used")
	}
}

// The kernel tells of a changed file, however an editor goes about it, also of one that the manifest extends.
func TestManifestIsWatched(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	text := func(unit string) string {
		return strings.Replace(fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, unused), "m/s", unit, 1)
	}
	base := filepath.Join(w.dir, "base", "fleet.toml")
	if err := os.Mkdir(filepath.Dir(base), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(base, "")
	r := w.start("extends = \"base/fleet.toml\"\n" + text("first"))
	r.log.await(t, 0, provision.MsgPublished)
	tmp, bad, later := filepath.Join(w.dir, ".device.toml.swp"), filepath.Join(w.dir, "elsewhere.toml"), filepath.Join(w.dir, "new", "fleet.toml")
	for _, c := range []struct {
		how string
		do  func()
		log string
	}{
		{"written", func() { put(r.path, "extends = \"base/fleet.toml\"\n"+text("second")) }, provision.MsgReloaded},
		{"replaced", func() { put(tmp, "extends = \"base/fleet.toml\"\n"+text("third")); os.Rename(tmp, r.path) }, provision.MsgReloaded},                        //nolint:errcheck // the log tells
		{"moved away and written anew", func() { os.Rename(r.path, tmp); put(r.path, "extends = \"base/fleet.toml\"\n"+text("fourth")) }, provision.MsgReloaded}, //nolint:errcheck // likewise
		{"the base", func() { put(base, "[access]\nlease = \"20m\"\n") }, provision.MsgReloaded},
		{"broken", func() { put(r.path, "[") }, provision.MsgRefused},
		{"another base, which is not there", func() { put(r.path, "extends = \"new/fleet.toml\"\n"+text("fifth")) }, provision.MsgRefused},
		{"it comes, with a mistake", func() { os.Mkdir(filepath.Dir(later), 0o700); put(later, "[access]\nleese = \"30m\"\n") }, provision.MsgRefused}, //nolint:errcheck // likewise
		{"it is mended", func() { put(later, "[access]\nlease = \"30m\"\n") }, provision.MsgReloaded},
		{"mended, without the base", func() { put(r.path, text("mended")) }, provision.MsgReloaded},
		{"a link", func() { put(bad, text("sixth")); os.Remove(r.path); os.Symlink(bad, r.path) }, provision.MsgReloaded}, //nolint:errcheck // likewise
		{"what the link leads to", func() { put(bad, text("seventh")) }, provision.MsgReloaded},
	} {
		from := r.log.mark()
		c.do()
		e := r.log.await(t, from, c.log)
		if c.log == provision.MsgReloaded && e.attrs["changes"] == "" {
			t.Errorf("%s: nothing changed", c.how)
		}
	}
	from := r.log.mark()
	put(tmp, "nothing to do with it")
	if err := os.Chmod(bad, 0o640); err != nil {
		t.Fatal(err)
	}
	put(bad, text("seventh"))
	put(bad, text("last"))
	r.log.await(t, from, provision.MsgReloaded)
	if n := r.log.count(from, provision.MsgReloaded); n != 1 {
		t.Errorf("%d reloads", n)
	}
}

// What a device says on its socket is what it says of itself.
func TestControl(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	r := w.start(fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, unused))
	r.log.await(t, 0, provision.MsgPublished)
	r.healthy()
	client := control.Client(filepath.Join(w.dir, "state"))
	ask := func(method, path string, into any) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://device"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && into != nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return resp.StatusCode
	}
	var s provision.Status
	if code := ask("GET", "/status", &s); code != 200 || !s.Healthy || s.Identity.DID != w.key.Account().DID() || s.Version != "test" {
		t.Errorf("%d %+v", code, s)
	}
	if left := s.Balance.DaysLeft; left == nil || *left < 1 || s.Balance.Token != "PEAQ" || s.Balance.Free == "" || s.Balance.Spent == "" || s.Balance.Low {
		t.Errorf("%+v", s.Balance)
	}
	if e := s.Chain.Endpoints; len(e) != 1 || !e[0].InUse || e[0].Heard.IsZero() || s.Chain.Block == 0 || s.Clock.Offset != 0 {
		t.Errorf("%+v %+v", s.Chain, s.Clock)
	}
	var a provision.Answer
	if code := ask("POST", "/reload", &a); code != 200 || a.Error != "" {
		t.Errorf("%d %+v", code, a)
	}
	r.write("key = 1")
	if code := ask("POST", "/reload", &a); code != 422 || len(a.Problems) == 0 || a.Problems[0].Line != 1 {
		t.Errorf("%d %+v", code, a)
	}
	for path, method := range map[string]string{"/reload": "GET", "/status": "POST", "/": "GET"} {
		if code := ask(method, path, nil); code < 404 {
			t.Errorf("%s %s: %d", method, path, code)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.dev.Alive(ctx); err != nil {
		t.Error(err)
	}
}

// Metrics are where the manifest wants them, and move with it.
func TestMetricsMove(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	free := func() string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	text := func(listen string) string {
		return fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, unused) + fmt.Sprintf("[metrics]\nlisten = %q\n", listen)
	}
	first, second := free(), free()
	r := w.start(text(first))
	r.log.await(t, 0, provision.MsgPublished)
	ask := func(at string) string {
		resp, err := http.Get("http://" + at + "/metrics")
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			return ""
		}
		return string(b)
	}
	until := func(at string, there bool) {
		t.Helper()
		for late := time.Now().Add(patience); strings.Contains(ask(at), "iod_healthy") != there; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("metrics at %s: want %v", at, there)
			}
		}
	}
	until(first, true)
	r.reload(text(second))
	until(second, true)
	until(first, false)
	r.reload(fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, unused))
	until(second, false)
	http.DefaultClient.CloseIdleConnections()
}

// Without a directory that can be written a device runs all the same, says so, and notices another one.
func TestStateInMemory(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	file := filepath.Join(w.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(file, "state")
	r := w.start(fmt.Sprintf(deviceText, fmt.Sprintf("state = %q", dir), "", w.relay, unused))
	r.log.await(t, 0, provision.MsgPublished)
	s := r.until("the document is in step", func(s provision.Status) bool { return s.Document.State == "in step" && s.Relays[0].Connected })
	if !s.State.Memory || s.Healthy || len(s.Problems) != 1 || !strings.Contains(s.Problems[0], "in memory only") {
		t.Errorf("%+v, %q", s.State, s.Problems)
	}
	m, err := provision.Load(r.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := provision.Run(t.Context(), provision.Options{Manifest: m, Key: w.key, RPC: []string{w.url}}); !errors.Is(err, provision.ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
	if got, err := control.Client(dir).Get("http://device/status"); err != nil || got.StatusCode != 200 {
		t.Errorf("%v, %v", got, err)
	} else {
		got.Body.Close()
	}
}

func TestAuditRecord(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	consumer := newPair(t)
	r := w.start(fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, startStation(t)))
	r.log.await(t, 0, provision.MsgPublished)
	r.healthy()
	d, target := w.consumer(consumer)
	knock, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := d.Dial(knock, target, "measurements"); err == nil {
		t.Fatal("let in without a grant")
	}
	s := r.until("the refusal shows", func(s provision.Status) bool { return len(s.Refusals) > 0 })
	if x := s.Refusals[0]; x.Account != consumer.Account().String() || x.Stream != "measurements" || x.Claimed || x.Reason == "" || x.Times == 0 {
		t.Errorf("%+v", x)
	}
	w.grant(w.key, consumer.Account())
	sub := w.subscribe(consumer, "measurements/#")
	sub.receive(t)
	s = r.dev.Status()
	if len(s.Sessions) != 1 || s.Sessions[0].Account != consumer.Account().String() || len(s.Leases) != 1 || !s.Leases[0].Used || s.Leases[0].Block == 0 {
		t.Errorf("%+v %+v", s.Sessions, s.Leases)
	}
	w.revoke(w.key, consumer.Account())
	<-sub.lost
	r.log.await(t, 0, provision.MsgSessionEnded)
	r.stop()
	var kinds []string
	for e, err := range audit.Read(filepath.Join(w.dir, "state")) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, string(e.Kind))
		switch e.Kind {
		case audit.Grant, audit.Refusal:
			if e.Account != consumer.Account().String() || e.Block == 0 || e.Reason == "" {
				t.Errorf("%+v", e)
			}
		case audit.Cut:
			if e.Out == 0 || e.Seconds == 0 || !strings.Contains(e.Reason, "revoked") {
				t.Errorf("%+v", e)
			}
		}
	}
	want := []string{"start", "published", "refusal", "grant", "session", "withdrawn", "cut", "stop"}
	if !slices.Equal(kinds, want) {
		t.Errorf("recorded %q, want %q", kinds, want)
	}
}

// A device that can pay no longer says so and goes on serving; as soon as it can pay, it publishes.
func TestAccountRunsEmpty(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	consumer := newPair(t)
	text := fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, startStation(t))
	r := w.start(text)
	r.log.await(t, 0, provision.MsgPublished)
	w.grant(w.key, consumer.Account())
	sub := w.subscribe(consumer, "measurements/#")
	sub.receive(t)
	if _, err := w.dev.SetBalance(w.key.Account(), new(big.Int)); err != nil {
		t.Fatal(err)
	}
	from := r.log.mark()
	r.reload(strings.Replace(text, "\"weather\"", "\"wind\"", 1))
	if e := r.log.await(t, from, provision.MsgWaiting); !strings.Contains(e.attrs["hint"], "send some PEAQ to "+w.key.Account().String()) {
		t.Errorf("it says: %v", e.attrs)
	}
	s := r.until("it tells that it cannot pay", func(s provision.Status) bool { return s.Balance.Low && s.Document.State == "waiting" })
	if s.Healthy || len(s.Problems) == 0 || len(s.Document.Changes) == 0 {
		t.Errorf("healthy %v, problems %q, changes %v", s.Healthy, s.Problems, s.Document.Changes)
	}
	for len(sub.got) > 0 {
		<-sub.got
	}
	sub.receive(t)
	w.fund(w.key.Account())
	r.healthy()
	if d, _, _ := w.standing(); d.DataType != "wind" {
		t.Errorf("published is %+v", d)
	}
}

// Of two devices with one key both say so, and only the later one publishes and stays at the relay.
func TestTwinsAreToldOf(t *testing.T) {
	w := newWorld(t, devchain.Options{})
	text := func(data string) string {
		return strings.Replace(fmt.Sprintf(deviceText, "state = \"state\"", "", w.relay, unused), "weather", data, 1)
	}
	first := w.start(text("weather"))
	first.log.await(t, 0, provision.MsgPublished)
	other := *w
	other.dir = t.TempDir()
	second := other.start(text("wind"))
	second.log.await(t, 0, provision.MsgPublished)
	s := first.until("the first one notices", func(s provision.Status) bool { return s.Identity.Clone && s.Document.State == "conflict" })
	if s.Healthy || len(s.Problems) == 0 {
		t.Errorf("healthy %v, problems %q", s.Healthy, s.Problems)
	}
	second.healthy()
	if d, _, _ := w.standing(); d.DataType != "wind" {
		t.Errorf("published is %+v", d)
	}
}
