//go:build linux

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// sniffer sees every packet on a host's cable from its start to its stop.
type sniffer struct {
	t    *testing.T
	host string
	fd   int
	file *os.File
	done sync.WaitGroup
	err  error // read after stop

	mu      sync.Mutex
	packets int
	bytes   int
	peers   map[string]int // packets by the other end's host
	opened  map[string]int // connections that others tried to open to this host, by host
	leaks   map[string]int // packets that hold one of the watched texts, by text
	watched []string
}

// sniff starts a sniffer that also looks for the texts in what packets carry.
func (n *network) sniff(host string, watched ...string) *sniffer {
	n.t.Helper()
	s := &sniffer{t: n.t, host: host, watched: watched, peers: map[string]int{}, opened: map[string]int{}, leaks: map[string]int{}}
	if err := n.inside(host, s.open); err != nil {
		n.t.Fatalf("sniff at %s: %v", host, err)
	}
	s.done.Go(s.read)
	n.t.Cleanup(s.stop)
	return s
}

// open makes the socket: datagrams without their link header, of the cable only.
func (s *sniffer) open() error {
	ifc, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifc.Index})
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("packet socket: %w", err)
	}
	s.fd, s.file = fd, os.NewFile(uintptr(fd), "packets of "+s.host)
	return nil
}

func (s *sniffer) read() {
	buf := make([]byte, 1<<17)
	for {
		n, err := s.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, unix.ENETDOWN) { // the test pulls cables
			s.err = err
			return
		}
		s.packet(buf[:n])
	}
}

// packet counts an IPv4 packet; of others only the neighbour protocols of the cable itself exist here.
func (s *sniffer) packet(p []byte) {
	if len(p) < 20 || p[0]>>4 != 4 {
		return
	}
	from, to := net.IP(p[12:16]).String(), net.IP(p[16:20]).String()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets++
	s.bytes += int(binary.BigEndian.Uint16(p[2:4]))
	other := from
	if from == addressOf(s.host) {
		other = to
	}
	s.peers[hostOf(other)]++
	const tcp, syn, ack = 6, 2, 16
	if head := int(p[0]&15) * 4; p[9] == tcp && len(p) >= head+20 && p[head+13]&(syn|ack) == syn && to == addressOf(s.host) {
		s.opened[hostOf(from)]++
	}
	for _, text := range s.watched {
		if bytes.Contains(p[20:], []byte(text)) {
			s.leaks[text]++
		}
	}
}

// stop ends the sniffer; it may be called again.
func (s *sniffer) stop() {
	s.file.Close()
	s.done.Wait()
}

// verdict ends the sniffer and checks that it saw all packets, enough of them, and none but with the hosts named.
func (s *sniffer) verdict(t *testing.T, allowed ...string) {
	t.Helper()
	stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatalf("statistics of the packets of %s: %v", s.host, err)
	}
	s.stop()
	if stats.Drops != 0 {
		t.Errorf("%d packets of %s were not seen", stats.Drops, s.host)
	}
	if s.err != nil {
		t.Errorf("packets of %s: %v", s.host, s.err)
	}
	t.Logf("packets of %s: %d, %d bytes, with %v", s.host, s.packets, s.bytes, s.peers)
	if s.packets < 20 {
		t.Errorf("only %d packets of %s were seen: that proves nothing", s.packets, s.host)
	}
	for _, peer := range slices.Sorted(maps.Keys(s.peers)) {
		if !slices.Contains(allowed, peer) {
			t.Errorf("%d packets between %s and %s", s.peers[peer], s.host, peer)
		}
	}
	for text, n := range s.leaks {
		t.Errorf("%d packets of %s hold %q", n, s.host, text)
	}
}
