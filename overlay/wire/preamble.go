package wire

import (
	"errors"
	"io"
)

// The first bytes of the two kinds of connection, and the modes of a session.
const (
	FirstTLS  = 0x16
	FirstData = 'i'

	ModeStream = 1 // the session is one stream
	ModeMux    = 2 // the session is multiplexed

	PreambleSize = 4 + 32
)

var preamble = [4]byte{FirstData, 'o', 'd', 1}

var errPreamble = errors.New("data connection: the preamble is not one of version 1")

// Preamble is what a node sends first on a data connection.
func Preamble(t Token) []byte { return append(preamble[:len(preamble):len(preamble)], t[:]...) }

// ReadPreamble reads what follows the first byte FirstData, and not a byte more.
func ReadPreamble(r io.Reader) (Token, error) {
	var b [PreambleSize - 1]byte
	if _, err := io.ReadFull(r, b[:3]); err != nil {
		return Token{}, err
	}
	if [3]byte(b[:3]) != [3]byte(preamble[1:]) {
		return Token{}, errPreamble
	}
	_, err := io.ReadFull(r, b[3:])
	return Token(b[3:]), err
}
