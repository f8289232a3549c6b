package provision

import (
	"bytes"
	"errors"
	"time"

	"iod/chain"
	"iod/pallet/did"
)

// What a keeper may decide.
type verb int

const (
	rest    verb = iota // all is as it should be
	publish             // carry the plan out
	heal                // carry the plan out, because a stranger changed or removed the document
	hold                // it should be carried out, but not before decision.until or the next change
	yield               // another provisioner publishes with this key
)

// decision is what to do about a plan.
type decision struct {
	do    verb
	until time.Time // of hold: when to look again; zero: when something changes
	why   string    // of hold and yield
	quiet bool      // of hold: nothing is wrong
}

// Pauses of the keeper.
const (
	healWindow  = time.Hour   // in which MaxHeals count
	firstFailed = time.Minute // after a publication that cost its fee and failed
	lastFailed  = 6 * time.Hour
	yieldPause  = 10 * time.Minute
)

// keeper remembers what this process knows of its document, and decides from that what a plan is worth. It is pure: it has no
// clock and does nothing.
//
//	        plan is empty                  it is no longer as it stood
//	start ───────────────▶ settled ──────────────────────────────▶ heal, at most limit times in an hour
//	  │ differs               ▲ │ validity, vouch: publish            │
//	  └─ publish ─▶ pending ──┘ └ a newer genuine one: yield ▪        └─▶ pending …
//
// pending lasts from the best block with the publication until that is final; a reorganisation may take it back meanwhile.
type keeper struct {
	limit int // MaxHeals

	settled  bool // what follows is known
	value    []byte
	validity uint32
	floor    uint64 // highest sequence of a genuine document seen
	vouch    string // the last valid one seen

	pending  *publication
	heals    []time.Time
	yielded  bool
	failures int // publications in a row that cost their fee and failed
	after    time.Time
}

// publication is one that was in a best block and is not final.
type publication struct{ nonce uint32 }

// known completes what was read by what is remembered: strangers may have removed it.
func (k *keeper) known(a Actual) Actual {
	a.Floor = max(a.Floor, k.floor)
	if a.Vouch == "" {
		a.Vouch = k.vouch
	}
	return a
}

// decide says what to do. displaced says that a relay has another device with the same key.
func (k *keeper) decide(p *Plan, a Actual, displaced bool, now time.Time) decision {
	if a.Vouch != "" {
		k.vouch = a.Vouch
	}
	if k.pending != nil && a.Nonce <= k.pending.nonce {
		return decision{do: hold, quiet: true, why: "the last publication is not in this block: it was reorganised away, or the endpoint is behind; it is waited for"}
	}
	if !p.Publish {
		k.settle(a.Attribute, p.sequence)
		if p.Empty() {
			return decision{}
		}
	}
	if k.settled && p.Publish && p.genuine && p.sequence > k.floor {
		k.yielded = true
	}
	switch {
	case k.yielded:
		return decision{do: yield, why: "another iod device run publishes with this device's key; this one publishes no more until it is started again"}
	case displaced:
		return decision{do: yield, until: now.Add(yieldPause), why: "another device with this key took this one's place at a relay"}
	case now.Before(k.after):
		return decision{do: hold, until: k.after, why: "the last publication failed and cost its fee"}
	case k.settled && p.Publish && !k.stands(a.Attribute):
		return k.mayHeal(now)
	}
	return decision{do: publish}
}

// mayHeal bounds how often strangers can make the device pay.
func (k *keeper) mayHeal(now time.Time) decision {
	for len(k.heals) > 0 && now.Sub(k.heals[0]) >= healWindow {
		k.heals = k.heals[1:]
	}
	switch {
	case len(k.heals) < k.limit:
		return decision{do: heal}
	case k.limit == 0:
		return decision{do: hold, why: "heals_per_hour is 0"}
	}
	return decision{do: hold, until: k.heals[0].Add(healWindow), why: "the document was disturbed too often in an hour; fees are spared"}
}

// stands reports whether an attribute is the document as this process left or found it.
func (k *keeper) stands(a *did.Attribute) bool {
	return a != nil && k.settled && bytes.Equal(a.Value, k.value) && a.Validity == k.validity
}

// settle takes what stands on the chain as this device's own.
func (k *keeper) settle(a *did.Attribute, sequence uint64) {
	k.settled, k.value, k.validity, k.floor = true, a.Value, a.Validity, max(k.floor, sequence)
}

// paid notes an attempt that may cost a fee.
func (k *keeper) paid(do verb, now time.Time) {
	if do == heal {
		k.heals = append(k.heals, now)
	}
}

// published notes that a document is in the best block of a number, by the transaction of a nonce.
func (k *keeper) published(p *Plan, raw []byte, number, nonce uint32) *publication {
	k.failures, k.after = 0, time.Time{}
	if raw == nil {
		return nil
	}
	validity := uint32(did.Forever)
	if p.validFor != nil {
		validity = number + *p.validFor
	}
	k.settle(&did.Attribute{Value: raw, Validity: validity}, p.device.Sequence)
	k.pending = &publication{nonce}
	return k.pending
}

// ended notes that a publication is final, or that it never will be: then what stands was not disturbed, it never stood.
func (k *keeper) ended(p *publication, final bool) {
	if k.pending != p {
		return
	}
	k.pending = nil
	if !final {
		k.settled = false
	}
}

// failed notes an error of a publication. One that cost a fee puts the next one off, whatever happens meanwhile: on a runtime where
// a stranger owns the attribute's name it fails for ever.
func (k *keeper) failed(err error, now time.Time) {
	var dispatch *chain.DispatchError
	if !errors.As(err, &dispatch) {
		return
	}
	k.after = now.Add(min(firstFailed<<min(k.failures, 16), lastFailed))
	k.failures++
}

// renewal is how long the document can be left alone before its validity is to be looked at: until two thirds of it have passed
// at the given pace, but at most a third of the whole, since paces change.
func renewal(validFor, validity, number uint32, pace time.Duration) time.Duration {
	third := validFor / 3
	blocks := uint32(0)
	if validity > number && validity-number > third {
		blocks = min(validity-number-third+1, third)
	}
	const most = 1 << 20 // blocks: farther ahead nobody needs to see, and durations would overflow
	return max(time.Duration(min(blocks, most))*pace, pace, time.Second)
}
