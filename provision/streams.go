package provision

import (
	"context"
	"net"
	"slices"

	"iod/mqtt"
	"iod/overlay"
)

// handlers serve the streams of a manifest by their kinds.
type handlers struct {
	of     map[string]overlay.Handler
	scopes map[string]*mqtt.Scope // of streams of kind mqtt
}

// newHandlers makes the handlers of a manifest that was checked. Scopes of streams that only share other topics are taken over, with
// the connections in them.
func (d *Device) newHandlers(m *Manifest) *handlers {
	h := &handlers{of: map[string]overlay.Handler{}, scopes: map[string]*mqtt.Scope{}}
	old, was := d.handlers.Load(), d.manifest.Load()
	for _, s := range m.Streams {
		switch s.Kind {
		case "mqtt":
			scope, err := mqtt.NewScope(s.Topics)
			if err != nil {
				d.log.Error("stream cannot be served", "stream", s.Name, "err", err) // the manifest was checked
				continue
			}
			if old != nil && old.scopes[s.Name] != nil && !moved(streamOf(was, s.Name), &s) {
				scope = old.scopes[s.Name]
			}
			f := mqtt.Filter{Target: s.Target, Scope: scope, User: s.User, Log: d.log, Dial: d.o.Local}
			if s.PasswordEnv != "" {
				f.Password = mqtt.Secret(d.o.Env(s.PasswordEnv))
			}
			h.of[s.Name], h.scopes[s.Name] = mqttHandler{f}, scope
		case "udp":
			h.of[s.Name] = overlay.UDP(s.Target)
		default:
			h.of[s.Name] = overlay.TCPBy(d.o.Local, s.Target)
		}
	}
	return h
}

// handler finds the handler of a stream, for the overlay.
func (d *Device) handler(name string) (overlay.Handler, bool) {
	h, ok := d.handlers.Load().of[name]
	return h, ok
}

func (d *Device) hasStream(name string) bool { return streamOf(d.manifest.Load(), name) != nil }

// streamOf returns the stream of a name; nil when there is none.
func streamOf(m *Manifest, name string) *Stream {
	if i := slices.IndexFunc(m.Streams, func(s Stream) bool { return s.Name == name }); i >= 0 {
		return &m.Streams[i]
	}
	return nil
}

// moved reports whether a stream comes from somewhere else than before, so that what is connected to it has to begin anew.
func moved(was, is *Stream) bool {
	return was == nil || is == nil || was.Kind != is.Kind || was.Target != is.Target || was.User != is.User || was.PasswordEnv != is.PasswordEnv
}

// mqttHandler serves a consumer through a filter of its own.
type mqttHandler struct{ filter mqtt.Filter }

// ServeStream filters one connection. Client ids are kept apart by account, so that no consumer takes over another's session.
func (h mqttHandler) ServeStream(ctx context.Context, conn net.Conn, r overlay.Request) error {
	f := h.filter
	f.ClientPrefix = r.Account.String() + "-"
	return f.ServeConn(ctx, conn)
}
