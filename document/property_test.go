package document

import (
	"bytes"
	"os"
	"reflect"
	"testing"

	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"

	"iod/key"
)

func blake256(parts ...[]byte) [32]byte { return blake2b.Sum256(bytes.Join(parts, nil)) }

var schemes = []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa}

func drawDevice(t *rapid.T, p *key.Pair) Device {
	label := rapid.StringMatching(`[^\x00-\x1f\x7f]{0,40}`)
	price := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[1-9][0-9]{0,20}(\.[0-9]{0,17}[1-9])?`))
	topic := rapid.SliceOfN(rapid.StringMatching(`(\+|[a-z]{1,5})(/(\+|[a-z]{0,5})){0,3}(/#)?`), 0, 4)
	d := Device{Account: p.Account(), Sequence: rapid.Uint64Range(1, 1<<63).Draw(t, "sequence"),
		DataType: label.Draw(t, "data_type"), Location: label.Draw(t, "location"),
		PriceAccess: price.Draw(t, "access"), PricePin: price.Draw(t, "pin"), Topics: topic.Draw(t, "topics")}
	copy(d.Node[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "node"))
	for range rapid.IntRange(0, 2).Draw(t, "relays") {
		d.Relays = append(d.Relays, "tls://"+rapid.StringMatching(`[a-z]{1,20}(\.[a-z]{2,5})?`).Draw(t, "host")+":7777/"+d.Node.String())
	}
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9_-]{1,32}`), 0, 4, func(s string) string { return s }).Draw(t, "names")
	for _, n := range names {
		d.Streams = append(d.Streams, Stream{Name: n, Kind: rapid.SampledFrom([]string{"mqtt", "http", "rtsp", "tcp", "udp"}).Draw(t, "kind"),
			Unit: label.Draw(t, "unit"), Description: label.Draw(t, "description"), Price: price.Draw(t, "price"), Topics: topic.Draw(t, "topics")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "additional") {
		d.Additional = append(d.Additional, NewAdditional("x_"+label.Draw(t, "field"), label.Draw(t, "value")))
	}
	if rapid.Bool().Draw(t, "owned") {
		var owner key.AccountID
		copy(owner[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "owner"))
		d.Owner = &owner
		d.Fleet = rapid.StringMatching(`[a-z0-9_-]{0,32}`).Draw(t, "fleet")
	}
	return d
}

func drawPair(t *rapid.T) *key.Pair {
	p, err := key.FromURI(rapid.SampledFrom(schemes).Draw(t, "scheme"), "//Device")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPropertyDeviceSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPair(t)
		d := drawDevice(t, p)
		want, err := d.Normal()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := d.Sign(p)
		if err != nil {
			t.Fatal(err)
		}
		got, v, err := ReadDevice(p.Account(), DeviceAttribute, raw)
		if err != nil || v.State != Verified {
			t.Fatalf("verdict %+v, error %v", v, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%+v, want\n%+v", got, want)
		}
		again, err := want.Normal()
		if err != nil || !reflect.DeepEqual(again, want) {
			t.Fatalf("the normal form has another one: %+v, %v", again, err)
		}
	})
}

func TestPropertyFlippedBitIsNotVerified(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPair(t)
		raw, err := drawDevice(t, p).Sign(p)
		if err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		raw[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, v, err := ReadDevice(p.Account(), DeviceAttribute, raw); err == nil && v.State == Verified {
			t.Fatalf("still verified with byte %d changed", i)
		}
	})
}

// Each bit of the signature's own field, which the signature cannot cover, and every byte of the rest in one of the schemes.
func TestEveryFlippedByteIsNotVerified(t *testing.T) {
	for turn, s := range schemes {
		p := pair(t, s, "//Device")
		raw := mustSign(t, Device{Account: p.Account(), Sequence: 1}, p)
		doc, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		from := bytes.Index(raw, doc.sealed)
		for i := range raw {
			bits := []byte{1 << (i % 8)}
			if i >= from && i < from+len(doc.sealed) {
				bits = []byte{1, 2, 4, 8, 16, 32, 64, 128}
			} else if i%len(schemes) != turn {
				continue
			}
			for _, bit := range bits {
				raw[i] ^= bit
				if _, v, err := ReadDevice(p.Account(), DeviceAttribute, raw); err == nil && v.State == Verified {
					t.Errorf("%s: still verified with byte %d changed by %02x", s, i, bit)
				}
				raw[i] ^= bit
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	var account key.AccountID
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := Parse(doc.Encode())
		if err != nil {
			t.Fatalf("its own encoding does not parse: %v", err)
		}
		if !bytes.Equal(again.Encode(), doc.Encode()) {
			t.Fatal("encoding is not stable")
		}
		d, v, err := ReadDevice(account, DeviceAttribute, raw)
		if err == nil && v.State == Verified {
			t.Fatal("verified for an account without a key")
		}
		if _, rerr := Render(d, v); err == nil && rerr != nil {
			t.Fatalf("render: %v", rerr)
		}
		_, _, _ = ReadClient(account, ClientAttribute, raw)
	})
}

func seeds(t testing.TB) [][]byte {
	raw, _ := recorded(t)
	out := [][]byte{raw, raw[:100], nil, {0x22, 0x00}, {0x22, 0x02, 0x08, 0x01, 0x2a, 0x00}}
	for _, s := range schemes {
		p := pair(t, s, "//Device")
		out = append(out, mustSign(t, example(t, p), p))
	}
	return out
}

func TestFuzzSeedsAreThere(t *testing.T) {
	if n := len(seeds(t)); n < 8 {
		t.Errorf("%d seeds", n)
	}
	if entries, err := os.ReadDir("testdata/fuzz/FuzzParse"); err == nil && len(entries) == 0 {
		t.Error("testdata/fuzz/FuzzParse is empty")
	}
}

func BenchmarkReadDevice(b *testing.B) {
	for _, s := range schemes {
		b.Run(s.String(), func(b *testing.B) {
			p := pair(b, s, "//Device")
			raw := mustSign(b, example(b, p), p)
			b.ReportAllocs()
			for b.Loop() {
				if _, v, err := ReadDevice(p.Account(), DeviceAttribute, raw); err != nil || v.State != Verified {
					b.Fatal(v, err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	raw, _ := recorded(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
