// Package mqtt guards an MQTT broker: it stands between one consumer and the broker of a device, reads every packet in
// both directions, and lets through the topics of one stream only. It speaks MQTT 3.1.1 and 5 and trusts neither side: what
// it does not forward as it came, it writes anew from what it understood, and what it does not understand ends the connection.
//
//	fixed header   kind (4 bits) │ flags (4) │ length of the rest (1 to 4 bytes of 7 bits, low ones first)
//	text, binary   length (2 bytes, big endian) │ bytes
//	properties     length (as above) │ identifier │ value │ …            MQTT 5 only
//
//	CONNECT        "MQTT" │ level │ flags │ keep-alive │ properties │ client id │ (will) │ (user) │ (password)
//	PUBLISH        topic │ packet identifier if QoS > 0 │ properties │ payload
//	SUBSCRIBE      packet identifier │ properties │ filter │ options │ filter │ options │ …
//
// What happens to the consumer's packets:
//
//	CONNECT        MQTT 3.1, bridges and versions to come are refused: 0x01 (3.1.1), 0x84 (5). A will is a publication and
//	               refused: 0x05, 0x87. Extended authentication is refused: 0x8c. Otherwise the broker gets a CONNECT of the
//	               device's own: client id with ClientPrefix, User and Password in place of the consumer's. Sessions of 3.1.1,
//	               which would never end, are always clean; those of 5 end at most SessionExpiry after their connection.
//	SUBSCRIBE      Filters within Topics go to the broker; its answer is joined with the refusals: 0x80 (3.1.1); in 5 0x87
//	               not listed, 0x8f invalid, 0x97 too many, 0x9e shared ($share), which would take messages away from others.
//	PUBLISH        Never forwarded. MQTT 5: QoS 1 and 2 are answered 0x87. MQTT 3.1.1 has only a positive answer, which would
//	               be a lie, or the end of the connection, which it is (specification, 3.3.5). QoS 0 has no answer in either
//	               version and is dropped.
//	AUTH           and whatever only a broker sends: protocol error, 0x82. Malformed packets: 0x81. In 3.1.1 just the end.
//
// And to the broker's:
//
//	CONNACK        What holds only without the filter is taken out or put right. The consumer never learns where the broker
//	               is or what it told the device: no server reference, reason text, user property, response information.
//	PUBLISH        A topic outside Topics is dropped, and acknowledged in the consumer's stead so that the broker goes on.
//	               Topic aliases are followed. Longer ones than Limits.Packet are dropped likewise.
//	SUBACK …       must answer what was forwarded, else the connection ends.
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
	Scope        *Scope   // in place of Topics, for ones that change; nil: Topics
	ClientPrefix string   // set before each client id, so that no consumer can take over a session of another
	User         string   // the broker's user name for the device, if it asks for one; the consumer's is never forwarded
	Password     Secret
	Limits       Limits
	Log          *slog.Logger                                                      // nil: slog.Default()
	Dial         func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
}
