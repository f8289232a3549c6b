package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// forge does what the registry lets any stranger do: //Eve adds an attribute to the device's DID, which makes her a writer of
// it, and with that overwrites the device's document with one of her own, or removes it.
func forge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || (args[1] != "overwrite" && args[1] != "remove") {
		ts.Fatalf("usage: forge DID overwrite|remove")
	}
	device, err := key.ParseAccount(args[0])
	ts.Check(err)
	eve, err := key.FromURI(key.Sr25519, "//Eve")
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := chain.Dial(ctx, chain.Options{Endpoints: []string{ts.Getenv("IOD_RPC")}})
	ts.Check(err)
	defer client.Close()
	b, err := client.Finalised(ctx)
	ts.Check(err)
	attr, err := did.Read(ctx, b, device, document.DeviceAttribute)
	ts.Check(err)
	var calls []metadata.Call
	writer, err := did.IsWriter(ctx, b, eve.Account(), device)
	ts.Check(err)
	if !writer {
		calls = append(calls, did.AddAttribute(device, "eve was here", []byte("1"), nil))
	}
	if args[1] == "remove" {
		calls = append(calls, did.RemoveAttribute(device, document.DeviceAttribute))
	} else {
		forged := bytes.ReplaceAll(attr.Value, []byte("wind_speed"), []byte("gust_speed"))
		calls = append(calls, did.UpdateAttribute(device, document.DeviceAttribute, forged, nil))
	}
	tx, err := client.Submit(ctx, eve, chain.BatchAll(calls...), chain.TxOptions{})
	ts.Check(err)
	_, err = tx.Finalised(ctx)
	ts.Check(err)
}

// network starts a chain and a relay as "chain" and "relay", makes device.key, owner.key and consumer.key, and funds the first
// two. It sets $IOD_RPC, $RELAY, $RELAYHOST (host:port), $DEVICE (a DID), $OWNER and $CONSUMER (addresses).
func network(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: network [FLAGS OF CHAIN DEV]")
	}
	stay(ts, false, append([]string{"chain", "iod", "chain", "dev", "--listen", "127.0.0.1:0"}, args...))
	await(ts, false, []string{"chain", `rpc +(ws://\S+)`, "IOD_RPC"})
	stay(ts, false, []string{"relay", "iod", "relay", "--listen", "127.0.0.1:0"})
	await(ts, false, []string{"relay", `relay +(tls://\S+)`, "RELAY"})
	await(ts, false, []string{"relay", `listen +(\S+)`, "RELAYHOST"})
	for name, variable := range map[string]string{"device": "DEVICE", "owner": "OWNER", "consumer": "CONSUMER"} {
		exits(ts, false, []string{"0", "iod", "key", "new", "--out", name + ".key"})
		what := `address +(\S+)`
		if name == "device" {
			what = `did +(\S+)`
		}
		take(ts, false, []string{variable, what})
		if name != "consumer" {
			exits(ts, false, []string{"0", "iod", "account", "faucet", "--key", name + ".key"})
		}
	}
}

// fill replaces the $VARIABLES in a file.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// echoUDP answers every datagram at a port of loopback with itself, and puts the port into a variable.
func echoUDP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: echo-udp VAR")
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	done := make(chan struct{})
	ts.Defer(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(buf[:n], from)
		}
	}()
	ts.Setenv(args[0], strconv.Itoa(pc.LocalAddr().(*net.UDPAddr).Port))
}

// askUDP sends a text to an address until the same comes back: datagrams may get lost.
func askUDP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ask-udp ADDRESS TEXT")
	}
	c, err := net.Dial("udp", args[0])
	ts.Check(err)
	defer c.Close()
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_, err := c.Write([]byte(args[1]))
		ts.Check(err)
		c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(buf); err == nil && string(buf[:n]) == args[1] {
			return
		}
	}
	ts.Fatalf("%s never answered", args[0])
}

// noProcesses checks that nothing runs in a directory any more; with "soon" it gives what is being ended the time for it.
func noProcesses(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: no-processes DIR [soon]")
	}
	dir := ts.MkAbs(args[0])
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	left := processesIn(dir)
	for deadline := time.Now().Add(patience); len(args) == 2 && len(left) > 0 && time.Now().Before(deadline); left = processesIn(dir) {
		<-tick.C
	}
	if len(left) > 0 {
		ts.Fatalf("still running in %s: %q", dir, left)
	}
}

// processesIn lists the command lines of the processes whose working directory is dir or below it.
func processesIn(dir string) (found []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		at, err := os.Readlink(link)
		if err != nil || at != dir && !strings.HasPrefix(at, dir+"/") {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

// killIn kills the iod processes with a certain subcommand that run in a directory.
func killIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: kill-in DIR SUBCOMMAND")
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	killed := 0
	for _, link := range links {
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		at, err := os.Readlink(link)
		if words := strings.Split(string(line), "\x00"); err != nil || at != ts.MkAbs(args[0]) || len(words) < 2 || words[1] != args[1] {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		ts.Check(err)
		ts.Check(syscall.Kill(pid, syscall.SIGKILL))
		killed++
	}
	if killed != 1 {
		ts.Fatalf("%d processes of iod %s run in %s", killed, args[1], args[0])
	}
}

// oldBroker is an MQTT broker that knows 3.1.1 only, as many do. It puts its port into a variable.
func oldBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: old-broker VAR")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	var conns sync.WaitGroup
	ts.Defer(func() { ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { defer conn.Close(); serveOld(conn) })
		}
	})
	ts.Setenv(args[0], strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
}

// serveOld refuses MQTT 5 in the words of 3.1.1, and sends others one message for each subscription.
func serveOld(conn net.Conn) {
	m := newMQTTReader(conn, 4)
	for {
		head, body, err := m.packet()
		switch {
		case err != nil:
			return
		case head>>4 == mqttConnect && body[6] != 4:
			_ = m.send(mqttConnack<<4, []byte{0, 1})
			return
		case head>>4 == mqttConnect:
			err = m.send(mqttConnack<<4, []byte{0, 0})
		case head>>4 == mqttSubscribe:
			if err = m.send(mqttSuback<<4, append(body[:2:2], 0)); err == nil {
				err = m.send(mqttPublish<<4, append(mqttText(nil, "old/one"), "it still works"...))
			}
		}
		if err != nil {
			return
		}
	}
}

// webPage answers whatever it is asked with a page, as a wrong address may. It puts host:port into a variable.
func webPage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: web-page VAR")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>welcome</html>") }))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.Listener.Addr().String())
}
