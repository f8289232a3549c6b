// Package mqtt guards an MQTT broker: it stands between one consumer and the broker of a device, reads every packet in
// both directions, and lets through the topics of one stream only.
package mqtt

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Secret is a password. It prints as [redacted].
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Limits bounds what one consumer and the broker may make the filter hold. Zero values mean the defaults.
type Limits struct {
	Packet        int           // largest packet from the broker, in bytes; larger publications are dropped. Default 1 MiB
	Subscriptions int           // topic filters at once in one connection. Default 128
	SessionExpiry time.Duration // longest life of a session after its connection. Default 5 min
	Connect       time.Duration // for the consumer's CONNECT, and for the broker's answer. Default 10 s
	Write         time.Duration // for one write to make way. Default 1 min
}

// Filter lets a consumer subscribe to Topics at the broker Target and do nothing else there. It may be copied: provision
// sets ClientPrefix for each consumer. The zero values of all but Target and Topics are usable.
type Filter struct {
	Target       string   // the broker, host:port
	Topics       []string // topic filters that are let through
	ClientPrefix string   // set before each client id, so that no consumer can take over a session of another
	User         string   // the broker's user name for the device, if it asks for one; the consumer's is never forwarded
	Password     Secret
	Limits       Limits
	Log          *slog.Logger                                                      // nil: slog.Default()
	Dial         func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
}
