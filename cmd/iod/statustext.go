package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"iod/provision"
	"iod/update"
)

// paint colours text for terminals.
type paint bool

func (p paint) with(code int, s string) string {
	if !p {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, s)
}

func (p paint) good(s string) string { return p.with(32, s) }
func (p paint) bad(s string) string  { return p.with(31, s) }
func (p paint) weak(s string) string { return p.with(2, s) }

// paint is on only for people who look at a terminal and have not said otherwise.
func (a *app) paint() paint {
	return paint(isTerminal(a.out) && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb")
}

// sheet is a status as text: a name, then what belongs to it, a line each.
type sheet struct {
	strings.Builder
	paint
	now  time.Time
	name string
}

// section begins what follows.
func (s *sheet) section(name string) { s.name = name }

func (s *sheet) line(format string, args ...any) {
	fmt.Fprintf(s, "%-10s %s\n", s.name, fmt.Sprintf(format, args...))
	s.name = ""
}

// ago is the time since t in one unit.
func (s *sheet) ago(t time.Time) string { return span(s.now.Sub(t)) }

// span shows a duration by its largest unit.
func span(d time.Duration) string {
	d = d.Abs()
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{365 * 24 * time.Hour, "years"}, {24 * time.Hour, "days"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= 2*u.of {
			return fmt.Sprintf("%d %s", d/u.of, u.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// size shows a number of bytes.
func size(n uint64) string {
	for _, u := range []struct {
		of   uint64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.of {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.of), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// statusText is a status for people. What others wrote is made harmless.
func (a *app) statusText(st provision.Status) string {
	s := &sheet{paint: a.paint(), now: st.Clock.Now}
	if st.Healthy {
		s.line("%s", s.good("healthy"))
	} else {
		s.line("%s", s.bad("degraded"))
	}
	for _, p := range st.Problems {
		s.line("%s", s.bad(printable(p)))
	}
	for _, n := range st.Notes {
		s.line("%s", printable(n))
	}
	s.section("device")
	s.line("%s", st.Identity.DID)
	s.line("node %s", st.Identity.Node)
	s.line("owner %s%s", st.Identity.Owner, map[bool]string{false: ", who has not vouched for it"}[st.Identity.Vouched])
	s.documentLines(st.Document)
	s.balanceLine(st.Balance)
	s.chainLines(st.Chain)
	s.relayLines(st.Relays)
	s.programLines(st.Programs)
	s.accessLines(st)
	s.machineLines(st)
	return s.String()
}

func (s *sheet) documentLines(d provision.DocumentStatus) {
	s.section("document")
	if d.Checked.IsZero() {
		s.line("not looked at yet")
		return
	}
	state := d.State
	if state == "in step" {
		state = s.good(state)
	}
	s.line("%s as of block %d, %s ago", state, d.Block, s.ago(d.Checked))
	for _, c := range d.Changes {
		s.line("%s: %s → %s", printable(c.Field), printable(c.Old), printable(c.New))
	}
}

func (s *sheet) balanceLine(b provision.BalanceStatus) {
	s.section("balance")
	text := "not known yet"
	if b.Planck != "" {
		text = b.Free + " " + printable(b.Token)
		if b.Free == "" {
			text = b.Planck + " planck"
		}
		if b.DaysLeft != nil {
			text += ", for " + days(*b.DaysLeft) + " at the present use"
		}
	}
	if b.Low {
		text = s.bad(text + ": low")
	}
	s.line("%s", text)
}

// days shows how long something lasts.
func days(n float64) string {
	if n > 3650 {
		return "more than 10 years"
	}
	return fmt.Sprintf("%.0f days", math.Floor(n))
}

func (s *sheet) chainLines(c provision.ChainStatus) {
	s.section("chain")
	for _, e := range c.Endpoints {
		switch {
		case e.InUse:
			s.line("%s %s since %s, last word %s ago", e.Endpoint, s.good("in use"), s.ago(e.Since), s.ago(e.Heard))
		case e.Error != "":
			s.line("%s %s", e.Endpoint, s.bad(printable(e.Error)))
		default:
			s.line("%s", e.Endpoint)
		}
	}
	if c.Block > 0 {
		s.line("block %d of %s ago", c.Block, s.ago(c.BlockTime))
	}
}

func (s *sheet) relayLines(relays []provision.RelayStatus) {
	s.section("relays")
	for _, r := range relays {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.Relay, "tls://"), "/")
		switch {
		case r.Connected:
			s.line("%s %s %s, %.0f ms, pinged every %s when idle%s", name, s.good("connected"), s.ago(r.Since), r.RTT,
				span(time.Duration(r.KeepAlive)*time.Second), map[bool]string{true: ", goes with its last session"}[r.Retiring])
		default:
			s.line("%s %s", name, s.bad(printable("not connected for "+s.ago(r.Since)+": "+r.Error)))
		}
	}
}

func (s *sheet) programLines(programs []update.Status) {
	s.section("programs")
	if len(programs) == 0 {
		s.line("none")
	}
	for _, p := range programs {
		text := fmt.Sprintf("%s %s %s", p.Name, p.State, s.ago(p.Since))
		if p.Version != "" {
			text += ", version " + printable(p.Version)
		}
		if p.PID > 0 {
			text += fmt.Sprintf(", pid %d", p.PID)
		}
		if p.Why != "" {
			text += ", " + printable(p.Why)
		}
		if p.Restarts > 0 {
			text += fmt.Sprintf(", %d restarts, last end: %s", p.Restarts, printable(lastEnd(p)))
		}
		if p.Looping {
			text = s.bad(text + ", keeps ending")
		}
		s.line("%s", text)
		if u := p.Update; u != nil && u.Phase != update.UpToDate {
			s.line("%s to version %s: %s %s", p.Name, printable(u.Want), u.Phase, printable(u.Err))
		}
	}
}

// lastEnd says how a program ended last.
func lastEnd(p update.Status) string {
	if len(p.Exits) == 0 {
		return "unknown"
	}
	return p.Exits[len(p.Exits)-1].Exit.String()
}

func (s *sheet) accessLines(st provision.Status) {
	s.section("sessions")
	for _, v := range st.Sessions {
		s.line("%s %s, %s, %s in, %s out", v.Account, v.Stream, s.ago(v.Since), size(v.In), size(v.Out))
	}
	if len(st.Sessions) == 0 {
		s.line("none")
	}
	if st.Waiting > 0 {
		s.line("%d requests wait for a grant", st.Waiting)
	}
	s.section("leases")
	for _, l := range st.Leases {
		by := ""
		if l.Fleet {
			by = ", by its fleet"
		}
		s.line("%s %s until %s%s%s", l.Account, l.Stream, l.Until.Format("15:04:05"), by, map[bool]string{false: s.weak(", unused")}[l.Used])
	}
	s.section("refusals")
	for _, r := range st.Refusals {
		who := r.Account
		if r.Claimed {
			who += " (not proved)"
		}
		s.line("%s ago, %d times: %s %s: %s", s.ago(r.Time), r.Times, who, printable(r.Stream), printable(r.Reason))
	}
}

func (s *sheet) machineLines(st provision.Status) {
	s.section("clock")
	switch off := time.Duration(st.Clock.Offset * float64(time.Second)); {
	case off != 0:
		s.line("%s", s.bad(fmt.Sprintf("wrong by %s: it says %s", span(off), st.Clock.Machine.Format(time.RFC3339))))
	case st.Clock.Chain.IsZero():
		s.line("not compared with the chain's yet")
	default:
		s.line("agrees with the chain's")
	}
	s.section("manifest")
	s.line("%s, read %s ago", st.Manifest.Path, s.ago(st.Manifest.Loaded))
	s.section("state")
	s.line("%s%s", st.State.Dir, map[bool]string{true: ", not written: in memory only"}[st.State.Memory])
	s.section("process")
	s.line("iod %s, pid %d, up %s, %s resident", printable(st.Version), st.Process.PID, s.ago(st.Started), size(st.Process.Resident))
}
