package index

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"iod/document"
	"iod/key"
)

// Kind says what an event did to a device attribute.
type Kind uint8

// The kinds of events.
const (
	Written Kind = iota + 1 // added or updated
	Erased
	Undecodable // what happened is not known: Doubt says why, Value holds the bytes
)

// Event is something that happened to a device attribute.
type Event struct {
	Kind      Kind
	Who       *key.AccountID // the event's signer; nil in state
	Account   *key.AccountID // whose DID; nil in state whose account is not known
	Value     []byte
	Expires   uint32    // last block of validity; Never
	Extrinsic int32     // -1: none
	Index     uint32    // in the block's events
	Created   time.Time // when the attribute was first added; in state only
	Doubt     string    // why the writer is not known, in state only; or why it is Undecodable
}

// Block is a block with what happened in it to device attributes and to RBAC.
type Block struct {
	Cursor
	Parent    Hash
	Time      time.Time // zero when nothing happened in the block
	FromState bool      // Events are what the state holds as of the block
	Events    []Event   // in the order of the block
	Deeds     []Deed    // likewise; of At only Extrinsic and Event are set
}

// quiet reports whether nothing happened in the block.
func (b *Block) quiet() bool { return len(b.Events) == 0 && len(b.Deeds) == 0 }

// deeds completes the points of the block's deeds.
func (b *Block) deeds() []Deed {
	for i := range b.Deeds {
		d := &b.Deeds[i]
		extrinsic, event := d.At.Extrinsic, d.At.Event
		d.At = b.point()
		d.At.Extrinsic, d.At.Event = extrinsic, event
	}
	return b.Deeds
}

// point is the block as a whole.
func (b *Block) point() Point {
	return Point{Block: b.Number, Hash: b.Hash, Time: b.Time, Extrinsic: -1, FromState: b.FromState}
}

// Claim is an event, read and judged by itself: what it would mean were there no listing yet.
type Claim struct {
	Event
	At      Point
	Device  document.Device
	Verdict document.Verdict
	Reject  string // why the document is no good by itself; empty when it may be believed
}

// The bounds of what a listing takes in, in bytes and counts. A document beyond them is set aside.
const (
	maxDocument = 64 << 10
	maxShort    = 256
	maxLong     = 4096
	maxStreams  = 64
	maxList     = 256
)

// Digest reads and judges the documents of a block. It is pure.
func Digest(b Block) []Claim {
	claims := make([]Claim, 0, len(b.Events))
	for _, e := range b.Events {
		c := Claim{Event: e, At: b.point()}
		c.At.Extrinsic, c.At.Event = e.Extrinsic, e.Index
		if b.FromState {
			c.At.Time = e.Created
		}
		switch e.Kind {
		case Written:
			c.read()
		case Undecodable:
			c.Reject = "undecodable: " + e.Doubt
		}
		claims = append(claims, c)
	}
	return claims
}

func (c *Claim) read() {
	switch {
	case len(c.Value) > maxDocument:
		c.Reject = fmt.Sprintf("%d bytes are too many: a document has at most %d", len(c.Value), maxDocument)
		return
	case c.Account == nil:
		c.Reject = "the state does not tell whose attribute this is"
		return
	}
	d, v, err := document.ReadDevice(*c.Account, document.DeviceAttribute, c.Value)
	if err != nil {
		c.Reject = "unreadable: " + err.Error()
		return
	}
	c.Device, c.Verdict = d, v
	switch v.State {
	case document.Verified:
	case document.Unverified:
		c.Reject = c.unsigned()
	default:
		c.Reject = "forged: " + v.Reason
	}
	if c.Reject == "" {
		if err := Check(&d); err != nil {
			c.Reject = err.Error()
		}
	}
}

// unsigned says why a document without a signature is not believed.
func (c *Claim) unsigned() string {
	switch {
	case c.Who != nil && *c.Who == *c.Account:
		return ""
	case c.Who != nil:
		return "unsigned, and sent by another account"
	case c.Doubt != "":
		return "unsigned, and " + c.Doubt
	}
	return "unsigned, and it is not known who wrote it"
}

