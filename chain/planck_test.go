package chain

import (
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestPlanck(t *testing.T) {
	for _, tc := range []struct {
		in       string
		decimals uint8
		planck   string
		out      string
	}{
		{"1.5", 18, "1500000000000000000", "1.5"}, {"0", 18, "0", "0"}, {"0.000000000000000001", 18, "1", "0.000000000000000001"},
		{"007", 0, "7", "7"}, {"42.03995", 18, "42039950000000000000", "42.03995"}, {"10", 10, "100000000000", "10"},
		{"340282366920938463463374607431768211455", 0, "340282366920938463463374607431768211455", "340282366920938463463374607431768211455"},
	} {
		p, err := ParsePlanck(tc.in, tc.decimals)
		if err != nil || p.String() != tc.planck || p.Format(tc.decimals) != tc.out {
			t.Errorf("%s: %s planck, %s tokens, %v", tc.in, p, p.Format(tc.decimals), err)
		}
	}
	for _, bad := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "0x1", "1.0000000000000000001", "1_000", "٣",
		"340282366920938463463374607431768211456"} {
		if p, err := ParsePlanck(bad, 18); !errors.Is(err, ErrAmount) {
			t.Errorf("%q is %s, %v", bad, p, err)
		}
	}
	one, two := NewPlanck(1), NewPlanck(2)
	if d, err := two.Sub(one); err != nil || d.Cmp(one) != 0 {
		t.Errorf("2-1 is %s, %v", d, err)
	}
	if _, err := one.Sub(two); !errors.Is(err, ErrAmount) {
		t.Errorf("1-2: %v", err)
	}
	if b, err := json.Marshal(struct{ Fee Planck }{NewPlanck(7)}); err != nil || string(b) != `{"Fee":"7"}` {
		t.Errorf("JSON %s, %v", b, err)
	}
	greatest, _ := PlanckFromBig(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
	if greatest.Add(one).Cmp(greatest) != 0 || one.Add(one).Cmp(two) != 0 {
		t.Error("sums are wrong")
	}
}

func TestPlanckRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "bytes")
		d := rapid.Uint8Range(0, 38).Draw(t, "decimals")
		p, err := PlanckFromBig(new(big.Int).SetBytes(b))
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ParsePlanck(p.Format(d), d); err != nil || q.Cmp(p) != 0 {
			t.Fatalf("%s with %d decimals reads back as %s, %v", p, d, q, err)
		}
		text, _ := p.MarshalText()
		var q Planck
		if err := q.UnmarshalText(text); err != nil || q.Cmp(p) != 0 {
			t.Fatalf("%s reads back as %s, %v", text, q, err)
		}
	})
}

func FuzzParsePlanck(f *testing.F) {
	for _, s := range []string{"1.5", "0", "42.03995", "", "1e5", "-1"} {
		f.Add(s, uint8(18))
	}
	f.Fuzz(func(t *testing.T, s string, d uint8) {
		p, err := ParsePlanck(s, d)
		if err != nil {
			return
		}
		if q, err := ParsePlanck(p.Format(d), d); err != nil || q.Cmp(p) != 0 {
			t.Errorf("%q: %s, then %s, %v", s, p, q, err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte(`{"parentHash":"0x00","number":"0x1"}`))
	f.Add([]byte(`{"parentHash":"0x4545454545454545454545454545454545454545454545454545454545454545","number":"0x00000006","stateRoot":"0x4545454545454545454545454545454545454545454545454545454545454545","extrinsicsRoot":"0x4545454545454545454545454545454545454545454545454545454545454545","digest":{"logs":["0x06"]}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHeader(b); err == nil {
			_ = h.hash()
		}
	})
}
