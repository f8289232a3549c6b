package atlas

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"iod/index"
)

// search is a random search that the columns answer.
func (w *world) search() index.Query {
	q := w.query()
	q.Text, q.Owner = "", nil
	if w.sometimes(3) {
		q.Text = w.one("wind", "w", "roof", "wind roof", "ro wi", "none", "5", "5gxyz", "wing roofs", "5g")
	}
	q.Order = []index.Order{index.Newest, index.Cheapest, index.Dearest, index.Nearest}[w.rand.IntN(4)]
	if q.Order == index.Nearest && q.Near == nil {
		lat, lon := w.place()
		q.Near = &index.Near{Lat: lat, Lon: lon}
	} else if q.Order != index.Nearest && q.Near != nil && q.Near.Km == 0 {
		q.Near = nil
	}
	return q
}

// hits are all that a query finds, in order: plain rather than fast.
func (m *model) hits(q index.Query) (hits []index.Hit) {
	dear := q.Order == index.Cheapest || q.Order == index.Dearest
	for _, r := range m.matching(q) {
		h := index.Hit{Rank: r.Rank, Offer: -1}
		for i, o := range r.Offers {
			switch {
			case !q.MatchesOffer(&o):
			case h.Offer < 0, dear && o.Price != nil && (h.Price == nil || (o.Price.Compare(*h.Price) < 0) == (q.Order == index.Cheapest) && *o.Price != *h.Price):
				if h.Offer = i; dear {
					h.Price = o.Price
				}
			}
		}
		h.Offer = max(h.Offer, 0)
		if q.Near != nil {
			h.Km = index.Distance(q.Near.Lat, q.Near.Lon, r.Lat, r.Lon)
		}
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b index.Hit) int {
		newer := cmp.Compare(b.Rank, a.Rank)
		switch {
		case q.Order == index.Nearest:
			return cmp.Or(cmp.Compare(a.Km, b.Km), newer)
		case q.Order == index.Newest || a.Price == nil && b.Price == nil:
			return newer
		case a.Price == nil:
			return 1
		case b.Price == nil:
			return -1
		case q.Order == index.Cheapest:
			return cmp.Or(bytes.Compare(a.Price[:], b.Price[:]), newer)
		}
		return cmp.Or(bytes.Compare(b.Price[:], a.Price[:]), -newer)
	})
	return hits
}

// checkFind goes through all pages of a search and compares with the model's.
func (m *model) checkFind(t tester, a *Atlas, q index.Query, limit int) {
	want := m.hits(q)
	for {
		got, _, ok := a.find(context.Background(), q, limit+1)
		other := slices.ContainsFunc(index.Terms(q.Text), func(t string) bool {
			_, known := a.columns.words.heads[t[:min(len(t), 4)]]
			return known
		})
		if ok != (a.change != 0 && !other && !dear(&q)) {
			fatal(t, q, "find is %v, other words begin so: %v", ok, other)
		}
		if !ok {
			return
		}
		if page := want[:min(len(want), limit+1)]; len(got) != len(page) || len(got) > 0 && !reflect.DeepEqual(got, page) {
			fatal(t, q, "order %q, after %+v, a page of %d:\n%s\nwant\n%s", q.Order, q.After, limit, list(got), list(page))
		}
		if len(got) <= limit {
			return
		}
		q.After, want = got[limit-1].Mark(q.Order), want[limit:]
		q.After.Km *= 1 + 1e-15 // as a database may reckon
	}
}

func list(hits []index.Hit) (s string) {
	for _, h := range hits {
		s += fmt.Sprintf("%d offer %d at %v for %v\n", h.Rank, h.Offer, h.Km, h.Price)
	}
	return s
}

