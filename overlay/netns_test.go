package overlay

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"iod/key"
)

const roleVariable = "IOD_OVERLAY_TEST_ROLE"

// seedKey is a node key that several processes know.
func seedKey(name string) key.NodeKey {
	var seed [32]byte
	copy(seed[:], "overlay test "+name)
	return key.NodeKeyFromSeed(seed)
}

// playRole is what this test's binary does inside a network namespace: one part, until its standard input ends.
func playRole(role string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { io.Copy(io.Discard, os.Stdin); cancel() }() //nolint:errcheck // its end is what counts
	switch role {
	case "relay":
		r, err := NewRelay(RelayOptions{Key: seedKey("relay")})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", "0.0.0.0:7777")
		if err != nil {
			return err
		}
		fmt.Println("ready")
		return r.Serve(ctx, ln)
	case "device":
		d, err := NewDevice(DeviceOptions{
			Key: seedKey("device"), Gate: newGate(true), Relays: []RelayAddr{{Host: "10.77.1.1:7777", ID: seedKey("relay").ID()}},
			Streams: func(string) (Handler, bool) { return pulse, true },
		})
		if err != nil {
			return err
		}
		go func() {
			for tick := time.NewTicker(time.Millisecond); !d.Status().Relays[0].Connected; <-tick.C {
			}
			fmt.Println("ready")
		}()
		return d.Run(ctx)
	case "consumer":
		pair, err := key.FromURI(key.Sr25519, "//Consumer")
		if err != nil {
			return err
		}
		d := NewDialer(DialerOptions{Account: pair})
		defer d.Close()
		c, err := d.Dial(ctx, Target{Node: seedKey("device").ID(), Relays: []RelayAddr{{Host: "10.77.2.1:7777", ID: seedKey("relay").ID()}}}, "s")
		if err != nil {
			return err
		}
		if err := expectErr(c, "hello"); err != nil {
			return err
		}
		fmt.Println("ready")
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("no role %q", role)
}

// namespaces is a network of namespaces joined by virtual cables.
type namespaces struct {
	t      *testing.T
	prefix string
}

func (n namespaces) name(role string) string { return n.prefix + role[:1] }

func (n namespaces) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// cable joins the relay's namespace with another; nothing routes between two cables.
func (n namespaces) cable(to, network string) {
	n.t.Helper()
	r, o := n.name("relay"), n.name(to)
	n.ip("link", "add", r+to[:1], "netns", r, "type", "veth", "peer", "name", o+"0", "netns", o)
	n.ip("-n", r, "addr", "add", network+".1/24", "dev", r+to[:1])
	n.ip("-n", o, "addr", "add", network+".2/24", "dev", o+"0")
	n.ip("-n", r, "link", "set", r+to[:1], "up")
	n.ip("-n", o, "link", "set", o+"0", "up")
}

// play starts a role and waits until it is ready.
func (n namespaces) play(role string) {
	t := n.t
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", n.name(role), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	ready := make(chan bool, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ready <- lines.Scan() && lines.Text() == "ready"
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		in.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	})
	select {
	case ok := <-ready:
		if !ok {
			t.Fatalf("%s did not become ready", role)
		}
	case <-time.After(patience):
		cmd.Process.Kill() //nolint:errcheck // the wait tells
		t.Fatalf("%s took too long", role)
	}
}

// socket is a line of the kernel's list of sockets.
type socket struct{ kind, local, remote, state string }

// sockets lists the sockets of a namespace.
func (n namespaces) sockets(role string) []socket {
	n.t.Helper()
	var all []socket
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		out, err := exec.Command("ip", "netns", "exec", n.name(role), "cat", "/proc/net/"+kind).Output()
		if err != nil {
			n.t.Fatalf("%s of %s: %v", kind, role, err)
		}
		for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			if f := strings.Fields(line); i > 0 && len(f) > 3 {
				all = append(all, socket{kind, f[1], f[2], f[3]})
			}
		}
	}
	return all
}

// hostOf reads the address in the kernel's form: little-endian hex, colon, port.
func hostOf(s string) string {
	b, _ := hex.DecodeString(s[:8])
	return net.IPv4(b[3], b[2], b[1], b[0]).String()
}

// Relay, device and consumer run as processes in network namespaces of their own, where device and consumer have no way to each other: the
// device listens on nothing, and neither has a connection to anything but the relay.
func TestNamespaces(t *testing.T) {
	n := namespaces{t, fmt.Sprintf("iod%d", os.Getpid()%100000)}
	for _, role := range []string{"relay", "device", "consumer"} {
		if out, err := exec.Command("ip", "netns", "add", n.name(role)).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: that a device listens on nothing: network namespaces cannot be made here: %v: %s", err, out)
		}
		t.Cleanup(func() { n.ip("netns", "del", n.name(role)) })
	}
	n.cable("device", "10.77.1")
	n.cable("consumer", "10.77.2")
	for _, role := range []string{"relay", "device", "consumer"} {
		n.play(role)
	}
	for role, want := range map[string]string{"device": "10.77.1.1", "consumer": "10.77.2.1"} {
		connections := 0
		for _, s := range n.sockets(role) {
			const established, listening = "01", "0A"
			switch {
			case s.kind != "tcp" || s.state == listening:
				t.Errorf("%s listens: %+v", role, s)
			case s.state == established:
				connections++
				fallthrough
			default:
				if got := hostOf(s.remote); got != want {
					t.Errorf("%s is connected to %s, want the relay %s only", role, got, want)
				}
			}
		}
		if connections != 2 {
			t.Errorf("%s has %d connections, want control and data", role, connections)
		}
	}
	listening := 0
	for _, s := range n.sockets("relay") {
		if s.state == "0A" {
			listening++
		}
	}
	if listening != 1 {
		t.Errorf("the relay listens on %d ports: the look at the others proves nothing", listening)
	}
}
