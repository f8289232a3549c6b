package api

import (
	"time"

	"iod/index"
)

// typeDocs is what the types of answers are, by their Go names, for the API document.
var typeDocs = map[string]string{
	"Device":     "A device as the index believes it. Search answers are not to be trusted: ask with document=true and verify.",
	"Stream":     "One thing that a device shares.",
	"Additional": "A field of the document that iod gives no meaning to.",
	"Point":      "Where and when something happened on the chain.",
	"Chain":      "What stands on the chain in the place of the document.",
	"Entry":      "A line of a device's history.",
	"Detail":     "One device with the newest lines of its history.",
	"Page":       "A page of a search.",
	"History":    "A page of a device's history, newest first.",
	"Aside":      "A document that is not believed.",
	"Asides":     "A page of what is set aside, newest first.",
	"Status":     "How far the index is, and how much it holds.",
	"Counts":     "Numbers of devices.",
	"Collection": "A GeoJSON FeatureCollection (RFC 7946) of clusters.", "Feature": "A device, or several that are near each other, on a map.",
	"Geometry": "A point of GeoJSON.", "Properties": "What a feature of a map stands for.",
	"Facets": "What there is to choose from. The numbers of a filter don't depend on what is chosen in it.", "Terms": "The values of one filter.",
	"Term": "A value of a filter.", "Truths": "Counts by a filter that is true or false.", "Band": "A range of prices, both edges included.",
	"Age": "What was updated within a time.", "Access": "Who may use a device's streams, and who could.",
	"Grant": "A time in which an account could use a stream, without a break.", "Via": "One way from an account to a permission.",
	"Change": "The data of an event of the change feed.", "Stats": "What the index holds, in numbers.", "Day": "What happened on one day.", "Pending": "What blocks that are not final yet will mean.", "PendingChange": "What a block that is not final yet will mean once it is.",
	"LegacyEntry": "A device as the existing marketplace shows it.", "LegacyDevice": "What the existing marketplace shows of a document.",
	"Problem": "What is wrong (RFC 9457).",
	"Proof":   "The raw document of a device and what verified it, step by step, so that anybody can do it again.",
	"Step":    "One step of a verification.",
	"Verdict": "What was found of a document.",
	"Health":  "Whether the service works, and why not.",
}

// Device is a device as version 1 shows it. Its State is what the index found; see Device.Verify.
type Device struct {
	DID         string       `json:"did" doc:"did:peaq and the address." example:"did:peaq:5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX"`
	Address     string       `json:"address" doc:"SS58 address of the device's account, prefix 42."`
	State       string       `json:"state" enum:"verified,unverified" doc:"Whether the device's account signed the document."`
	Reason      string       `json:"reason,omitempty" doc:"Why it is not verified."`
	Status      string       `json:"status" enum:"live,removed,expired" doc:"Whether it is offered: removed by its own account, or expired with its validity."`
	DataType    string       `json:"data_type" doc:"What the device measures as a whole."`
	Location    string       `json:"location,omitempty" doc:"A name, or lat,lon in degrees, as the document says."`
	Lat         *float64     `json:"lat,omitempty" doc:"Latitude, WGS 84, when the location is lat,lon." unit:"degrees"`
	Lon         *float64     `json:"lon,omitempty" doc:"Longitude." unit:"degrees"`
	PriceAccess string       `json:"price_access,omitempty" doc:"Decimal; of version 1." unit:"PEAQ"`
	PricePin    string       `json:"price_pin,omitempty" doc:"Decimal; of version 1." unit:"PEAQ"`
	Node        string       `json:"node,omitempty" doc:"Node id in the overlay: ed25519 public key in Crockford base32."`
	Relays      []string     `json:"relays,omitempty" doc:"tls://host:port/<node id> of the relays at which the device waits."`
	Owner       string       `json:"owner,omitempty" doc:"Address of who decides on access, as far as it is proven."`
	Vouched     bool         `json:"vouched" doc:"The owner signed for the device."`
	Fleet       string       `json:"fleet,omitempty" doc:"The owner's fleet, by whose entities access is granted too."`
	Streams     []Stream     `json:"streams,omitempty" doc:"What the device shares."`
	Topics      []string     `json:"mqtt_topics,omitempty" doc:"MQTT topic filters of version 1."`
	Additional  []Additional `json:"additional,omitempty" doc:"Further fields of the document."`
	Sequence    uint64       `json:"sequence" doc:"iod_sequence of the document: Unix time, grows with each publication; 0: a document of version 1." unit:"ms"`
	Expires     *uint32      `json:"expires_block,omitempty" doc:"Last block of the document's validity; absent: it has no end."`
	First       Point        `json:"first" doc:"When the account's first believed document was seen."`
	Updated     Point        `json:"updated" doc:"When this document was seen."`
	Signer      string       `json:"signer,omitempty" doc:"Address of who sent the document; absent when it was read from state."`
	Chain       Chain        `json:"chain" doc:"What stands on the chain now."`
	Document    string       `json:"document,omitempty" doc:"The document's bytes, when asked for." pattern:"^0x([0-9a-f]{2})*$"`
	Offer       string       `json:"offer,omitempty" doc:"In a search: name of the stream that matched; by price the cheapest or dearest of them."`
	Distance    *float64     `json:"distance_km,omitempty" doc:"In a search with near: how far away the device is." unit:"km"`
}

