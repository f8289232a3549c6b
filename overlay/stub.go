package overlay

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// Device keeps a connection to each of its relays and serves the consumers that its gate admits. It listens nowhere.
type Device struct{}

// NewDevice checks the options.
func NewDevice(o DeviceOptions) (*Device, error) { return nil, errors.New("overlay: being written") }

// Run serves until ctx ends.
func (d *Device) Run(ctx context.Context) error { return nil }

// Status reports relays and sessions.
func (d *Device) Status() DeviceStatus { return DeviceStatus{} }

// Relay joins nodes that both dialled out.
type Relay struct{}

// NewRelay checks the options.
func NewRelay(o RelayOptions) (*Relay, error) { return nil, errors.New("overlay: being written") }

// Serve accepts control and data connections on ln until ctx ends, and closes ln.
func (r *Relay) Serve(ctx context.Context, ln net.Listener) error { return nil }

// Status counts what the relay holds.
func (r *Relay) Status() RelayReport { return RelayReport{} }

// Addr is the address to give to devices, once Serve runs.
func (r *Relay) Addr() RelayAddr { return RelayAddr{} }

// Dialer reaches streams of devices for one account.
type Dialer struct{}

// NewDialer makes a dialer.
func NewDialer(o DialerOptions) *Dialer { return &Dialer{} }

// Dial returns a connection to a stream.
func (d *Dialer) Dial(ctx context.Context, t Target, stream string) (net.Conn, error) {
	return nil, errors.New("overlay: being written")
}

// Close ends all sessions and waits for what the dialer started.
func (d *Dialer) Close() error { return nil }

// Forward joins each connection that ln accepts with a stream from dial.
func Forward(ctx context.Context, ln net.Listener, dial func(ctx context.Context) (net.Conn, error), log *slog.Logger) error {
	return errors.New("overlay: being written")
}

// ForwardUDP joins each source of datagrams at pc with a stream from dial.
func ForwardUDP(ctx context.Context, pc net.PacketConn, dial func(ctx context.Context) (net.Conn, error), log *slog.Logger) error {
	return errors.New("overlay: being written")
}

// TCP forwards streams to a TCP target beside the device, host:port.
func TCP(target string) Handler { return nil }

// UDP forwards streams to a UDP target beside the device, host:port.
func UDP(target string) Handler { return nil }
