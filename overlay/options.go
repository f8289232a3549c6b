package overlay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// RelayAddr says where a relay is and which key it must show there: "tls://host:port/<node id>".
type RelayAddr = wire.RelayAddr

// ParseRelayAddr reads "tls://host:port/<node id>".
func ParseRelayAddr(s string) (RelayAddr, error) { return wire.ParseRelayAddr(s) }

// What dialling and serving end with.
var (
	// ErrSilent says that the device did not answer. Whether it refused, is not connected or does not exist cannot be told apart.
	ErrSilent = errors.New("the device did not answer: access may not be granted, or it is not connected")
	// ErrUnreachable says that no relay of the target could be reached.
	ErrUnreachable = errors.New("no relay could be reached")
	// ErrDisplaced says that another connection registered with the same node key.
	ErrDisplaced = errors.New("another device registered with this node key: two devices may be running with one key")
	// ErrClosed says that the dialer was closed.
	ErrClosed = errors.New("the dialer is closed")
	// ErrLost says that a session's path went dead: a frozen relay, or a device without power.
	ErrLost = errors.New("the path of the session went dead")
	// ErrCut is the cause with which a session's context ends when its pass is withdrawn.
	ErrCut = errors.New("access was withdrawn")
	// ErrGone is the cause with which a session's context ends when its stream is no longer there as it was.
	ErrGone = errors.New("the stream is gone or was changed")
)

// DialFunc opens a connection to an address, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// DeviceOptions is what a device needs. Key, Gate and Streams are required; without a relay nobody reaches it until SetRelays names
// one. Zero limits stand for the defaults named beside them.
type DeviceOptions struct {
	Key    key.NodeKey
	Relays []RelayAddr
	Gate   Gate
	// Streams finds the handler of a stream; it is asked at each knock.
	Streams func(name string) (Handler, bool)
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
	Dial    DialFunc         // nil: the network, without TCP keep-alive

	MaxPending           int           // knocks that wait for the gate; 1024
	MaxPendingPerAccount int           // 8
	MaxSessions          int           // live sessions; 4096
	KnockWindow          time.Duration // how far a knock's time may be from the device's clock; 24 h; without Fresh
	KeepAliveMin         time.Duration // first interval between pings of an idle relay connection; 90 s
	KeepAliveMax         time.Duration // and the longest one tried; 10 min
	PingTimeout          time.Duration // after which an unanswered ping means a dead relay; 5 s
	RetryMin, RetryMax   time.Duration // back-off between tries to reach a relay; 1 s, 30 s
	DisplacedRetry       time.Duration // back-off after ErrDisplaced; 5 min

	// Fresh judges the time of a knock; nil: by Now and KnockWindow.
	Fresh func(time.Time) bool
	// Displaced is told when another connection registered with the same node key at a relay; it must not block. nil: nobody is.
	Displaced func(RelayAddr)
	// OnSession is told when a session began, and again when it ended; it must not block. nil: nobody is.
	OnSession func(SessionEvent)
	// OnDropped is told of knocks that were dropped before the gate was asked; it must not block. nil: nobody is.
	OnDropped func(Dropped)
}

// RelayOptions is what a relay needs: its key. Zero limits stand for the defaults named beside them.
type RelayOptions struct {
	Key       key.NodeKey
	Advertise string // host:port under which others reach it, for Addr; empty: the listener's address
	Log       *slog.Logger
	Now       func() time.Time
	Dial      DialFunc // towards other relays; nil: the network

	// Forward says which other relays this one may reach for a consumer.
	Forward ForwardPolicy

	MaxConns         int           // open connections; 16384
	MaxConnsPerIP    int           // of one IPv4 address or one IPv6 /64; 4096
	HandshakesPerIP  float64       // TLS handshakes a second, with a burst of 20 times as many; 50
	KnocksPerConn    float64       // CONNECT frames a second on one connection, with a burst of 10 times as many; 50
	KnocksPerIP      float64       // CONNECT frames a second of one address, with a burst of 50 times as many; 20
	KnocksPerDevice  float64       // knocks a second that are brought to one device, with a burst of 100 times as many; 20
	MaxTokens        int           // tokens not yet used; 16384
	MaxSplices       int           // joined pairs; 8192
	TokenLife        time.Duration // how long a knock may be pending; 60 s
	HandshakeTimeout time.Duration // TLS and the first frame, or the preamble; 10 s
	SpliceIdle       time.Duration // after which a pair without a byte in either direction is closed; 24 h
}

// ForwardPolicy says which other relays a relay may reach.
type ForwardPolicy uint8

// The policies.
const (
	ForwardPublic ForwardPolicy = iota // those with a public address
	ForwardOff                         // none
	ForwardAny                         // also those in private networks and on this machine
)

// Target names a device: its node, and the relays that its document lists.
type Target struct {
	Node   key.NodeID
	Relays []RelayAddr
}

// DialerOptions is what a consumer needs: its account. Zero limits stand for the defaults named beside them.
type DialerOptions struct {
	Account *key.Pair
	Node    key.NodeKey // zero: a fresh one, so that nobody can link this consumer's runs
	// KnockTime is the time that knocks carry, which devices compare with theirs; nil: Now.
	KnockTime func() time.Time
	Via       []RelayAddr // the consumer's own relays; empty: the device's relays are reached directly
	Log       *slog.Logger
	Now       func() time.Time
	Dial      DialFunc

	Stagger      time.Duration // before a second relay of the device is tried too; 300 ms
	ProbeAfter   time.Duration // least silence after which a session in use is probed; 2 s
	ProbeTimeout time.Duration // for the answer to a probe; two in a row unanswered mean a dead path; 2 s
	Solo         bool          // every stream has a connection of its own, none is multiplexed
}
