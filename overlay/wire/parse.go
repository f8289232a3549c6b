package wire

import "fmt"

// Parse reads the body of a frame, of which it keeps nothing. It returns a nil frame and a nil error for an unknown type from
// TypeOptional on.
func Parse(t Type, body []byte) (Frame, error) {
	r := reader{b: body, ok: true}
	f := r.frame(t)
	switch {
	case f == nil && t >= TypeOptional:
		return nil, nil
	case f == nil:
		return nil, fmt.Errorf("frame of type %#x: %w", uint8(t), ErrUnknown)
	case !r.ok || len(r.b) > 0:
		return nil, fmt.Errorf("frame of type %#x: %w", uint8(t), errShape)
	}
	return f, nil
}

// reader takes fields off the front of b; ok turns false for good when a field is missing or has a value that no encoder writes.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) frame(t Type) Frame {
	switch t {
	case TypeRegister:
		return Register{Version: r.u8(), Idle: r.u16()}
	case TypeRegistered:
		return Registered{Version: r.u8()}
	case TypeConnect:
		return r.connect()
	case TypeToken:
		f := TokenFor{ID: r.u32(), Life: r.u16()}
		r.fill(f.Token[:])
		return f
	case TypeInvite:
		f := Invite{Session: r.u64(), Life: r.u16()}
		r.fill(f.Source[:])
		r.fill(f.Token[:])
		r.fill(f.Knock[:])
		return f
	case TypeCancel:
		return Cancel{Session: r.u64()}
	case TypeProbe:
		return Probe{Session: r.u64(), Seq: r.u32()}
	case TypeProbed:
		return Probed{Session: r.u64(), Seq: r.u32(), Alive: r.bool(), Waits: r.bool(), In: r.u64(), Out: r.u64()}
	case TypePing:
		return Ping{Seq: r.u32(), Idle: r.u16()}
	case TypePong:
		return Pong{Seq: r.u32()}
	case TypeGoodbye:
		return r.goodbye()
	}
	return nil
}

func (r *reader) connect() Frame {
	f := Connect{ID: r.u32()}
	r.fill(f.Target[:])
	n := int(r.u8())
	if n > MaxHops {
		r.ok = false
	}
	for i := 0; i < n && r.ok; i++ {
		var h RelayAddr
		r.fill(h.ID[:])
		h.Host = string(r.take(int(r.u8())))
		if checkHost(h.Host) != nil {
			r.ok = false
		}
		f.Hops = append(f.Hops, h)
	}
	r.fill(f.Knock[:])
	return f
}

func (r *reader) goodbye() Frame {
	f := Goodbye{Reason: Reason(r.u8())}
	if len(r.b) > MaxText {
		r.ok = false
	}
	f.Text = string(r.take(len(r.b)))
	for _, c := range []byte(f.Text) {
		if c < ' ' || c > '~' { // it ends up in logs
			r.ok = false
		}
	}
	return f
}

// take returns the next n bytes, or n zeros once a field was missing.
func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.ok, r.b = false, nil
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) fill(dst []byte) { copy(dst, r.take(len(dst))) }
func (r *reader) u8() uint8       { return r.take(1)[0] }
func (r *reader) u16() uint16     { return be.Uint16(r.take(2)) }
func (r *reader) u32() uint32     { return be.Uint32(r.take(4)) }
func (r *reader) u64() uint64     { return be.Uint64(r.take(8)) }

func (r *reader) bool() bool {
	v := r.u8()
	r.ok = r.ok && v < 2
	return v == 1
}
