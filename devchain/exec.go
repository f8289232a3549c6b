package devchain

import (
	"math/big"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// The limits of a block, as the constants System.BlockWeights and BlockLength tell.
const (
	maxNormalWeight = 375_000_000_000
	maxBlockLength  = 3_932_160
	blockHashCount  = 2400
	timestampWeight = 158_080_000
)

// exec executes one block.
type exec struct {
	*overlay
	rt         runtime
	number     uint32
	now        uint64 // ms
	genesis    [32]byte
	parent     [32]byte
	events     [][]byte
	phase      []byte
	weight     uint64 // of normal extrinsics
	length     int
	multiplier *big.Int
	extrinsics [][]byte
	inBatchAll bool // a batch_all runs, which lets no other one in
}

// deposit adds an event of a pallet.
func (x *exec) deposit(pallet, index uint8, data ...[]byte) {
	n := len(x.phase) + 3
	for _, d := range data {
		n += len(d)
	}
	e := append(make([]byte, 0, n), x.phase...)
	e = append(e, pallet, index)
	for _, d := range data {
		e = append(e, d...)
	}
	x.events = append(x.events, append(e, 0)) // no topics
}

// begin opens a block with its inherent, the time.
func (x *exec) begin(digest []byte) {
	x.multiplier = multiplierOf(x.get)
	x.set(numberKey, scale.AppendU32(nil, x.number))
	x.set(parentHashKey, x.parent[:])
	x.set(blockHashKey(x.number-1), x.parent[:])
	if x.number > blockHashCount+1 {
		x.remove(blockHashKey(x.number - blockHashCount - 1))
	}
	x.set(digestKey, digest)
	spec := scale.AppendStr(scale.AppendCompact(nil, uint64(x.rt.spec)), specName)
	if string(x.get(upgradeKey)) != string(spec) {
		x.set(upgradeKey, spec)
	}
	x.set(timestampKey, scale.AppendU64(nil, x.now))
	inherent := scale.AppendCompact([]byte{4, timestampIndex, 0}, x.now)
	x.extrinsics = append(x.extrinsics, scale.AppendVec(nil, inherent))
	x.phase = scale.AppendU32([]byte{0}, 0)
	x.deposit(systemIndex, 0, dispatchInfo(timestampWeight, 2))
}

// dispatchInfo is a DispatchInfo that pays a fee; class 0 is normal, 2 mandatory.
func dispatchInfo(weight uint64, class uint8) []byte {
	return append(scale.AppendU64(nil, weight), class, 0)
}

// birthHash returns the hash that a transaction of the era signs, when its block is still known.
func (x *exec) birthHash(e era) ([32]byte, bool) {
	if e.period == 0 {
		return x.genesis, true
	}
	b := x.get(blockHashKey(e.birth(x.number)))
	if b == nil {
		return [32]byte{}, false
	}
	return [32]byte(b), true
}

// invalid is why a transaction cannot be in a block, in the words of sp_runtime's InvalidTransaction.
type invalid string

func (e invalid) Error() string { return string(e) }

// The reasons of invalid.
const (
	errCall      invalid = "Transaction call is not expected"
	errPayment   invalid = "Inability to pay some fees (e.g. account balance too low)"
	errFuture    invalid = "Transaction will be valid in the future"
	errStale     invalid = "Transaction is outdated"
	errBadProof  invalid = "Transaction has a bad signature"
	errAncient   invalid = "Transaction has an ancient birth block"
	errExhausts  invalid = "Transaction would exhaust the block limits"
	errBadSigner invalid = "Transaction has a bad signer"
)

// fits tells whether the block has room for the transaction.
func (x *exec) fits(t *extrinsic) bool {
	return x.weight+t.call.weight+baseWeight <= maxNormalWeight && x.length+len(t.raw) <= maxBlockLength
}

// check tells whether a transaction whose signature is known to be good over birth may be applied now.
func (x *exec) check(t *extrinsic, birth [32]byte) error {
	hash, known := x.birthHash(t.era)
	if !known {
		return errAncient
	}
	if hash != birth {
		return errBadProof
	}
	if t.call.weight+baseWeight > maxNormalWeight*85/100 {
		return errExhausts
	}
	a := x.account(t.who)
	if t.nonce < a.nonce {
		return errStale
	}
	if t.nonce > a.nonce {
		return errFuture
	}
	return x.canPay(t, a)
}

func (x *exec) canPay(t *extrinsic, a account) error {
	fee := withdrawn(feeOf(x.multiplier, t.call.weight, len(t.raw), t.tip).total())
	if new(big.Int).Sub(a.free, fee).Cmp(existentialDeposit) < 0 {
		return errPayment
	}
	return nil
}

// apply executes a transaction that check let pass. Its call may fail; the fee is paid all the same.
func (x *exec) apply(t *extrinsic) {
	x.phase = scale.AppendU32([]byte{0}, uint32(len(x.extrinsics)))
	x.extrinsics = append(x.extrinsics, t.raw)
	x.weight += t.call.weight + baseWeight
	x.length += len(t.raw)

	fee := feeOf(x.multiplier, t.call.weight, len(t.raw), t.tip).total()
	paid := withdrawn(fee)
	a := x.account(t.who)
	a.nonce++
	a.free = new(big.Int).Sub(a.free, paid)
	x.putAccount(t.who, a)
	x.changeIssuance(new(big.Int).Neg(paid))
	x.deposit(balancesIndex, 8, t.who[:], appendU128(nil, paid))

	err := x.dispatch(t.call, t.who)
	x.deposit(paymentIndex, 0, t.who[:], appendU128(nil, fee), appendU128(nil, t.tip))
	if err != nil {
		x.deposit(systemIndex, 1, []byte(asDispatchError(err)), dispatchInfo(t.call.weight, 0))
	} else {
		x.deposit(systemIndex, 0, dispatchInfo(t.call.weight, 0))
	}
}

// finish closes the block.
func (x *exec) finish() {
	x.set(multiplierKey, appendU128(nil, nextMultiplier(x.multiplier, x.weight)))
	x.set(blockWeightKey, scale.AppendU64(scale.AppendU64(scale.AppendU64(nil, x.weight), 0), timestampWeight))
	events := scale.AppendCompact(nil, uint64(len(x.events)))
	for _, e := range x.events {
		events = append(events, e...)
	}
	x.set(eventsKey, events)
	x.set(eventCountKey, scale.AppendU32(nil, uint32(len(x.events))))
}

// genesisState is the state of block 0.
func genesisState(rt runtime, endowed map[key.AccountID]*big.Int) []change {
	o := newOverlay(func(string) []byte { return nil })
	o.set(codeKey, rt.encode())
	o.set(upgradeKey, scale.AppendStr(scale.AppendCompact(nil, uint64(rt.spec)), specName))
	o.set(numberKey, scale.AppendU32(nil, 0))
	o.set(plainKey("System", "UpgradedToU32RefCount"), []byte{1})
	o.set(plainKey("System", "UpgradedToTripleRefCount"), []byte{1})
	o.set(plainKey("TransactionPayment", "StorageVersion"), []byte{1})
	o.set(multiplierKey, appendU128(nil, unit))
	total := new(big.Int)
	for id, value := range endowed {
		o.set(accounts.key(id[:]), account{providers: 1, free: value}.encode())
		total.Add(total, value)
	}
	o.set(issuanceKey, appendU128(nil, total))
	return o.changes()
}

// header is the header of a block in SCALE, whose hash names the block:
// parent, compact number, state root, extrinsics root, digest.
type header struct {
	parentHash                [32]byte
	number                    uint32
	stateRoot, extrinsicsRoot [32]byte
	digest                    []byte // SCALE: Vec<DigestItem>
}

func (h header) encode() []byte {
	b := append(make([]byte, 0, 128), h.parentHash[:]...)
	b = scale.AppendCompact(b, uint64(h.number))
	b = append(append(b, h.stateRoot[:]...), h.extrinsicsRoot[:]...)
	return append(b, h.digest...)
}

func (h header) hash() [32]byte { return metadata.Blake2_256(h.encode()) }

func decodeHeader(b []byte) (h header, err error) {
	r := scale.NewReader(b)
	copy(h.parentHash[:], r.Bytes(32))
	number := r.Compact()
	if h.number = uint32(number); uint64(h.number) != number {
		r.Fail(scale.ErrOverflow)
	}
	copy(h.stateRoot[:], r.Bytes(32))
	copy(h.extrinsicsRoot[:], r.Bytes(32))
	h.digest = append([]byte(nil), r.Bytes(r.Len())...)
	return h, r.End()
}

// commitment binds a header to what it stands for. It is a plain hash chain and no trie root: nothing can be proven from it,
// and state_getReadProof is refused.
func commitment(parts ...[]byte) [32]byte {
	var b []byte
	for _, p := range parts {
		b = scale.AppendVec(b, p)
	}
	return metadata.Blake2_256(b)
}
