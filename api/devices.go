package api

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"sync"

	"iod/index"
)

// devices answers a search. It is what the API does most, so listings come rendered from the store, and are joined.
func (s *server) devices(c *call) (reply, error) {
	q, err := queryOf(c.args, s.Now())
	if err != nil {
		return reply{}, err
	}
	q.Shown = true
	found, err := s.reader.Search(c.r.Context(), q)
	if err != nil {
		return reply{}, err
	}
	b := pages.Get().(*[]byte)
	*b = appendPage((*b)[:0], &found, q)
	return reply{media: jsonType, body: *b, spent: func() {
		if cap(*b) <= keptPage {
			pages.Put(b)
		}
	}}, nil
}

// pages are the memory of pages that have been sent.
var pages = sync.Pool{New: func() any { return new([]byte) }}

// keptPage is how large a page may be whose memory is kept.
const keptPage = 256 << 10

// appendPage appends a Page as JSON, and a newline. Each listing is what index.Show makes of it, with the members that belong to the search
// behind them.
func appendPage(b []byte, found *index.Page, q index.Query) []byte {
	size := 64
	for i := range found.Found {
		f := &found.Found[i]
		size += len(f.Shown) + 2*len(f.Raw) + 128
	}
	b = slices.Grow(b, size)
	b = append(b, `{"devices":[`...)
	for i := range found.Found {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFound(b, &found.Found[i], q.Near != nil)
	}
	b = append(b, ']')
	if found.Next != nil {
		b = append(append(append(b, `,"next":"`...), formatMark(*found.Next, q)...), '"')
	}
	return append(b, '}', '\n')
}

func appendFound(b []byte, f *index.Found, near bool) []byte {
	b = append(b, f.Shown[:len(f.Shown)-1]...)
	if f.Raw != nil {
		b = append(hex.AppendEncode(append(b, `,"document":"0x`...), f.Raw), '"')
	}
	if f.Stream != "" {
		name, err := json.Marshal(f.Stream)
		if err == nil { // every text can be written
			b = append(append(b, `,"offer":`...), name...)
		}
	}
	if near {
		b = strconv.AppendFloat(append(b, `,"distance_km":`...), f.Km, 'f', 3, 64)
	}
	return append(b, '}')
}
