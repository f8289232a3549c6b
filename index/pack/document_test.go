package pack

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestPackDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw")
		if rapid.Bool().Draw(t, "like") {
			raw = append(raw, dictionary[rapid.IntRange(0, len(dictionary)).Draw(t, "from"):]...)
		}
		b, err := Pack(raw)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Unpack(b)
		if err != nil || !bytes.Equal(back, raw) || len(b) > len(raw)+1 {
			t.Fatalf("%d bytes are packed to %d and come back as %d, %v", len(raw), len(b), len(back), err)
		}
	})
	for _, bad := range [][]byte{nil, {2, 1}, {packedDeflate, 0xff, 0xff}} {
		if raw, err := Unpack(bad); err == nil {
			t.Errorf("%x is unpacked to %x", bad, raw)
		}
	}
}

// What is packed ahead is as if it were packed alone: asked for in order, with some passed over, out of order, again, changed, and left.
func TestAhead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		documents := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 50)).Draw(t, "documents")
		a := NewAhead(documents)
		defer a.Close()
		ask := documents
		switch rapid.IntRange(0, 2).Draw(t, "order") {
		case 0:
			ask = rapid.Permutation(documents).Draw(t, "as asked")
		case 1:
			if n := len(documents); n > 0 {
				ask = documents[rapid.IntRange(0, n-1).Draw(t, "from"):]
			}
		}
		for _, raw := range append(ask, []byte("another one")) {
			raw = raw[:len(raw)-rapid.IntRange(0, min(1, len(raw))).Draw(t, "cut")]
			got, err := a.Pack(raw)
			want, _ := Pack(raw)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%x is packed to %x, %v; want %x", raw, got, err, want)
			}
		}
	})
}