// Stream is one thing that a device shares.
type Stream struct {
	Name        string   `json:"name" doc:"1 to 32 of a-z, 0-9, _ and -."`
	Kind        string   `json:"kind" doc:"mqtt, http, rtsp, tcp or udp; later versions may know more." example:"mqtt"`
	DataType    string   `json:"data_type,omitempty" doc:"What it measures." example:"wind_speed"`
	Unit        string   `json:"unit,omitempty" doc:"Unit of its values." example:"m/s"`
	Description string   `json:"description,omitempty" doc:"For people."`
	ContentType string   `json:"content_type,omitempty" doc:"Media type of what it sends."`
	Topics      []string `json:"topics,omitempty" doc:"MQTT topic filters that it shares."`
	Price       string   `json:"price,omitempty" doc:"Decimal, for one period." unit:"PEAQ" example:"\"42.03995\""`
	Period      string   `json:"period,omitempty" doc:"A number and s, m, h or d." example:"30d"`
}

// Additional is a field of the document that iod gives no meaning to.
type Additional struct {
	Type string `json:"type" doc:"Its name."`
	Data string `json:"data" doc:"Its value as a text."`
}

// Point is where and when something happened on the chain.
type Point struct {
	Block     uint32     `json:"block" doc:"Number of the finalised block."`
	Hash      index.Hash `json:"hash" doc:"Hash of the block." pattern:"^0x[0-9a-f]{64}$"`
	Time      *time.Time `json:"time,omitempty" doc:"Of the block; of the attribute's creation when from_state."`
	Extrinsic *int32     `json:"extrinsic,omitempty" doc:"Index in the block; absent when no extrinsic is known." min:"0"`
	FromState bool       `json:"from_state,omitempty" doc:"Read from the state at the block: no event was seen."`
}

// Chain says what stands on the chain in the place of the document.
type Chain struct {
	Presence string `json:"presence" enum:"present,overwritten,removed" doc:"The document, something that is not believed, or nothing."`
	Since    Point  `json:"since" doc:"Since when."`
	By       string `json:"by,omitempty" doc:"Address of who brought it about."`
}

// Entry is a line of a device's history.
type Entry struct {
	ID       int64  `json:"id" doc:"Ascending over all devices; the id of the event in /changes." min:"1"`
	Action   string `json:"action" enum:"published,republished,overwritten,removed,removed-by-other,expired" doc:"What it meant for the listing."`
	At       Point  `json:"at" doc:"Where and when."`
	By       string `json:"by,omitempty" doc:"Address of whose doing it was; absent: the chain's own (expiry), or not known."`
	State    string `json:"state,omitempty" enum:"verified,unverified" doc:"Of the document that it brought."`
	Sequence uint64 `json:"sequence,omitempty" doc:"iod_sequence of that document." unit:"ms"`
}

// Detail is one device with its history, newest first.
type Detail struct {
	Device
	History []Entry `json:"history" doc:"The newest 100 lines; more at /history."`
}

// History is a page of a device's history, newest first.
type History struct {
	Entries []Entry `json:"history" doc:"Newest first."`
	Next    int64   `json:"next,omitempty" doc:"before of the next page; absent on the last."`
}

// Page is an answer to a search.
type Page struct {
	Devices []Device `json:"devices" doc:"In the order asked for."`
	Next    string   `json:"next,omitempty" doc:"after of the next page; absent on the last."`
}

// Aside is a document that is not believed.
type Aside struct {
	ID     int64  `json:"id" doc:"Ascending." min:"1"`
	DID    string `json:"did,omitempty" doc:"Whose attribute it is; absent when the state does not tell."`
	By     string `json:"by,omitempty" doc:"Address of who wrote it."`
	Reason string `json:"reason" doc:"Why it is not believed."`
	Size   int    `json:"size" doc:"Of the value." unit:"bytes" min:"0"`
	Value  string `json:"value" doc:"Its first 4096 bytes." pattern:"^0x([0-9a-f]{2})*$"`
	At     Point  `json:"at" doc:"Where and when."`
}

// Asides is a page of what is set aside.
type Asides struct {
	SetAside []Aside `json:"set_aside" doc:"Newest first."`
	Next     int64   `json:"next,omitempty" doc:"before of the next page; absent on the last."`
}

