package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"iod/document"
	"iod/key"
)

// Show renders a listing, but for Raw, as the JSON object that the HTTP API answers with: package api has it as a type with all that is to be
// said about its members, and tests that the two are alike. Stores keep it, so that a search (Query.Shown) need not decode and
// encode what it finds.
func Show(l *Listing) ([]byte, error) {
	d := &l.Device
	s := shown{
		DID: l.Account.DID(), Address: l.Account.String(), State: string(l.State), Reason: l.Reason, Status: string(l.Status),
		DataType: d.DataType, Location: d.Location, PriceAccess: d.PriceAccess, PricePin: d.PricePin, Relays: d.Relays,
		Owner: address(l.Owner()), Vouched: l.Vouched, Fleet: d.Fleet, Topics: d.Topics, Sequence: d.Sequence,
		First: showPoint(&l.First), Updated: showPoint(&l.Updated), Signer: address(l.Signer),
		Chain: shownChain{string(l.Presence), showPoint(&l.PresenceAt), address(l.PresenceWho)},
	}
	if lat, lon, ok := l.Place(); ok {
		s.Lat, s.Lon = &lat, &lon
	}
	if d.Node != (key.NodeID{}) {
		s.Node = d.Node.String()
	}
	if l.Expires != Never {
		s.Expires = &l.Expires
	}
	for _, x := range d.Streams {
		s.Streams = append(s.Streams, shownStream{x.Name, x.Kind, x.DataType, x.Unit, x.Description, x.ContentType, x.Topics, x.Price, x.Period})
	}
	for _, a := range d.Additional {
		s.Additional = append(s.Additional, shownAdditional{a.Type, a.Text()})
	}
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("render listing %v: %w", l.Account, err)
	}
	return out, nil
}

type shown struct {
	DID         string            `json:"did"`
	Address     string            `json:"address"`
	State       string            `json:"state"`
	Reason      string            `json:"reason,omitempty"`
	Status      string            `json:"status"`
	DataType    string            `json:"data_type"`
	Location    string            `json:"location,omitempty"`
	Lat         *float64          `json:"lat,omitempty"`
	Lon         *float64          `json:"lon,omitempty"`
	PriceAccess string            `json:"price_access,omitempty"`
	PricePin    string            `json:"price_pin,omitempty"`
	Node        string            `json:"node,omitempty"`
	Relays      []string          `json:"relays,omitempty"`
	Owner       string            `json:"owner,omitempty"`
	Vouched     bool              `json:"vouched"`
	Fleet       string            `json:"fleet,omitempty"`
	Streams     []shownStream     `json:"streams,omitempty"`
	Topics      []string          `json:"mqtt_topics,omitempty"`
	Additional  []shownAdditional `json:"additional,omitempty"`
	Sequence    uint64            `json:"sequence"`
	Expires     *uint32           `json:"expires_block,omitempty"`
	First       shownPoint        `json:"first"`
	Updated     shownPoint        `json:"updated"`
	Signer      string            `json:"signer,omitempty"`
	Chain       shownChain        `json:"chain"`
}

type shownStream struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	DataType    string   `json:"data_type,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Description string   `json:"description,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Topics      []string `json:"topics,omitempty"`
	Price       string   `json:"price,omitempty"`
	Period      string   `json:"period,omitempty"`
}

type shownAdditional struct {
	Type string `json:"type"`
	Data string `json:"data"`
}

type shownPoint struct {
	Block     uint32     `json:"block"`
	Hash      Hash       `json:"hash"`
	Time      *time.Time `json:"time,omitempty"`
	Extrinsic *int32     `json:"extrinsic,omitempty"`
	FromState bool       `json:"from_state,omitempty"`
}

type shownChain struct {
	Presence string     `json:"presence"`
	Since    shownPoint `json:"since"`
	By       string     `json:"by,omitempty"`
}

// LastYear is the last one of times that are shown: JSON has no form for later ones. Chains may say anything.
const LastYear = 9999

func showPoint(p *Point) shownPoint {
	s := shownPoint{Block: p.Block, Hash: p.Hash, FromState: p.FromState}
	if !p.Time.IsZero() && p.Time.Year() <= LastYear {
		s.Time = &p.Time
	}
	if p.Extrinsic >= 0 {
		s.Extrinsic = &p.Extrinsic
	}
	return s
}

func address(a *key.AccountID) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// ReadShown is the inverse of Show, as far as what it shows goes: the rest of the listing is zero.
func ReadShown(data []byte) (*Listing, error) {
	var s shown
	err := json.Unmarshal(data, &s)
	var account, owner, signer, who *key.AccountID
	for _, x := range []struct {
		text string
		a    **key.AccountID
	}{{s.Address, &account}, {s.Owner, &owner}, {s.Signer, &signer}, {s.Chain.By, &who}} {
		if x.text == "" || err != nil {
			continue
		}
		var a key.AccountID
		a, err = key.ParseAccount(x.text)
		*x.a = &a
	}
	d := document.Device{DataType: s.DataType, Location: s.Location, PriceAccess: s.PriceAccess, PricePin: s.PricePin,
		Topics: s.Topics, Relays: s.Relays, Fleet: s.Fleet, Sequence: s.Sequence}
	if s.Node != "" && err == nil {
		d.Node, err = key.ParseNodeID(s.Node)
	}
	if err == nil && account == nil {
		err = errNoAccount
	}
	if err != nil {
		return nil, fmt.Errorf("read a rendered listing: %w", err)
	}
	d.Account = *account
	if owner != nil && *owner != d.Account || s.Vouched {
		d.Owner = owner
	}
	for _, x := range s.Streams {
		d.Streams = append(d.Streams, document.Stream{Name: x.Name, Kind: x.Kind, DataType: x.DataType, Unit: x.Unit,
			Description: x.Description, ContentType: x.ContentType, Topics: x.Topics, Price: x.Price, Period: x.Period})
	}
	for _, a := range s.Additional {
		d.Additional = append(d.Additional, document.Additional{Type: a.Type, Data: a.Data})
	}
	l := &Listing{
		Account: d.Account, Device: d, State: document.State(s.State), Reason: s.Reason, Vouched: s.Vouched, Signer: signer,
		First: s.First.point(), Updated: s.Updated.point(), Expires: Never, Status: Status(s.Status),
		Presence: Presence(s.Chain.Presence), PresenceAt: s.Chain.Since.point(), PresenceWho: who,
	}
	if s.Expires != nil {
		l.Expires = *s.Expires
	}
	return l, nil
}

var errNoAccount = errors.New("it has no account")

func (s shownPoint) point() Point {
	p := Point{Block: s.Block, Hash: s.Hash, Extrinsic: -1, FromState: s.FromState}
	if s.Time != nil {
		p.Time = s.Time.UTC()
	}
	if s.Extrinsic != nil {
		p.Extrinsic = *s.Extrinsic
	}
	return p
}

// ShownStream is the name of a stream in what Show made; empty when there is none of that number.
func ShownStream(data []byte, number int) string {
	// Quotes within strings are escaped, so these can be nothing else.
	_, rest, ok := bytes.Cut(data, []byte(`"streams":[`))
	for ; ok && number >= 0; number-- {
		_, rest, ok = bytes.Cut(rest, []byte(`{"name":"`))
	}
	if !ok {
		return ""
	}
	if end := bytes.IndexAny(rest, `"\\`); end >= 0 && rest[end] == '"' {
		return string(rest[:end])
	}
	var name string // with escapes
	if json.NewDecoder(io.MultiReader(strings.NewReader(`"`), bytes.NewReader(rest))).Decode(&name) != nil {
		return ""
	}
	return name
}
