package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// body is a document as JSON in listing.body. Its names are part of the schema.
type body struct {
	Node        string      `json:"node,omitempty"`
	PriceAccess string      `json:"price_access,omitempty"`
	PricePin    string      `json:"price_pin,omitempty"`
	Topics      []string    `json:"topics,omitempty"`
	Relays      []string    `json:"relays,omitempty"`
	Owner       string      `json:"owner,omitempty"`
	Vouch       string      `json:"vouch,omitempty"`
	Fleet       string      `json:"fleet,omitempty"`
	Streams     []stream    `json:"streams,omitempty"`
	Additional  [][2]string `json:"additional,omitempty"`
}

type stream struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind,omitempty"`
	DataType    string   `json:"data_type,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Description string   `json:"description,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Topics      []string `json:"topics,omitempty"`
	Price       string   `json:"price,omitempty"`
	Period      string   `json:"period,omitempty"`
}

func encodeBody(d *document.Device) (string, error) {
	b := body{PriceAccess: d.PriceAccess, PricePin: d.PricePin, Topics: d.Topics, Relays: d.Relays, Vouch: d.Vouch, Fleet: d.Fleet}
	if d.Node != (key.NodeID{}) {
		b.Node = d.Node.String()
	}
	if d.Owner != nil {
		b.Owner = d.Owner.String()
	}
	for _, s := range d.Streams {
		b.Streams = append(b.Streams, stream{s.Name, s.Kind, s.DataType, s.Unit, s.Description, s.ContentType, s.Topics, s.Price, s.Period})
	}
	for _, a := range d.Additional {
		b.Additional = append(b.Additional, [2]string{a.Type, a.Data})
	}
	out, err := json.Marshal(b)
	return string(out), err
}

// decodeBody fills what is kept in the body into d.
func decodeBody(text string, d *document.Device) error {
	var b body
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return fmt.Errorf("read the body of a listing: %w", err)
	}
	d.PriceAccess, d.PricePin, d.Topics, d.Relays, d.Vouch, d.Fleet = b.PriceAccess, b.PricePin, b.Topics, b.Relays, b.Vouch, b.Fleet
	if b.Node != "" {
		if err := d.Node.UnmarshalText([]byte(b.Node)); err != nil {
			return fmt.Errorf("read the node of a listing: %w", err)
		}
	}
	if b.Owner != "" {
		owner, err := key.ParseAccount(b.Owner)
		if err != nil {
			return fmt.Errorf("read the owner of a listing: %w", err)
		}
		d.Owner = &owner
	}
	for _, s := range b.Streams {
		d.Streams = append(d.Streams, document.Stream{Name: s.Name, Kind: s.Kind, DataType: s.DataType, Unit: s.Unit,
			Description: s.Description, ContentType: s.ContentType, Topics: s.Topics, Price: s.Price, Period: s.Period})
	}
	for _, a := range b.Additional {
		d.Additional = append(d.Additional, document.Additional{Type: a[0], Data: a[1]})
	}
	return nil
}

// point is index.Point as JSON.
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
	if p.Milli != 0 {
		out.Time = time.UnixMilli(p.Milli).UTC()
	}
	return out, nil
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
