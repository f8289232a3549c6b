package sqlite

import (
	"encoding/json"
	"fmt"

	"iod/document"
	"iod/index"
	"iod/key"
)

// What this file reads was written by versions 1 to 3 of the schema. It is not changed any more.

// oldColumns are what scanOld reads of a listing l.
const oldColumns = `l.account, l.status, l.state, l.reason, l.vouched, l.floor, l.sequence, l.data_type, l.location, l.body,
	l.signer, l.expires, l.own_validity, l.ended_block, l.presence, l.presence_who, l.presence_at, l.first_at, l.updated_at`

// scanOld reads a row of oldColumns, and what follows them into more.
func scanOld(row scanner, more ...any) (*index.Listing, error) {
	var (
		l                              index.Listing
		account, signer, who           []byte
		floor, sequence                int64
		text, presence, first, updated string
	)
	d := &l.Device
	err := row.Scan(append([]any{&account, &l.Status, &l.State, &l.Reason, &l.Vouched, &floor, &sequence, &d.DataType, &d.Location, &text,
		&signer, &l.Expires, &l.ByOwn, &l.EndedBlock, &l.Presence, &who, &presence, &first, &updated}, more...)...)
	if err != nil {
		return nil, err
	}
	a, err := accountOf(account)
	if err != nil {
		return nil, err
	}
	l.Account, d.Account, l.Floor, d.Sequence = *a, *a, uint64(floor), uint64(sequence)
	if l.Signer, err = accountOf(signer); err != nil {
		return nil, err
	}
	if l.PresenceWho, err = accountOf(who); err != nil {
		return nil, err
	}
	if l.Updated, err = decodePoint(updated); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		point *index.Point
		text  string
	}{{&l.First, first}, {&l.PresenceAt, presence}} {
		if x.text == updated { // so it is mostly
			*x.point = l.Updated
		} else if *x.point, err = decodePoint(x.text); err != nil {
			return nil, err
		}
	}
	return &l, decodeBody(text, d)
}

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

// scanOldEntry reads a line of history with its document.
func scanOldEntry(row scanner) (e index.Entry, err error) {
	var account, who []byte
	var state, at string
	var sequence int64
	if err := row.Scan(&account, &e.Action, &who, &state, &sequence, &at, &e.Raw); err != nil {
		return e, err
	}
	a, err := accountOf(account)
	if err != nil {
		return e, err
	}
	e.Account, e.State, e.Sequence = *a, document.State(state), uint64(sequence)
	if e.Who, err = accountOf(who); err != nil {
		return e, err
	}
	e.At, err = decodePoint(at)
	return e, err
}
