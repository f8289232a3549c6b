package atlas

import (
	"encoding/binary"
	"math"
	"math/bits"

	"iod/index"
)

// priceKey is a price in 64 bits that compare as the prices do:
//
//	6 bits  number of decimal digits, in units of 10^-18
//	57 bits the first 17 of them
//	1 bit   there are other digits than 0 after those, so that equal keys may be of different prices
//
// A price of 0 has key 0.
type priceKey uint64

// noPrice is above every price.
const noPrice priceKey = math.MaxUint64

const keptDigits = 17

// more says whether the key does not tell the price exactly.
func (k priceKey) more() bool { return k&1 != 0 && k != noPrice }

// step is the number of the 1-2-5 step that a price lies in: digits*3 and 0 below 2, 1 below 5, else 2; 0 for a price of 0.
func (k priceKey) step() int {
	d := int(k >> 58)
	if d == 0 {
		return 0
	}
	switch first := uint64(k<<6>>7) / pow10[keptDigits-1]; {
	case first >= 5:
		return 3*d + 2
	case first >= 2:
		return 3*d + 1
	}
	return 3 * d
}

// steps is how many steps there are: 39 digits are the most that 128 bits have.
const steps = 3*39 + 3

// stepPrice is the lowest price of a step after the first.
func stepPrice(step int) index.Price {
	hi, lo := power(step/3 - 1)
	factor := [3]uint64{1, 2, 5}[step%3]
	over, low := bits.Mul64(lo, factor)
	var p index.Price
	binary.BigEndian.PutUint64(p[:8], hi*factor+over)
	binary.BigEndian.PutUint64(p[8:], low)
	return p
}

var pow10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// power is 10^n in 128 bits; n is at most 38.
func power(n int) (hi, lo uint64) {
	if n < len(pow10) {
		return 0, pow10[n]
	}
	return bits.Mul64(pow10[19], pow10[n-19])
}

// keyOf encodes a price; nil is noPrice.
func keyOf(p *index.Price) priceKey {
	if p == nil {
		return noPrice
	}
	hi, lo := binary.BigEndian.Uint64(p[:8]), binary.BigEndian.Uint64(p[8:])
	digits := digitsOf(hi, lo)
	if digits <= keptDigits {
		return priceKey(uint64(digits)<<58 | lo*pow10[keptDigits-digits]<<1)
	}
	var rest uint64
	for cut := digits - keptDigits; cut > 0; {
		n := min(cut, 19)
		cut -= n
		q, r := hi/pow10[n], hi%pow10[n]
		hi = q
		lo, r = bits.Div64(r, lo, pow10[n])
		rest |= r
	}
	return priceKey(uint64(digits)<<58 | lo<<1 | min(rest, 1))
}

// digitsOf counts the decimal digits; 0 has none.
func digitsOf(hi, lo uint64) int {
	width := bits.Len64(lo)
	if hi != 0 {
		width = 64 + bits.Len64(hi)
	}
	n := width * 1233 >> 12 // of log10(2); never too many
	if n < 39 {
		if h, l := power(n); hi > h || hi == h && lo >= l {
			n++
		}
	}
	return n
}
