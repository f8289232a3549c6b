// Package provision is the device: it compares its manifest with the chain, publishes what differs, keeps the owner's
// programs alive, and lets in over the overlay exactly the accounts that the judge allows.
//
//	manifest ─ Load ────┐
//	                    ├─ MakePlan (pure) ─ keeper (pure): now, later, never? ─ one transaction
//	chain ─── Observe ──┘                         ▲
//	  └── WatchStorage: own document, own funds, owner's vouch ── wakes ── time
//
// It does not follow the chain: it subscribes to those three entries and to what the judge depends on. So it costs next to
// nothing while nothing changes, and heals a document that a stranger overwrote within a block.
//
// Three things stand apart from each other, so that one being away never stops another: the owner's programs run from the first
// moment to the last; the chain is tried for as long as it takes; relays likewise.
//
// What a running device tells is logged under the Msg… names, which stay as they are: other programs may wait for them.
package provision

// The messages of a running device's log.
const (
	MsgPublished       = "document published"     // block, number, fee, took, changes
	MsgUpToDate        = "document up to date"    // number
	MsgDisturbed       = "document was disturbed" // verdict, reason: a stranger changed or removed it; it is published again
	MsgConflict        = "document is another provisioner's"
	MsgWaiting         = "cannot publish yet"                                                // err, retry
	MsgChain           = "chain connected"                                                   // genesis
	MsgProgramStarted  = "program started"                                                   // program, pid
	MsgProgramEnded    = "program ended"                                                     // program, pid, exit
	MsgSessionAdmitted = "session admitted"                                                  // account, node, stream
	MsgSessionEnded    = "session ended"                                                     // account, node, stream, reason
	MsgReloaded        = "manifest reloaded"                                                 // changes, restart
	MsgRefused         = "the new manifest is refused; the device goes on by the one before" // err
)
