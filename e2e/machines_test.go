//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMachines runs the whole of iod on hosts that reach each other only as far as the package says. The world is made once;
// each part has consumers of its own.
func TestMachines(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	w := newWorld(t)
	w.describe(t, "device", "weather", true)
	atDevice, atConsumer := w.net.sniff("device", addressOf("consumer")), w.net.sniff("consumer", addressOf("device"))
	w.startDevice()
	published := w.device.await(t, "the document", time.Time{}, says("document published"))
	t.Logf("published, final %s after the device's start", milliseconds(published.at.Sub(w.deviceStarted)))
	t.Run("story", w.story)
	t.Run("nobody listens", w.silence)
	t.Run("packets", func(t *testing.T) {
		atDevice.verdict(t, reachable...)
		if len(atDevice.opened) > 0 {
			t.Errorf("connections were opened to the device: %v", atDevice.opened)
		}
		atConsumer.verdict(t, "chain", "relay1", "relay2", "index")
	})
	t.Run("nobody reaches the device", w.unreached)
	t.Run("a relay of one's own", w.via)
	t.Run("endpoints that lie", w.liars)
	t.Run("an endpoint that is silent", w.mute)
	t.Run("a stranger overwrites", w.stranger)
	t.Run("revoked behind a forged document", w.hidden)
	t.Run("two provisioners", w.twins)
	t.Run("a relay dies", w.relayDies)
	t.Run("a relay freezes", w.relayFreezes)
	t.Run("the device loses its link", w.linkDown)
	t.Run("the chain dies", w.chainDies)
	t.Run("the device dies", w.deviceDies)
	t.Run("the index dies", w.indexDies)
}

// story: find, be refused, be granted, receive, be cut.
func (w *world) story(t *testing.T) {
	took := until(t, "the index lists the device", func() bool {
		for _, d := range w.listed(t, "wind_speed") {
			if d["did"] == w.thing.did && d["verdict"] == "verified" {
				return true
			}
		}
		return false
	})
	t.Logf("found %s after it was published", milliseconds(took))

	id := w.newKey(t, "consumer", "reader")
	r := w.try(t, "consumer", "subscribe", w.thing.did, weather, "--key", id.file, "--rpc", w.rpc)
	if r.code != 3 || len(r.out) != 0 || !strings.Contains(string(r.err), "not granted") {
		t.Fatalf("without a grant: exit code %d, %s%s", r.code, r.out, r.err)
	}
	t.Logf("refused with exit code 3 after %s", milliseconds(r.took))

	reader := w.subscriber(t, id)
	reader.await(t, "its wait for the grant", time.Time{}, says("waiting"))
	begin := time.Now()
	w.access(t, "grant", weather, id.address)
	done := time.Now()
	first := reader.await(t, "the first message", time.Time{}, has("topic"))
	if payload, err := json.Marshal(first.fields["payload"]); err != nil || !strings.Contains(string(payload), `"u":"m/s"`) && !strings.Contains(string(payload), "Cel") {
		t.Errorf("the message is no measurement: %s", first.text)
	}
	t.Logf("granted by a command of %s; first message %s after its start", milliseconds(done.Sub(begin)), milliseconds(first.at.Sub(begin)))

	begin = time.Now()
	w.access(t, "revoke", weather, id.address)
	done = time.Now()
	cut := reader.await(t, "its cut", begin, says("disconnected"))
	if late := cut.at.Sub(done); late > 5*time.Second {
		t.Errorf("cut %s after the revocation was done", late)
	}
	t.Logf("revoked by a command of %s; cut %s after its start", milliseconds(done.Sub(begin)), milliseconds(cut.at.Sub(begin)))
	reader.await(t, "its wait for another grant", cut.at, says("waiting"))
	if l, found, _ := reader.find(cut.at, has("topic")); found {
		t.Errorf("a message after the cut: %s", l.text)
	}
	reader.kill()
}

// silence: what the kernel knows of sockets on the device's host.
func (w *world) silence(t *testing.T) {
	reader, _ := w.receiving(t, "looker")
	allowed := map[string]bool{"127.0.0.1": true}
	for _, h := range reachable {
		allowed[addressOf(h)] = true
	}
	loopback, remote := 0, map[string]int{}
	for _, s := range sockets(t, w.device.pid()) {
		switch {
		case s.state == listening && s.local == "127.0.0.1":
			loopback++
		case s.state == listening || !strings.HasPrefix(s.kind, "tcp"):
			t.Errorf("the device's host has an open socket: %+v", s)
		case !allowed[s.remote]:
			t.Errorf("the device's host is connected to %s: %+v", hostOf(s.remote), s)
		case s.state == established:
			remote[hostOf(s.remote)]++
		}
	}
	if loopback != 2 || remote["chain"] == 0 || remote["relay1"]+remote["relay2"] < 3 {
		t.Errorf("the device's host has %d listeners on loopback and the connections %v: this look proves nothing", loopback, remote)
	}
	relayed := 0
	for _, s := range sockets(t, reader.pid()) {
		switch hostOf(s.remote) {
		case "device":
			t.Errorf("the consumer is connected to the device: %+v", s)
		case "relay1", "relay2":
			relayed++
		}
		if s.state == listening {
			t.Errorf("the consumer's host listens: %+v", s)
		}
	}
	if relayed == 0 {
		t.Error("the consumer has no connection to a relay: this look proves nothing")
	}
	reader.kill()
}

// unreached: hosts that can send packets to the device are refused by its kernel; the others hear nothing.
func (w *world) unreached(t *testing.T) {
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if host == "device" {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		c, err := w.net.dial(ctx, host, addressOf("device")+":1883")
		cancel()
		switch {
		case err == nil:
			c.Close()
			t.Errorf("%s reaches the device's broker", host)
		case reaches(host) != errors.Is(err, syscall.ECONNREFUSED):
			t.Errorf("%s to the device: %v", host, err)
		}
	}
}
