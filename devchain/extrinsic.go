package devchain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// extrinsic is a decoded transaction of version 4:
//
//	compact length of what follows
//	0x84  address (0x00, 32 bytes)  signature (scheme, 64 or 65 bytes)
//	era (1 or 2 bytes)  compact nonce  compact tip  [mode of CheckMetadataHash]
//	call: pallet, index, arguments
type extrinsic struct {
	raw       []byte // as sent, with its length
	hash      [32]byte
	who       key.AccountID
	found     bool // who is known: the address was an account id
	scheme    key.Scheme
	signature []byte
	era       era
	nonce     uint32
	tip       *big.Int
	mode      uint8 // of CheckMetadataHash
	call      call
	callBytes []byte
	extra     []byte
}

// maxExtrinsic is the longest transaction that fits a block, in bytes.
const maxExtrinsic = 3_932_160

var (
	errVersion       = errors.New("devchain: extrinsic is not of version 4")
	errNotSigned     = errors.New("devchain: extrinsic is not signed")
	errUnknownOrigin = errors.New("devchain: origin is of an unknown kind")
	errTooLong       = errors.New("devchain: extrinsic is too long")
	errEra           = errors.New("devchain: era is malformed")
	errScheme        = errors.New("devchain: signature is of an unknown scheme")
)

// decodeExtrinsic reads a transaction as the runtime would. The result keeps raw.
func decodeExtrinsic(rt runtime, raw []byte) (*extrinsic, error) {
	if len(raw) > maxExtrinsic {
		return nil, errTooLong
	}
	outer := scale.NewReader(raw)
	body := outer.Vec()
	if err := outer.End(); err != nil {
		return nil, fmt.Errorf("extrinsic: %w", err)
	}
	r := scale.NewReader(body)
	switch r.U8() {
	case 0x84:
	case 0x04:
		return nil, errNotSigned
	default:
		return nil, errVersion
	}
	x := &extrinsic{raw: raw, hash: metadata.Blake2_256(raw)}
	x.who, x.found = readAddress(r)
	x.scheme = key.Scheme(r.U8())
	switch x.scheme {
	case key.Ed25519, key.Sr25519:
		x.signature = r.Bytes(64)
	case key.Ecdsa:
		x.signature = r.Bytes(65)
	default:
		r.Fail(errScheme)
	}
	x.readExtra(r, rt, body)
	start := r.Offset()
	x.call = readCall(r, 0)
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("extrinsic: %w", err)
	}
	x.callBytes = body[start:]
	return x, nil
}

func (x *extrinsic) readExtra(r *scale.Reader, rt runtime, body []byte) {
	start := r.Offset()
	x.era = readEra(r)
	nonce := r.Compact()
	if nonce > 1<<32-1 {
		r.Fail(scale.ErrOverflow)
	}
	x.nonce = uint32(nonce)
	x.tip = readBalance(r)
	if rt.metadataHash {
		x.mode = r.U8()
	}
	x.extra = body[start:r.Offset()]
}

// payload returns the bytes that the signature is over.
func (x *extrinsic) payload(rt runtime, genesis, birth [32]byte) []byte {
	b := make([]byte, 0, len(x.callBytes)+len(x.extra)+73)
	b = append(append(b, x.callBytes...), x.extra...)
	b = scale.AppendU32(scale.AppendU32(b, rt.spec), rt.tx)
	b = append(append(b, genesis[:]...), birth[:]...)
	if rt.metadataHash {
		b = append(b, 0)
	}
	if len(b) > 256 {
		h := metadata.Blake2_256(b)
		return h[:]
	}
	return b
}

// verify checks the signature against the account.
func (x *extrinsic) verify(payload []byte) bool {
	if x.scheme == key.Ecdsa {
		return recoverAccount(payload, x.signature) == x.who
	}
	public, err := key.NewPublic(x.scheme, x.who[:])
	if err != nil {
		return false
	}
	sig, err := key.NewSignature(x.scheme, x.signature)
	return err == nil && public.Verify(payload, sig)
}

// recoverAccount returns the account whose ecdsa key made the signature (r, s, recovery id); the zero account for none.
func recoverAccount(payload, sig []byte) key.AccountID {
	recovery := sig[64]
	if recovery >= 27 {
		recovery -= 27
	}
	if recovery > 3 {
		return key.AccountID{}
	}
	compactSig := append([]byte{27 + 4 + recovery}, sig[:64]...)
	hash := metadata.Blake2_256(payload)
	public, _, err := ecdsa.RecoverCompact(compactSig, hash[:])
	if err != nil {
		return key.AccountID{}
	}
	return key.AccountID(metadata.Blake2_256(public.SerializeCompressed()))
}

// era says in which blocks a transaction is valid; period 0 stands for all.
type era struct{ period, phase uint64 }

// readEra reads an era: 0x00, or two little-endian bytes of which the low four bits hold log2(period)-1 and the others the
// phase in units of period/4096.
func readEra(r *scale.Reader) era {
	first := r.U8()
	if first == 0 {
		return era{}
	}
	n := uint64(binary.LittleEndian.Uint16([]byte{first, r.U8()}))
	e := era{period: 2 << (n % 16)}
	e.phase = n >> 4 * max(e.period>>12, 1)
	if e.period < 4 || e.phase >= e.period {
		r.Fail(errEra)
	}
	return e
}

// birth is the block whose hash is signed, for a transaction in block number.
func (e era) birth(number uint32) uint32 {
	if e.period == 0 {
		return 0
	}
	n := max(uint64(number), e.phase)
	return uint32((n-e.phase)/e.period*e.period + e.phase)
}

// death is the first block in which the transaction is no longer valid.
func (e era) death(number uint32) uint64 {
	if e.period == 0 {
		return 1 << 62
	}
	return uint64(e.birth(number)) + e.period
}
