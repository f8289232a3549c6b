package key

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// The JSON of the polkadot.js wallet, version 3:
//
//	{"encoded":  base64 of the body,
//	 "encoding": {"content": ["pkcs8", scheme], "type": ["scrypt","xsalsa20-poly1305"] or ["none"], "version": "3"},
//	 "address":  SS58 address; for ecdsa the compressed public key in 0x-hex,
//	 "meta":     {"name": …, "genesisHash": …, "whenCreated": Unix milliseconds, …}}
//
// Of type none the body is the key itself:
//
//	pkcs8Head (16) ‖ secret ‖ pkcs8Divider (5) ‖ public key (32, 33 for ecdsa)
//
// where the secret is seed ‖ public key (64) for ed25519, the expanded secret (64: scalar times 8, nonce) for sr25519
// and the scalar (32) for ecdsa. Encrypted it is
//
//	salt (32) ‖ N ‖ p ‖ r (u32, little-endian) ‖ nonce (24) ‖ secretbox of the key
//
// under the first 32 bytes of scrypt(passphrase, salt, N, r, p, 64).

// maxWallet bounds the JSON of one account, in bytes.
const maxWallet = 64 << 10

// Errors of Import and Load; errors.Is finds them.
var (
	ErrPassphrase       = errors.New("wrong passphrase")
	ErrPassphraseNeeded = errors.New("the key is encrypted and there is no passphrase")
	ErrWallet           = errors.New("not the JSON of one account as the polkadot.js wallet exports it")
)

var (
	pkcs8Head    = []byte{48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32}
	pkcs8Divider = []byte{161, 35, 3, 33, 0}
)

const (
	typeNone   = "none"
	typeScrypt = "scrypt"
	typeBox    = "xsalsa20-poly1305"
	saltSize   = 32
	scryptHead = saltSize + 3*4
	nonceSize  = 24
)

// scryptCost of what Export writes. It takes 32 MiB and as much work as the wallet's own default (N = 2^17, p = 1),
// which takes 128 MiB: too much for a small device.
var scryptCost = cost{n: 1 << 15, p: 3, r: 8}

// Meta is what a wallet shows of an account. Everything in it may be empty.
type Meta struct {
	Name        string `json:"name,omitempty"`
	GenesisHash string `json:"genesisHash,omitempty"` // of the only chain that the account is for, 0x-hex
	Created     int64  `json:"whenCreated,omitempty"` // Unix milliseconds
}

type wallet struct {
	Encoded  string   `json:"encoded"`
	Encoding encoding `json:"encoding"`
	Address  string   `json:"address"`
	Meta     Meta     `json:"meta"`
}

type encoding struct {
	Content oneOrMore `json:"content"`
	Type    oneOrMore `json:"type"`
	Version string    `json:"version"`
}

// oneOrMore is a list that old wallets wrote as a single string when it had one element.
type oneOrMore []string

func (l *oneOrMore) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*l = make([]string, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// Export returns the pair as the JSON that the polkadot.js wallet imports, encrypted unless the passphrase is empty.
func (p *Pair) Export(passphrase string, meta Meta) ([]byte, error) {
	w := wallet{Address: p.Account().String(), Meta: meta}
	if p.Scheme() == Ecdsa { // whose public key cannot be had from the address
		w.Address = p.pub.String()
	}
	w.Encoding = encoding{Content: oneOrMore{"pkcs8", p.Scheme().String()}, Type: oneOrMore{typeNone}, Version: "3"}
	secret := p.secret().export()
	defer clear(secret)
	body := slices.Concat(pkcs8Head, secret, pkcs8Divider, p.pub.Bytes())
	defer clear(body)
	if passphrase != "" {
		w.Encoding.Type = oneOrMore{typeScrypt, typeBox}
		sealed, err := seal(body, passphrase)
		if err != nil {
			return nil, fmt.Errorf("export %s key %s: %w", p.Scheme(), p.Account(), err)
		}
		body = sealed
	}
	w.Encoded = base64.StdEncoding.EncodeToString(body)
	out, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("export %s key %s: %w", p.Scheme(), p.Account(), err)
	}
	if len(out) > maxWallet {
		return nil, fmt.Errorf("export %s key %s: more than %d bytes", p.Scheme(), p.Account(), maxWallet)
	}
	return out, nil
}

