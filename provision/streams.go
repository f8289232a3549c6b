package provision

import (
	"context"
	"log/slog"
	"net"

	"iod/access"
	"iod/mqtt"
	"iod/overlay"
)

// gate lets the overlay ask the judge, and tells the log what came of it.
type gate struct {
	judge access.Judges
	log   *slog.Logger
}

// Admit asks the judge.
func (g gate) Admit(ctx context.Context, r overlay.Request) (overlay.Pass, error) {
	p, err := g.judge.Admit(ctx, r.Account, r.Stream)
	if err != nil {
		return nil, err
	}
	log := g.log.With("account", r.Account.String(), "node", r.Node.String(), "stream", r.Stream)
	log.Info(MsgSessionAdmitted)
	return pass{p, log}, nil
}

type pass struct {
	*access.Pass
	log *slog.Logger
}

// Release notes the session's end.
func (p pass) Release() {
	reason := "left"
	select {
	case <-p.Done():
		reason = p.Err().Error()
	default:
	}
	p.log.Info(MsgSessionEnded, "reason", reason)
	p.Pass.Release()
}

func (d *Device) hasStream(name string) bool {
	for _, s := range d.o.Manifest.Streams {
		if s.Name == name {
			return true
		}
	}
	return false
}

// handlers serves each stream by its kind.
func (d *Device) handlers() func(string) (overlay.Handler, bool) {
	all := make(map[string]overlay.Handler, len(d.o.Manifest.Streams))
	for _, s := range d.o.Manifest.Streams {
		switch s.Kind {
		case "mqtt":
			f := mqtt.Filter{Target: s.Target, Topics: s.Topics, User: s.User, Log: d.log}
			if s.PasswordEnv != "" {
				f.Password = mqtt.Secret(d.o.Env(s.PasswordEnv))
			}
			all[s.Name] = mqttHandler{f}
		case "udp":
			all[s.Name] = overlay.UDP(s.Target)
		default:
			all[s.Name] = overlay.TCP(s.Target)
		}
	}
	return func(name string) (overlay.Handler, bool) {
		h, ok := all[name]
		return h, ok
	}
}

// mqttHandler serves a consumer through a filter of its own.
type mqttHandler struct{ filter mqtt.Filter }

// ServeStream filters one connection. Client ids are kept apart by account, so that no consumer takes over another's session.
func (h mqttHandler) ServeStream(ctx context.Context, conn net.Conn, r overlay.Request) error {
	f := h.filter
	f.ClientPrefix = r.Account.String() + "-"
	return f.ServeConn(ctx, conn)
}
