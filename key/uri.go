package key

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tyler-smith/go-bip39"
	"golang.org/x/crypto/blake2b"
)

// developmentPhrase is the phrase of //Alice, //Bob and the others, known to everyone.
const developmentPhrase = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"

const (
	maxURI       = 4096 // bytes
	maxJunctions = 64
)

// Errors of FromURI; errors.Is finds them. No error of a secret URI quotes any of it.
var (
	ErrPhrase   = errors.New("not a BIP-39 phrase (12, 15, 18, 21 or 24 English words)")
	ErrSeed     = errors.New("not a seed (0x and 64 hex digits)")
	ErrJunction = errors.New("not a derivation path (//hard and /soft junctions)")
	ErrSoft     = errors.New("soft junctions exist for sr25519 only; write // instead of /")
)

// junction is one step of a derivation path.
type junction struct {
	hard bool
	code [32]byte
}

// Generate makes a new pair and the 12-word phrase that it comes from.
func Generate(s Scheme) (*Pair, string, error) {
	entropy := make([]byte, 16)
	defer clear(entropy)
	_, _ = rand.Read(entropy) // never fails
	phrase, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return nil, "", fmt.Errorf("generate %s key: %w", s, err)
	}
	p, err := FromURI(s, phrase)
	if err != nil {
		return nil, "", fmt.Errorf("generate %s key: %w", s, err)
	}
	return p, phrase, nil
}

// FromURI derives a pair from a secret URI: phrase or 0x-hex seed, //hard and /soft junctions, ///password.
// An empty phrase stands for the well-known development phrase. The password belongs to a phrase; with a seed it
// changes nothing, as in other wallets. The error wraps ErrPhrase, ErrSeed, ErrJunction, ErrSoft or ErrScheme.
func FromURI(s Scheme, uri string) (*Pair, error) {
	if s > Ecdsa {
		return nil, fmt.Errorf("secret URI: %w", ErrScheme)
	}
	if len(uri) > maxURI {
		return nil, fmt.Errorf("secret URI: %d bytes, more than the %d allowed", len(uri), maxURI)
	}
	rest, password, _ := strings.Cut(uri, "///")
	phrase, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		phrase, path = rest[:i], rest[i:]
	}
	junctions, err := parsePath(path)
	if err != nil {
		return nil, fmt.Errorf("secret URI: %w", err)
	}
	seed, err := parseSeed(phrase, password)
	if err != nil {
		return nil, fmt.Errorf("secret URI: %w", err)
	}
	defer clear(seed[:])
	secret, err := derive(s, &seed, junctions)
	if err != nil {
		return nil, fmt.Errorf("secret URI: %w", err)
	}
	return newPair(secret), nil
}

func parseSeed(phrase, password string) ([32]byte, error) {
	if digits, ok := strings.CutPrefix(phrase, "0x"); ok {
		var seed [32]byte
		if len(digits) != 64 {
			return seed, ErrSeed
		}
		if _, err := hex.Decode(seed[:], []byte(digits)); err != nil {
			return [32]byte{}, ErrSeed
		}
		return seed, nil
	}
	if phrase == "" {
		phrase = developmentPhrase
	}
	return seedFromPhrase(phrase, password)
}

func seedFromPhrase(phrase, password string) ([32]byte, error) {
	words := strings.Fields(phrase)
	if len(words) < 12 || len(words) > 24 || len(words)%3 != 0 {
		return [32]byte{}, fmt.Errorf("%w: it has %d words", ErrPhrase, len(words))
	}
	for i, w := range words {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return [32]byte{}, fmt.Errorf("%w: word %d is not in the list", ErrPhrase, i+1)
		}
	}
	entropy, err := bip39.EntropyFromMnemonic(strings.Join(words, " "))
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: its checksum is wrong (are two words swapped, or is one mistaken?)", ErrPhrase)
	}
	defer clear(entropy)
	wide, err := pbkdf2.Key(sha512.New, string(entropy), []byte("mnemonic"+password), 2048, 64)
	if err != nil {
		return [32]byte{}, fmt.Errorf("derive seed of phrase: %w", err)
	}
	defer clear(wide)
	return [32]byte(wide[:32]), nil
}

func parsePath(path string) ([]junction, error) {
	var out []junction
	for path != "" {
		if len(out) == maxJunctions {
			return nil, fmt.Errorf("%w: more than %d junctions", ErrJunction, maxJunctions)
		}
		hard := strings.HasPrefix(path, "//")
		path = strings.TrimPrefix(path[1:], "/")
		text := path
		if i := strings.IndexByte(path, '/'); i >= 0 {
			text = path[:i]
		}
		path = path[len(text):]
		code, err := chainCode(text)
		if err != nil {
			return nil, fmt.Errorf("%w: junction %d %w", ErrJunction, len(out)+1, err)
		}
		out = append(out, junction{hard: hard, code: code})
	}
	return out, nil
}

// chainCode refuses three spellings that wallets understand differently: a number beyond 64 bits (some take it for
// text), one with a plus sign (some take it for a number), and 0x-hex (some take it for bytes, some for text).
func chainCode(text string) ([32]byte, error) {
	var code [32]byte
	switch {
	case text == "":
		return code, errors.New("is empty")
	case isDigits(text):
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return code, errors.New("is a number above 2^64-1, which wallets read differently")
		}
		binary.LittleEndian.PutUint64(code[:], n)
		return code, nil
	case text[0] == '+' && isDigits(text[1:]):
		return code, errors.New("is a number with a plus sign, which wallets read differently")
	case strings.HasPrefix(text, "0x") && strings.Trim(text[2:], "0123456789abcdefABCDEF") == "":
		return code, errors.New("is 0x-hex, which wallets read differently")
	}
	encoded := append(compactLength(len(text)), text...)
	if len(encoded) > len(code) {
		return blake2b.Sum256(encoded), nil
	}
	copy(code[:], encoded)
	return code, nil
}

// compactLength is the SCALE compact form of a length below 2^30.
func compactLength(n int) []byte {
	switch {
	case n < 1<<6:
		return []byte{byte(n << 2)}
	case n < 1<<14:
		return binary.LittleEndian.AppendUint16(nil, uint16(n<<2|1))
	default:
		return binary.LittleEndian.AppendUint32(nil, uint32(n<<2|2))
	}
}

func derive(s Scheme, seed *[32]byte, path []junction) (signer, error) {
	if s == Sr25519 {
		return deriveSr25519(seed, path)
	}
	tag := "Ed25519HDKD"
	if s == Ecdsa {
		tag = "Secp256k1HDKD"
	}
	at := *seed
	defer clear(at[:])
	for _, j := range path {
		if !j.hard {
			return nil, ErrSoft
		}
		at = hardSeed(tag, &at, &j.code)
	}
	if s == Ecdsa {
		return newEcSecret(&at)
	}
	return newEdSecret(&at), nil
}

func deriveSr25519(seed *[32]byte, path []junction) (signer, error) {
	at := newSrSecret(seed)
	for _, j := range path {
		if j.hard {
			at = at.hard(&j.code)
			continue
		}
		var err error
		if at, err = at.soft(&j.code); err != nil {
			return nil, err
		}
	}
	return at, nil
}
