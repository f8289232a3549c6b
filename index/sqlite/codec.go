package sqlite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// rest is what index.Show does not show of a listing, as JSON in listing.rest. Its names are part of the schema.
type rest struct {
	Floor  *uint64    `json:"f,omitempty"` // when it is not the sequence
	ByOwn  bool       `json:"o,omitempty"`
	Ended  uint32     `json:"e,omitempty"`
	Owner  string     `json:"c,omitempty"` // claimed, when it did not vouch
	Vouch  string     `json:"v,omitempty"` // when it is not in its column
	Events *[3]uint32 `json:"n,omitempty"` // of first, updated and presence; absent when all are 0
	Times  *[3]int64  `json:"t,omitempty"` // likewise, Unix milliseconds, when one is so far ahead that it is not shown
	// Data is how the additional fields' data come from the texts that are shown: a letter for each (dataForms). Raw are those that come
	// from none.
	Data string   `json:"d,omitempty"`
	Raw  []string `json:"r,omitempty"`
}

// The forms of an additional field's data: the shown text itself, as this program writes texts, or else.
const (
	formText   = 't'
	formQuoted = 'q'
	formRaw    = 'r'
)

func formOf(a document.Additional) byte {
	switch text := a.Text(); {
	case a.Data == text:
		return formText
	case a == document.NewAdditional(a.Type, text):
		return formQuoted
	}
	return formRaw
}

// encodeListing returns a listing as the columns shown, rest and vouch.
func encodeListing(l *index.Listing) (shown, more string, vouch []byte, err error) {
	d := &l.Device
	r := rest{ByOwn: l.ByOwn, Ended: l.EndedBlock}
	if l.Floor != d.Sequence {
		r.Floor = &l.Floor
	}
	if d.Owner != nil && !l.Vouched {
		r.Owner = d.Owner.String()
	}
	if vouch = packVouch(d.Vouch); vouch == nil {
		r.Vouch = d.Vouch
	}
	if e := [3]uint32{l.First.Event, l.Updated.Event, l.PresenceAt.Event}; e != [3]uint32{} {
		r.Events = &e
	}
	if t := [3]int64{milli(l.First.Time), milli(l.Updated.Time), milli(l.PresenceAt.Time)}; slices.Max(t[:]) >= hidden {
		r.Times = &t
	}
	for _, a := range d.Additional {
		form := formOf(a)
		if r.Data += string(form); form == formRaw {
			r.Raw = append(r.Raw, a.Data)
		}
	}
	b, err := index.Show(l)
	if err != nil {
		return "", "", nil, err
	}
	text, err := json.Marshal(r)
	return string(b), string(text), vouch, err
}

var errRest = errors.New("the rest of a listing does not fit what is shown of it")

// decodeListing is the inverse of encodeListing.
func decodeListing(shown, more, vouch []byte) (*index.Listing, error) {
	l, err := index.ReadShown(shown)
	if err != nil {
		return nil, err
	}
	var r rest
	if err := json.Unmarshal(more, &r); err != nil {
		return nil, fmt.Errorf("read the rest of a listing: %w", err)
	}
	d := &l.Device
	if l.ByOwn, l.EndedBlock, l.Floor = r.ByOwn, r.Ended, d.Sequence; r.Floor != nil {
		l.Floor = *r.Floor
	}
	if r.Owner != "" {
		owner, err := key.ParseAccount(r.Owner)
		if err != nil {
			return nil, fmt.Errorf("read the owner of a listing: %w", err)
		}
		d.Owner = &owner
	}
	if d.Vouch = r.Vouch; vouch != nil {
		d.Vouch = "0x" + hex.EncodeToString(vouch)
	}
	if r.Events != nil {
		l.First.Event, l.Updated.Event, l.PresenceAt.Event = r.Events[0], r.Events[1], r.Events[2]
	}
	if r.Times != nil {
		l.First.Time, l.Updated.Time, l.PresenceAt.Time = timeOf(r.Times[0]), timeOf(r.Times[1]), timeOf(r.Times[2])
	}
	if len(r.Data) != len(d.Additional) || strings.Count(r.Data, string(formRaw)) != len(r.Raw) {
		return nil, errRest
	}
	for i := range d.Additional {
		switch a := &d.Additional[i]; r.Data[i] {
		case formQuoted:
			*a = document.NewAdditional(a.Type, a.Data)
		case formRaw:
			a.Data, r.Raw = r.Raw[0], r.Raw[1:]
		}
	}
	return l, nil
}

