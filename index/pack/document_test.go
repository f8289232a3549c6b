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
