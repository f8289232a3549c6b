package wire

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
	"time"

	"iod/key"
)

// Sizes of a knock.
const (
	knockPlain = 384
	KnockSize  = 32 + knockPlain + 16 // sealed
	MaxStream  = 128                  // bytes of a stream's name
)

const knockInfo = "iod/knock/1"

// Reasons for which a knock is not one.
var (
	ErrKnockSealed = errors.New("knock: not sealed to this node")
	ErrKnockShape  = errors.New("knock: malformed")
	ErrKnockForged = errors.New("knock: the signature is not the account's")
)

// Request is the content of a knock.
type Request struct {
	Account key.Public
	Node    key.NodeID // the consumer's
	Device  key.NodeID
	Relay   key.NodeID // the device's relay that brings the knock
	Time    time.Time  // milliseconds
	Nonce   [16]byte
	Stream  string
}

func suite() (hpke.KDF, hpke.AEAD) { return hpke.HKDFSHA256(), hpke.ChaCha20Poly1305() }

// appendSigned adds everything before the signature.
func (q Request) appendSigned(b []byte) []byte {
	b = append(b, Version, byte(q.Account.Scheme()))
	b = append(b, q.Account.Bytes()...)
	b = append(b, q.Node[:]...)
	b = append(b, q.Device[:]...)
	b = append(b, q.Relay[:]...)
	b = be.AppendUint64(b, uint64(q.Time.UnixMilli()))
	b = append(b, q.Nonce[:]...)
	b = append(b, byte(len(q.Stream)))
	return append(b, q.Stream...)
}

func signedBytes(fields []byte) []byte {
	return append(append([]byte(knockInfo), 0), fields...)
}

// Seal signs the request by pair, whose public key becomes its Account, and seals it to its device.
func (q Request) Seal(pair *key.Pair) (Knock, error) {
	if len(q.Stream) == 0 || len(q.Stream) > MaxStream {
		return Knock{}, fmt.Errorf("knock: the stream's name has %d bytes, 1 to %d are allowed", len(q.Stream), MaxStream)
	}
	q.Account = pair.Public()
	plain := q.appendSigned(make([]byte, 0, knockPlain))
	sig, err := pair.Sign(signedBytes(plain))
	if err != nil {
		return Knock{}, fmt.Errorf("knock: %w", err)
	}
	return sealPlain(q.Device, append(plain, sig.Bytes()...))
}

// sealPlain pads plain and seals it to a node.
func sealPlain(to key.NodeID, plain []byte) (Knock, error) {
	x, err := to.X25519()
	if err != nil {
		return Knock{}, fmt.Errorf("knock: node %s: %w", to, err)
	}
	pub, err := hpke.NewDHKEMPublicKey(x)
	if err != nil {
		return Knock{}, fmt.Errorf("knock: node %s: %w", to, err)
	}
	var padded [knockPlain]byte
	copy(padded[:], plain)
	kdf, aead := suite()
	sealed, err := hpke.Seal(pub, kdf, aead, []byte(knockInfo), padded[:])
	if err != nil {
		return Knock{}, fmt.Errorf("knock: seal: %w", err)
	}
	return Knock(sealed), nil
}

// Opener opens knocks that are sealed to one node.
type Opener struct{ priv hpke.PrivateKey }

// NewOpener makes the opener of a node's X25519 key.
func NewOpener(x *ecdh.PrivateKey) (*Opener, error) {
	priv, err := hpke.NewDHKEMPrivateKey(x)
	if err != nil {
		return nil, fmt.Errorf("knock: %w", err)
	}
	return &Opener{priv}, nil
}

// Open decrypts a knock and reads its fields. The signature is not checked yet: see Opened.Verify. Errors: ErrKnockSealed, ErrKnockShape.
func (o *Opener) Open(k *Knock) (Opened, error) {
	kdf, aead := suite()
	plain, err := hpke.Open(o.priv, kdf, aead, []byte(knockInfo), k[:])
	if err != nil {
		return Opened{}, ErrKnockSealed
	}
	return parseKnock(plain)
}

// Opened is a decrypted knock whose signature is yet to be checked.
type Opened struct {
	Request
	signed []byte
	sig    key.Signature
}

// Verify checks the account's signature. Error: ErrKnockForged.
func (o Opened) Verify() error {
	if !o.Account.Verify(signedBytes(o.signed), o.sig) {
		return ErrKnockForged
	}
	return nil
}

// parseKnock reads the padded plaintext.
func parseKnock(plain []byte) (Opened, error) {
	if len(plain) != knockPlain {
		return Opened{}, ErrKnockShape
	}
	r := reader{b: plain, ok: true}
	if r.u8() != Version {
		return Opened{}, ErrKnockShape
	}
	scheme := key.Scheme(r.u8())
	pubSize, sigSize := 32, 64
	if scheme == key.Ecdsa {
		pubSize, sigSize = 33, 65
	} else if scheme > key.Ecdsa {
		return Opened{}, ErrKnockShape
	}
	pub, err := key.NewPublic(scheme, r.take(pubSize))
	if err != nil {
		return Opened{}, ErrKnockShape
	}
	o := Opened{Request: Request{Account: pub}}
	r.fill(o.Node[:])
	r.fill(o.Device[:])
	r.fill(o.Relay[:])
	o.Time = time.UnixMilli(int64(r.u64()))
	r.fill(o.Nonce[:])
	n := int(r.u8())
	if n == 0 || n > MaxStream {
		return Opened{}, ErrKnockShape
	}
	o.Stream = string(r.take(n))
	o.signed = plain[:knockPlain-len(r.b)]
	if o.sig, err = key.NewSignature(scheme, r.take(sigSize)); err != nil || !r.ok {
		return Opened{}, ErrKnockShape
	}
	for _, b := range r.b {
		if b != 0 {
			return Opened{}, ErrKnockShape
		}
	}
	return o, nil
}
