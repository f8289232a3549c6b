package postgres

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"iod/index"
	"iod/key"
)

// render is index.Show, several times faster: a page of twenty listings is rendered for each search, since bodies are kept rather than what
// they look like, which is three times as long. A test holds the two against each other.
func render(l *index.Listing) []byte {
	d := &l.Device
	self := l.Account.String()
	j := texts.Get().(*jsonText)
	defer texts.Put(j)
	j.b = j.b[:0]
	j.raw(`{"did":"did:peaq:`)
	j.raw(self)
	j.raw(`","address":"`)
	j.raw(self)
	j.raw(`","state":`)
	j.text(string(l.State))
	j.some("reason", l.Reason)
	j.member("status", string(l.Status))
	j.member("data_type", d.DataType)
	j.some("location", d.Location)
	if lat, lon, ok := l.Place(); ok {
		j.float("lat", lat)
		j.float("lon", lon)
	}
	j.some("price_access", d.PriceAccess)
	j.some("price_pin", d.PricePin)
	if d.Node != (key.NodeID{}) {
		j.member("node", d.Node.String())
	}
	j.list("relays", d.Relays)
	j.account("owner", l.Owner(), l.Account, self)
	j.raw(`,"vouched":`)
	j.b = strconv.AppendBool(j.b, l.Vouched)
	j.some("fleet", d.Fleet)
	j.streams(l)
	j.list("mqtt_topics", d.Topics)
	for i, a := range d.Additional {
		j.raw([]string{`,"additional":[{"type":`, `},{"type":`}[min(i, 1)])
		j.text(a.Type)
		j.member("data", a.Text())
	}
	if len(d.Additional) > 0 {
		j.raw(`}]`)
	}
	j.raw(`,"sequence":`)
	j.b = strconv.AppendUint(j.b, d.Sequence, 10)
	if l.Expires != index.Never {
		j.raw(`,"expires_block":`)
		j.b = strconv.AppendUint(j.b, uint64(l.Expires), 10)
	}
	j.point("first", &l.First)
	j.point("updated", &l.Updated)
	j.account("signer", l.Signer, l.Account, self)
	j.raw(`,"chain":{"presence":`)
	j.text(string(l.Presence))
	j.point("since", &l.PresenceAt)
	j.account("by", l.PresenceWho, l.Account, self)
	j.raw(`}}`)
	return bytes.Clone(j.b)
}

// texts are those that were written before, whose memory is used again.
var texts = sync.Pool{New: func() any { return &jsonText{make([]byte, 0, 4096)} }}

// jsonText is JSON as package encoding/json writes it.
type jsonText struct{ b []byte }

func (j *jsonText) raw(s string) { j.b = append(j.b, s...) }

func (j *jsonText) name(name string) {
	j.raw(`,"`)
	j.raw(name)
	j.raw(`":`)
}

func (j *jsonText) member(name, value string) {
	j.name(name)
	j.text(value)
}

// some is a member unless it is empty.
func (j *jsonText) some(name, value string) {
	if value != "" {
		j.member(name, value)
	}
}

// text is a string. Those with anything to escape are left to encoding/json.
func (j *jsonText) text(s string) {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != 0x7f && c != 0xe2 // 0xe2 begins U+2028 and U+2029
	}
	if plain && utf8.ValidString(s) {
		j.b = append(append(append(j.b, '"'), s...), '"')
		return
	}
	b, _ := json.Marshal(s) // a string cannot fail
	j.b = append(j.b, b...)
}

func (j *jsonText) list(name string, values []string) {
	for i, v := range values {
		if i == 0 {
			j.name(name)
		}
		j.b = append(j.b, "[,"[min(i, 1)])
		j.text(v)
	}
	if len(values) > 0 {
		j.raw("]")
	}
}

func (j *jsonText) float(name string, f float64) {
	j.name(name)
	if abs := math.Abs(f); abs != 0 && abs < 1e-6 { // written with an exponent
		b, _ := json.Marshal(f) // a place is finite
		j.b = append(j.b, b...)
		return
	}
	j.b = strconv.AppendFloat(j.b, f, 'f', -1, 64)
}

// account is the address of an account unless it is nil; that of the device is known already.
func (j *jsonText) account(name string, a *key.AccountID, device key.AccountID, address string) {
	if a == nil {
		return
	}
	if *a != device {
		address = a.String()
	}
	j.member(name, address)
}

func (j *jsonText) point(name string, p *index.Point) {
	j.name(name)
	j.raw(`{"block":`)
	j.b = strconv.AppendUint(j.b, uint64(p.Block), 10)
	j.raw(`,"hash":"0x`)
	j.b = hex.AppendEncode(j.b, p.Hash[:])
	j.raw(`"`)
	if !p.Time.IsZero() && p.Time.Year() <= index.LastYear {
		j.raw(`,"time":"`)
		j.b = p.Time.AppendFormat(j.b, time.RFC3339Nano)
		j.raw(`"`)
	}
	if p.Extrinsic >= 0 {
		j.raw(`,"extrinsic":`)
		j.b = strconv.AppendInt(j.b, int64(p.Extrinsic), 10)
	}
	if p.FromState {
		j.raw(`,"from_state":true`)
	}
	j.raw("}")
}

func (j *jsonText) streams(l *index.Listing) {
	for i := range l.Device.Streams {
		s := &l.Device.Streams[i]
		j.raw([]string{`,"streams":[{"name":`, `},{"name":`}[min(i, 1)])
		j.text(s.Name)
		j.member("kind", s.Kind)
		j.some("data_type", s.DataType)
		j.some("unit", s.Unit)
		j.some("description", s.Description)
		j.some("content_type", s.ContentType)
		j.list("topics", s.Topics)
		j.some("price", s.Price)
		j.some("period", s.Period)
	}
	if len(l.Device.Streams) > 0 {
		j.raw(`}]`)
	}
}
