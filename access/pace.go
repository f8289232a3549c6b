package access

import (
	"time"

	"iod/metadata"
)

// pace notices a node that answers but stands still, as one that has lost its peers does: what it says of access is old.
//
// That no block comes proves nothing by itself, since a development chain makes blocks only for transactions. So it counts only
// when the runtime makes blocks by the clock (it has the Aura or Babe pallet), when this process has itself seen the chain go on
// briskly, at least briskBlocks in a window, and when no block at all has come for a whole window. A chain that really has halted is taken
// for a node that stands still: then nobody can revoke anything, and access fails closed.
type pace struct {
	window time.Duration
	brisk  bool
	from   mark // where the present measurement began
	grown  mark // where the chain had last grown
}

type mark struct {
	at     time.Time
	number uint32
}

const briskBlocks = 10

// note takes the number of a best block and reports whether the node stands still.
func (p *pace) note(now time.Time, number uint32) (standing bool) {
	here := mark{now, number}
	if p.from.at.IsZero() {
		p.from, p.grown = here, here
		return false
	}
	if number > p.grown.number {
		p.grown = here
	}
	if d := now.Sub(p.from.at); d >= p.window {
		if number > p.from.number && float64(number-p.from.number) >= briskBlocks*float64(d)/float64(p.window) {
			p.brisk = true
		}
		p.from = here
	}
	return p.brisk && now.Sub(p.grown.at) >= p.window
}

// Clocked reports whether a runtime makes blocks by the clock.
func Clocked(m *metadata.Metadata) bool {
	for _, name := range []string{"Aura", "Babe"} {
		if _, err := m.Pallet(name); err == nil {
			return true
		}
	}
	return false
}
