package devchain

import (
	"math/big"

	"iod/key"
	"iod/scale"
)

// existentialDeposit is the least that an account may hold, in planck.
var existentialDeposit = big.NewInt(500)

var maxBalance = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))

// account is frame_system's AccountInfo. Nothing here reserves or locks, so the last three balances stay zero.
type account struct {
	nonce, consumers, providers, sufficients uint32
	free                                     *big.Int
}

func decodeAccount(b []byte) account {
	if b == nil {
		return account{free: new(big.Int)}
	}
	r := scale.NewReader(b)
	return account{r.U32(), r.U32(), r.U32(), r.U32(), r.Big(16)}
}

func (a account) encode() []byte {
	b := make([]byte, 0, 80)
	for _, n := range []uint32{a.nonce, a.consumers, a.providers, a.sufficients} {
		b = scale.AppendU32(b, n)
	}
	b = appendU128(b, a.free)
	return b[:80]
}

// appendU128 writes a balance, which the checks before keep below 2¹²⁸.
func appendU128(b []byte, v *big.Int) []byte {
	out, err := scale.AppendBig(b, v, 16)
	if err != nil {
		panic("devchain: balance of more than 128 bits")
	}
	return out
}

func (x *exec) account(id key.AccountID) account { return decodeAccount(x.get(accounts.key(id[:]))) }

func (x *exec) putAccount(id key.AccountID, a account) { x.set(accounts.key(id[:]), a.encode()) }

// endow gives value to an account and makes it if need be.
func (x *exec) endow(id key.AccountID, value *big.Int) {
	a := x.account(id)
	created := a.providers == 0
	a.free = new(big.Int).Add(a.free, value)
	if created {
		a.providers = 1
		x.deposit(systemIndex, 3, id[:])
		x.deposit(balancesIndex, 0, id[:], appendU128(nil, value))
	}
	x.putAccount(id, a)
}

// take takes value from an account. What is left below the existential deposit is returned as dust, and the account removed.
func (x *exec) take(id key.AccountID, value *big.Int) (dust *big.Int) {
	a := x.account(id)
	a.free = new(big.Int).Sub(a.free, value)
	if a.free.Cmp(existentialDeposit) >= 0 {
		x.putAccount(id, a)
		return new(big.Int)
	}
	x.remove(accounts.key(id[:]))
	x.deposit(systemIndex, 4, id[:])
	return a.free
}

func (x *exec) changeIssuance(by *big.Int) {
	total := new(big.Int)
	if b := x.get(issuanceKey); b != nil {
		total = scale.NewReader(b).Big(16)
	}
	if total.Add(total, by); total.Cmp(maxBalance) > 0 {
		total = maxBalance // after SetBalance only
	}
	if total.Sign() < 0 {
		total = new(big.Int)
	}
	x.set(issuanceKey, appendU128(nil, total))
}

// transfer is pallet_balances' transfer, with its order of checks.
func (x *exec) transfer(from, to key.AccountID, value *big.Int, keepAlive bool) error {
	if value.Sign() == 0 || from == to {
		return nil
	}
	source, dest := x.account(from), x.account(to)
	left := new(big.Int).Sub(source.free, value)
	if left.Sign() < 0 {
		return moduleError(balancesIndex, 2) // InsufficientBalance
	}
	sum := new(big.Int).Add(dest.free, value)
	if sum.Cmp(maxBalance) > 0 {
		return errOverflow
	}
	if sum.Cmp(existentialDeposit) < 0 {
		return moduleError(balancesIndex, 3) // ExistentialDeposit
	}
	if keepAlive && left.Cmp(existentialDeposit) < 0 {
		return moduleError(balancesIndex, 4) // KeepAlive
	}
	dust := x.take(from, value)
	x.endow(to, value)
	if dust.Sign() > 0 {
		x.deposit(balancesIndex, 1, from[:], appendU128(nil, dust))
		x.changeIssuance(dust.Neg(dust))
	}
	x.deposit(balancesIndex, 2, from[:], to[:], appendU128(nil, value))
	return nil
}

func readBalancesCall(r *scale.Reader, index uint8) call {
	dest, found := readAddress(r)
	switch index {
	case 0:
		return transferCall(166_860_000, dest, found, readBalance(r), false)
	case 3:
		return transferCall(157_760_000, dest, found, readBalance(r), true)
	case 1: // set_balance
		readBalance(r)
		readBalance(r)
	case 2: // force_transfer
		readAddress(r)
		readBalance(r)
	case 4:
		return transferAll(dest, found, r.Bool())
	case 5: // force_unreserve
		r.Big(16)
	default:
		return call{}
	}
	return call{160_000_000, refuse}
}

func readBalance(r *scale.Reader) *big.Int {
	v := r.CompactBig()
	if v.Cmp(maxBalance) > 0 {
		r.Fail(scale.ErrOverflow)
	}
	return v
}

func transferCall(weight uint64, dest key.AccountID, found bool, value *big.Int, keepAlive bool) call {
	return call{weight, func(x *exec, who key.AccountID) error {
		if !found {
			return errCannotFind
		}
		return x.transfer(who, dest, value, keepAlive)
	}}
}

func transferAll(dest key.AccountID, found, keepAlive bool) call {
	return call{162_800_000, func(x *exec, who key.AccountID) error {
		value := x.account(who).free
		if keepAlive {
			value = new(big.Int).Sub(value, existentialDeposit)
			if value.Sign() < 0 {
				value = new(big.Int)
			}
		}
		if !found {
			return errCannotFind
		}
		return x.transfer(who, dest, value, keepAlive)
	}}
}
