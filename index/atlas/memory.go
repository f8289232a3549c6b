package atlas

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	"iod/index"
)

// memory keeps answers for as long as the listings are the same, and no longer than a second: people open the same pages.
type memory[T any] struct {
	mu      sync.Mutex
	version uint64
	answers map[string]kept[T]
}

type kept[T any] struct {
	at     time.Time
	answer T
}

const (
	mostKept = 64
	longKept = time.Second
)

// recall returns the answer to a question as of a version.
func (m *memory[T]) recall(question []byte, version uint64, now time.Time) (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.answers[string(question)]
	if ok = ok && m.version == version && now.Sub(k.at) < longKept && now.Sub(k.at) > -longKept; !ok {
		var none T
		return none, false
	}
	return k.answer, true
}

// keep keeps an answer, in the place of some other when there are too many.
func (m *memory[T]) keep(question []byte, version uint64, now time.Time, answer T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version != version || m.answers == nil {
		m.version, m.answers = version, make(map[string]kept[T], mostKept)
	}
	for other := range m.answers {
		if len(m.answers) < mostKept {
			break
		}
		delete(m.answers, other)
	}
	m.answers[string(question)] = kept[T]{now, answer}
}

// appendQuery writes all that an answer depends on.
func appendQuery(b []byte, q *index.Query) []byte {
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	number := func(f float64) { b = binary.BigEndian.AppendUint64(b, math.Float64bits(f)) }
	there := func(yes bool) bool { b = append(b, byte(bit(yes))); return yes }
	text(q.Text)
	text(string(q.State))
	for _, list := range [][]string{q.DataTypes, q.Units, q.Kinds} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, s := range list {
			text(s)
		}
	}
	for _, p := range []*index.Price{q.MinPrice, q.MaxPrice} {
		if there(p != nil) {
			b = append(b, p[:]...)
		}
	}
	if there(q.Owner != nil) {
		b = append(b, q.Owner[:]...)
	}
	if there(!q.Since.IsZero()) {
		b = binary.AppendVarint(b, int64(index.FirstRank(q.Since)))
	}
	if there(q.Box != nil) {
		number(q.Box.South)
		number(q.Box.West)
		number(q.Box.North)
		number(q.Box.East)
	}
	if there(q.Near != nil) {
		number(q.Near.Lat)
		number(q.Near.Lon)
		number(q.Near.Km)
	}
	return b
}