// packVouch is a signature without its hex; nil when it has another form.
func packVouch(s string) []byte {
	digits, ok := strings.CutPrefix(s, "0x")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) == 0 || hex.EncodeToString(b) != digits {
		return nil
	}
	return b
}

// packPrice is a price as bytes that sort as prices do: how many bytes its number has without leading zeros, and these without trailing ones.
func packPrice(p index.Price) []byte {
	number := bytes.TrimLeft(p[:], "\x00")
	return append([]byte{byte(len(number))}, bytes.TrimRight(number, "\x00")...)
}

// packPriceOrNil is NULL for no price.
func packPriceOrNil(p *index.Price) any {
	if p == nil {
		return nil
	}
	return packPrice(*p)
}

// topPrice is above all packed prices.
var topPrice = []byte{0xff}

func unpackPrice(b []byte) (*index.Price, error) {
	if b == nil {
		return nil, nil
	}
	var p index.Price
	if len(b) == 0 || int(b[0]) > len(p) || len(b)-1 > int(b[0]) {
		return nil, fmt.Errorf("no price: %x", b)
	}
	copy(p[len(p)-int(b[0]):], b[1:])
	return &p, nil
}

// packPoint is a point as bytes: block, hash, Unix milliseconds (0: not known), extrinsic + 1, event, and 1 when it is of the state. All but the
// hash are varints.
func packPoint(p index.Point) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 64), uint64(p.Block))
	b = append(b, p.Hash[:]...)
	b = binary.AppendVarint(b, milli(p.Time))
	b = binary.AppendVarint(b, int64(p.Extrinsic)+1)
	b = binary.AppendUvarint(b, uint64(p.Event))
	if p.FromState {
		b = append(b, 1)
	}
	return b
}

var errPoint = errors.New("no point of the chain")

func unpackPoint(b []byte) (p index.Point, err error) {
	u := func() (x uint64) {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			err = errPoint
			return 0
		}
		b = b[n:]
		return x
	}
	v := func() int64 { x := u(); return int64(x>>1) ^ -int64(x&1) }
	p.Block = uint32(u())
	if len(b) < len(p.Hash) {
		return p, errPoint
	}
	b = b[copy(p.Hash[:], b):]
	p.Time = timeOf(v())
	p.Extrinsic, p.Event = int32(v()-1), uint32(u())
	p.FromState = len(b) > 0
	return p, err
}

// point is index.Point as JSON, as in set_aside.
type point struct {
	Block     uint32     `json:"block"`
	Hash      index.Hash `json:"hash"`
	Milli     int64      `json:"time"` // Unix milliseconds; 0: not known
	Extrinsic int32      `json:"extrinsic"`
	Event     uint32     `json:"event"`
	State     bool       `json:"state,omitempty"`
}

func encodePoint(p index.Point) (string, error) {
	out, err := json.Marshal(point{p.Block, p.Hash, milli(p.Time), p.Extrinsic, p.Event, p.FromState})
	return string(out), err
}

func decodePoint(text string) (index.Point, error) {
	var p point
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return index.Point{}, fmt.Errorf("read a point: %w", err)
	}
	out := index.Point{Block: p.Block, Hash: p.Hash, Extrinsic: p.Extrinsic, Event: p.Event, FromState: p.State}
	out.Time = timeOf(p.Milli)
	return out, nil
}

// hidden is the beginning of the year 10000, in Unix milliseconds.
const hidden = 253402300800000

// timeOf is the inverse of milli.
func timeOf(milli int64) time.Time {
	if milli == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milli).UTC()
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// blob is an account as a column: NULL when there is none.
func blob(a *key.AccountID) any {
	if a == nil {
		return nil
	}
	return a[:]
}

func accountOf(b []byte) (*key.AccountID, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) != len(key.AccountID{}) {
		return nil, fmt.Errorf("an account of %d bytes", len(b))
	}
	a := key.AccountID(b)
	return &a, nil
}
