package provision

import (
	"math/big"
	"time"

	"iod/chain"
)

const (
	useWindow = 30 * 24 * time.Hour // in which fees count for the use
	lowDays   = 30                  // a balance that lasts for less is low
	lowFees   = 3                   // and one that is less than so many of the last fee
	usualPace = 6 * time.Second     // of blocks, while it is not measured
)

// balanceStatus tells how long an account lasts at the use of late, and at what the renewals of its document will cost. It is pure.
func balanceStatus(v view, p *chain.Properties, fees []fee, now time.Time, validFor uint32) BalanceStatus {
	s := BalanceStatus{Low: v.poor}
	spent, last := new(big.Int), new(big.Int)
	for _, f := range fees {
		last = f.Planck.Big()
		if age := now.Sub(f.Time); age < useWindow {
			spent.Add(spent, last)
		}
	}
	amount := func(n *big.Int) string {
		x, err := chain.PlanckFromBig(n)
		if err != nil || p == nil {
			return ""
		}
		return x.Format(p.TokenDecimals)
	}
	if p != nil {
		s.Token = p.TokenSymbol
	}
	s.Spent = amount(spent)
	if v.balance == nil {
		return s
	}
	free := v.balance.Free.Big()
	s.Planck, s.Free = free.String(), amount(free)
	if free.Sub(free, v.balance.Frozen.Big()); free.Sign() < 0 {
		free.SetInt64(0)
	}
	perDay := dailyUse(spent, last, validFor, v.pace)
	if perDay.Sign() > 0 {
		days, _ := new(big.Float).Quo(new(big.Float).SetInt(free), perDay).Float64()
		s.DaysLeft = &days
		s.Low = s.Low || days < lowDays
	}
	s.Low = s.Low || free.Sign() == 0 || free.Cmp(new(big.Int).Mul(last, big.NewInt(lowFees))) < 0
	return s
}

// dailyUse is what a day costs: what was spent of late, or what the renewals will cost if that is more.
func dailyUse(spent, last *big.Int, validFor uint32, pace time.Duration) *big.Float {
	use := new(big.Float).Quo(new(big.Float).SetInt(spent), big.NewFloat(useWindow.Hours()/24))
	if validFor == 0 {
		return use
	}
	if pace == 0 {
		pace = usualPace
	}
	every := time.Duration(float64(validFor) * 2 / 3 * float64(pace))
	renewals := new(big.Float).Mul(new(big.Float).SetInt(last), big.NewFloat(24*time.Hour.Seconds()/max(every.Seconds(), 1)))
	if renewals.Cmp(use) > 0 {
		return renewals
	}
	return use
}
