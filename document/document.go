// Package document reads, writes, signs and judges the documents that devices and consumers keep under their
// DIDs: protobuf messages compatible with the existing marketplace's version 1.
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
	PriceAccess string // decimal
	PricePin    string // decimal
	Topics      []string
	Sequence    uint64         // iod_sequence, Unix milliseconds; 0: a version 1 document without one
	Relays      []string       // tls://host:port/<node id>
	Owner       *key.AccountID // claimed; shown only when Verdict.Vouched
	Vouch       string         // 0x-hex signature of the owner over the device's DID; empty: none
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

// Additional is a service that iod gives no meaning to.
type Additional struct{ Type, Data string }

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
	State   State
	Reason  string // why it is not verified; empty when it is
	Vouched bool   // the owner's signature holds
}

// Sign encodes the device's document and signs it as account d.Account.
func (d Device) Sign(p *key.Pair) ([]byte, error) { panic("document: to be written") }

// ReadDevice decodes and judges the value of an attribute of account's DID. The error is for bytes that are no document at all;
// a forged document is returned with its verdict.
func ReadDevice(account key.AccountID, attribute string, raw []byte) (Device, Verdict, error) {
	panic("document: to be written")
}

// SignVouch returns the owner's 0x-hex signature over the device's DID.
func SignVouch(owner *key.Pair, device key.AccountID) (string, error) {
	panic("document: to be written")
}
