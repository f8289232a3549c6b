//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// via: the consumer goes through a relay of its own; then no relay and no packet knows both ends.
func (w *world) via(t *testing.T) {
	id := w.newKey(t, "consumer", "shy")
	w.access(t, "grant", weather, id.address)
	at := map[string]*sniffer{}
	for _, host := range []string{"consumer", "own", "relay1", "relay2", "device"} {
		at[host] = w.net.sniff(host)
	}
	begin := time.Now()
	p := w.subscriber(t, id, "--via", w.relays["own"])
	first := p.await(t, "the first message", time.Time{}, has("topic"))
	t.Logf("first message over two relays %s after the start", milliseconds(first.at.Sub(begin)))
	for range 20 {
		first = p.await(t, "more messages", first.at, has("topic"))
	}
	p.kill()
	at["consumer"].verdict(t, "chain", "own")
	at["own"].verdict(t, "consumer", "relay1", "relay2")
	at["device"].verdict(t, reachable...)
	for _, relay := range []string{"relay1", "relay2"} {
		at[relay].stop()
		if n := at[relay].peers["consumer"]; n > 0 {
			t.Errorf("%d packets between the consumer and %s", n, relay)
		}
	}
	if at["relay1"].peers["own"]+at["relay2"].peers["own"] == 0 {
		t.Error("no relay of the device was reached by the consumer's: this proves nothing")
	}
}

// liars: a chain endpoint that answers nonsense costs time, not truth; none at all is exit code 4.
func (w *world) liars(t *testing.T) {
	w.start(t, "chain", "liar", selfPath(t), roleArgument, "liar", addressOf("chain")+":9945").await(t, "its address", time.Time{}, has("listen"))
	nowhere := "ws://" + addressOf("owner") + ":9" // nobody listens there
	for _, bad := range []string{"ws://" + addressOf("chain") + ":9945", "http://" + addressOf("chain") + ":9945", nowhere} {
		r := w.must(t, "consumer", "did", "show", w.thing.did, "--rpc", bad, "--rpc", w.rpc)
		if !strings.Contains(string(r.out), truePrice) || !strings.Contains(string(r.out), "verified") {
			t.Errorf("with %s first: %s", bad, r.out)
		}
		t.Logf("with %s first: %s", bad, milliseconds(r.took))
		r = w.try(t, "consumer", "did", "show", w.thing.did, "--rpc", bad)
		var e struct {
			Error, Hint string
			Code        int
		}
		if err := json.Unmarshal(r.err, &e); r.code != 4 || err != nil || e.Code != 4 || e.Hint == "" || e.Error == "" {
			t.Errorf("with %s only: exit code %d, %s%s", bad, r.code, r.out, r.err)
		}
		t.Logf("with %s only: %s: %s", bad, milliseconds(r.took), r.err)
	}
}

// mute: an endpoint that takes connections and never answers is left in time.
func (w *world) mute(t *testing.T) {
	silent := addressOf("chain") + ":9946"
	w.start(t, "chain", "mute", selfPath(t), roleArgument, "mute", silent).await(t, "its address", time.Time{}, has("listen"))
	r := w.must(t, "consumer", "did", "show", w.thing.did, "--rpc", "ws://"+silent, "--rpc", w.rpc)
	if !strings.Contains(string(r.out), truePrice) {
		t.Errorf("with a silent endpoint first: %s", r.out)
	}
	if r.took > 30*time.Second {
		t.Errorf("a silent endpoint was left after %s", r.took)
	}
	t.Logf("with a silent endpoint first: %s", milliseconds(r.took))
}