// checkTrail looks for what must hold of the trail.
func checkTrail(t tester, c *columns, live int) {
	last, uses := index.Rank(math.MinInt64), map[uint16]uint32{}
	for pos, b := range c.trail.blocks {
		if begins := c.trail.begins[pos]; pos == 0 && begins != math.MinInt64 || pos > 0 && begins <= last {
			t.Fatalf("block %d of the trail begins at %d, after %d", pos, begins, last)
		}
		if dead := b.rows() - b.alive; b.alive == 0 && len(c.trail.blocks) > 1 || dead > b.alive+c.capacity/8 {
			t.Fatalf("block %d of the trail has %d alive and %d dead", pos, b.alive, dead)
		}
		for i, r := range b.rank {
			if r <= last || r < c.trail.begins[pos] {
				t.Fatalf("row %d of block %d of the trail is out of order", i, pos)
			}
			last = r
			if !b.live.has(i) {
				continue
			}
			live--
			at, row := c.blocks[b.slot[i].block()], b.slot[i].row()
			if !at.live.has(row) || at.rank[row] != r {
				t.Fatalf("row %d of block %d of the trail is not where it says", i, pos)
			}
			codes := at.spoken.saying(row, nil)
			if !slices.IsSorted(codes) {
				t.Fatalf("a listing says %v", codes)
			}
			for _, w := range codes {
				uses[w]++
			}
		}
	}
	for n, text := range c.words.text {
		if code, known := c.words.code[text]; uses[uint16(n)] != c.words.uses[n] || known != (text != "") || known && (int(code) != n || uses[code] == 0) {
			t.Fatalf("word %d, %q, is said %d times, not %d", n, text, uses[uint16(n)], c.words.uses[n])
		}
	}
	if len(c.words.sorted) != len(c.words.code) || !slices.IsSortedFunc(c.words.sorted, func(a, b uint16) int { return strings.Compare(c.words.text[a], c.words.text[b]) }) {
		t.Fatalf("%d words are known, %d sorted", len(c.words.code), len(c.words.sorted))
	}
	if live != 0 {
		t.Fatalf("the trail lacks %d listings", live)
	}
}

func TestKeysTellPrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p index.Price
		copy(p[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "price"))
		for i := range rapid.IntRange(0, 16).Draw(t, "zeros") {
			p[i] = 0
		}
		if k := keyOf(&p); !k.more() && k.price() != p {
			t.Fatalf("the key %x of %v is of %v", uint64(k), p, k.price())
		}
	})
	for _, s := range append(prices, "340282366920938463463", "100000000000000000000", "99999999999999999") {
		p, err := index.ParsePrice(s)
		if k := keyOf(&p); err != nil || !k.more() && k.price() != p {
			t.Errorf("the key of %v is of %v, %v", p, k.price(), err)
		}
	}
}

// What the store reads may come in any order of ranks, into blocks of fewer and of more rows than a word has bits.
func TestTrailInAnyOrder(t *testing.T) {
	for _, c := range []struct{ capacity, changes, accounts, searches, blocks int }{{16, 3000, 400, 200, 60}, {1024, 6000, 4000, 60, 12}} {
		m, a := filled(c.capacity)
		w := &world{rand: rand.New(rand.NewPCG(5, 5))}
		for range c.changes {
			w.change(m, a, c.accounts)
		}
		checkColumns(t, a.columns)
		if n := len(a.columns.trail.blocks); n > c.blocks {
			t.Errorf("%d listings are in %d blocks of the trail", a.Len(), n)
		}
		for range c.searches {
			m.checkFind(t, a, w.search(), 1+w.rand.IntN(200))
		}
	}
}

func TestTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SliceOfN(rapid.Bool(), blockRows, blockRows).Draw(t, "bits")
		to := rapid.IntRange(0, blockRows-1).Draw(t, "to")
		from := rapid.IntRange(to, blockRows-1).Draw(t, "from")
		var m bitmap
		for i, b := range bits {
			if b {
				m.set(i)
			}
		}
		m.turn(to, from)
		want := slices.Concat(bits[:to], bits[from:from+1], bits[to:from], bits[from+1:])
		for i, b := range want {
			if m.has(i) != b {
				t.Fatalf("bit %d is %v", i, m.has(i))
			}
		}
	})
}
