package chain

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"iod/metadata"
)

// The limits are those of the runtimes' own constants, whichever form weights have there.
func TestLimits(t *testing.T) {
	peaq, err := limitsOf(parseMetadata(t, "metadata-v14.scale"))
	if err != nil {
		t.Fatal(err)
	}
	if !peaq.timeOnly || peaq.calls != 10922 || peaq.weight.Length != 3_932_160 || peaq.weight.ProofSize != math.MaxUint64 || peaq.weight.RefTime == math.MaxUint64 {
		t.Errorf("peaq: %+v", peaq)
	}
	for _, file := range []string{"polkadot-v14.scale", "polkadot-v15.scale"} {
		l, err := limitsOf(parseMetadata(t, "other-runtimes/"+file))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if l.timeOnly || l.weight.Length != 3_932_160 || l.weight.RefTime < 1e12 || l.weight.RefTime > 2e12 || l.calls != 10922 {
			t.Errorf("%s: %+v", file, l)
		}
	}
}

func TestParseWeight(t *testing.T) {
	fee := make([]byte, feeSize)
	v1 := append([]byte{0x39, 0x30, 0, 0, 0, 0, 0, 0, 0}, fee...) // u64 12345, class
	v2 := append([]byte{0xe5, 0xc0, 0x04, 0}, fee...)             // compact 12345 and 1, class
	for _, x := range []struct {
		raw      []byte
		timeOnly bool
		want     Weight
	}{{v1, true, Weight{12345, 0, 7}}, {v2, false, Weight{12345, 1, 7}}} {
		if w, err := parseWeight(dispatchInfo{raw: x.raw, length: 7}, x.timeOnly); err != nil || w != x.want {
			t.Errorf("%x: %+v, %v", x.raw, w, err)
		}
	}
	for _, bad := range [][]byte{nil, v1[:10], append(slices.Clone(v1), make([]byte, 20)...)} {
		if _, err := parseWeight(dispatchInfo{raw: bad}, true); err == nil {
			t.Errorf("%x: no error", bad)
		}
	}
	if _, err := parseWeight(dispatchInfo{raw: v1}, false); err == nil {
		t.Error("a weight with bytes left over: no error")
	}
}

// Every call is in one part, in order; each part fits; and a part and the next one together seldom would.
func TestDivide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{weight: Weight{RefTime: 1000, ProofSize: math.MaxUint64, Length: 5000}, calls: rapid.IntRange(1, 50).Draw(t, "calls")}
		costs := rapid.SliceOfN(rapid.IntRange(1, 900), 1, 120).Draw(t, "costs")
		calls := make([]metadata.Call, len(costs))
		for i, n := range costs {
			calls[i] = metadata.Call{Args: metadata.Fields{{Name: "cost", Value: n}}}
		}
		weigh := func(part []metadata.Call) (w Weight, _ error) {
			for _, c := range part {
				w.RefTime += uint64(c.Args[0].Value.(int))
				w.Length += 10
			}
			return w, nil
		}
		parts, err := l.divide(calls, weigh)
		if err != nil {
			t.Fatal(err)
		}
		var all []int
		for _, p := range parts {
			w, _ := weigh(p)
			if len(p) == 0 || len(p) > l.calls || l.share(w) > 1 {
				t.Fatalf("a part of %d calls and weight %+v", len(p), w)
			}
			for _, c := range p {
				all = append(all, c.Args[0].Value.(int))
			}
		}
		if !slices.Equal(all, costs) {
			t.Fatalf("calls %v became %v", costs, all)
		}
	})
	heavy := limits{weight: Weight{RefTime: 10, ProofSize: 10, Length: 10}, calls: 10}
	_, err := heavy.divide(make([]metadata.Call, 3), func([]metadata.Call) (Weight, error) { return Weight{ProofSize: 11}, nil })
	if !errors.Is(err, ErrTooHeavy) {
		t.Errorf("a call that fits into no block: %v", err)
	}
}