// Check says why a document is none that can be kept, compared and shown: sizes, counts, characters, prices, coordinates.
func Check(d *document.Device) error {
	if d.Sequence > math.MaxInt64 {
		return fmt.Errorf("iod_sequence %d is too large", d.Sequence)
	}
	checks := []error{
		plain("data_type", d.DataType), plain("location", d.Location),
		price("price_access", d.PriceAccess), price("price_pin", d.PricePin),
		list("mqtt_topic", d.Topics), list("iod_relay", d.Relays),
	}
	if len(d.Streams) > maxStreams {
		return fmt.Errorf("%d streams are too many: at most %d", len(d.Streams), maxStreams)
	}
	for _, s := range d.Streams {
		at := "stream " + strconv.Quote(s.Name) + ": "
		checks = append(checks,
			plain(at+"name", s.Name), plain(at+"kind", s.Kind), plain(at+"data_type", s.DataType), plain(at+"unit", s.Unit),
			plain(at+"content_type", s.ContentType), plain(at+"period", s.Period), text(at+"description", s.Description),
			list(at+"topic", s.Topics), price(at+"price", s.Price))
	}
	if len(d.Additional) > maxList {
		return fmt.Errorf("%d additional fields are too many: at most %d", len(d.Additional), maxList)
	}
	for _, a := range d.Additional {
		checks = append(checks, plain("additional field's name", a.Type), text("additional field "+strconv.Quote(a.Type), a.Data))
	}
	if _, _, err := place(d.Location); err != nil {
		checks = append(checks, err)
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// plain takes short words that stand in tables and filters: printable, and no markup.
func plain(field, s string) error {
	if len(s) > maxShort {
		return fmt.Errorf("%s: %d bytes are too many: at most %d", clip(field), len(s), maxShort)
	}
	if err := text(field, s); err != nil {
		return err
	}
	if strings.ContainsAny(s, "<>\n\t\r") {
		return fmt.Errorf("%s: %q looks like markup or has several lines", clip(field), s)
	}
	return nil
}

// text takes prose: valid UTF-8 without control and direction characters. Markup in it is kept as the text that it is.
func text(field, s string) error {
	if len(s) > maxLong {
		return fmt.Errorf("%s: %d bytes are too many: at most %d", clip(field), len(s), maxLong)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s: not UTF-8", clip(field))
	}
	for _, r := range s {
		if unicode.IsControl(r) && !strings.ContainsRune("\n\t\r", r) || unicode.Is(unicode.Bidi_Control, r) {
			return fmt.Errorf("%s: has the control character %U", clip(field), r)
		}
	}
	return nil
}

func list(field string, all []string) error {
	if len(all) > maxList {
		return fmt.Errorf("%s: %d are too many: at most %d", clip(field), len(all), maxList)
	}
	for _, s := range all {
		if len(s) > maxLong {
			return fmt.Errorf("%s: %d bytes are too many: at most %d", clip(field), len(s), maxLong)
		}
		if err := text(field, s); err != nil {
			return err
		}
	}
	return nil
}

func price(field, s string) error {
	if s == "" {
		return nil
	}
	if _, err := ParsePrice(s); err != nil {
		return fmt.Errorf("%s: %w", clip(field), err)
	}
	return nil
}

// clip keeps a field's name in an error short and printable, whatever the document called it.
func clip(field string) string {
	field = strings.ToValidUTF8(field, "\uFFFD")
	if len(field) > 80 {
		field = strings.ToValidUTF8(field[:80], "") + "…"
	}
	return field
}

// place reads "lat,lon" in degrees; nil for a place's name. Numbers that are no place on the globe are an error.
func place(s string) (lat, lon *float64, err error) {
	first, second, ok := strings.Cut(s, ",")
	if !ok {
		return nil, nil, nil
	}
	a, errA := strconv.ParseFloat(strings.TrimSpace(first), 64)
	b, errB := strconv.ParseFloat(strings.TrimSpace(second), 64)
	if notNumber(errA) || notNumber(errB) {
		return nil, nil, nil
	}
	if !(math.Abs(a) <= 90 && math.Abs(b) <= 180) { // so NaN is refused too
		return nil, nil, fmt.Errorf("location %q is no place on the globe: latitude -90 to 90, longitude -180 to 180", s)
	}
	return &a, &b, nil
}

// notNumber tells a syntax error from a number out of float64's range.
func notNumber(err error) bool {
	return err != nil && !errors.Is(err, strconv.ErrRange)
}

// Place returns the listing's coordinates in degrees, to the seventh digit (a centimetre); ok is false when its location is a name.
func (l *Listing) Place() (lat, lon float64, ok bool) {
	a, b, err := place(l.Device.Location)
	if err != nil || a == nil {
		return 0, 0, false
	}
	return float64(E7(*a)) / 1e7, float64(E7(*b)) / 1e7, true
}

// E7 is a coordinate in units of 10^-7 degrees.
func E7(degrees float64) int32 { return int32(math.Round(degrees * 1e7)) }
