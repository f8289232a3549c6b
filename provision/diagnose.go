package provision

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"iod/chain"
	"iod/chain/rpc"
)

// silence is how long a chain that pings answer may be quiet: nothing is asked while nothing happens.
const silence = 45 * time.Minute

// diagnose says in words what is wrong.
func (d *Device) diagnose(s *Status) {
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	note := func(format string, args ...any) { s.Notes = append(s.Notes, fmt.Sprintf(format, args...)) }
	switch heard := s.Chain.Heard; {
	case !s.Chain.Connected && heard.IsZero():
		problem("no chain endpoint has been reached yet")
	case !s.Chain.Connected:
		problem("no chain endpoint answers since %s", heard.Format(time.RFC3339))
	case d.clock.Now().Sub(heard) > silence:
		problem("the chain endpoint has not been heard since %s", heard.Format(time.RFC3339))
	}
	switch s.Document.State {
	case "waiting":
		problem("the document cannot be published: %s", s.Document.Error)
	case "held":
		problem("the document is not published: %s", s.Document.Reason)
	case "conflict":
		problem("%s; %s", s.Document.Reason, conflictHint)
	case "publishing":
		note("the document is being published")
	}
	for _, r := range s.Relays {
		switch {
		case r.Displaced:
			problem("another device with this key took this one's place at relay %s: %s", r.Relay, conflictHint)
		case !r.Connected && !r.Retiring:
			problem("relay %s is not connected: %s", r.Relay, r.Error)
		}
	}
	for _, p := range s.Programs {
		if p.Looping {
			problem("program %s keeps ending: %s", p.Name, p.LastExit)
		}
	}
	if s.Balance.Low {
		problem("the account holds too little%s: send some %s to %s", lasts(s.Balance), s.Balance.Token, s.Identity.Address)
	}
	if r := s.Manifest.Refused; r != nil {
		problem("the manifest was changed at %s and refused; the device goes on by the one before: %s", r.Time.Format(time.RFC3339), firstLine(r.Error))
	}
	if r := s.Manifest.Reload; r != nil && len(r.Restart) > 0 {
		problem("the manifest changes what counts only after a restart: %s", strings.Join(r.Restart, ", "))
	}
	if s.State.Error != "" {
		problem("state is kept in memory only: %s", s.State.Error)
	}
	if s.State.Audit != "" {
		problem("the audit record cannot be written: %s", s.State.Audit)
	}
	if !s.Identity.Vouched && s.Document.State != "unknown" {
		note("the owner %s has not vouched for the device", s.Identity.Owner)
	}
	if off := s.Clock.Offset; off != 0 {
		note("the machine's clock is wrong by %s; the chain's time counts", time.Duration(off*float64(time.Second)).Round(time.Second))
	}
	s.Healthy = len(s.Problems) == 0
}

func lasts(b BalanceStatus) string {
	if b.DaysLeft == nil {
		return ""
	}
	return fmt.Sprintf(", for %.0f days at the present use", math.Floor(*b.DaysLeft))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func redacted(endpoint string) string { return rpc.Redact(endpoint) }

// reasonFor finds what is said about one endpoint in the error about all.
func reasonFor(err error, endpoint string) string {
	var all *chain.UnreachableError
	if errors.As(err, &all) {
		for _, e := range all.Endpoints {
			if e.Endpoint == endpoint {
				return e.Err.Error()
			}
		}
	}
	return err.Error()
}

// resident is the memory that the process takes, where the system tells; otherwise 0.
func resident() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
