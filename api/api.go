// Package api answers searches over an index by HTTP, and asks them as a client that verifies what it is told.
//
// # Version 1
//
//	GET /api/v1/devices           search; answers {"devices": […], "next": "…"}
//	GET /api/v1/devices/{did}     one device with its document, signer and history; a DID, an address or 0x-hex
//	GET /api/v1/set-aside         what cannot be believed or read, newest first; before, limit
//	GET /api/v1/status            how far the index is, and how much it holds
//	GET /healthz                  200 when the index can be read
//
// Parameters of a search, all of which must hold; those of offers (type, kind, unit, price) hold for one and the same
// stream of the device:
//
//	q            words, each of which begins a word of what the document says
//	data_type    exactly
//	kind         mqtt, http, rtsp, tcp, udp
//	unit         exactly
//	min_price    decimal in the chain's token; for one period of a stream, or the access price of version 1
//	max_price
//	owner        address or DID: the vouched owner, or the device itself when its document names none
//	verified     true or false
//	near         lat,lon in degrees;  within: kilometres around it (50)
//	limit        1 to 500 (50);  after: the "next" of the page before
//	document     true: with the document's bytes, so that the client can verify it
//
// Prices are decimal strings. An answer has a weak ETag that changes when the index moves on. Errors are problem+json
// (RFC 9457) with the member "parameter" naming the wrong one.
//
// # The existing marketplace
//
//	GET /devices?address=…
//	GET /devices?filters[0][field]=data_type&filters[0][condition]==&filters[0][value]=wind&limit=10&offset=0
//
// answers as its indexer does: an array, newest first, of
//
//	{"address": "5…", "version": "v1", "device": {"data_type": "…", "location": "…", "price_access": 42.03995, "price_pin": 1,
//	 "staex_mcc_id": "…", "mqtt_topics": ["…"], "additional": {"name": "value"}}, "updated_at": 1707473498}
//
// Fields are data_type, location, price_access and price_pin, conditions =, < and >; all filters must hold; with an address
// all else is ignored; prices are JSON numbers and zero when there is none; additional is left out when empty and does not
// hold iod's own fields; updated_at is the block's Unix time in seconds. It differs in that texts are compared as texts and
// prices exactly, a missing limit is 10 rather than 0 beside other parameters, a limit above 500 is 500, and wrong
// parameters are answered with 400.
package api

import (
	"encoding/hex"
	"time"

	"iod/index"
	"iod/key"
)

// Device is a device as version 1 shows it. Its State is what the index found; see Device.Verify.
type Device struct {
	DID         string       `json:"did"`
	Address     string       `json:"address"`
	State       string       `json:"state"`            // verified or unverified
	Reason      string       `json:"reason,omitempty"` // why it is not verified
	Status      string       `json:"status"`           // live, removed or expired
	DataType    string       `json:"data_type"`
	Location    string       `json:"location,omitempty"` // a name or "lat,lon"
	Lat         *float64     `json:"lat,omitempty"`      // degrees
	Lon         *float64     `json:"lon,omitempty"`
	PriceAccess string       `json:"price_access,omitempty"`
	PricePin    string       `json:"price_pin,omitempty"`
	Node        string       `json:"node,omitempty"`
	Relays      []string     `json:"relays,omitempty"`
	Owner       string       `json:"owner,omitempty"` // address of who decides on access, as far as it is proven
	Vouched     bool         `json:"vouched"`         // the owner signed for the device
	Streams     []Stream     `json:"streams,omitempty"`
	Topics      []string     `json:"mqtt_topics,omitempty"`
	Additional  []Additional `json:"additional,omitempty"`
	Sequence    uint64       `json:"sequence"` // Unix milliseconds
	Expires     *uint32      `json:"expires_block,omitempty"`
	First       Point        `json:"first"`
	Updated     Point        `json:"updated"`
	Signer      string       `json:"signer,omitempty"` // address of who sent the document; absent when it was read from state
	Chain       Chain        `json:"chain"`
	Document    string       `json:"document,omitempty"` // 0x-hex of the document's bytes
}

