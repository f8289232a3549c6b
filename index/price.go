package index

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Price is an amount of the chain's token in units of 10^-18, big-endian: as bytes it sorts as a number.
type Price [16]byte

// priceDecimals is how many digits follow the point at most.
const priceDecimals = 18

var maxPrice = new(big.Int).Lsh(big.NewInt(1), 128)

// ErrPrice is what every error of ParsePrice wraps.
var ErrPrice = errors.New("not a price")

// ParsePrice reads a decimal such as "42.03995": digits, at most one point with digits on both sides, no sign, no exponent,
// at most 18 digits after the point and less than 2^128 units of 10^-18 in all.
func ParsePrice(s string) (Price, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if len(s) > 64 {
		return Price{}, fmt.Errorf("%w: %d characters", ErrPrice, len(s))
	}
	if !digits(whole) || dotted && !digits(frac) {
		return Price{}, fmt.Errorf("%w: %q is no plain decimal", ErrPrice, s)
	}
	frac = strings.TrimRight(frac, "0")
	if len(frac) > priceDecimals {
		return Price{}, fmt.Errorf("%w: %q has more than %d digits after the point", ErrPrice, s, priceDecimals)
	}
	n, ok := new(big.Int).SetString(whole+frac+strings.Repeat("0", priceDecimals-len(frac)), 10)
	if !ok || n.Cmp(maxPrice) >= 0 {
		return Price{}, fmt.Errorf("%w: %q is too large", ErrPrice, s)
	}
	var p Price
	n.FillBytes(p[:])
	return p, nil
}

// String returns the shortest decimal that ParsePrice reads as p.
func (p Price) String() string {
	s := new(big.Int).SetBytes(p[:]).String()
	if len(s) <= priceDecimals {
		s = strings.Repeat("0", priceDecimals+1-len(s)) + s
	}
	whole, frac := s[:len(s)-priceDecimals], strings.TrimRight(s[len(s)-priceDecimals:], "0")
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

// Compare is negative when p is less than q, 0 when they are the same.
func (p Price) Compare(q Price) int { return bytes.Compare(p[:], q[:]) }

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// priceOf reads a price that the digest has checked; nil when there is none.
func priceOf(s string) *Price {
	p, err := ParsePrice(s)
	if err != nil {
		return nil
	}
	return &p
}
