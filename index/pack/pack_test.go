package pack_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"iod/index/pack"
	"iod/index/storetest"
)

func round(t *testing.T, raw []byte) (packed int) {
	t.Helper()
	p, err := pack.Pack(raw)
	if err != nil {
		t.Fatal(err)
	}
	back, err := pack.Unpack(p)
	if err != nil || !bytes.Equal(back, raw) {
		t.Fatalf("%d bytes come back as %d, %v", len(raw), len(back), err)
	}
	return len(p)
}

func TestPack(t *testing.T) {
	device := storetest.Account(t, "device")
	doc := storetest.Sign(t, device, storetest.Weather(device, 1))
	if n := round(t, doc); n > len(doc)/2 {
		t.Errorf("a document of %d bytes takes %d", len(doc), n)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 100, 1<<16 + 1, 1 << 20, 1<<20 + 1} {
		noise := make([]byte, size)
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		if n := round(t, noise); n > size+1 {
			t.Errorf("noise of %d bytes takes %d", size, n)
		}
		round(t, make([]byte, size))
	}
}

func FuzzUnpack(f *testing.F) {
	p, _ := pack.Pack([]byte("did:peaq:x"))
	f.Add(p)
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := pack.Unpack(b) // must not panic, nor grow without bound
		if err == nil && len(raw) > 1<<20 {
			t.Errorf("%d bytes become %d", len(b), len(raw))
		}
		if err == nil {
			round(t, raw)
		}
	})
}
