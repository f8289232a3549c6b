package chain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
)

// scanner reads a JSON text that is known to be valid, from left to right, once. Its first error sticks.
type scanner struct {
	b   []byte
	i   int
	err error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
	s.i = len(s.b)
}

// peek skips white space and returns the next byte; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take takes the next byte, which has to be c.
func (s *scanner) take(c byte) {
	if got := s.peek(); got != c {
		s.fail("%q where %q belongs", got, c)
		return
	}
	s.i++
}

// each calls item for every item of a list, at most maxList.
func (s *scanner) each(item func()) {
	s.take('[')
	if s.peek() == ']' {
		s.i++
		return
	}
	for n := 0; s.err == nil; n++ {
		if n == maxList {
			s.fail("list of more than %d items", maxList)
			return
		}
		if item(); s.peek() == ']' {
			s.i++
			return
		}
		s.take(',')
	}
}

// text takes a string without decoding it: hexadecimal has nothing to decode.
func (s *scanner) text() []byte {
	s.take('"')
	if s.err != nil {
		return nil
	}
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 || bytes.IndexByte(s.b[s.i:s.i+n], '\\') >= 0 {
		s.fail("a string that is not plain")
		return nil
	}
	out := s.b[s.i : s.i+n]
	s.i += n + 1
	return out
}

// hex takes hexadecimal bytes; null gives nil, and nothing gives none.
func (s *scanner) hex() []byte {
	if s.peek() == 'n' {
		s.i += len("null")
		return nil
	}
	text := s.text()
	if s.err != nil {
		return nil
	}
	if len(text) < 2 || text[0] != '0' || text[1] != 'x' {
		s.fail("hexadecimal bytes without 0x")
		return nil
	}
	out := make([]byte, hex.DecodedLen(len(text)-2))
	if _, err := hex.Decode(out, text[2:]); err != nil {
		s.fail("%w", err)
	}
	return out
}

// hexList is a list of bytes in an answer.
type hexList [][]byte

// DecodeAnswer makes it an rpc.Answer.
func (l *hexList) DecodeAnswer(answer []byte) error {
	s := scanner{b: answer}
	s.each(func() {
		b := s.hex()
		if b == nil {
			s.fail("null in a list of bytes")
		}
		*l = append(*l, b)
	})
	return s.err
}

// changeSets are what nodes call the entries of some blocks.
type changeSets struct{ sets []changeSet }

var errNotSet = errors.New("not a set of changes")

// DecodeAnswer makes it an rpc.Answer.
func (c *changeSets) DecodeAnswer(answer []byte) error {
	s := scanner{b: answer}
	s.each(func() {
		var set changeSet
		s.take('{')
		for s.err == nil {
			switch name := string(s.text()); name {
			case "block":
				s.take(':')
				b := s.hex()
				if len(b) != len(set.Block) {
					s.fail("block: %w", errNotSet)
					return
				}
				set.Block = Hash(b)
			case "changes":
				s.take(':')
				set.Changes = nil
				s.each(func() { set.Changes = append(set.Changes, s.change()) })
			default:
				s.fail("field %.40q: %w", name, errNotSet)
			}
			if s.peek() == '}' {
				s.i++
				break
			}
			s.take(',')
		}
		c.sets = append(c.sets, set)
	})
	return s.err
}

// change takes a pair of a key and a value that may be null.
func (s *scanner) change() (pair [2]*hexBytes) {
	n := 0
	s.each(func() {
		b := s.hex()
		if n == len(pair) {
			s.fail("more than a key and a value: %w", errNotSet)
			return
		}
		if b != nil {
			h := hexBytes(b)
			pair[n] = &h
		}
		n++
	})
	return pair
}
