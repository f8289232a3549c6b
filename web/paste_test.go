//go:build unix

package web

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"iod/interop"
)

// pasteManifest is the device whose page's commands are pasted. Strings of Go are strings of TOML here.
const pasteManifest = `
rpc = [%q]
key = "device.key"
owner = %q
state = "device-state"

[device]
data_type = "weather"
location = "40.1949288,44.5517725"

[overlay]
relays = [%q]

[[stream]]
name = "wind"
kind = "mqtt"
target = %q
topics = ["measurements/wind", "it's/$(touch pwned)/` + "`touch pwned`" + `/\"x\"/#"]
data_type = "wind_speed"
unit = "m/s"
price = "42.03995"
period = "30d"

[[stream]]
name = "counts"
kind = "http"
target = %q
data_type = "traffic"

[[stream]]
name = "raw"
kind = "tcp"
target = %q
data_type = "seismic"
`

// counted and shaken are what the device's HTTP server and TCP server say.
const (
	countedVehicles = `{"vehicles": 12, "it's": "$HOME"}`
	shaken          = "shaken, not stirred\n"
)

// snippetOf is the text of a command or program on a page, as copying it gives it.
func snippetOf(t *testing.T, page, id string) string {
	t.Helper()
	m := regexp.MustCompile(`(?s)<code id="c-` + regexp.QuoteMeta(id) + `">(.*?)</code>`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the page has no text %s", id)
	}
	return html.UnescapeString(unbroken.ReplaceAllString(m[1], "$1"))
}

// pasted is a market of one device, with the page that a researcher has before him, and the terminals of researcher and owner.
type pasted struct {
	*world
	page, did string
	mine      string // the researcher's directory
	ports     *strings.Replacer
}

// paste runs what the page shows, in the researcher's shell, up to the first line that it prints. Only ports of this machine are others.
func (p *pasted) paste(id string) string {
	p.t.Helper()
	run := p.run(id)
	defer run.stop()
	return p.line(run, id, func(string) bool { return true })
}

func (p *pasted) run(id string) *running {
	p.t.Helper()
	text := p.ports.Replace(snippetOf(p.t, p.page, id))
	return p.start(p.mine, "sh", "-c", snippetOf(p.t, p.page, "rpc")+"\n"+text)
}

// program runs a program that the page shows, up to its first line: Python as it is, Go compiled in this module.
func (p *pasted) program(id string) string {
	p.t.Helper()
	text := p.ports.Replace(snippetOf(p.t, p.page, id))
	dir := p.t.TempDir()
	run := &running{}
	if strings.HasPrefix(text, "package main") {
		file := filepath.Join(dir, "main.go")
		write(p.t, file, text)
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), file).CombinedOutput(); err != nil {
			p.t.Fatalf("%s: %v: %s", id, err, out)
		}
		run = p.start(dir, filepath.Join(dir, "program"))
	} else {
		write(p.t, filepath.Join(dir, "program.py"), text)
		run = p.start(dir, interop.PythonPath(p.t), "program.py")
	}
	defer run.stop()
	return p.line(run, id, func(string) bool { return true })
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// way is the id of the way with a title into a stream.
func (p *pasted) way(stream, title string) string {
	p.t.Helper()
	m := regexp.MustCompile(`(?s)<summary>` + regexp.QuoteMeta(title) + `</summary>.{0,400}?<code id="c-(` + stream + `-\d+)">`).FindStringSubmatch(p.page)
	if m == nil {
		p.t.Fatalf("the page shows no %s for stream %s", title, stream)
	}
	return m[1]
}

// servers are what the device shares: an MQTT broker of the demo's weather station, an HTTP server, a TCP server.
func servers(t *testing.T) (mqtt, web, tcp string) {
	t.Helper()
	counts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, countedVehicles) }))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(shaken)) // who has gone does not want it
			conn.Close()
		}
	}()
	t.Cleanup(func() { counts.Close(); ln.Close(); <-done })
	return "127.0.0.1:" + broker(t), counts.Listener.Addr().String(), ln.Addr().String()
}

