package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"iod/document"
	"iod/index"
	"iod/key"
)

// A body is what is believed of a device, without what has columns of its own. Numbers are varints, signed ones zigzag; texts and lists
// have their length before them.
//
//	1 · flags · status · state · presence · reason · floor · sequence · expires · ended block
//	  · updated point · presence point · first point (the latter two: 0, or 1 and the point when it is not that of updated)
//	  · signer · presence who (0 none, 1 the device, 2 and 32 bytes)
//	  · node (0, or 1 and 32 bytes) · price access · price pin · topics · relays · owner · vouch · fleet · streams · additional
//
// A point is block · hash (32 bytes) · milliseconds · extrinsic · event · from state. A vouch is 0 and its text, or 1 and the bytes that it
// is the hex of.
const bodyVersion = 1

const (
	flagVouched = 1 << iota
	flagByOwn
)

// The codes of words that have few values. Their places are part of the schema: new ones are added at the end.
var (
	statuses  = []index.Status{index.Live, index.Removed, index.Expired}
	states    = []document.State{"", document.Verified, document.Unverified, document.Forged}
	presences = []index.Presence{index.Present, index.Overwritten, index.Gone}
	actions   = []index.Action{index.Published, index.Republished, index.Overwrote, index.RemovedOwn, index.RemovedByElse, index.ActionExpired}
)

// code is the place of a word in its list; -1, which nothing has, when it is in none.
func code[T comparable](all []T, x T) int { return slices.Index(all, x) }

type encoder struct{ b []byte }

func (e *encoder) num(n uint64)  { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)   { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) raw(b []byte)  { e.b = append(e.b, b...) }
func (e *encoder) text(s string) { e.num(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) flag(on bool) bool {
	if on {
		e.num(1)
	} else {
		e.num(0)
	}
	return on
}

func (e *encoder) texts(all []string) {
	e.num(uint64(len(all)))
	for _, s := range all {
		e.text(s)
	}
}

func (e *encoder) account(a *key.AccountID, device key.AccountID) {
	switch {
	case a == nil:
		e.num(0)
	case *a == device:
		e.num(1)
	default:
		e.num(2)
		e.raw(a[:])
	}
}

func (e *encoder) point(p index.Point) {
	e.num(uint64(p.Block))
	e.raw(p.Hash[:])
	e.int(milli(p.Time))
	e.int(int64(p.Extrinsic))
	e.num(uint64(p.Event))
	e.flag(p.FromState)
}

func encodePoint(p index.Point) []byte {
	var e encoder
	e.point(p)
	return e.b
}

// encodeBody fails only for a listing with a status or the like that there is not.
func encodeBody(l *index.Listing) ([]byte, error) {
	e := encoder{make([]byte, 0, 384)}
	status, state, presence := code(statuses, l.Status), code(states, l.State), code(presences, l.Presence)
	if min(status, state, presence) < 0 {
		return nil, fmt.Errorf("a listing that is %q, %q and %q", l.Status, l.State, l.Presence)
	}
	flags := uint64(0)
	if l.Vouched {
		flags |= flagVouched
	}
	if l.ByOwn {
		flags |= flagByOwn
	}
	for _, n := range []uint64{bodyVersion, flags, uint64(status), uint64(state), uint64(presence)} {
		e.num(n)
	}
	e.text(l.Reason)
	for _, n := range []uint64{l.Floor, l.Device.Sequence, uint64(l.Expires), uint64(l.EndedBlock)} {
		e.num(n)
	}
	e.point(l.Updated)
	for _, p := range []index.Point{l.PresenceAt, l.First} {
		if e.flag(!samePoint(p, l.Updated)) {
			e.point(p)
		}
	}
	e.account(l.Signer, l.Account)
	e.account(l.PresenceWho, l.Account)
	e.device(&l.Device, l.Account)
	return e.b, nil
}

func samePoint(a, b index.Point) bool {
	at, bt := a.Time, b.Time
	a.Time, b.Time = time.Time{}, time.Time{}
	return a == b && milli(at) == milli(bt)
}

func (e *encoder) device(d *document.Device, a key.AccountID) {
	if e.flag(d.Node != (key.NodeID{})) {
		e.raw(d.Node[:])
	}
	e.text(d.PriceAccess)
	e.text(d.PricePin)
	e.texts(d.Topics)
	e.texts(d.Relays)
	e.account(d.Owner, a)
	if b, err := hex.DecodeString(strings.TrimPrefix(d.Vouch, "0x")); e.flag(err == nil && d.Vouch == "0x"+hex.EncodeToString(b)) {
		e.text(string(b))
	} else {
		e.text(d.Vouch)
	}
	e.text(d.Fleet)
	e.num(uint64(len(d.Streams)))
	for _, s := range d.Streams {
		for _, t := range []string{s.Name, s.Kind, s.DataType, s.Unit, s.Description, s.ContentType, s.Price, s.Period} {
			e.text(t)
		}
		e.texts(s.Topics)
	}
	e.num(uint64(len(d.Additional)))
	for _, x := range d.Additional {
		e.text(x.Type)
		e.text(x.Data)
	}
}

var errBody = errors.New("cut short or too long")

// decoder reads what encoder wrote; the first error sticks. Its texts share one string.
type decoder struct {
	b   string
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = ""
}

func (d *decoder) num() uint64 {
	var n uint64
	for i := range min(len(d.b), binary.MaxVarintLen64) {
		c := d.b[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break // more than 64 bits
			}
			d.b = d.b[i+1:]
			return n
		}
	}
	d.fail(errBody)
	return 0
}

