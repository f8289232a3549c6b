package index_test

import (
	"math/rand/v2"
	"testing"

	"iod/chain"
	"iod/devchain"
	"iod/document"
	"iod/index/storetest"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// storm has accounts of a development chain do all they can, at random: publish documents of every kind, overwrite and remove others',
// arrange who may what; and has the chain reorganise, upgrade its runtime and fall behind with finality meanwhile.
type storm struct {
	t     testing.TB
	r     *rand.Rand
	o     *onChain
	dev   *devchain.Chain
	pairs []*key.Pair
	old   map[int][][]byte // documents that an account signed
	world *storetest.World
	cut   func() // cuts the connections of who follows; nil: nothing does
}

func newStorm(t testing.TB, seed uint64, url string, dev *devchain.Chain) *storm {
	t.Helper()
	s := &storm{t: t, r: rand.New(rand.NewPCG(seed, 5)), o: &onChain{t: t, client: dial(t, url)}, dev: dev, old: map[int][][]byte{}}
	var accounts []key.AccountID
	for _, uri := range []string{"//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie"} {
		p, err := key.FromURI(key.Sr25519, uri)
		if err != nil {
			t.Fatal(err)
		}
		s.pairs, accounts = append(s.pairs, p), append(accounts, p.Account())
	}
	s.world = storetest.NewWorldOf(seed, accounts...)
	return s
}

// round sends what one account does, and returns the newest finalised block.
func (s *storm) round(n uint64) uint32 {
	s.t.Helper()
	p := s.pairs[s.r.IntN(len(s.pairs))]
	var calls []metadata.Call
	for range 1 + s.r.IntN(4) {
		calls = append(calls, s.call(n))
	}
	for _, d := range s.world.Tries(p.Account()) {
		calls = append(calls, callOf(s.t, d))
	}
	out := s.o.send(p, chain.ForceBatch(calls...))
	return out.Number
}

// call is something that anybody may do to the DID of anybody.
func (s *storm) call(n uint64) metadata.Call {
	i := s.r.IntN(len(s.pairs))
	p := s.pairs[i]
	a := p.Account()
	var validFor *uint32
	if s.r.IntN(4) == 0 {
		blocks := uint32(s.r.IntN(20))
		validFor = &blocks
	}
	put := did.AddAttribute
	if s.r.IntN(3) > 0 {
		put = did.UpdateAttribute
	}
	switch s.r.IntN(9) {
	case 0:
		return did.RemoveAttribute(a, document.DeviceAttribute)
	case 1:
		return put(a, document.DeviceAttribute, storetest.Unsigned(a, "noise", "3"), validFor)
	case 2:
		return put(a, document.DeviceAttribute, []byte{0xde, 0xad, byte(n)}, validFor)
	case 3:
		return put(a, "some other name", []byte{byte(n)}, validFor)
	case 4, 5:
		if old := s.old[i]; len(old) > 0 {
			return put(a, document.DeviceAttribute, old[s.r.IntN(len(old))], validFor)
		}
	}
	d := storetest.Weather(p, n*10+uint64(s.r.IntN(10)))
	d.Streams[0].Price = []string{"1", "2.5", "1000"}[s.r.IntN(3)]
	raw := storetest.Sign(s.t, p, d)
	s.old[i] = append(s.old[i], raw)
	return put(a, document.DeviceAttribute, raw, validFor)
}

// weather is what the chain does by itself between rounds.
func (s *storm) weather() {
	s.t.Helper()
	switch s.r.IntN(12) {
	case 0: // finality falls behind, blocks are replaced, and finality catches up
		s.dev.SetFinalityLag(4)
		s.blocks(3)
		if _, err := s.dev.Reorganise(devchain.Reorg{Depth: 2, Length: 3}); err != nil {
			s.t.Fatal(err)
		}
		s.blocks(1)
		s.dev.SetFinalityLag(0)
		s.blocks(1)
	case 1:
		if _, err := s.dev.Upgrade(devchain.Upgrade{}); err != nil {
			s.t.Fatal(err)
		}
	case 2:
		if s.cut != nil {
			s.cut()
		}
	case 3:
		s.blocks(1 + s.r.IntN(20))
	}
}

func (s *storm) blocks(n int) {
	s.t.Helper()
	if _, err := s.dev.NewBlock(n); err != nil {
		s.t.Fatal(err)
	}
}
