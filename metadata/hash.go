package metadata

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// Hasher is how a key of a storage map is hashed, with the index that it has in metadata.
type Hasher uint8

// The hashers of storage maps. Those with Concat, and Identity, leave the key readable.
const (
	HashBlake2_128 Hasher = iota
	HashBlake2_256
	HashBlake2_128Concat
	HashTwox128
	HashTwox256
	HashTwox64Concat
	HashIdentity
	hashers // their number
)

var hasherNames = [hashers]string{"blake2_128", "blake2_256", "blake2_128_concat", "twox_128", "twox_256", "twox_64_concat", "identity"}

// String returns the hasher's name as in "blake2_128_concat".
func (h Hasher) String() string {
	if h < hashers {
		return hasherNames[h]
	}
	return "unknown hasher"
}

// Readable reports whether the key can be read back from the hashed form.
func (h Hasher) Readable() bool {
	return h == HashBlake2_128Concat || h == HashTwox64Concat || h == HashIdentity
}

// size is the number of bytes before the readable key, or of all when it is not readable.
func (h Hasher) size() int {
	return [hashers]int{16, 32, 16, 16, 32, 8, 0}[h]
}

// Append appends the hashed form of an encoded key.
func (h Hasher) Append(dst, key []byte) []byte {
	switch h {
	case HashBlake2_128, HashBlake2_128Concat:
		x := Blake2_128(key)
		dst = append(dst, x[:]...)
	case HashBlake2_256:
		x := Blake2_256(key)
		dst = append(dst, x[:]...)
	case HashTwox128:
		x := Twox128(key)
		dst = append(dst, x[:]...)
	case HashTwox256:
		x := Twox256(key)
		dst = append(dst, x[:]...)
	case HashTwox64Concat:
		x := Twox64(key)
		dst = append(dst, x[:]...)
	}
	if h.Readable() {
		dst = append(dst, key...)
	}
	return dst
}

// Blake2_128 is BLAKE2b with a digest of 16 bytes.
func Blake2_128(b []byte) (out [16]byte) {
	h, err := blake2b.New(16, nil)
	if err != nil {
		panic(err) // only for sizes and keys that are out of range
	}
	h.Write(b)
	h.Sum(out[:0])
	return out
}

// Blake2_256 is BLAKE2b with a digest of 32 bytes.
func Blake2_256(b []byte) [32]byte { return blake2b.Sum256(b) }

// Twox64 is XXH64 with seed 0, little-endian.
func Twox64(b []byte) (out [8]byte) {
	twox(out[:], b)
	return out
}

// Twox128 is XXH64 with the seeds 0 and 1, little-endian: the form of pallet and entry names in storage keys.
func Twox128(b []byte) (out [16]byte) {
	twox(out[:], b)
	return out
}

// Twox256 is XXH64 with the seeds 0 to 3, little-endian.
func Twox256(b []byte) (out [32]byte) {
	twox(out[:], b)
	return out
}

func twox(out, b []byte) {
	for i := 0; i*8 < len(out); i++ {
		binary.LittleEndian.PutUint64(out[i*8:], xxh64(b, uint64(i)))
	}
}

// The primes of XXH64.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// xxh64 is the XXH64 hash of b, as its specification has it.
func xxh64(b []byte, seed uint64) uint64 {
	n := uint64(len(b))
	h := seed + prime5
	if len(b) >= 32 {
		lanes := [4]uint64{seed + prime1, seed, seed, seed}
		lanes[0] += prime2 // not as a constant: the sum overflows on purpose
		lanes[1] += prime2
		lanes[3] -= prime1
		for ; len(b) >= 32; b = b[32:] {
			for i := range lanes {
				lanes[i] = round(lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
			}
		}
		h = bits.RotateLeft64(lanes[0], 1) + bits.RotateLeft64(lanes[1], 7) +
			bits.RotateLeft64(lanes[2], 12) + bits.RotateLeft64(lanes[3], 18)
		for _, l := range lanes {
			h = (h^round(0, l))*prime1 + prime4
		}
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^round(0, binary.LittleEndian.Uint64(b)), 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, x := range b {
		h = bits.RotateLeft64(h^uint64(x)*prime5, 11) * prime1
	}
	h ^= h >> 33
	h *= prime2
	h ^= h >> 29
	h *= prime3
	return h ^ h>>32
}

func round(acc, lane uint64) uint64 { return bits.RotateLeft64(acc+lane*prime2, 31) * prime1 }
