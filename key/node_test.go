package key

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// aliceNodeID was written down when the derivation was fixed.
const aliceNodeID = "4bp48qvn6a771sr6qww2jmdxt6d2yyn4k78h4p0kkr4rjnt0sb50"

// recordedNodeID stands in a document of the existing marketplace.
const recordedNodeID = "g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg"

func TestNodeIDForms(t *testing.T) {
	n, err := ParseNodeID(recordedNodeID)
	if err != nil || n.String() != recordedNodeID {
		t.Fatalf("%s, %v", n, err)
	}
	for _, same := range []string{
		strings.ToUpper(recordedNodeID),
		strings.ReplaceAll(recordedNodeID, "1", "l"),
		strings.ReplaceAll(recordedNodeID, "1", "I"),
	} {
		if got, err := ParseNodeID(same); err != nil || got != n {
			t.Errorf("ParseNodeID(%s) = %s, %v", same, got, err)
		}
	}
	zero := strings.Repeat("0", 52)
	if got, err := ParseNodeID(strings.Repeat("o", 52)); err != nil || got.String() != zero {
		t.Errorf("o for 0: %s, %v", got, err)
	}
	for _, bad := range []string{
		"", recordedNodeID[:51], recordedNodeID + "0", strings.Repeat("u", 52),
		recordedNodeID[:51] + "h", // one of the four bits beyond the key
		recordedNodeID[:50] + "ö", recordedNodeID[:51] + "\n", recordedNodeID[:51] + "=",
		strings.Repeat("0", 51) + "\n", strings.Repeat("0", 40) + "\r" + strings.Repeat("0", 11),
		strings.Repeat("x", 1<<20),
	} {
		if got, err := ParseNodeID(bad); !errors.Is(err, ErrNodeID) || got != (NodeID{}) {
			t.Errorf("ParseNodeID(%.60q) = %s, %v; want %v", bad, got, err, ErrNodeID)
		}
	}
}

func TestNodeIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := NodeID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		if got, err := ParseNodeID(n.String()); err != nil || got != n || len(n.String()) != 52 {
			t.Fatalf("%s: %s, %v", n, got, err)
		}
	})
}

// TestNodeKeyAgreement checks that the two conversions to X25519 belong together.
func TestNodeKeyAgreement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := NodeKeyFromSeed([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")))
		private, err := k.X25519()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.ID().X25519()
		if err != nil {
			t.Fatal(err)
		}
		if !private.PublicKey().Equal(public) {
			t.Fatalf("node %s: the halves differ: %x, %x", k.ID(), private.PublicKey().Bytes(), public.Bytes())
		}
	})
}

func TestNodeIDRefusesPoints(t *testing.T) {
	small := [][]byte{

		append([]byte{1}, make([]byte, 31)...), // the neutral element
		make([]byte, 32),                       // order 4
		append(append([]byte{0xec}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),        // order 2
		unhex(t, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), // order 8
		unhex(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), // order 8
		append(append([]byte{0xee}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),        // 1, not canonical
		append([]byte{2}, make([]byte, 31)...),                                       // no point
	}
	for _, b := range small {
		if _, err := NodeID(b).X25519(); !errors.Is(err, ErrPoint) {
			t.Errorf("%x: %v, want %v", b, err, ErrPoint)
		}
	}
}

func TestNodeKeyOfPair(t *testing.T) {
	seen := map[NodeID]string{}
	for _, s := range schemes {
		for _, uri := range []string{"//Alice", "//Bob"} {
			p, err := FromURI(s, uri)
			if err != nil {
				t.Fatal(err)
			}
			k := p.NodeKey()
			if again := p.NodeKey(); again.ID() != k.ID() || again.Seed() != k.Seed() {
				t.Errorf("%s %s: two derivations differ", s, uri)
			}
			if other := seen[k.ID()]; other != "" {
				t.Errorf("%s %s has the node key of %s", s, uri, other)
			}
			seen[k.ID()] = s.String() + " " + uri
			if k.Seed() == p.secret().root() || bytes.Equal(k.Private(), p.secret().export()) {
				t.Errorf("%s %s: the node key is the account's secret", s, uri)
			}
			if n := NodeKeyFromSeed(k.Seed()); n.ID() != k.ID() || !bytes.Equal(n.Private(), k.Private()) {
				t.Errorf("%s %s: the seed gives another key", s, uri)
			}
			id := k.ID()
			if !ed25519.Verify(id[:], []byte("x"), ed25519.Sign(k.Private(), []byte("x"))) {
				t.Errorf("%s %s: the node key's signature does not verify", s, uri)
			}
		}
	}
	// Node ids stand in published documents: the derivation must never change.
	if got := alice(t, Sr25519).NodeKey().ID().String(); got != aliceNodeID {
		t.Errorf("the node id of sr25519 //Alice is %s, want %s", got, aliceNodeID)
	}
	if a, b := NewNodeKey(), NewNodeKey(); a.ID() == b.ID() {
		t.Error("two fresh node keys are the same")
	}
}

func TestZeroNodeKey(t *testing.T) {
	var k NodeKey
	if !k.IsZero() || k.ID() != (NodeID{}) || k.Private() != nil || k.Seed() != [32]byte{} || NewNodeKey().IsZero() {
		t.Error("the zero node key is a key")
	}
	if _, err := k.X25519(); err == nil {
		t.Error("the zero node key agrees on secrets")
	}
}

func FuzzParseNodeID(f *testing.F) {
	addSeeds(f, recordedNodeID, strings.ToUpper(recordedNodeID), strings.Repeat("o", 52), "", NodeID{1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNodeID(s)
		if err != nil {
			return
		}
		canonical := strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(strings.ToLower(s))
		if n.String() != canonical {
			t.Fatalf("%q is written %q", s, n)
		}
	})
}
