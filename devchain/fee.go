package devchain

import (
	"math/big"

	"iod/scale"
)

// The fee of a transaction is baseFee + its length in bytes + its weight's fee × the multiplier + the tip. On top of it the
// runtime withdraws half as much again for the network ("ease of transition"): fee events tell the fee alone, the
// Withdraw event and the balance the whole.
const (
	baseWeight = 86_298_000     // of every extrinsic
	baseFee    = 10_000_000_000 // planck, for baseWeight
)

var (
	unit          = big.NewInt(1_000_000_000_000_000_000) // 1 as FixedU128
	minMultiplier = big.NewInt(1_000_000_000)
)

// weightFee is the fee of a weight at the multiplier 1: baseFee/baseWeight each, whose fraction is rounded to parts of a
// billion as the runtime does.
func weightFee(weight uint64) *big.Int {
	const whole, rest = baseFee / baseWeight, baseFee % baseWeight
	const parts = rest * 1_000_000_000 / baseWeight
	w := new(big.Int).SetUint64(weight)
	fraction := new(big.Int).Mul(w, big.NewInt(parts))
	fraction.Add(fraction, big.NewInt(500_000_000-1)).Div(fraction, big.NewInt(1_000_000_000))
	return fraction.Add(fraction, w.Mul(w, big.NewInt(whole)))
}

// feeParts are the parts of a fee, in planck.
type feeParts struct{ base, length, weight, tip *big.Int }

func (f feeParts) total() *big.Int {
	t := new(big.Int).Add(f.base, f.length)
	return t.Add(t, f.weight).Add(t, f.tip)
}

// withdrawn is what the account pays for a fee in the end.
func withdrawn(fee *big.Int) *big.Int {
	return new(big.Int).Add(fee, new(big.Int).Rsh(fee, 1))
}

func feeOf(multiplier *big.Int, weight uint64, length int, tip *big.Int) feeParts {
	w := weightFee(weight)
	return feeParts{
		base:   big.NewInt(baseFee),
		length: big.NewInt(int64(length)),
		weight: w.Mul(w, multiplier).Div(w, unit),
		tip:    tip,
	}
}

func multiplierOf(state getter) *big.Int {
	if b := state(multiplierKey); b != nil {
		return scale.NewReader(b).Big(16)
	}
	return unit
}

// nextMultiplier moves the multiplier by how far the block's weight is from a quarter of what it may hold, as
// TargetedFeeAdjustment does: m·(1 ± (v·d ± (v·d)²/2)), v = 75/1,000,000.
func nextMultiplier(m *big.Int, weight uint64) *big.Int {
	weight = min(weight, maxNormalWeight)
	const target = maxNormalWeight / 4
	distance := weight - min(weight, target)
	if weight < target {
		distance = target - weight
	}
	d := new(big.Int).SetUint64(distance)
	d.Mul(d, unit).Div(d, new(big.Int).SetUint64(maxNormalWeight))
	variability := big.NewInt(75_000_000_000_000)
	first := fixedMul(variability, d)
	second := fixedMul(new(big.Int).Rsh(fixedMul(variability, variability), 1), fixedMul(d, d))
	next := new(big.Int)
	if weight >= target {
		next.Add(m, fixedMul(first.Add(first, second), m))
	} else {
		next.Sub(m, fixedMul(first.Sub(first, second), m))
	}
	if next.Cmp(minMultiplier) < 0 {
		return minMultiplier
	}
	return next
}

func fixedMul(a, b *big.Int) *big.Int {
	p := new(big.Int).Mul(a, b)
	return p.Div(p, unit)
}
