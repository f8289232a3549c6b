package index

// Anchors bounds the block hashes that a store keeps to recognise its chain by: of the newest Anchors blocks, of as many of those whose
// number is a multiple of Anchors, and of as many whose number is one of Anchors². So they depend on nothing but the cursor.
const Anchors = 64

// anchored reports whether a block's hash is kept when the cursor is at now.
func anchored(n, now uint32) bool {
	for step := uint64(1); step <= Anchors*Anchors; step *= Anchors {
		if uint64(n)%step == 0 && uint64(now)-uint64(n) < step*Anchors {
			return true
		}
	}
	return false
}

// anchorsOf are those of the blocks passed by, the last of which is the cursor, whose hashes are kept.
func anchorsOf(passed []Cursor) (kept []Cursor) {
	now := passed[len(passed)-1].Number
	for _, c := range passed {
		if anchored(c.Number, now) {
			kept = append(kept, c)
		}
	}
	return kept
}
