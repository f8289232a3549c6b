package access

import (
	"slices"
	"time"

	"iod/key"
	"iod/pallet/rbac"
)

// yes is an answer that the judge gave to an account for a permission whose last pass was given back. It outlives its party for the
// rest of its lease, without any watch or request, to be used only while the chain does not answer. When the chain answers, a new
// request is judged by what it says, and a no makes the judge forget the yes.
type yes struct {
	stream string
	known  time.Time // when it was last known to be so; its lease begins then
	block  uint32    // the finalised block by which it was granted
}

// memory holds at most limit yeses. It is no larger than what its lease and its limit allow, whoever comes and goes.
type memory struct {
	limit int
	n     int
	of    map[key.AccountID]map[rbac.ID]yes
}

// put notes a yes, unless a later one is known. A full memory forgets the oldest one for it.
func (m *memory) put(a key.AccountID, permission rbac.ID, y yes) {
	old, had := m.of[a][permission]
	if had && !y.known.After(old.known) {
		return
	}
	if !had && m.n >= m.limit {
		m.forgetOldest()
	}
	if m.of[a] == nil {
		m.of[a] = map[rbac.ID]yes{}
	}
	m.of[a][permission] = y
	if !had {
		m.n++
	}
}

func (m *memory) forgetOldest() {
	var account key.AccountID
	var permission rbac.ID
	var oldest time.Time
	for a, all := range m.of {
		for id, y := range all {
			if oldest.IsZero() || y.known.Before(oldest) {
				account, permission, oldest = a, id, y.known
			}
		}
	}
	m.drop(account, permission)
}

func (m *memory) drop(a key.AccountID, permission rbac.ID) {
	if _, had := m.of[a][permission]; !had {
		return
	}
	m.n--
	delete(m.of[a], permission)
	if len(m.of[a]) == 0 {
		delete(m.of, a)
	}
}

// expire drops what was last known until then or before, and returns the time of the oldest yes that is left; zero: none.
func (m *memory) expire(until time.Time) (oldest time.Time) {
	for a, all := range m.of {
		for id, y := range all {
			switch {
			case !y.known.After(until):
				m.drop(a, id)
			case oldest.IsZero() || y.known.Before(oldest):
				oldest = y.known
			}
		}
	}
	return oldest
}

// known is when the pass was last known to be right. The caller holds j.mu.
func (p *Pass) known() time.Time { return later(p.since, p.party.believed()) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// remember notes the yes of a pass that is given back. The caller holds j.mu.
func (j *Judge) remember(pass *Pass) {
	known := pass.known()
	if j.o.Now().Sub(known) >= j.leaseTime() {
		return
	}
	j.memory.put(pass.Account, pass.permission, yes{pass.Stream, known, pass.Block})
	if j.memory.n == 1 {
		signal(j.kick)
	}
}

// lose notes that the chain does not answer, and hands out what was granted before.
func (p *party) lose() {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	p.lost = true
	p.recall()
	for _, w := range p.waiters {
		p.refused(w, "no chain endpoint answers", 0)
	}
}

// recall hands out passes to those who wait for what the judge has granted to the account before, if the lease of that yes has not
// run out, while the chain does not answer. Each pass ends when that lease does, unless the chain is back before then. The caller
// holds j.mu.
func (p *party) recall() {
	if !p.lost {
		return
	}
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		y, ok := p.granted(w.permission)
		if !ok || p.j.o.Now().Sub(y.known) >= p.j.leaseTime() {
			return false
		}
		p.hand(w, y, "an earlier answer, since the chain gives none")
		return true
	})
}

// granted returns the latest yes to a permission: that of a pass which is out, or a remembered one. The caller holds j.mu.
func (p *party) granted(permission rbac.ID) (yes, bool) {
	y, ok := p.j.memory.of[p.account][permission]
	for pass := range p.passes {
		if known := pass.known(); pass.permission == permission && known.After(y.known) {
			y, ok = yes{pass.Stream, known, pass.Block}, true
		}
	}
	return y, ok
}

// hand gives the waiter a pass, for a yes found by some way. The caller holds j.mu and takes the waiter out.
func (p *party) hand(w *waiter, y yes, by string) {
	j := p.j
	pass := &Pass{Account: p.account, Stream: w.stream, Block: y.block, party: p, permission: w.permission, since: y.known, done: make(chan struct{})}
	p.passes[pass] = struct{}{}
	j.passes++
	j.pending--
	if j.passes == 1 {
		signal(j.kick)
	}
	w.got <- pass
	j.tell(Event{Kind: Granted, Account: p.account, Stream: w.stream, Block: y.block, Reason: by})
	j.log.Info("access granted", "account", p.account.String(), "stream", w.stream, "by", by, "block", y.block)
}
