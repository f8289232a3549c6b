package chain

import (
	"errors"
	"fmt"
	"math/bits"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// Runtime is a version of a chain's runtime.
type Runtime struct {
	SpecName    string `json:"specName"`
	SpecVersion uint32 `json:"specVersion"`
	TxVersion   uint32 `json:"transactionVersion"`
}

// Era is how long a transaction is valid: from the block Number, whose hash is Hash, for up to Period blocks. The zero value
// is immortal: valid until its nonce is used.
type Era struct {
	Period uint64 // a power of two from 4 to 65,536
	Number uint32
	Hash   Hash
}

// immortal reports whether the era is the zero value.
func (e Era) immortal() bool { return e.Period == 0 }

// death returns the first block in which a transaction of the era is no longer valid.
func (e Era) death() uint64 {
	return e.birth() + e.Period
}

// birth returns the block that the encoded era counts from: Number, or a little below for periods over 4,096.
func (e Era) birth() uint64 {
	return uint64(e.Number) / e.quantum() * e.quantum()
}

func (e Era) quantum() uint64 { return max(e.Period>>12, 1) }

func (e Era) check() error {
	if p := e.Period; p != 0 && (p < 4 || p > 65536 || p&(p-1) != 0) {
		return fmt.Errorf("mortality of %d blocks: not a power of two from 4 to 65536", p)
	}
	return nil
}

// append writes the era: one zero byte, or 16 bits of which the low 4 are log2(period)-1 and the others the phase in quanta.
func (e Era) append(dst []byte) []byte {
	if e.immortal() {
		return append(dst, 0)
	}
	phase := uint64(e.Number) % e.Period / e.quantum()
	low := min(15, max(1, bits.TrailingZeros64(e.Period)-1))
	return scale.AppendU16(dst, uint16(low)|uint16(phase<<4))
}

// Params are what a transaction says besides its call.
type Params struct {
	Nonce uint32
	Tip   Planck
	Era   Era
}

// Offline builds and signs transactions for one runtime version without a node. It is safe for concurrent use.
//
//	extrinsic  compact length ‖ 0x84 ‖ address ‖ signature ‖ extra ‖ call
//	payload    call ‖ extra ‖ additional         signed as it is up to 256 bytes, by its blake2-256 hash above
//
// Extra and additional are concatenated from the signed extensions in the order of the metadata. An extension that this
// package does not know is taken only if it has no bytes in either; there is no guessing, not even None for an Option, since
// what an extension charges or allows by it cannot be known.
type Offline struct {
	meta    *metadata.Metadata
	genesis Hash
	runtime Runtime
	parts   []extension
	address []byte          // what stands before the account id
	scheme  map[byte][]byte // by key.Scheme: what stands before the signature
}

// NewOffline prepares signing by the metadata of one runtime version. It refuses metadata of another version (ErrStaleMetadata)
// and signed extensions that it cannot fill in.
func NewOffline(m *metadata.Metadata, genesis Hash, r Runtime) (*Offline, error) {
	if have, err := versionIn(m); err != nil {
		return nil, err
	} else if have.SpecVersion != r.SpecVersion || have.TxVersion != r.TxVersion {
		return nil, fmt.Errorf("%w: metadata of %d/%d, chain runs %d/%d (specification/transaction version)",
			ErrStaleMetadata, have.SpecVersion, have.TxVersion, r.SpecVersion, r.TxVersion)
	}
	return newOffline(m, genesis, r)
}

func newOffline(m *metadata.Metadata, genesis Hash, r Runtime) (*Offline, error) {
	o := &Offline{meta: m, genesis: genesis, runtime: r, scheme: map[byte][]byte{}}
	if v := m.ExtrinsicVersion(); v != 4 {
		return nil, fmt.Errorf("runtime wants extrinsics of format %d, this client writes format 4", v)
	}
	for _, x := range m.SignedExtensions() {
		e, err := o.extensionFor(x)
		if err != nil {
			return nil, err
		}
		o.parts = append(o.parts, e)
	}
	if err := o.findForms(); err != nil {
		return nil, err
	}
	return o, nil
}

// versionIn reads System.Version, which every metadata holds.
func versionIn(m *metadata.Metadata) (Runtime, error) {
	v, err := m.Constant("System", "Version")
	if err != nil {
		return Runtime{}, fmt.Errorf("runtime version in metadata: %w", err)
	}
	var r struct {
		SpecName           string
		SpecVersion        uint32
		TransactionVersion uint32
	}
	if err := metadata.Assign(&r, v); err != nil {
		return Runtime{}, fmt.Errorf("runtime version in metadata: %w", err)
	}
	return Runtime{r.SpecName, r.SpecVersion, r.TransactionVersion}, nil
}

// findForms learns from the metadata what stands before an account id and before a signature.
func (o *Offline) findForms() error {
	var zero [65]byte
	b, err := o.meta.Encode(o.meta.AddressType(), zero[:32])
	if err != nil || len(b) < 32 {
		return fmt.Errorf("runtime's addresses (%s) are not of 32-byte accounts: %w", o.meta.Describe(o.meta.AddressType()), errOr(err))
	}
	o.address = b[:len(b)-32]
	for s, form := range map[key.Scheme]struct {
		name string
		size int
	}{key.Ed25519: {"Ed25519", 64}, key.Sr25519: {"Sr25519", 64}, key.Ecdsa: {"Ecdsa", 65}} {
		v := &metadata.Variant{Name: form.name, Fields: metadata.Fields{{Value: zero[:form.size]}}}
		if b, err := o.meta.Encode(o.meta.SignatureType(), v); err == nil && len(b) >= form.size {
			o.scheme[byte(s)] = b[:len(b)-form.size]
		}
	}
	if len(o.scheme) == 0 {
		return fmt.Errorf("runtime's signatures (%s) are of no known scheme", o.meta.Describe(o.meta.SignatureType()))
	}
	return nil
}

func errOr(err error) error {
	if err == nil {
		return errors.New("too short")
	}
	return err
}

// Metadata returns the metadata that calls are encoded by.
func (o *Offline) Metadata() *metadata.Metadata { return o.meta }

// Runtime returns the runtime version that transactions are signed for.
func (o *Offline) Runtime() Runtime { return o.runtime }

// Payload returns the bytes that are signed for a call, before those over 256 bytes are hashed.
func (o *Offline) Payload(call metadata.Call, p Params) ([]byte, error) {
	c, err := o.meta.EncodeCall(call)
	if err != nil {
		return nil, fmt.Errorf("encode call %s.%s: %w", call.Pallet, call.Name, err)
	}
	return o.payload(c, p)
}

func (o *Offline) payload(call []byte, p Params) ([]byte, error) {
	if err := p.Era.check(); err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, len(call)+160), call...)
	b = o.appendExtra(b, p)
	return o.appendAdditional(b, p), nil
}

