package key

import "testing"

// Signing allocates: sr25519 for its transcript and its points, ecdsa for its compact signature. These are the counts
// of the libraries in go.mod; a change of theirs should be noticed.
var allocations = map[Scheme]struct{ sign, verify float64 }{
	Sr25519: {sign: 11, verify: 5},
	Ed25519: {sign: 0, verify: 0},
	Ecdsa:   {sign: 29, verify: 14},
}

func TestAllocations(t *testing.T) {
	m := make([]byte, 256)
	for s, most := range allocations {
		p := alice(t, s)
		sig, err := p.Sign(m)
		if err != nil {
			t.Fatal(err)
		}
		public, account := p.Public(), p.Account()
		if n := testing.AllocsPerRun(100, func() { sig, _ = p.Sign(m) }); n > most.sign {
			t.Errorf("%s: signing allocates %v times, at most %v expected", s, n, most.sign)
		}
		verify := func() {
			if !public.Verify(m, sig) || !account.Verify(m, sig) {
				t.Error(s, "does not verify")
			}
		}
		if n := testing.AllocsPerRun(100, verify) / 2; n > most.verify {
			t.Errorf("%s: verifying allocates %v times, at most %v expected", s, n, most.verify)
		}
	}
	id, node := alice(t, Sr25519).Account(), alice(t, Sr25519).NodeKey().ID()
	address, nodeID := id.String(), node.String()
	for name, c := range map[string]struct {
		most float64
		run  func()
	}{
		"write an address": {2, func() { _ = id.String() }},
		"read an address":  {2, func() { _, _ = ParseAccount(address) }},
		"write a node id":  {2, func() { _ = node.String() }},
		"read a node id":   {3, func() { _, _ = ParseNodeID(nodeID) }},
	} {
		if n := testing.AllocsPerRun(100, c.run); n > c.most {
			t.Errorf("to %s allocates %v times, at most %v expected", name, n, c.most)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	m := make([]byte, 256)
	for _, s := range schemes {
		p := alice(b, s)
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Sign(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	m := make([]byte, 256)
	for _, s := range schemes {
		p := alice(b, s)
		sig, err := p.Sign(m)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !p.Account().Verify(m, sig) {
					b.Fatal("does not verify")
				}
			}
		})
	}
}

func BenchmarkFromURI(b *testing.B) {
	for _, s := range schemes {
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := FromURI(s, "//Alice"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAddress(b *testing.B) {
	id := alice(b, Sr25519).Account()
	b.ReportAllocs()
	for b.Loop() {
		if got, err := ParseAccount(id.String()); err != nil || got != id {
			b.Fatal(got, err)
		}
	}
}