// Status is how far the index is.
type Status struct {
	Phase     string     `json:"phase" enum:"empty,state,history,following" doc:"empty: nothing yet. state: the registry's state is read. history: blocks are missing. following: all that is final is taken in."`
	Genesis   string     `json:"genesis,omitempty" doc:"Hash of the chain's block 0."`
	Start     uint32     `json:"start" doc:"First block walked, or the block whose state was read."`
	FromState bool       `json:"from_state" doc:"The index began with the state at that block."`
	Block     *uint32    `json:"block" doc:"The last one taken in; null while the state is read."`
	Hash      string     `json:"hash,omitempty" doc:"Of that block."`
	Head      uint32     `json:"head" doc:"Newest finalised block known when that one was taken in."`
	Lag       uint32     `json:"lag" doc:"How far behind." unit:"blocks"`
	Committed *time.Time `json:"committed,omitempty" doc:"When the index last moved, by its own clock."`
	Change    int64      `json:"change" doc:"Id of the newest line of history: where /changes continues." min:"0"`
	Devices   Counts     `json:"devices" doc:"How many there are."`
	SetAside  uint64     `json:"set_aside" doc:"Documents that are not believed."`
}

// Counts are numbers of devices.
type Counts struct {
	Live       uint64 `json:"live" doc:"Offered now."`
	Verified   uint64 `json:"verified" doc:"Of these, by a document that the device's account signed."`
	Unverified uint64 `json:"unverified" doc:"Of these, by an unsigned document of version 1."`
	Ended      uint64 `json:"ended" doc:"Removed or expired."`
}

// Health is the answer of health checks.
type Health struct {
	Status string   `json:"status" enum:"ok,not ready" doc:"In a word."`
	Why    []string `json:"why,omitempty" doc:"What is missing."`
}

// Proof is the raw document of a device and what verified it.
type Proof struct {
	DID       string  `json:"did" doc:"Whose document it is."`
	Attribute string  `json:"attribute" doc:"Name of the attribute that holds it in the registry."`
	Document  string  `json:"document" doc:"The value: a protobuf message." pattern:"^0x([0-9a-f]{2})*$"`
	Signed    string  `json:"signed_bytes,omitempty" doc:"The document without its signature (field 4): what the hash is taken over, behind the prefix." pattern:"^0x([0-9a-f]{2})*$"`
	Prefix    string  `json:"prefix,omitempty" doc:"What goes before: iod/document/1, the DID and the attribute's name, each followed by a zero byte." pattern:"^0x([0-9a-f]{2})*$"`
	Hash      string  `json:"hash,omitempty" doc:"blake2b-256 of prefix and signed bytes: what the account signed." pattern:"^0x[0-9a-f]{64}$"`
	Signature string  `json:"signature,omitempty" doc:"64 bytes; 65 for ecdsa." pattern:"^0x([0-9a-f]{2})*$"`
	Scheme    string  `json:"scheme,omitempty" enum:"sr25519,ed25519,ecdsa" doc:"Of the signature. sr25519 has the signing context substrate; ecdsa signs the blake2b-256 of the hash."`
	Account   string  `json:"account" doc:"The account's id: the public key, or for ecdsa its blake2b-256." pattern:"^0x[0-9a-f]{64}$"`
	Sequence  uint64  `json:"sequence" doc:"iod_sequence in the document." unit:"ms"`
	Highest   uint64  `json:"highest_sequence" doc:"The highest one ever verified for the account: an older document never replaces a newer one." unit:"ms"`
	Owner     string  `json:"owner,omitempty" doc:"Address of the owner whom the document names."`
	Vouch     string  `json:"vouch,omitempty" doc:"The owner's signature over the text of the DID."`
	Verdict   Verdict `json:"verdict" doc:"What this server finds, verifying it anew for this answer."`
	Steps     []Step  `json:"steps" doc:"How it came to that, in order."`
	Published Point   `json:"published" doc:"The event that brought the document."`
	Signer    string  `json:"signer,omitempty" doc:"Address of who sent the transaction; for unsigned documents it has to be the DID's account."`
	Chain     Chain   `json:"chain" doc:"What stands on the chain now."`
}

// Verdict says what was found of a document.
type Verdict struct {
	State   string `json:"state" enum:"verified,unverified,forged" doc:"verified: signed by the DID's account. unverified: not signed. forged: the signature does not hold, or it speaks for another."`
	Reason  string `json:"reason,omitempty" doc:"Why it is not verified."`
	Vouched bool   `json:"vouched" doc:"The owner's signature holds, and so does the document's."`
}

// Step is one step of a verification.
type Step struct {
	Name   string `json:"name" enum:"document,speaker,signature,sequence,owner,chain" doc:"What was looked at."`
	Result string `json:"result" enum:"pass,fail,none" doc:"none: there is nothing to check."`
	Detail string `json:"detail" doc:"For people."`
}