// publish brings the device onto the chain and its page onto the screen.
func publish(t *testing.T) *pasted {
	p := &pasted{world: newWorld(t), mine: t.TempDir()}
	p.ports = strings.NewReplacer("1883", freePort(t), "8090", freePort(t), "9000", freePort(t))
	relay := p.started("relay", "relay", "-o", "json", "--listen", "127.0.0.1:0", "--node-key", "relay.key")
	address := func(file string) string {
		return addressIn.FindString(p.iod("key new --out " + file + " && iod key show --key " + file))
	}
	owner, device := address("owner.key"), address("device.key")
	p.did = "did:peaq:" + device
	for _, a := range []string{owner, device} {
		p.iod("account", "faucet", a, "--rpc", p.rpc)
	}
	mqtt, counts, raw := servers(t)
	write(t, filepath.Join(p.dir, "device.toml"), fmt.Sprintf(pasteManifest, p.rpc, owner, relay, mqtt, counts, raw))
	p.start(p.dir, filepath.Join(iodDir(t), "iod"), "device", "run", "-c", "device.toml")
	p.world.page("/d/"+p.did, "Signed; owner not proven")
	p.iod("access", "setup", "--device", p.did, "--key", "owner.key", "--rpc", p.rpc)
	p.page = p.world.page("/d/"+p.did, "Signed by device and owner")
	return p
}

var addressIn = regexp.MustCompile(`\b5[1-9A-HJ-NP-Za-km-z]{47}\b`)

// TestPasted goes the whole way of a researcher by what a device's page says, pasting every text into a shell or a file: a key, the owner's
// grant, and then each way into streams of each kind, against a real chain, index, relay and device.
func TestPasted(t *testing.T) {
	t.Parallel()
	p := publish(t)
	me := addressIn.FindString(p.shell(p.mine, snippetOf(t, p.page, "show")))
	if me == "" {
		t.Fatal("the commands of the first step show no address")
	}
	for _, stream := range []string{"wind", "counts", "raw"} {
		grant := strings.Replace(strings.Replace(snippetOf(t, p.page, "grant"), "YOUR_ADDRESS", me, 1), "--stream wind", "--stream "+stream, 1)
		p.shell(p.dir, snippetOf(t, p.page, "rpc")+"\n"+grant)
	}
	p.page = p.world.page("/d/"+p.did, me)
	if p.paste("verify"); !strings.Contains(p.shell(p.mine, snippetOf(t, p.page, "json")), p.did) {
		t.Error("the listing as JSON is not that of the device")
	}
	said := func(what, got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%s prints %q, not %q", what, got, want)
		}
	}
	said("iod subscribe", p.paste(p.way("wind", "iod subscribe")), `"topic":"measurements/wind"`)
	for _, stream := range []string{"wind", "counts", "raw"} {
		run := p.run(p.way(stream, "iod connect"))
		p.line(run, stream, func(line string) bool { return strings.Contains(line, `stream "`+stream+`" is at 127.0.0.1:`) })
	}
	type client struct {
		stream, title, want string
		run                 func(string) string
	}
	clients := []client{
		{"wind", "Python", "measurements/wind [{", p.program}, {"wind", "Go", "measurements/wind [{", p.program},
		{"counts", "curl", countedVehicles, p.paste}, {"counts", "Python", countedVehicles, p.program}, {"counts", "Go", countedVehicles, p.program},
		{"raw", "Python", strings.TrimSpace(shaken), p.program}, {"raw", "Go", strings.TrimSpace(shaken), p.program},
	}
	for command, c := range map[string]client{"mosquitto_sub": {"wind", "mosquitto_sub", "measurements/wind [{", p.paste}, "nc": {"raw", "netcat", strings.TrimSpace(shaken), p.paste}} {
		if _, err := exec.LookPath(command); err != nil {
			t.Logf("SKIPPED: NOT PASTED: %v", err)
			continue
		}
		clients = append(clients, c)
	}
	for _, c := range clients {
		t.Run(c.stream+" "+c.title, func(t *testing.T) {
			outer := p.t
			p.t = t
			defer func() { p.t = outer }()
			said(c.title, c.run(p.way(c.stream, c.title)), c.want)
		})
	}
	for _, dir := range []string{p.mine, p.dir} {
		if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
			t.Error("a topic of the device was run as a command")
		}
	}
}
