package pack

// Ahead packs documents on another goroutine, ahead of the one that writes them. A nil one packs when it is asked.
type Ahead struct {
	waiting map[*byte]int // lengths of the documents that were not asked for yet, by where they are
	packed  chan packed
	stop    chan struct{}
	ended   chan struct{}
}

type packed struct {
	raw, packed []byte
	err         error
}

// aheadOf is how many documents wait to be asked for.
const aheadOf = 64

// NewAhead begins to pack documents, which nobody may change, in the order in which they will be asked for. Close ends it.
func NewAhead(documents [][]byte) *Ahead {
	a := &Ahead{map[*byte]int{}, make(chan packed, aheadOf), make(chan struct{}), make(chan struct{})}
	for _, raw := range documents {
		if len(raw) > 0 {
			a.waiting[&raw[0]] = len(raw)
		}
	}
	go func() {
		defer close(a.ended)
		defer close(a.packed)
		for _, raw := range documents {
			p := packed{raw: raw}
			p.packed, p.err = Pack(raw)
			select {
			case a.packed <- p:
			case <-a.stop:
				return
			}
		}
	}()
	return a
}

// Pack is Pack of one of the documents, or of any other one.
func (a *Ahead) Pack(raw []byte) ([]byte, error) {
	if a == nil || len(raw) == 0 || a.waiting[&raw[0]] != len(raw) {
		return Pack(raw)
	}
	for p := range a.packed {
		if len(p.raw) == 0 {
			continue
		}
		delete(a.waiting, &p.raw[0]) // those passed over are not asked for, as a rule
		if &p.raw[0] == &raw[0] && len(p.raw) == len(raw) {
			return p.packed, p.err
		}
	}
	return Pack(raw)
}

// Close ends what is under way, and waits for its end.
func (a *Ahead) Close() {
	if a != nil {
		close(a.stop)
		<-a.ended
	}
}