func (o *Offline) appendExtra(b []byte, p Params) []byte {
	for i := range o.parts {
		b = o.parts[i].extra.append(b, o, p)
	}
	return b
}

func (o *Offline) appendAdditional(b []byte, p Params) []byte {
	for i := range o.parts {
		b = o.parts[i].additional.append(b, o, p)
	}
	return b
}

// Sign returns the whole signed extrinsic, its length in front: what author_submitExtrinsic takes.
func (o *Offline) Sign(k *key.Pair, call metadata.Call, p Params) ([]byte, error) {
	c, err := o.meta.EncodeCall(call)
	if err != nil {
		return nil, fmt.Errorf("encode call %s.%s: %w", call.Pallet, call.Name, err)
	}
	return o.SignCall(k, c, p)
}

// SignCall is Sign for a call that is encoded already.
func (o *Offline) SignCall(k *key.Pair, call []byte, p Params) ([]byte, error) {
	if _, ok := o.scheme[byte(k.Public().Scheme())]; !ok {
		return nil, errors.New("sign: runtime does not accept the key's signature scheme")
	}
	message, err := o.payload(call, p)
	if err != nil {
		return nil, err
	}
	if len(message) > 256 {
		h := metadata.Blake2_256(message)
		message = h[:]
	}
	sig, err := k.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return o.assemble(k.Public(), sig.Bytes(), call, p)
}

// assemble puts an extrinsic together.
func (o *Offline) assemble(from key.Public, sig, call []byte, p Params) ([]byte, error) {
	form, ok := o.scheme[byte(from.Scheme())]
	if !ok {
		return nil, errors.New("runtime does not accept the key's signature scheme")
	}
	account := from.Account()
	body := make([]byte, 0, 1+len(o.address)+32+len(form)+len(sig)+48+len(call))
	body = append(body, 0x84)
	body = append(append(body, o.address...), account[:]...)
	body = append(append(body, form...), sig...)
	body = append(o.appendExtra(body, p), call...)
	return scale.AppendVec(make([]byte, 0, len(body)+5), body), nil
}

// ExtrinsicHash returns the hash of a whole extrinsic, its length in front: the name by which nodes and explorers know it.
func ExtrinsicHash(extrinsic []byte) Hash { return metadata.Blake2_256(extrinsic) }

// Extrinsic is a decoded extrinsic. An unsigned one (an inherent) has a Call only.
type Extrinsic struct {
	Signed    bool
	Signer    key.AccountID // zero when the address is not an account id
	Signature any           // as metadata decodes it
	Extra     metadata.Fields
	Call      metadata.Call
}

// DecodeExtrinsic decodes an extrinsic of format 4 without its length in front, as Block.Extrinsics returns them. Extra holds
// what each signed extension carries, by the extension's name.
func DecodeExtrinsic(m *metadata.Metadata, b []byte) (*Extrinsic, error) {
	r := scale.NewReader(b)
	v := r.U8()
	if r.Err() != nil || v&0x7f != 4 {
		return nil, fmt.Errorf("decode extrinsic: format %d is not known", v&0x7f)
	}
	x := &Extrinsic{Signed: v&0x80 != 0}
	if x.Signed {
		if err := x.readSigned(m, r); err != nil {
			return nil, fmt.Errorf("decode extrinsic: %w", err)
		}
	}
	call, err := m.Read(r, m.CallType())
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, fmt.Errorf("decode extrinsic: call: %w", err)
	}
	c, ok := call.(metadata.Call)
	if !ok {
		return nil, fmt.Errorf("decode extrinsic: runtime's call type (%s) decodes to no call", m.Describe(m.CallType()))
	}
	x.Call = c
	return x, nil
}

func (x *Extrinsic) readSigned(m *metadata.Metadata, r *scale.Reader) error {
	address, err := m.Read(r, m.AddressType())
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if v, ok := address.(*metadata.Variant); ok && v.Name == "Id" && len(v.Fields) == 1 {
		address = v.Fields[0].Value
	}
	if b, ok := address.([]byte); ok && len(b) == len(x.Signer) {
		x.Signer = key.AccountID(b)
	}
	if x.Signature, err = m.Read(r, m.SignatureType()); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	for _, e := range m.SignedExtensions() {
		v, err := m.Read(r, e.Type)
		if err != nil {
			return fmt.Errorf("extension %s: %w", e.Identifier, err)
		}
		x.Extra = append(x.Extra, metadata.Field{Name: e.Identifier, Value: v})
	}
	return nil
}
