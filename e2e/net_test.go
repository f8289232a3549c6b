//go:build linux

package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hosts are the machines of the test: each has 10.77.N.2, the router 10.77.N.1.
var hosts = map[string]int{"chain": 1, "relay1": 2, "relay2": 3, "own": 4, "device": 5, "consumer": 6, "owner": 7, "index": 8}

// reachable are the only hosts that the device exchanges packets with.
var reachable = []string{"chain", "relay1", "relay2"}

func addressOf(host string) string { return fmt.Sprintf("10.77.%d.2", hosts[host]) }

// hostOf is the inverse of addressOf; an address of no host stays what it is.
func hostOf(address string) string {
	for name := range hosts {
		if addressOf(name) == address {
			return name
		}
	}
	return address
}

// network is the hosts and the router that joins them.
type network struct {
	t      *testing.T
	prefix string
}

const router = "router"

// port is the router's end of a host's cable.
func port(host string) string { return "to-" + host }

func (n *network) space(host string) string { return n.prefix + host }

// newNetwork makes all hosts, or skips the test where that is not possible.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t, unique()}
	probe := n.space(router)
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: iod across machines: network namespaces cannot be made here: %v: %s", err, out)
	}
	engage(t, n.prefix)
	n.ip("-n", probe, "link", "set", "lo", "up")
	if out, err := exec.Command("ip", "netns", "exec", probe, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: iod across machines: forwarding cannot be turned on here: %v: %s", err, out)
	}
	for host, number := range hosts {
		n.cable(host, number)
	}
	for host := range hosts {
		if host == "device" || reaches(host) {
			continue
		}
		n.ip("-n", probe, "rule", "add", "iif", port(host), "to", addressOf("device"), "blackhole")
		n.ip("-n", probe, "rule", "add", "iif", port("device"), "to", addressOf(host), "blackhole")
	}
	return n
}

func reaches(host string) bool {
	for _, r := range reachable {
		if r == host {
			return true
		}
	}
	return false
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// cable makes a host and joins it with the router.
func (n *network) cable(host string, number int) {
	n.t.Helper()
	space, middle := n.space(host), n.space(router)
	n.ip("netns", "add", space)
	n.ip("-n", space, "link", "set", "lo", "up")
	n.ip("link", "add", port(host), "netns", middle, "type", "veth", "peer", "name", "eth0", "netns", space)
	n.ip("-n", middle, "addr", "add", fmt.Sprintf("10.77.%d.1/24", number), "dev", port(host))
	n.ip("-n", space, "addr", "add", fmt.Sprintf("10.77.%d.2/24", number), "dev", "eth0")
	n.ip("-n", middle, "link", "set", port(host), "up")
	n.ip("-n", space, "link", "set", "eth0", "up")
	n.ip("-n", space, "route", "add", "default", "via", fmt.Sprintf("10.77.%d.1", number))
}

// link pulls a host's cable out at the router, or plugs it in.
func (n *network) link(host, state string) {
	n.t.Helper()
	n.ip("-n", n.space(router), "link", "set", port(host), state)
}

// inside runs f on a thread that is on the host. f must stay on its goroutine.
func (n *network) inside(host string, f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open own namespace: %w", err)
	}
	defer unix.Close(home)
	there, err := unix.Open("/run/netns/"+n.space(host), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace of %s: %w", host, err)
	}
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace of %s: %w", host, err)
	}
	result := f()
	if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leave namespace of %s: %w", host, err) // the thread stays locked, and so nobody else gets it
	}
	runtime.UnlockOSThread()
	return result
}

// dial connects from a host.
func (n *network) dial(ctx context.Context, host, address string) (conn net.Conn, err error) {
	inner := n.inside(host, func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp4", address)
		return err
	})
	return conn, inner
}

// socket is a line of the kernel's list of sockets.
type socket struct{ kind, local, remote, state string }

const (
	established = "01"
	listening   = "0A"
)

// sockets lists the sockets of the host on which the process runs.
func sockets(t *testing.T, pid int) []socket {
	t.Helper()
	var all []socket
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			if f := strings.Fields(line); i > 0 && len(f) > 3 {
				all = append(all, socket{kind, address(f[1]), address(f[2]), f[3]})
			}
		}
	}
	return all
}

// address reads the kernel's form: the bytes of each 32-bit word reversed in hex, colon, port.
func address(s string) string {
	text, _, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%4 != 0 {
		return s
	}
	for i := 0; i < len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	return net.IP(b).String()
}