// Stream is one thing that a device shares.
type Stream struct {
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

// Additional is a field of the document that iod gives no meaning to.
type Additional struct {
	Type string `json:"type"`
	Data string `json:"data"`
}

// Point is where and when something happened on the chain.
type Point struct {
	Block     uint32     `json:"block"`
	Hash      index.Hash `json:"hash"`
	Time      *time.Time `json:"time,omitempty"`
	Extrinsic *int32     `json:"extrinsic,omitempty"`
	FromState bool       `json:"from_state,omitempty"` // read from the state at the block; time is that of the attribute's creation
}

// Chain says what stands on the chain in the place of the document.
type Chain struct {
	Presence string `json:"presence"` // present, overwritten or removed
	Since    Point  `json:"since"`
	By       string `json:"by,omitempty"` // address
}

// Entry is a line of a device's history.
type Entry struct {
	Action   string `json:"action"`
	At       Point  `json:"at"`
	By       string `json:"by,omitempty"`
	State    string `json:"state,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
}

// Detail is one device with its history, newest first.
type Detail struct {
	Device
	History []Entry `json:"history"`
}

// Page is an answer to a search.
type Page struct {
	Devices []Device `json:"devices"`
	Next    string   `json:"next,omitempty"` // Query.After of the next page; empty: this is the last one
}

// Aside is a document that is not believed.
type Aside struct {
	ID     int64  `json:"id"`
	DID    string `json:"did,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason"`
	Size   int    `json:"size"`  // bytes
	Value  string `json:"value"` // 0x-hex of its first 4096 bytes
	At     Point  `json:"at"`
}

// Asides is a page of what is set aside.
type Asides struct {
	SetAside []Aside `json:"set_aside"`
	Next     int64   `json:"next,omitempty"` // before of the next page
}

// Status is how far the index is.
type Status struct {
	Phase     string     `json:"phase"` // empty, state, history or following
	Genesis   string     `json:"genesis,omitempty"`
	Start     uint32     `json:"start"`
	FromState bool       `json:"from_state"`
	Block     *uint32    `json:"block"` // the last one taken in; null while the state is read
	Hash      string     `json:"hash,omitempty"`
	Head      uint32     `json:"head"` // newest finalised block known when Block was taken in
	Lag       uint32     `json:"lag"`  // blocks
	Committed *time.Time `json:"committed,omitempty"`
	Devices   Counts     `json:"devices"`
	SetAside  uint64     `json:"set_aside"`
}

// Counts are numbers of devices.
type Counts struct {
	Live       uint64 `json:"live"`
	Verified   uint64 `json:"verified"`
	Unverified uint64 `json:"unverified"`
	Ended      uint64 `json:"ended"`
}

// deviceOf shows a listing.
func deviceOf(l *index.Listing) Device {
	d := &l.Device
	out := Device{
		DID: l.Account.DID(), Address: l.Account.String(), State: string(l.State), Reason: l.Reason, Status: string(l.Status),
		DataType: d.DataType, Location: d.Location, PriceAccess: d.PriceAccess, PricePin: d.PricePin,
		Relays: d.Relays, Owner: address(l.Owner()), Vouched: l.Vouched, Topics: d.Topics, Sequence: d.Sequence,
		First: pointOf(l.First), Updated: pointOf(l.Updated), Signer: address(l.Signer),
		Chain: Chain{string(l.Presence), pointOf(l.PresenceAt), address(l.PresenceWho)},
	}
	if lat, lon, ok := l.Place(); ok {
		out.Lat, out.Lon = &lat, &lon
	}
	if d.Node != (key.NodeID{}) {
		out.Node = d.Node.String()
	}
	if l.Expires != index.Never {
		out.Expires = &l.Expires
	}
	for _, s := range d.Streams {
		out.Streams = append(out.Streams, Stream{s.Name, s.Kind, s.DataType, s.Unit, s.Description, s.ContentType, s.Topics, s.Price, s.Period})
	}
	for _, a := range d.Additional {
		out.Additional = append(out.Additional, Additional{a.Type, a.Text()})
	}
	if l.Raw != nil {
		out.Document = "0x" + hex.EncodeToString(l.Raw)
	}
	return out
}

func pointOf(p index.Point) Point {
	out := Point{Block: p.Block, Hash: p.Hash, FromState: p.FromState}
	if !p.Time.IsZero() {
		out.Time = &p.Time
	}
	if p.Extrinsic >= 0 {
		out.Extrinsic = &p.Extrinsic
	}
	return out
}

func address(a *key.AccountID) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func statusOf(st index.State) Status {
	out := Status{Phase: "empty", Devices: Counts{st.Live, st.Verified, st.Live - min(st.Verified, st.Live), st.Ended}, SetAside: st.SetAside}
	if st.Origin == nil {
		return out
	}
	out.Genesis, out.Start, out.FromState = st.Origin.Genesis.String(), st.Origin.Start, st.Origin.FromState
	out.Committed, out.Head = &st.Committed, st.Head
	if st.Cursor == nil {
		out.Phase = string(index.ReadingState)
		return out
	}
	out.Block, out.Hash = &st.Cursor.Number, st.Cursor.Hash.String()
	out.Lag = st.Head - min(st.Head, st.Cursor.Number)
	if out.Phase = string(index.Following); out.Lag > 0 {
		out.Phase = string(index.CatchingUp)
	}
	return out
}
