package index_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"iod/document"
	"iod/index"
	"iod/index/storetest"
)

func TestPoisonIsSetAside(t *testing.T) {
	device := storetest.Account(t, "device")
	a := device.Account()
	all := storetest.Poison(t, device, 1000)
	if len(all) < 90 {
		t.Errorf("only %d kinds of poison", len(all))
	}
	for _, x := range all {
		t.Run(x.Name, func(t *testing.T) {
			b := storetest.NewChain("test").Append(storetest.Write(a, a, x.Raw, nil))
			claims := index.Digest(b)
			if len(claims) != 1 || claims[0].Reject == "" || !strings.Contains(claims[0].Reject, x.Reason) {
				t.Fatalf("claims %+v, want one rejected with %q", claims, x.Reason)
			}
			out := index.Believe(nil, claims[0])
			if out.Listing != nil || out.Aside == "" {
				t.Errorf("outcome %+v, want it set aside", out)
			}
		})
	}
}

func TestPlacesThatAreNames(t *testing.T) {
	a := storetest.Account(t, "device").Account()
	for location, ok := range map[string]bool{"Berlin": false, "Yerevan, Armenia": false, "": false, "52.5,13.4": true, " 52.5 , 13.4 ": true, "1,2,3": false} {
		raw := storetest.Services(a, [2]string{"staex_iod_version", "v1"}, [2]string{"location", location})
		claims := index.Digest(storetest.NewChain("test").Append(storetest.Write(a, a, raw, nil)))
		out := index.Believe(nil, claims[0])
		if out.Listing == nil {
			t.Errorf("%q is set aside: %s", location, out.Aside)
		} else if _, _, isPlace := out.Listing.Place(); isPlace != ok {
			t.Errorf("%q is a place: %v", location, isPlace)
		}
	}
}

// Whatever bytes are written by whomever: no panic, exactly one claim, and what is believed can be kept and shown.
func FuzzDigest(f *testing.F) {
	device := storetest.Account(f, "device")
	d := device.Account()
	seeds := 0
	for _, x := range storetest.Poison(f, device, 1000) {
		f.Add(x.Raw, true)
		seeds++
	}
	f.Add(storetest.Sign(f, device, storetest.Weather(device, 5)), false)
	f.Add(storetest.Unsigned(d, "noise", "3"), true)
	if seeds < 90 {
		f.Fatalf("only %d seeds", seeds)
	}
	s := storetest.Account(f, "stranger").Account()
	f.Fuzz(func(t *testing.T, raw []byte, own bool) {
		who := s
		if own {
			who = d
		}
		claims := index.Digest(storetest.NewChain("fuzz").Append(storetest.Write(who, d, raw, nil)))
		if len(claims) != 1 {
			t.Fatalf("%d claims", len(claims))
		}
		out := index.Believe(nil, claims[0])
		if (out.Listing == nil) == (out.Aside == "") {
			t.Fatalf("neither believed nor set aside, or both: %+v", out)
		}
		if l := out.Listing; l != nil {
			if !bytes.Equal(l.Raw, raw) || l.State != document.Verified && !own {
				t.Fatalf("believed wrongly: %+v", l)
			}
			for _, o := range l.Offers() {
				if !utf8.ValidString(fmt.Sprint(o.Name, o.Kind, o.DataType, o.Unit)) {
					t.Fatalf("offer %+v is not UTF-8", o)
				}
			}
		}
	})
}

func FuzzParsePrice(f *testing.F) {
	for _, s := range []string{"0", "1", "42.03995", "0.000000000000000001", "340282366920938463463.374607431768211455", "1e3", "-1", ".5", "5.", "", "00.10", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := index.ParsePrice(s)
		if err != nil {
			return
		}
		again, err := index.ParsePrice(p.String())
		if err != nil || again != p {
			t.Fatalf("%q reads as %v, which reads as %v, %v", s, p, again, err)
		}
	})
}

func TestPricesSortAsNumbers(t *testing.T) {
	sorted := []string{"0", "0.000000000000000001", "0.1", "0.10000001", "0.2", "1", "2", "10", "10.5", "99", "100", "340282366920938463463.374607431768211455"}
	var last index.Price
	for i, s := range sorted {
		p, err := index.ParsePrice(s)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && bytes.Compare(last[:], p[:]) >= 0 {
			t.Errorf("%s is not above %s", s, sorted[i-1])
		}
		if p.String() != s {
			t.Errorf("%s is written as %s", s, p)
		}
		last = p
	}
	for _, s := range []string{"", "-1", "+1", "1e3", ".5", "5.", "1,5", "0x1", " 1", "1 ", "inf", "NaN", "340282366920938463463.374607431768211456", "0.0000000000000000001", strings.Repeat("0", 65)} {
		if p, err := index.ParsePrice(s); err == nil {
			t.Errorf("%q reads as %v", s, p)
		}
	}
}
