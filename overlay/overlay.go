// Package overlay carries streams between nodes that are addressed by public keys and hide where they are.
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