// stranger: a document that a stranger changed is healed, and no search ever shows the forged one.
func (w *world) stranger(t *testing.T) {
	begin := time.Now()
	forged := w.forge(t)
	healed := w.device.await(t, "that it heals", begin, says("document published"))
	number := uint32(healed.fields["number"].(float64))
	if number <= forged || number > forged+10 {
		t.Errorf("forged in block %d, healed in block %d", forged, number)
	}
	t.Logf("forged in block %d, healed in block %d; the heal is final %s after the stranger began", forged, number, milliseconds(healed.at.Sub(begin)))
	var page struct {
		SetAside []struct{ DID, Reason string } `json:"set_aside"`
	}
	until(t, "the index takes the heal in", func() bool {
		for _, d := range w.listed(t, "weather") {
			if d["did"] == w.thing.did && d["price_pin"] != truePrice {
				t.Fatalf("the index shows a forged document: %v", d)
			}
		}
		s := get[struct{ Block uint32 }](t, w, "/api/v1/status")
		return s.Block >= number
	})
	page = get[struct {
		SetAside []struct{ DID, Reason string } `json:"set_aside"`
	}](t, w, "/api/v1/set-aside")
	if len(page.SetAside) != 1 || page.SetAside[0].DID != w.thing.did || page.SetAside[0].Reason == "" {
		t.Errorf("set aside: %+v", page.SetAside)
	} else {
		t.Logf("set aside: %s", page.SetAside[0].Reason)
	}
	d := w.listed(t, "weather")
	if len(d) != 1 || d[0]["verdict"] != "verified" || d[0]["price_pin"] != truePrice {
		t.Errorf("after the heal: %v", d)
	}
}

// forge overwrites the device's document as a stranger, and returns the number of the block that holds it.
func (w *world) forge(t *testing.T) uint32 {
	t.Helper()
	f := w.start(t, "own", "forger", selfPath(t), roleArgument, "forger", w.rpc, w.thing.did)
	return uint32(f.await(t, "its transaction", time.Time{}, func(l line) bool { return l.fields["number"] != nil }).fields["number"].(float64))
}

// hidden: whoever overwrites the document of a device that is away cannot keep the owner from revoking.
func (w *world) hidden(t *testing.T) {
	reader, id := w.receiving(t, "villain")
	w.device.kill()
	w.forge(t)
	w.access(t, "revoke", weather, id.address)
	begin := time.Now()
	w.startDevice()
	w.device.await(t, "that it heals", begin, says("document published"))
	reader.kill()
	until(t, "the healed document is final", func() bool {
		r := w.try(t, "consumer", "subscribe", w.thing.did, weather, "--count", "1", "--key", id.file, "--rpc", w.rpc)
		if r.code == 0 {
			t.Fatalf("still let in: %s", r.out)
		}
		return r.code == 3
	})
}

// changes counts the transactions that touched the device's document after a block, up to another.
func (w *world) changes(t *testing.T, after, upTo uint32) (n int) {
	t.Helper()
	r := w.must(t, "index", "chain", "events", "--from", fmt.Sprint(after+1), "--to", fmt.Sprint(upTo), "--rpc", w.rpc)
	for dec := json.NewDecoder(strings.NewReader(string(r.out))); dec.More(); {
		var e struct{ Pallet, Name string }
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if e.Pallet == "PeaqDid" {
			n++
		}
	}
	return n
}

// final returns the number of a block that the index has taken in, at least so many blocks after another.
func (w *world) final(t *testing.T, after, more uint32) (number uint32) {
	t.Helper()
	until(t, "blocks become final", func() bool {
		number = get[struct{ Block uint32 }](t, w, "/api/v1/status").Block
		return number >= after+more
	})
	return number
}

// twins: a second provisioner with the device's key and another manifest. They must not fight over the document.
func (w *world) twins(t *testing.T) {
	start := w.final(t, 0, 0)
	w.describe(t, "own", "nonsense", false)
	copyFile(t, w.dir+"/device/device.key", w.dir+"/own/device.key")
	begin := time.Now()
	twin := w.iod(t, "own", "twin", "device", "run", "-c", "device.toml")
	t.Cleanup(twin.kill)
	told := w.device.await(t, "the complaint of the first", begin, says("document is another provisioner's"))
	if told.str("hint") == "" {
		t.Errorf("the complaint does not say what to do: %s", told.text)
	}
	t.Logf("the first one complains %s after the second began: %s", milliseconds(told.at.Sub(begin)), told.text)
	twin.await(t, "its document", begin, says("document published"))
	w.final(t, w.final(t, 0, 0), 8)
	twin.kill()
	end := w.final(t, 0, 0)
	n := w.changes(t, start, end)
	t.Logf("the second one ran for %d blocks: %d changes of documents", end-start, n)
	if n < 1 || n > 3 {
		t.Errorf("two provisioners changed the document %d times", n)
	}
	// The first one is told to go on by starting it again, as its message says.
	w.device.kill()
	begin = time.Now()
	w.startDevice()
	w.device.await(t, "its document", begin, says("document published"))
}
