//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func selfPath(t *testing.T) string {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// relayOf tells which of the device's relays carries a consumer's data: the one with the most connections.
func relayOf(t *testing.T, p *process) string {
	t.Helper()
	n := map[string]int{}
	for _, s := range sockets(t, p.pid()) {
		if s.state == established {
			n[hostOf(s.remote)]++
		}
	}
	if n["relay1"] == n["relay2"] {
		t.Fatalf("which relay carries the data is not clear: %v", n)
	}
	if n["relay1"] > n["relay2"] {
		return "relay1"
	}
	return "relay2"
}

// relayDies: the relay that carries the data goes, and messages come over the other one.
func (w *world) relayDies(t *testing.T) {
	reader, _ := w.receiving(t, "steadfast")
	used := relayOf(t, reader)
	victim := map[string]*process{"relay1": w.relay1, "relay2": w.relay2}[used]
	begin := time.Now()
	victim.kill()
	back := again(t, reader, begin)
	t.Logf("%s killed: messages over the other relay after %s", used, milliseconds(back.Sub(begin)))
	if now := relayOf(t, reader); now == used {
		t.Errorf("the data goes over %s, which is dead", now)
	}
	begin = time.Now()
	p := w.startRelay(used)
	if used == "relay1" {
		w.relay1 = p
	} else {
		w.relay2 = p
	}
	w.device.await(t, "the relay that is back", begin, func(l line) bool {
		return l.str("msg") == "overlay: relay reached" && l.str("relay") == addressOf(used)+":7777"
	})
	reader.kill()
}

// linkDown: the device's cable is out for ten seconds.
func (w *world) linkDown(t *testing.T) {
	const out = 10 * time.Second
	reader, _ := w.receiving(t, "patient")
	w.net.link("device", "down")
	begin := time.Now()
	<-time.After(out) // the fault itself
	if l, found, _ := reader.find(begin.Add(3*time.Second), has("topic")); found {
		t.Errorf("a message while the link was down: %s", l.text)
	}
	w.net.link("device", "up")
	begin = time.Now()
	l := reader.await(t, "messages after the link came back", begin, has("topic"))
	back := l.at
	for range 10 {
		l = reader.await(t, "more messages", l.at, has("topic"))
	}
	t.Logf("link down for %s: messages again %s after it was up", out, milliseconds(back.Sub(begin)))
	reader.kill()
}

// chainDies: sessions go on without the chain; with it back, a revocation still cuts.
func (w *world) chainDies(t *testing.T) {
	reader, id := w.receiving(t, "independent")
	user, local, _ := w.connected(t, "talker")
	held, err := w.net.dial(t.Context(), "consumer", local) // a session that is open keeps the device's answer alive
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := exchange(held, "held"); err != nil {
		t.Fatal(err)
	}
	w.chain.kill()
	begin := time.Now()
	if err := w.talk(local, "without a chain"); err != nil {
		t.Errorf("a new connection through an open port needs the chain: %v\n%s", err, user.tail(5))
	}
	for at := begin; at.Sub(begin) < 4*time.Second; {
		at = reader.await(t, "messages while the chain is down", at, has("topic")).at
	}
	if l, found, _ := reader.find(begin, says("disconnected")); found {
		t.Errorf("the session did not outlive the chain: %s", l.text)
	}
	w.startChain()
	begin = time.Now()
	w.access(t, "revoke", weather, id.address)
	done := time.Now()
	cut := reader.await(t, "its cut", begin, says("disconnected"))
	t.Logf("the chain is back: revoked by a command of %s, cut %s after its start", milliseconds(done.Sub(begin)), milliseconds(cut.at.Sub(begin)))
	if late := cut.at.Sub(done); late > 20*time.Second {
		t.Errorf("cut %s after the revocation was done", late)
	}
	reader.kill()
}

// connected returns a connect whose local port answers, and the port's address.
func (w *world) connected(t *testing.T, name string) (p *process, local string, id identity) {
	t.Helper()
	id = w.newKey(t, "consumer", name)
	w.access(t, "grant", shell, id.address)
	p = w.iod(t, "consumer", "connect of "+name, "connect", w.thing.did, shell, "--key", id.file, "--rpc", w.rpc)
	local = p.await(t, "its local port", time.Time{}, has("listen")).str("listen")
	until(t, "the first answer through the port", func() bool { return w.talk(local, "hello") == nil })
	return p, local, id
}

// relayFreezes: the relay that carries the data stands still without closing anything.
func (w *world) relayFreezes(t *testing.T) {
	reader, _ := w.receiving(t, "watchful")
	used := relayOf(t, reader)
	victim := map[string]*process{"relay1": w.relay1, "relay2": w.relay2}[used].cmd.Process
	begin := time.Now()
	if err := victim.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	back := again(t, reader, begin)
	if err := victim.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s frozen: messages over the other relay after %s", used, milliseconds(back.Sub(begin)))
	if took := back.Sub(begin); took > 15*time.Second {
		t.Errorf("a frozen relay was noticed after %s", took)
	}
	reader.kill()
}

// deviceDies: the consumer's local port outlives the device.
func (w *world) deviceDies(t *testing.T) {
	p, port, id := w.connected(t, "user")
	var err error
	w.device.kill()
	begin := time.Now()
	w.startDevice()
	n := 0
	until(t, "answers after the device is back", func() bool {
		n++
		err = w.talk(port, fmt.Sprint("hello again ", n))
		return err == nil
	})
	t.Logf("device killed: the same port answers %s after its restart, at the %d. try", milliseconds(time.Since(begin)), n)
	begin = time.Now()
	w.access(t, "revoke", shell, id.address)
	if code := p.exit(t, "connect after the revocation"); code != 3 {
		t.Errorf("connect ended with exit code %d, want 3", code)
	}
	t.Logf("revoked: connect ended with exit code 3 after %s", milliseconds(time.Since(begin)))
}

// indexDies: it is killed while it follows; what it has afterwards is what an index made anew has.
func (w *world) indexDies(t *testing.T) {
	w.index.kill()
	begin := time.Now()
	from := w.forge(t)
	w.device.await(t, "that it heals", begin, says("document published"))
	w.startIndex()
	w.final(t, from, 4)
	fresh := w.iod(t, "index", "fresh index", "index", "--rpc", w.rpc, "--listen", addressOf("index")+":8081", "--database", "fresh.db", "--from", "0",
		"--rate", "0")
	fresh.await(t, "its address", time.Time{}, has("api"))
	other := "http://" + addressOf("index") + ":8081"
	var mine string
	until(t, "an index made anew has the same", func() bool { // the device may publish meanwhile: both are asked
		mine = w.view(t, w.api)
		r := w.try(t, "consumer", "devices", "show", w.thing.did, "--index", other)
		return r.code == 0 && string(r.out) == mine
	})
	t.Logf("the index that was killed and one made anew agree on %d bytes about the device, history included", len(mine))
}

// view is all that an index says about the device.
func (w *world) view(t *testing.T, api string) string {
	t.Helper()
	return string(w.must(t, "consumer", "devices", "show", w.thing.did, "--index", api).out)
}
