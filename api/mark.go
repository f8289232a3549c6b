package api

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"golang.org/x/crypto/blake2b"

	"iod/index"
)

// A token for the next page is base64url of
//
//	1 byte   version, 1
//	1 byte   order: 0 newest, 1 price, 2 -price, 3 distance; +8 when there is a price
//	8 bytes  rank, big-endian
//	16 bytes price, when there is one; or 8 bytes of the float64 that is the distance in kilometres, by distance
//	8 bytes  blake2b of the bytes before, and of the centre by distance: what was mistyped, cut or taken from a search in another
//	         order is told as such
//
// The last bytes are no secret, and need not be: a token says where to continue, nothing else.
const markVersion = 1

var orderCodes = map[index.Order]byte{index.Newest: 0, index.Cheapest: 1, index.Dearest: 2, index.Nearest: 3}

const withPrice = 8

// formatMark writes the token for the page after m of a search.
func formatMark(m index.Mark, q index.Query) string {
	code := orderCodes[q.Order]
	if m.Price != nil {
		code |= withPrice
	}
	b := binary.BigEndian.AppendUint64([]byte{markVersion, code}, uint64(m.Rank))
	if m.Price != nil {
		b = append(b, m.Price[:]...)
	}
	if q.Order == index.Nearest {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(m.Km))
	}
	return base64.RawURLEncoding.EncodeToString(append(b, markSum(b, q)...))
}

func markSum(b []byte, q index.Query) []byte {
	text := append([]byte("iod/page/1\x00"), b...)
	if q.Order == index.Nearest && q.Near != nil {
		text = strconv.AppendFloat(text, q.Near.Lat, 'g', -1, 64)
		text = strconv.AppendFloat(append(text, ','), q.Near.Lon, 'g', -1, 64)
	}
	sum := blake2b.Sum256(text)
	return sum[:8]
}

// parseMark reads a token for the search q.
func parseMark(s string, q index.Query) (*index.Mark, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 18 || b[0] != markVersion {
		return nil, fmt.Errorf("%.200q is %w", s, errMark)
	}
	if order := b[1] &^ withPrice; order != orderCodes[q.Order] {
		for o, code := range orderCodes {
			if code == order {
				return nil, fmt.Errorf("it is of a search with sort=%s, and this one has sort=%s: begin with the first page", orderName(o), orderName(q.Order))
			}
		}
		return nil, fmt.Errorf("%.200q is %w", s, errMark)
	}
	body, sum := b[:len(b)-8], b[len(b)-8:]
	if string(markSum(body, q)) != string(sum) {
		if q.Order == index.Nearest {
			return nil, fmt.Errorf("it is of a search around another place, or was changed: begin with the first page")
		}
		return nil, fmt.Errorf("%.200q was changed: %w", s, errMark)
	}
	m := &index.Mark{Rank: index.Rank(binary.BigEndian.Uint64(body[2:]))}
	rest := body[10:]
	if b[1]&withPrice != 0 {
		if len(rest) < 16 {
			return nil, fmt.Errorf("%.200q is %w", s, errMark)
		}
		p := index.Price(rest[:16])
		m.Price, rest = &p, rest[16:]
	}
	if q.Order == index.Nearest {
		if len(rest) != 8 {
			return nil, fmt.Errorf("%.200q is %w", s, errMark)
		}
		m.Km, rest = math.Float64frombits(binary.BigEndian.Uint64(rest)), nil
	}
	if len(rest) != 0 || m.Rank < 0 || math.IsNaN(m.Km) || m.Km < 0 {
		return nil, fmt.Errorf("%.200q is %w", s, errMark)
	}
	return m, nil
}

// orderName is how an order is written.
func orderName(o index.Order) string {
	for name, x := range orders {
		if x == o {
			return name
		}
	}
	return "newest"
}
