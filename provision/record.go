package provision

import (
	"context"
	"errors"
	"log/slog"

	"iod/access"
	"iod/audit"
	"iod/overlay"
)

// gate lets the overlay ask the judges, and tells the log what came of it.
type gate struct {
	court *court
	d     *Device
}

// Admit asks the judges.
func (g gate) Admit(ctx context.Context, r overlay.Request) (overlay.Pass, error) {
	p, err := g.court.Admit(ctx, r.Account, r.Stream)
	if err != nil {
		if errors.Is(err, access.ErrBusy) || errors.Is(err, access.ErrNoStream) {
			g.d.note(audit.Entry{Kind: audit.Refusal, Account: r.Account.String(), Node: r.Node.String(), Stream: r.Stream, Reason: err.Error()})
		}
		return nil, err
	}
	log := g.d.log.With("account", r.Account.String(), "node", r.Node.String(), "stream", r.Stream)
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

// onJudged records what the judges decide.
func (d *Device) onJudged(e access.Event) {
	kinds := map[access.EventKind]audit.Kind{access.Granted: audit.Grant, access.Refused: audit.Refusal, access.Withdrawn: audit.Withdrawn}
	d.note(audit.Entry{Kind: kinds[e.Kind], Account: e.Account.String(), Stream: e.Stream, Reason: e.Reason, Block: e.Block})
}

// onSession records begins and ends of sessions.
func (d *Device) onSession(e overlay.SessionEvent) {
	entry := audit.Entry{Kind: audit.Session, Account: e.Account.String(), Node: e.Node.String(), Stream: e.Stream, Relay: e.Relay.String()}
	d.stir()
	if e.Ended {
		d.count(e)
		entry.Kind, entry.In, entry.Out, entry.Seconds = audit.End, e.In, e.Out, e.Lasted.Seconds()
		if errors.Is(e.Err, overlay.ErrCut) || errors.Is(e.Err, overlay.ErrGone) {
			entry.Kind = audit.Cut
		}
		if e.Err != nil {
			entry.Reason = e.Err.Error()
		}
	}
	d.note(entry)
}

// onDropped records knocks that did not even get to the judges.
func (d *Device) onDropped(k overlay.Dropped) {
	e := audit.Entry{Kind: audit.Refusal, Relay: k.Relay.ID.String(), Reason: k.Err.Error()}
	if k.Stream != "" {
		e.Account, e.Claimed, e.Node = k.Account.String(), !k.Proved, k.Node.String()
		if d.hasStream(k.Stream) {
			e.Stream = k.Stream // any other is a stranger's words
		}
	}
	d.note(e)
}

// traffic counts sessions that are over.
type traffic struct{ sessions, in, out uint64 }

// count notes a session that ended.
func (d *Device) count(e overlay.SessionEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total.sessions++
	d.total.in += e.In
	d.total.out += e.Out
}

// traffic adds the sessions of the moment to those that are over.
func (d *Device) traffic(node overlay.DeviceStatus) TrafficStatus {
	d.mu.Lock()
	t := TrafficStatus{Sessions: d.total.sessions, In: d.total.in, Out: d.total.out, Refused: node.Refused}
	d.mu.Unlock()
	for _, v := range node.Sessions {
		t.Sessions, t.In, t.Out = t.Sessions+1, t.In+v.In, t.Out+v.Out
	}
	return t
}