func (d *decoder) int() int64 {
	n := d.num()
	return int64(n>>1) ^ -int64(n&1)
}

func (d *decoder) raw(n uint64) string {
	if n > uint64(len(d.b)) {
		d.fail(errBody)
		return ""
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) text() string { return d.raw(d.num()) }

// count reads the length of a list, each of whose parts takes a byte at least.
func (d *decoder) count() int {
	n := d.num()
	if n > uint64(len(d.b)) {
		d.fail(errBody)
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	all := make([]string, n)
	for i := range all {
		all[i] = d.text()
	}
	return all
}

func (d *decoder) hash() (h [32]byte) {
	copy(h[:], d.raw(32))
	return h
}

func (d *decoder) account(device key.AccountID) *key.AccountID {
	switch d.num() {
	case 1:
		return &device
	case 2:
		a := key.AccountID(d.hash())
		return &a
	}
	return nil
}

func (d *decoder) point() index.Point {
	p := index.Point{Block: uint32(d.num()), Hash: d.hash(), Time: timeOf(d.int()), Extrinsic: int32(d.int()), Event: uint32(d.num())}
	p.FromState = d.num() == 1
	return p
}

func decodePoint(b []byte) (index.Point, error) {
	d := decoder{b: string(b)}
	p := d.point()
	if d.err != nil || len(d.b) > 0 {
		return p, fmt.Errorf("read a point: %w", errBody)
	}
	return p, nil
}

// word reads a code.
func word[T any](d *decoder, all []T) (w T) {
	n := d.num()
	if n >= uint64(len(all)) {
		d.fail(fmt.Errorf("the unknown code %d", n))
		return w
	}
	return all[n]
}

// decodeBody fills in what encodeBody kept of a listing whose account is known.
func decodeBody(b []byte, l *index.Listing) error {
	d := decoder{b: string(b)}
	if v := d.num(); v != bodyVersion {
		return fmt.Errorf("read the body of listing %v: of version %d", l.Account, v)
	}
	flags := d.num()
	l.Vouched, l.ByOwn = flags&flagVouched != 0, flags&flagByOwn != 0
	l.Status, l.State, l.Presence = word(&d, statuses), word(&d, states), word(&d, presences)
	l.Reason, l.Floor, l.Device.Sequence = d.text(), d.num(), d.num()
	l.Expires, l.EndedBlock = uint32(d.num()), uint32(d.num())
	l.Updated = d.point()
	l.PresenceAt, l.First = l.Updated, l.Updated
	for _, p := range []*index.Point{&l.PresenceAt, &l.First} {
		if d.num() == 1 {
			*p = d.point()
		}
	}
	l.Signer, l.PresenceWho = d.account(l.Account), d.account(l.Account)
	d.device(&l.Device, l.Account)
	if d.err == nil && len(d.b) > 0 {
		d.err = errBody
	}
	if d.err != nil {
		return fmt.Errorf("read the body of listing %v: %w", l.Account, d.err)
	}
	return nil
}

func (d *decoder) device(v *document.Device, a key.AccountID) {
	v.Account = a
	if d.num() == 1 {
		v.Node = d.hash()
	}
	v.PriceAccess, v.PricePin, v.Topics, v.Relays, v.Owner = d.text(), d.text(), d.texts(), d.texts(), d.account(a)
	if d.num() == 1 {
		v.Vouch = "0x" + hex.EncodeToString([]byte(d.raw(d.num())))
	} else {
		v.Vouch = d.text()
	}
	v.Fleet = d.text()
	if n := d.count(); n > 0 {
		v.Streams = make([]document.Stream, n)
	}
	for i := range v.Streams {
		s := &v.Streams[i]
		for _, t := range []*string{&s.Name, &s.Kind, &s.DataType, &s.Unit, &s.Description, &s.ContentType, &s.Price, &s.Period} {
			*t = d.text()
		}
		s.Topics = d.texts()
	}
	if n := d.count(); n > 0 {
		v.Additional = make([]document.Additional, n)
	}
	for i := range v.Additional {
		v.Additional[i] = document.Additional{Type: d.text(), Data: d.text()}
	}
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// escape marks a text that PostgreSQL would not take as it is: the mark, which is no character, and the hex of the text.
const escape = "\uFFFF"

// column is a text as it stands in a column: itself nearly always.
func column(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) && !strings.HasPrefix(s, escape) {
		return s
	}
	return escape + hex.EncodeToString([]byte(s))
}

// uncolumn is column backwards.
func uncolumn(s string) string {
	if hexed, ok := strings.CutPrefix(s, escape); ok {
		if b, err := hex.DecodeString(hexed); err == nil {
			return string(b)
		}
	}
	return s
}

func columns(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = column(s)
	}
	return out
}

// blob is an account as a column: NULL when there is none.
func blob(a *key.AccountID) []byte {
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
