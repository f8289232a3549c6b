package storetest

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"iod/index"
	"iod/key"
)

// Random makes a chain of that many blocks in which devices and strangers do all they can: publish, overwrite with forged, old,
// unsigned and unreadable documents, remove, let expire, heal, and owners arrange who may what. The same arguments give the same chain, block by block:
// a longer one begins with the shorter one.
func Random(t testing.TB, seed uint64, blocks, devices int) *Chain {
	t.Helper()
	c := NewChain("random")
	g := &generator{t: t, r: rand.New(rand.NewPCG(seed, 1)), stranger: Account(t, "stranger").Account()}
	for i := range devices {
		g.devices = append(g.devices, &actor{pair: Account(t, Name(i))})
	}
	w := NewWorld(seed)
	for n := range blocks {
		events := make([]index.Event, 0, 3)
		for range g.r.IntN(4) {
			events = append(events, g.event(uint64(n)+1))
		}
		c.Extend(events, w.Block())
	}
	return c
}

type generator struct {
	t        testing.TB
	r        *rand.Rand
	stranger key.AccountID
	devices  []*actor
}

// actor is a device with the documents that it has signed.
type actor struct {
	pair   *key.Pair
	signed [][]byte
}

func (g *generator) event(now uint64) index.Event {
	d := g.devices[g.r.IntN(len(g.devices))]
	a := d.pair.Account()
	who := a
	if g.r.IntN(3) == 0 {
		who = g.stranger
	}
	var validFor *uint32
	if g.r.IntN(4) == 0 {
		n := uint32(g.r.IntN(20))
		validFor = &n
	}
	switch g.r.IntN(8) {
	case 0:
		return Erase(who, a)
	case 1:
		return Write(who, a, Unsigned(a, "noise", "3"), validFor)
	case 2:
		other := g.devices[g.r.IntN(len(g.devices))]
		return Write(who, a, Sign(g.t, other.pair, Weather(other.pair, now)), validFor)
	case 3:
		return Write(who, a, []byte{0xde, 0xad, byte(now)}, validFor)
	case 4, 5:
		if len(d.signed) > 0 {
			return Write(who, a, d.signed[g.r.IntN(len(d.signed))], validFor)
		}
	}
	w := Weather(d.pair, now*10+uint64(g.r.IntN(10)))
	w.Streams[0].Price = []string{"1", "2.5", "1000"}[g.r.IntN(3)]
	raw := Sign(g.t, d.pair, w)
	d.signed = append(d.signed, raw)
	return Write(who, a, raw, validFor)
}

// Dump shows all that a store tells of the accounts and of what is set aside, but for when it was committed.
func Dump(t testing.TB, s index.Reader, accounts ...key.AccountID) string {
	t.Helper()
	type account struct {
		Listing *index.Listing
		Raw     []byte
		History []index.Entry
	}
	st := must(s.State(t.Context()))(t)
	st.Committed = Epoch
	st.Head = 0
	all := struct {
		State    index.State
		Accounts []account
		Found    []index.Found
		Rights   []rights
		Asides   []index.Aside
	}{State: st, Found: must(s.Search(t.Context(), index.Query{Limit: index.MaxLimit, Raw: true}))(t).Found}
	for _, a := range accounts {
		x := account{Listing: must(s.Get(t.Context(), a))(t), History: must(s.History(t.Context(), a, 0, index.MaxLimit))(t)}
		all.Accounts = append(all.Accounts, x)
	}
	for _, owner := range NewWorld(0).Owners {
		all.Rights = append(all.Rights, rightsIn(t, s, owner))
	}
	for before := int64(0); ; {
		page := must(s.Asides(t.Context(), before, index.MaxLimit))(t)
		all.Asides = append(all.Asides, page...)
		if len(page) == 0 {
			break
		}
		before = page[len(page)-1].ID
	}
	out, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Accounts are those of the devices of a Random chain.
func Accounts(t testing.TB, devices int) []key.AccountID {
	t.Helper()
	var all []key.AccountID
	for i := range devices {
		all = append(all, Account(t, Name(i)).Account())
	}
	return all
}
