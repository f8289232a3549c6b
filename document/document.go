// Package document reads, writes, signs and judges the documents that devices and consumers keep under their
// DIDs: protobuf messages compatible with the existing marketplace's version 1.
//
//	Document   1 id, 2 controller, 3 repeated method, 4 signature, 5 repeated service, 6 repeated authentication
//	method     1 id, 2 key type (varint), 3 controller, 4 public key as 0x-hex
//	signature  1 key type (varint), 2 issuer = the DID, 3 hash = signature as 0x-hex
//	service    1 id = <did>#<type>, 2 type, 3 endpoint, 4 data
//
// Services of a device document; those without iod_ are version 1's and come first:
//
//	staex_iod_version  data "v1"
//	data_type, location, price_pin, price_access
//	staex_mcc_id       data = node id
//	mqtt_topic         data = topic filter; repeated
//	iod_sequence       data = Unix milliseconds, grows with each publication
//	iod_relay          endpoint tls://host:port/<node id>; repeated
//	iod_owner          endpoint = the owner's address, data = its signature over the device's DID
//	iod_fleet          data = name of the owner's fleet to which the device belongs
//	iod_stream         id <did>#<name>, endpoint iod://<node id>/<name>, data = JSON; repeated
//	anything else      data; texts are JSON strings there
//
// The registry lets strangers overwrite anyone's attributes, so a document proves itself. What is signed is
//
//	blake2_256("iod/document/1" ‖ 0 ‖ DID ‖ 0 ‖ attribute name ‖ 0 ‖ the document's bytes with field 4 cut out)
//
// over the wire bytes as they are: nothing is encoded again. Field 4 itself must stand there once and in its one
// canonical encoding, so that no byte of a signed document can change without the signature failing. Only a field 4 of the
// outermost message is one: cutting out a whole field leaves the others what they were.
package document

import "iod/key"

// Attribute names under which documents stand in the registry.
const (
	DeviceAttribute = "staex-iod-device"
	ClientAttribute = "staex-iod-client"
)

// Device is what a device document says.
type Device struct {
	Account     key.AccountID
	Node        key.NodeID // zero: none
	DataType    string
	Location    string // a name or "lat,lon"
	PriceAccess string // decimal; empty: none
	PricePin    string // decimal; empty: none
	Topics      []string
	Sequence    uint64         // iod_sequence, Unix milliseconds; 0: a version 1 document without one
	Relays      []string       // tls://host:port/<node id>
	Owner       *key.AccountID // claimed; shown only when Verdict.Vouched
	Vouch       string         // 0x-hex signature of the owner over the device's DID; empty: none
	Fleet       string         // the owner's fleet, by whose entities access is granted too; empty: none
	Streams     []Stream
	Additional  []Additional
}

// Stream is one iod_stream service.
type Stream struct {
	Name        string   `json:"-"`
	Kind        string   `json:"kind"`
	DataType    string   `json:"data_type,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Description string   `json:"description,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Topics      []string `json:"topics,omitempty"`
	Price       string   `json:"price,omitempty"`
	Period      string   `json:"period,omitempty"`
}

// Additional is a service that iod gives no meaning to. Data is what stands in the document: the existing marketplace
// writes texts as JSON strings there. NewAdditional makes, and Text reads, that form.
type Additional struct{ Type, Data string }

// Client is what a consumer's document says: where the consumer's node is.
type Client struct {
	Account  key.AccountID `json:"account"`
	Node     key.NodeID    `json:"node,omitzero"`
	Sequence uint64        `json:"sequence,omitempty"` // 0: a version 1 document
}

// State is how far a document can be believed.
type State string

// The states of a document.
const (
	Verified   State = "verified"   // signed by the DID's account
	Unverified State = "unverified" // version 1 without a signature: as good as its event's signer
	Forged     State = "forged"     // has a signature that does not hold, or speaks for another DID
)

// Verdict says what was found of a document.
type Verdict struct {
	State   State  `json:"state"`
	Reason  string `json:"reason,omitempty"` // why it is not verified; empty when it is
	Vouched bool   `json:"vouched"`          // the owner's signature holds, and so does the document's
}

// Standing is what decides which of two documents of one DID counts.
type Standing struct {
	State    State // empty: there is none
	Sequence uint64
}

// Replaces reports whether a document that was seen later takes the place of the current one: a verified one does when its
// sequence is higher than that of a verified one, or nothing verified is there; an unverified one only where nothing verified is; a
// forged one never. The caller sees to it that an unverified document came from its own DID's account.
func Replaces(current, next Standing) bool {
	switch next.State {
	case Verified:
		return current.State != Verified || next.Sequence > current.Sequence
	case Unverified:
		return current.State != Verified
	}
	return false
}
