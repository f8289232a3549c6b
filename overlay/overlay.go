// Package overlay carries streams between nodes that are addressed by public keys and hide where they are.
//
// A device keeps one control connection to each of its relays and listens nowhere. A consumer knocks: it seals who it is and
// what it wants to the device's key, and a relay brings that to the device. If the gate says yes the device dials the relay,
// which joins the two connections and sees ciphertext from then on:
//
//	consumer            relay               device
//	   │── CONNECT, knock ─▶│                   │
//	   │◀────────── TOKEN ──│── INVITE, knock ─▶│  gate: may this account use this stream? It may take its time.
//	   │── token ──────────▶│◀───────── token ──│  data connections, joined by the kernel's splice
//	   │◀═════════ end-to-end TLS 1.3 ═════════▶│  both node keys proved; the consumer's was in the knock
//
// Until the device dials, nothing distinguishes a refusal from a device that is away or does not exist: the knock stays pending until
// its token ends, and the dialer knocks again. A relay holds pending knocks, so that a device that comes back gets them.
//
// A session belongs to one account and one stream. The first connection to a stream has a session of its own, at the speed of plain
// TLS; further ones while it is in use share a multiplexed session, whose streams open without a round trip.
//
// When the pass of a session is withdrawn the device resets its connection and tells the relay, which resets the consumer's.
//
// Liveness costs nothing while data flows. A session that falls silent against its rhythm, or after a request, is probed over
// the control connections: consumer → relay(s) → device and back. Two probes without an answer end it with ErrLost. Idle
// control connections are pinged as rarely as the path was found to allow.
//
// Package wire draws the formats; the frames of multiplexed sessions are drawn beside mux.
package overlay

import (
	"context"
	"net"

	"iod/key"
)

// Request is what a knock asks for, after its signature was checked.
type Request struct {
	Account key.AccountID
	Node    key.NodeID // the consumer's node, bound into the session's TLS
	Stream  string
}

// Gate decides on requests. It is declared here because the overlay asks.
type Gate interface {
	// Admit returns a Pass as soon as the account may use the stream. While the answer is no it blocks, since a grant may
	// come, until ctx ends; then it returns ctx's error. Any error is a refusal.
	Admit(ctx context.Context, r Request) (Pass, error)
}

// Pass is a granted request. The session that it was given for ends at once when Done is closed.
type Pass interface {
	Done() <-chan struct{}
	Err() error // why Done was closed
	Release()   // the session ended
}

// Handler serves one admitted connection of a stream on the device: a TCP forwarder, an MQTT filter. It returns when the
// connection is over; ctx ends when the session is cut.
type Handler interface {
	ServeStream(ctx context.Context, conn net.Conn, r Request) error
}
