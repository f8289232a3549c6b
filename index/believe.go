package index

import (
	"bytes"
	"fmt"
	"strings"

	"iod/document"
	"iod/key"
)

// Outcome is what a claim changes. The zero Outcome changes nothing.
type Outcome struct {
	Listing *Listing // as it is from now on; nil: as before
	Action  Action   // for its history; empty: nothing to tell
	Aside   string   // why the claim's document is set aside; empty: it is not
}

// Believe decides what a claim does to the account's listing: cur as it was before the claim, nil when there has never been
// one. It is pure; the rules are in the package's documentation. cur is not changed.
func Believe(cur *Listing, c Claim) Outcome {
	if c.Kind == Erased {
		return erased(cur, c)
	}
	if c.Reject != "" {
		return disturbed(cur, c, c.Reject)
	}
	if c.Verdict.State == document.Verified {
		return signed(cur, c)
	}
	if cur != nil && cur.Status == Live && cur.State == document.Verified {
		return disturbed(cur, c, "unsigned: it cannot replace a signed document")
	}
	return publish(cur, c)
}

func erased(cur *Listing, c Claim) Outcome {
	if cur == nil || cur.Status != Live {
		return Outcome{}
	}
	l := *cur
	l.Presence, l.PresenceAt, l.PresenceWho = Gone, c.At, c.Who
	if c.Who != nil && *c.Who == l.Account {
		l.Status, l.EndedBlock = Removed, c.At.Block
		return Outcome{Listing: &l, Action: RemovedOwn}
	}
	return Outcome{Listing: &l, Action: RemovedByElse}
}

// signed judges a verified document against what has been seen of its account.
func signed(cur *Listing, c Claim) Outcome {
	if cur == nil || c.Device.Sequence > cur.Floor {
		return publish(cur, c)
	}
	if c.Device.Sequence < cur.Floor {
		return disturbed(cur, c, fmt.Sprintf("older: its sequence is %d, that of a document seen before %d", c.Device.Sequence, cur.Floor))
	}
	own := c.Who != nil && *c.Who == *c.Account
	switch {
	case cur.State != document.Verified:
		// An unsigned document took over after the signed one with this sequence had ended, or none was ever signed.
		if own || cur.Floor == 0 {
			return publish(cur, c)
		}
		return disturbed(cur, c, "a copy, by another account, of a document that its device gave up")
	case !bytes.Equal(cur.Raw, c.Value):
		return disturbed(cur, c, fmt.Sprintf("another document with the same sequence %d was first", c.Device.Sequence))
	case cur.Status != Live && !own:
		return disturbed(cur, c, "a copy, by another account, of a document that has ended")
	}
	l := *cur
	l.Presence, l.PresenceAt, l.PresenceWho = Present, c.At, c.Who
	if own {
		l.Expires, l.ByOwn = c.Expires, true
		l.Status, l.EndedBlock = Live, 0
	}
	return Outcome{Listing: &l, Action: Republished}
}

// publish makes the claim's document the listing's.
func publish(cur *Listing, c Claim) Outcome {
	l := Listing{
		Account: *c.Account, Device: c.Device, State: c.Verdict.State, Reason: c.Verdict.Reason, Vouched: c.Verdict.Vouched,
		Raw: c.Value, Signer: c.Who, First: c.At, Updated: c.At, Expires: c.Expires,
		ByOwn:  c.Who != nil && *c.Who == *c.Account,
		Status: Live, Presence: Present, PresenceAt: c.At, PresenceWho: c.Who,
	}
	if cur != nil {
		l.First, l.Floor = cur.First, cur.Floor
	}
	if l.State == document.Verified {
		l.Floor = max(l.Floor, c.Device.Sequence)
	}
	return Outcome{Listing: &l, Action: Published}
}

// disturbed sets the claim's document aside and notes that it stands where a live listing's document should.
func disturbed(cur *Listing, c Claim, reason string) Outcome {
	o := Outcome{Aside: reason}
	if cur == nil || cur.Status != Live {
		return o
	}
	l := *cur
	l.Presence, l.PresenceAt, l.PresenceWho = Overwritten, c.At, c.Who
	o.Listing, o.Action = &l, Overwrote
	return o
}

// expire ends a listing whose validity is over as of a block.
func expire(cur *Listing, at Point) Outcome {
	l := *cur
	l.Status, l.EndedBlock = Expired, at.Block
	return Outcome{Listing: &l, Action: ActionExpired}
}

// entry is the line of history that an outcome leaves.
func (o Outcome) entry(at Point, who *key.AccountID) Entry {
	e := Entry{Account: o.Listing.Account, At: at, Who: who, Action: o.Action}
	if o.Action == Published || o.Action == Republished {
		e.State, e.Sequence = o.Listing.State, o.Listing.Device.Sequence
	}
	if o.Action == Published {
		e.Raw = o.Listing.Raw
	}
	return e
}

// maxReason bounds what is kept of a reason, in bytes: it may quote the document.
const maxReason = 512

// aside is the record that an outcome keeps of the claim's document.
func (o Outcome) aside(c Claim) Aside {
	raw := c.Value[:min(len(c.Value), MaxAsideRaw)]
	return Aside{Account: c.Account, At: c.At, Who: c.Who, Reason: clipReason(o.Aside), Size: len(c.Value), Raw: raw}
}

func clipReason(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}
