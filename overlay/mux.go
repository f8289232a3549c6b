package overlay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"iod/key"
	"iod/overlay/wire"
)

// sharedKey names what a multiplexed session may carry: one stream of one device.
type sharedKey struct {
	node   key.NodeID
	stream string
}

type shared struct{}

func (d *Dialer) dialShared(ctx context.Context, k sharedKey, t Target) (net.Conn, error) {
	return d.dialSolo(ctx, t, k.stream)
}

func (s *session) serveMux(conn *tls.Conn, raw net.Conn) error { return errors.ErrUnsupported }

var _ = wire.ModeMux