// Import reads the JSON that Export and the polkadot.js wallet write. passphrase is asked only when it is encrypted, and
// may be nil. The error wraps ErrWallet, ErrScheme, ErrPassphraseNeeded or ErrPassphrase, or is passphrase's own.
func Import(data []byte, passphrase func() (string, error)) (*Pair, Meta, error) {
	p, meta, err := importWallet(data, passphrase)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("import key: %w", err)
	}
	return p, meta, nil
}

func importWallet(data []byte, passphrase func() (string, error)) (*Pair, Meta, error) {
	var w wallet
	if len(data) > maxWallet {
		return nil, Meta{}, fmt.Errorf("%w: more than %d bytes", ErrWallet, maxWallet)
	}
	if err := json.Unmarshal(data, &w); err != nil {
		// The decoder's message may quote what it reads, which may be a secret.
		return nil, Meta{}, fmt.Errorf("%w: it does not parse", ErrWallet)
	}
	scheme, err := w.Encoding.scheme()
	if err != nil {
		return nil, Meta{}, err
	}
	body, err := w.body()
	if err != nil {
		return nil, Meta{}, err
	}
	defer func() { clear(body) }()
	if !slices.Equal(w.Encoding.Type, oneOrMore{typeNone}) {
		if passphrase == nil {
			return nil, Meta{}, ErrPassphraseNeeded
		}
		word, err := passphrase()
		if err != nil {
			return nil, Meta{}, err
		}
		if body, err = open(body, word); err != nil {
			return nil, Meta{}, err
		}
	}
	p, err := pairFromPKCS8(scheme, body)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("%w: %w", ErrWallet, err)
	}
	if !w.names(p) {
		return nil, Meta{}, fmt.Errorf("%w: its address is not that of its key", ErrWallet)
	}
	return p, w.Meta, nil
}

// scheme checks the three fields of the encoding.
func (e *encoding) scheme() (Scheme, error) {
	switch {
	case e.Version != "3":
		return 0, fmt.Errorf("%w: version %.10q instead of \"3\" (open it in the wallet and export it again)",
			ErrWallet, e.Version)
	case len(e.Content) > 0 && e.Content[0] == "batch-pkcs8":
		return 0, fmt.Errorf("%w: it holds several accounts (export the one)", ErrWallet)
	case len(e.Content) != 2 || e.Content[0] != "pkcs8":
		return 0, fmt.Errorf("%w: its content is not [\"pkcs8\", scheme]", ErrWallet)
	case !slices.Equal(e.Type, oneOrMore{typeNone}) && !slices.Equal(e.Type, oneOrMore{typeScrypt, typeBox}):
		return 0, fmt.Errorf("%w: its type is neither [%q] nor [%q,%q]", ErrWallet, typeNone, typeScrypt, typeBox)
	}
	return ParseScheme(e.Content[1])
}

func (w *wallet) body() (b []byte, err error) {
	if digits, ok := strings.CutPrefix(w.Encoded, "0x"); ok {
		b, err = hex.DecodeString(digits)
	} else {
		b, err = base64.StdEncoding.DecodeString(w.Encoded)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its encoded key is not base64", ErrWallet)
	}
	return b, nil
}

// names reports whether the wallet's address is that of p.
func (w *wallet) names(p *Pair) bool {
	if strings.HasPrefix(w.Address, "0x") {
		return strings.EqualFold(w.Address, p.pub.String())
	}
	a, _, err := ParseSS58(w.Address)
	return err == nil && a == p.Account()
}

