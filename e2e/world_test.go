//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The streams of the device.
const (
	weather = "measurements" // MQTT
	shell   = "shell"        // TCP to a program that answers what it is told
)

// identity is an account with its key file.
type identity struct{ file, address, did string }

// world is everything that runs, each on its host.
type world struct {
	t    *testing.T
	net  *network
	dir  string // with a directory for each host
	bins string

	chain, relay1, relay2, own, index, device *process

	rpc, api      string
	relays        map[string]string // addresses by host
	owner, thing  identity          // the owner and the device
	deviceStarted time.Time
}

func (w *world) bin(name string) string { return filepath.Join(w.bins, name) }

const (
	blockTime = "500ms"
	rpcPort   = ":9944"
	apiPort   = ":8080"
)

// newWorld starts all but the device.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, net: newNetwork(t), dir: t.TempDir(), relays: map[string]string{}}
	w.bins = build(t)
	for host := range hosts {
		if err := os.MkdirAll(filepath.Join(w.dir, host), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.rpc = "ws://" + addressOf("chain") + rpcPort
	w.api = "http://" + addressOf("index") + apiPort
	w.startChain()
	w.relay1, w.relay2, w.own = w.startRelay("relay1"), w.startRelay("relay2"), w.startRelay("own", "--forward", "any")
	w.startIndex()
	w.owner, w.thing = w.newKey(t, "owner", "owner"), w.newKey(t, "device", "device")
	for _, id := range []identity{w.owner, w.thing} {
		w.must(t, "chain", "account", "faucet", id.address, "--rpc", w.rpc)
	}
	return w
}

func (w *world) startChain() {
	w.chain = w.iod(w.t, "chain", "chain", "chain", "dev", "--listen", addressOf("chain")+rpcPort, "--dir", "state",
		"--block-time", blockTime, "--finality-lag", "1")
	w.chain.await(w.t, "its address", time.Time{}, has("rpc"))
}

func (w *world) startRelay(host string, more ...string) *process {
	p := w.iod(w.t, host, host, append([]string{"relay", "--listen", "0.0.0.0:7777", "--advertise", addressOf(host) + ":7777"}, more...)...)
	w.relays[host] = p.await(w.t, "its address", time.Time{}, has("relay")).str("relay")
	return p
}

func (w *world) startIndex() {
	w.index = w.iod(w.t, "index", "index", "index", "--rpc", w.rpc, "--listen", addressOf("index")+apiPort, "--database", "index.db",
		"--rate", "0") // tests poll
	w.index.await(w.t, "its address", time.Time{}, has("api"))
}

// newKey makes a key file on a host.
func (w *world) newKey(t *testing.T, host, name string) identity {
	t.Helper()
	v := read[struct{ Address, DID string }](t, w.must(t, host, "key", "new", "--out", name+".key"))
	return identity{name + ".key", v.Address, v.DID}
}

const manifest = `rpc = [%q]
key = "device.key"
owner = %q
state = %q
[device]
data_type = %q
location = "40.1949288,44.5517725"
price_pin = "` + truePrice + `"
[overlay]
relays = [%q, %q]
[[stream]]
name = "` + weather + `"
kind = "mqtt"
target = "127.0.0.1:1883"
topics = ["measurements/#"]
data_type = "wind_speed"
unit = "m/s"
price = "42.03995"
period = "30d"
[[stream]]
name = "` + shell + `"
kind = "tcp"
target = "127.0.0.1:7007"
`

const programs = `[[program]]
name = "weather"
command = [%q, "--listen", "127.0.0.1:1883", "--interval", "100ms"]
[[program]]
name = "echo"
command = [%q, "` + roleArgument + `", "echo", "127.0.0.1:7007"]
`

// describe writes the device's manifest on a host.
func (w *world) describe(t *testing.T, host, dataType string, withPrograms bool) {
	t.Helper()
	text := fmt.Sprintf(manifest, w.rpc, w.owner.address, "state-of-"+host, dataType, w.relays["relay1"], w.relays["relay2"])
	if withPrograms {
		self, err := filepath.Abs(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf(programs, w.bin("weather"), self)
	}
	if err := os.WriteFile(filepath.Join(w.dir, host, "device.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) startDevice() {
	w.deviceStarted = time.Now()
	w.device = w.iod(w.t, "device", "device", "device", "run", "-c", "device.toml")
}

// access runs iod access on the owner's host.
func (w *world) access(t *testing.T, verb, stream, account string) uint32 {
	t.Helper()
	r := w.must(t, "owner", "access", verb, "--device", w.thing.did, "--stream", stream, account, "--key", w.owner.file, "--rpc", w.rpc)
	return read[struct{ Number uint32 }](t, r).Number
}

// subscriber starts a consumer of the weather that waits for its grant and for the device.
func (w *world) subscriber(t *testing.T, id identity, more ...string) *process {
	t.Helper()
	return w.iod(t, "consumer", "subscriber", append([]string{"subscribe", w.thing.did, weather, "--wait", "--key", id.file, "--rpc", w.rpc}, more...)...)
}

// receiving returns a subscriber that has received a message.
func (w *world) receiving(t *testing.T, name string) (*process, identity) {
	t.Helper()
	id := w.newKey(t, "consumer", name)
	w.access(t, "grant", weather, id.address)
	p := w.subscriber(t, id)
	p.await(t, "the first message", time.Time{}, has("topic"))
	return p, id
}

// again waits until a subscriber whose path broke has another one and receives.
func again(t *testing.T, p *process, after time.Time) time.Time {
	t.Helper()
	back := p.await(t, "a new connection", after, says("connected"))
	return p.await(t, "messages again", back.at, has("topic")).at
}

// client asks the index's API from a host.
func (w *world) client(host string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return w.net.dial(ctx, host, address)
		},
	}}
}

// get asks the index from the consumer's host.
func get[T any](t *testing.T, w *world, path string) (v T) {
	t.Helper()
	resp, err := w.client("consumer").Get(w.api + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return v
}

// until repeats a look at the world, which takes its time, until it is content.
func until(t *testing.T, what string, look func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !look() {
		if time.Since(begin) > patience {
			t.Fatalf("took too long: %s", what)
		}
	}
	return time.Since(begin)
}

// listed reports what the index, asked from the consumer's host, lists for a type of data.
func (w *world) listed(t *testing.T, dataType string) []map[string]any {
	t.Helper()
	r := w.must(t, "consumer", "devices", "list", "--index", w.api, "--data-type", dataType)
	var all []map[string]any
	for dec := json.NewDecoder(strings.NewReader(string(r.out))); dec.More(); {
		var v map[string]any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// talk says something through a local port of the consumer's host and checks that the same comes back.
func (w *world) talk(address, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := w.net.dial(ctx, "consumer", address)
	if err != nil {
		return err
	}
	defer c.Close()
	return exchange(c, text)
}

// exchange says something over a connection and checks that the same comes back.
func exchange(c net.Conn, text string) error {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(c, text); err != nil {
		return err
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if got != text+"\n" {
		return fmt.Errorf("told %q, heard %q", text, got)
	}
	return nil
}

func milliseconds(d time.Duration) string { return d.Round(time.Millisecond).String() }
