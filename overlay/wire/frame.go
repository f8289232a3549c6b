package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"iod/key"
)

// Limits of frames.
const (
	HeaderSize = 3
	MaxBody    = 2048
	MaxHops    = 2  // relays that a CONNECT may name beyond the one that it is sent to
	MaxText    = 64 // bytes of explanation in GOODBYE
	Version    = 1
	ALPN       = "iod-relay/1"
	ALPNData   = "iod-session/1"
)

// Type is the first byte of a frame.
type Type uint8

// The frame types. See the package doc for their bodies.
const (
	TypeRegister Type = iota + 1
	TypeRegistered
	TypeConnect
	TypeToken
	TypeInvite
	TypeCancel
	TypeProbe
	TypeProbed
	TypePing
	TypePong
	TypeGoodbye

	// TypeOptional is the first of the types that a receiver skips when it does not know them.
	TypeOptional Type = 0x80
)

// Token lets its holder use one data connection, once.
type Token [32]byte

// Knock is a sealed knock.
type Knock [KnockSize]byte

// Source is a relay's tag for the address that a knock came from.
type Source [8]byte

// Frame is one of the frame structs of this package.
type Frame interface {
	// Type is the frame's first byte.
	Type() Type
	appendBody(b []byte) []byte
}

// The frames. idle, life: seconds.
type (
	// Register asks a relay to pass knocks on.
	Register struct {
		Version uint8
		Idle    uint16
	}
	// Registered answers Register.
	Registered struct{ Version uint8 }
	// Connect asks for a token and for Knock to be brought to Target, over the relays Hops if there are any.
	Connect struct {
		ID     uint32
		Target key.NodeID
		Hops   []RelayAddr
		Knock  Knock
	}
	// TokenFor answers Connect.
	TokenFor struct {
		ID    uint32
		Life  uint16
		Token Token
	}
	// Invite brings a knock to a device.
	Invite struct {
		Session uint64
		Life    uint16
		Source  Source
		Token   Token
		Knock   Knock
	}
	// Cancel withdraws a knock that is still pending.
	Cancel struct{ Session uint64 }
	// Probe asks the device whether a session lives.
	Probe struct {
		Session uint64
		Seq     uint32
	}
	// Probed answers Probe.
	Probed struct {
		Session uint64
		Seq     uint32 // 0: nobody asked
		Alive   bool
		Waits   bool   // the device waits for more of the session's data connection
		In, Out uint64 // bytes that it has read from there and written to there
	}
	// Ping asks for Pong.
	Ping struct {
		Seq  uint32
		Idle uint16
	}
	// Pong answers Ping.
	Pong struct{ Seq uint32 }
	// Goodbye is a relay's last frame.
	Goodbye struct {
		Reason Reason
		Text   string
	}
)

// Reason says why a relay ends a connection.
type Reason uint8

// The reasons.
const (
	ReasonClosing   Reason = iota // the relay stops
	ReasonDisplaced               // another connection registered with this key
	ReasonLimit                   // too much was asked
)

// ErrUnknown is what Parse returns for a type below TypeOptional that it does not know.
var ErrUnknown = errors.New("unknown frame type")

var errShape = errors.New("body has the wrong size or shape")

// Type implements Frame.
func (Register) Type() Type { return TypeRegister }

// Type implements Frame.
func (Registered) Type() Type { return TypeRegistered }

// Type implements Frame.
func (Connect) Type() Type { return TypeConnect }

// Type implements Frame.
func (TokenFor) Type() Type { return TypeToken }

// Type implements Frame.
func (Invite) Type() Type { return TypeInvite }

// Type implements Frame.
func (Cancel) Type() Type { return TypeCancel }

// Type implements Frame.
func (Probe) Type() Type { return TypeProbe }

// Type implements Frame.
func (Probed) Type() Type { return TypeProbed }

// Type implements Frame.
func (Ping) Type() Type { return TypePing }

// Type implements Frame.
func (Pong) Type() Type { return TypePong }

// Type implements Frame.
func (Goodbye) Type() Type { return TypeGoodbye }

var be = binary.BigEndian

func (f Register) appendBody(b []byte) []byte   { return be.AppendUint16(append(b, f.Version), f.Idle) }
func (f Registered) appendBody(b []byte) []byte { return append(b, f.Version) }

func (f Connect) appendBody(b []byte) []byte {
	b = be.AppendUint32(b, f.ID)
	b = append(b, f.Target[:]...)
	b = append(b, byte(len(f.Hops)))
	for _, h := range f.Hops {
		b = append(b, h.ID[:]...)
		b = append(b, byte(len(h.Host)))
		b = append(b, h.Host...)
	}
	return append(b, f.Knock[:]...)
}

func (f TokenFor) appendBody(b []byte) []byte {
	b = be.AppendUint16(be.AppendUint32(b, f.ID), f.Life)
	return append(b, f.Token[:]...)
}

func (f Invite) appendBody(b []byte) []byte {
	b = be.AppendUint16(be.AppendUint64(b, f.Session), f.Life)
	b = append(b, f.Source[:]...)
	b = append(b, f.Token[:]...)
	return append(b, f.Knock[:]...)
}

func (f Cancel) appendBody(b []byte) []byte { return be.AppendUint64(b, f.Session) }

func (f Probe) appendBody(b []byte) []byte {
	return be.AppendUint32(be.AppendUint64(b, f.Session), f.Seq)
}

func (f Probed) appendBody(b []byte) []byte {
	b = be.AppendUint32(be.AppendUint64(b, f.Session), f.Seq)
	b = appendBool(appendBool(b, f.Alive), f.Waits)
	return be.AppendUint64(be.AppendUint64(b, f.In), f.Out)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func (f Ping) appendBody(b []byte) []byte { return be.AppendUint16(be.AppendUint32(b, f.Seq), f.Idle) }
func (f Pong) appendBody(b []byte) []byte { return be.AppendUint32(b, f.Seq) }

func (f Goodbye) appendBody(b []byte) []byte {
	return append(append(b, byte(f.Reason)), f.Text[:min(len(f.Text), MaxText)]...)
}

// Append adds the frame's bytes to b.
func Append(b []byte, f Frame) []byte {
	at := len(b)
	b = f.appendBody(append(b, byte(f.Type()), 0, 0))
	be.PutUint16(b[at+1:], uint16(len(b)-at-HeaderSize))
	return b
}

// Read reads one frame from r; body is scratch space of MaxBody bytes. It returns a nil frame and a nil error for a frame that
// may be skipped. io.EOF comes only between frames.
func Read(r io.Reader, body []byte) (Frame, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(be.Uint16(head[1:]))
	if n > MaxBody || n > len(body) {
		return nil, fmt.Errorf("frame of type %#x: body of %d bytes, at most %d are allowed", head[0], n, MaxBody)
	}
	if _, err := io.ReadFull(r, body[:n]); err != nil {
		return nil, fmt.Errorf("frame of type %#x: %w", head[0], noEOF(err))
	}
	return Parse(Type(head[0]), body[:n])
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
