package sqlite

import (
	"context"
	"math/big"

	"iod/index"
)

// What the table of steps counts offers by.
const (
	ofPrice = 1
	ofTime  = 2
)

// priceStep is the step of a price: an eighth of a doubling.
func priceStep(p index.Price) int64 {
	n := new(big.Int).SetBytes(p[:])
	size := n.BitLen()
	if size > 4 {
		n.Rsh(n, uint(size-4))
	}
	return int64(size)<<3 | n.Int64()&7
}

// timeStep is the step of a rank: 37 hours.
func timeStep(r index.Rank) int64 { return r.Milli() >> 27 }

// steps reckons how many offers there are between two steps, both included.
func (a *asking) steps(ctx context.Context, of int, from, to int64) (n float64, err error) {
	return n, a.one(ctx, "SELECT ifnull(sum(n), 0) FROM step WHERE of = ? AND step BETWEEN ? AND ?", []any{of, from, to}, &n)
}

// readPrices reckons how many offers are within the prices.
func (a *asking) readPrices(ctx context.Context) (err error) {
	if a.MinPrice == nil && a.MaxPrice == nil {
		return nil
	}
	from, to := int64(0), int64(1)<<32
	if a.MinPrice != nil {
		from = priceStep(*a.MinPrice)
	}
	if a.MaxPrice != nil {
		to = priceStep(*a.MaxPrice)
	}
	a.stats.sizes[byPrice], err = a.steps(ctx, ofPrice, from, to)
	if err != nil {
		return err
	}
	return a.leaves(byPrice)
}

// readSince reckons how many offers are as new as is asked for.
func (a *asking) readSince(ctx context.Context) (err error) {
	if a.from == 0 {
		return nil
	}
	a.stats.sizes[bySince], err = a.steps(ctx, ofTime, timeStep(a.from), int64(1)<<32)
	if err != nil {
		return err
	}
	return a.leaves(bySince)
}