func pairFromPKCS8(s Scheme, body []byte) (*Pair, error) {
	rest, ok := bytes.CutPrefix(body, pkcs8Head)
	if !ok {
		return nil, errors.New("its key does not start as PKCS #8")
	}
	size := 64
	if s == Ecdsa {
		size = 32
	}
	if len(rest) != size+len(pkcs8Divider)+s.PublicSize() || !bytes.HasPrefix(rest[size:], pkcs8Divider) {
		return nil, fmt.Errorf("its key is not laid out as one of scheme %s", s)
	}
	secret, public := rest[:size], rest[size+len(pkcs8Divider):]
	p, err := pairFromSecret(s, secret)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.pub.Bytes(), public) || s == Ed25519 && !bytes.Equal(secret[32:], public) {
		return nil, errors.New("its public key is not that of its secret key")
	}
	return p, nil
}

func pairFromSecret(s Scheme, secret []byte) (*Pair, error) {
	if s == Sr25519 {
		k, err := srFromExport(secret)
		if err != nil {
			return nil, err
		}
		return newPair(k), nil
	}
	seed := [32]byte(secret[:32])
	defer clear(seed[:])
	if s == Ecdsa {
		k, err := newEcSecret(&seed)
		if err != nil {
			return nil, err
		}
		return newPair(k), nil
	}
	return newPair(newEdSecret(&seed)), nil
}

// cost is scrypt's: it takes 128·n·r bytes and time in proportion to n·r·p.
type cost struct{ n, p, r uint32 }

// check bounds what a hostile file can make us spend: 256 MiB, and four times the work of the wallet's default.
func (c cost) check() error {
	const maxN, maxR, maxP, maxMemory, maxWork = 1 << 18, 16, 16, 1 << 21, 1 << 22
	ok := c.n >= 2 && c.n <= maxN && c.n&(c.n-1) == 0 && c.r >= 1 && c.r <= maxR && c.p >= 1 && c.p <= maxP
	if !ok || c.n*c.r > maxMemory || c.n*c.r*c.p > maxWork {
		return fmt.Errorf("%w: scrypt with N=%d r=%d p=%d is beyond what a wallet asks for", ErrWallet, c.n, c.r, c.p)
	}
	return nil
}

func (c cost) key(passphrase string, salt []byte) (*[32]byte, error) {
	wide, err := scrypt.Key([]byte(passphrase), salt, int(c.n), int(c.r), int(c.p), 64)
	if err != nil {
		return nil, fmt.Errorf("derive key of passphrase: %w", err)
	}
	// Tens of MiB are garbage now. A process that opens its key and then runs for months should not keep them.
	debug.FreeOSMemory()
	defer clear(wide)
	k := [32]byte(wide[:32])
	return &k, nil
}

func seal(body []byte, passphrase string) ([]byte, error) {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	out := make([]byte, saltSize, scryptHead+nonceSize+secretbox.Overhead+len(body))
	_, _ = rand.Read(out)
	k, err := scryptCost.key(passphrase, out)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	for _, n := range []uint32{scryptCost.n, scryptCost.p, scryptCost.r} {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return secretbox.Seal(append(out, nonce[:]...), body, &nonce, k), nil
}

func open(sealed []byte, passphrase string) ([]byte, error) {
	if len(sealed) < scryptHead+nonceSize+secretbox.Overhead {
		return nil, fmt.Errorf("%w: its encrypted key is too short", ErrWallet)
	}
	number := func(i int) uint32 { return binary.LittleEndian.Uint32(sealed[saltSize+4*i:]) }
	c := cost{n: number(0), p: number(1), r: number(2)}
	if err := c.check(); err != nil {
		return nil, err
	}
	k, err := c.key(passphrase, sealed[:saltSize])
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	nonce := [nonceSize]byte(sealed[scryptHead:])
	body, ok := secretbox.Open(nil, sealed[scryptHead+nonceSize:], &nonce, k)
	if !ok {
		return nil, ErrPassphrase
	}
	return body, nil
}
