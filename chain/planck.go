package chain

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// maxPlanckBits bounds an amount: runtimes count in u128.
const maxPlanckBits = 128

// ErrAmount is the error of an amount that is malformed, negative, too fine or too large.
var ErrAmount = errors.New("amount is not valid")

// Planck is an amount of the chain's smallest unit: an integer from 0 to 2^128-1. The zero value is 0.
type Planck struct{ v big.Int }

// NewPlanck returns an amount of n planck.
func NewPlanck(n uint64) Planck {
	var p Planck
	p.v.SetUint64(n)
	return p
}

// PlanckFromBig returns the amount v; it fails when v is negative or over 128 bits.
func PlanckFromBig(v *big.Int) (Planck, error) {
	var p Planck
	if v == nil || v.Sign() < 0 || v.BitLen() > maxPlanckBits {
		return p, fmt.Errorf("%w: does not fit into 128 bits without a sign", ErrAmount)
	}
	p.v.Set(v)
	return p, nil
}

// ParsePlanck reads a decimal amount of whole tokens, as in "1.5", where one token is 10^decimals planck. More digits behind the
// point than decimals, signs, exponents and separators are errors.
func ParsePlanck(s string, decimals uint8) (Planck, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if len(s) > 100 || decimals > 38 || whole == "" || dotted && frac == "" || !digits(whole) || !digits(frac) {
		return Planck{}, fmt.Errorf("%w: %.40q is not a decimal number", ErrAmount, s)
	}
	if len(frac) > int(decimals) {
		return Planck{}, fmt.Errorf("%w: %.40q has more than %d digits behind the point", ErrAmount, s, decimals)
	}
	v, ok := new(big.Int).SetString(whole+frac+strings.Repeat("0", int(decimals)-len(frac)), 10)
	if !ok {
		return Planck{}, fmt.Errorf("%w: %.40q", ErrAmount, s)
	}
	return PlanckFromBig(v)
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// Format writes the amount in whole tokens without trailing zeros, as ParsePlanck reads it.
func (p Planck) Format(decimals uint8) string {
	s := p.v.String()
	n := int(decimals)
	if len(s) <= n {
		s = strings.Repeat("0", n-len(s)+1) + s
	}
	whole, frac := s[:len(s)-n], strings.TrimRight(s[len(s)-n:], "0")
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

// Big returns a copy of the amount.
func (p Planck) Big() *big.Int { return new(big.Int).Set(&p.v) }

// IsZero reports whether the amount is 0.
func (p Planck) IsZero() bool { return p.v.Sign() == 0 }

// Cmp returns -1, 0 or +1 as p is less than, equal to or more than q.
func (p Planck) Cmp(q Planck) int { return p.v.Cmp(&q.v) }

// Add returns p+q. A sum over 128 bits, which no chain can hold, stays at the greatest amount.
func (p Planck) Add(q Planck) Planck {
	var sum Planck
	if sum.v.Add(&p.v, &q.v); sum.v.BitLen() > maxPlanckBits {
		sum.v.Sub(sum.v.Lsh(big.NewInt(1), maxPlanckBits), big.NewInt(1))
	}
	return sum
}

// Sub returns p-q, or an error when q is more than p.
func (p Planck) Sub(q Planck) (Planck, error) {
	return PlanckFromBig(new(big.Int).Sub(&p.v, &q.v))
}

// String returns the number of planck in decimal.
func (p Planck) String() string { return p.v.String() }

// MarshalText writes the number of planck in decimal; JSON shows it as a string.
func (p Planck) MarshalText() ([]byte, error) { return []byte(p.v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Planck) UnmarshalText(text []byte) error {
	q, err := ParsePlanck(string(text), 0)
	if err == nil {
		*p = q
	}
	return err
}
