// Package provision is the device: it compares its manifest with the chain, publishes what differs, keeps the owner's
// programs alive, and lets in over the overlay exactly the accounts that the judge allows.
//
//	manifest ─ Load ─┐
//	                 ├─ MakePlan (pure) ─ Apply (one transaction)
//	chain ─ observe ─┘
//
// It does not follow the chain: it subscribes to its own document, the owner's vouch, and what the judge depends on. So it
// costs next to nothing while nothing changes, and heals a document that a stranger overwrote within a block.
//
// What a running device tells is logged under the Msg… names, which stay as they are: other programs may wait for them.
package provision

// The messages of a running device's log.
const (
	MsgPublished       = "document published"     // block, number, fee, took, changes
	MsgUpToDate        = "document up to date"    // number
	MsgDisturbed       = "document was disturbed" // verdict, reason: a stranger changed or removed it; it is published again
	MsgConflict        = "document is another provisioner's"
	MsgWaiting         = "cannot publish yet" // err, retry
	MsgChain           = "chain connected"    // genesis
	MsgProgramStarted  = "program started"    // program, pid
	MsgProgramEnded    = "program ended"      // program, pid, exit
	MsgSessionAdmitted = "session admitted"   // account, node, stream
	MsgSessionEnded    = "session ended"      // account, node, stream, reason
)
