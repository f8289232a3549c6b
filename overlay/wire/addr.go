package wire

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"iod/key"
)

// MaxHost is the most bytes that the host:port of a relay address may have.
const MaxHost = 255

const scheme = "tls://"

// RelayAddr says where a relay is and which key it must show there.
type RelayAddr struct {
	Host string // host:port; an IPv6 host in brackets
	ID   key.NodeID
}

// ParseRelayAddr reads "tls://host:port/<node id>". Every part must be there; the port is a decimal from 1 to 65535.
func ParseRelayAddr(s string) (RelayAddr, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return RelayAddr{}, fmt.Errorf("relay address %.80q: want tls://host:port/<node id>", s)
	}
	host, node, ok := strings.Cut(rest, "/")
	if !ok {
		return RelayAddr{}, fmt.Errorf("relay address %.80q: the relay's node id is missing after the port", s)
	}
	if err := checkHost(host); err != nil {
		return RelayAddr{}, fmt.Errorf("relay address %.80q: %w", s, err)
	}
	id, err := key.ParseNodeID(node)
	if err != nil {
		return RelayAddr{}, fmt.Errorf("relay address %.80q: %w", s, err)
	}
	return RelayAddr{Host: host, ID: id}, nil
}

// checkHost accepts what net.Dial takes as host:port, without service names, zones or characters that no host has.
func checkHost(hostport string) error {
	if len(hostport) > MaxHost {
		return fmt.Errorf("host has %d bytes, at most %d are allowed", len(hostport), MaxHost)
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return fmt.Errorf("%q is not host:port", hostport)
	}
	if host == "" {
		return errors.New("the host is empty")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
		return fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	for _, c := range []byte(host) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '-' && c != '_' && c != ':' {
			return fmt.Errorf("host %q holds the character %q", host, c)
		}
	}
	return nil
}

// String returns the form that ParseRelayAddr reads.
func (a RelayAddr) String() string { return scheme + a.Host + "/" + a.ID.String() }

// MarshalText is String.
func (a RelayAddr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseRelayAddr reads.
func (a *RelayAddr) UnmarshalText(text []byte) error {
	v, err := ParseRelayAddr(string(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}
