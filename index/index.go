// Package index turns the finalised blocks of a chain into listings: what each device offers, as far as it can be
// believed, with the history of how it came to be. It declares the Store that keeps them; package index/sqlite is one.
//
//	Source ──blocks──▶ Digest ──claims──▶ Believe(listing, claim) ──outcome──▶ Store, with the cursor in the same transaction
//	        events      pure              pure
//
// # What is believed
//
// The registry lets strangers overwrite and remove anyone's attributes, so an event alone proves little.
//
//   - A document signed by the DID's account counts whoever sent it. The highest iod_sequence ever seen wins; an older one,
//     another one with the same sequence, an unsigned one and a forged one never replace it. They are set aside.
//   - An unsigned document of version 1 counts only from an event whose signer (the event's first field: batch and proxied
//     calls included) is the DID's account. It is marked unverified.
//   - A removal by the DID's account ends the listing. A removal or an overwriting by another account does not: the listing
//     stays, and its Presence says that the chain does not hold its document any more, by whom and since when. The device
//     heals it by publishing again.
//   - Validity ends a listing, but it is not covered by the signature. It is taken from an event of the DID's account or, while
//     there is none for this sequence, from the first event that brought the document: so a stranger's copy of a document
//     can neither shorten nor extend its life, nor revive a listing that its device ended.
//   - An index that starts from the chain's state sees no event. Signed documents prove themselves. An unsigned one is taken only
//     when the registry's OwnerStore shows that no account but the DID's own could have written it; the others are set aside.
//     On a runtime without OwnerStore the signed ones are found by the DID that they name, which the storage key proves.
//     State shows neither what was removed before nor a document that stood there before a stranger's: walking the
//     history shows both.
//
// What cannot be read or believed is kept aside with its reason; nothing that a document says stops the index. An event that is
// not of the registry's known form, a block whose events metadata cannot decode, and such an entry of the state are set aside
// too, after having been asked for a few times, and loudly: only --rebuild takes in what they held once it can be decoded.
package index

import (
	"strings"
	"time"

	"iod/chain"
	"iod/document"
	"iod/key"
)

// Hash is a 32-byte block hash.
type Hash = chain.Hash

// Cursor names the last block that the store has taken in.
type Cursor struct {
	Number uint32
	Hash   Hash
}

// Point is where and when something happened on the chain.
type Point struct {
	Block     uint32
	Hash      Hash      // of the block
	Time      time.Time // of the block, milliseconds; of the attribute's creation when FromState
	Extrinsic int32     // index in the block; -1 when no extrinsic is known
	Event     uint32    // index in the block's events
	FromState bool      // read from the state at the block: no event was seen
}

// Status says whether a listing is offered.
type Status string

// The states of a listing.
const (
	Live    Status = "live"
	Removed Status = "removed" // by the DID's own account
	Expired Status = "expired" // its validity ended
)

// Presence says what stands on the chain in the place of a listing's document.
type Presence string

// What may stand on the chain.
const (
	Present     Presence = "present"     // the listing's document
	Overwritten Presence = "overwritten" // something that is not believed
	Gone        Presence = "removed"     // nothing
)

// Never is the Expires of a document without an end.
const Never = ^uint32(0)

// Listing is what the index believes of a device.
type Listing struct {
	Rank    Rank // given by the store, which ignores it in what it is to put
	Account key.AccountID
	Device  document.Device
	State   document.State // Verified or Unverified
	Reason  string         // why it is not verified; empty when it is
	Vouched bool           // the owner's signature in the document holds
	Raw     []byte         // the document's bytes: the proof
	Floor   uint64         // the highest iod_sequence ever verified for the account

	Signer  *key.AccountID // who sent the document; nil when it was read from state
	First   Point          // when the account's first believed document was seen
	Updated Point          // when this document was seen
	Expires uint32         // last block of its validity; Never
	ByOwn   bool           // Expires comes from an event of the DID's account

	Status      Status
	EndedBlock  uint32 // 0 while live
	Presence    Presence
	PresenceAt  Point
	PresenceWho *key.AccountID // who brought this presence about; nil when unknown
}

// Owner returns the account that decides on access as far as it is known: the vouched owner, the device itself when its
// document names none, and nil when the claimed owner did not sign.
func (l *Listing) Owner() *key.AccountID {
	switch {
	case l.Device.Owner == nil:
		return &l.Account
	case l.Vouched:
		return l.Device.Owner
	}
	return nil
}

// Offer is one thing to be had from a device: a stream of the document, or the device as a whole in documents of version 1.
// Searches match offers, so that type, unit and price are of the same stream.
type Offer struct {
	Name     string // of the stream; empty for version 1
	Kind     string
	DataType string
	Unit     string
	Price    *Price // nil: none is said
	Period   string
}

// Offers lists what the device offers. A stream without a type of its own has the device's.
func (l *Listing) Offers() []Offer {
	d := &l.Device
	if len(d.Streams) == 0 {
		o := Offer{DataType: d.DataType, Price: priceOf(d.PriceAccess)}
		if len(d.Topics) > 0 {
			o.Kind = "mqtt"
		}
		return []Offer{o}
	}
	offers := make([]Offer, len(d.Streams))
	for i, s := range d.Streams {
		offers[i] = Offer{Name: s.Name, Kind: s.Kind, DataType: s.DataType, Unit: s.Unit, Price: priceOf(s.Price), Period: s.Period}
		if s.DataType == "" {
			offers[i].DataType = d.DataType
		}
	}
	return offers
}

// Words is what a text search looks through: all that the document says but for coordinates, and the addresses of the device and its
// owner.
func (l *Listing) Words() string {
	d := &l.Device
	said := []string{d.DataType, l.Account.String()}
	if _, _, placed := l.Place(); !placed {
		said = append(said, d.Location)
	}
	if owner := l.Owner(); owner != nil && *owner != l.Account {
		said = append(said, owner.String())
	}
	said = append(said, d.Topics...)
	for _, s := range d.Streams {
		said = append(said, s.Name, s.Kind, s.DataType, s.Unit, s.Description)
		said = append(said, s.Topics...)
	}
	for _, a := range d.Additional {
		said = append(said, a.Type, a.Data)
	}
	return strings.Join(said, "\n")
}

// Action is what an event meant for a listing.
type Action string

// The actions that history tells.
const (
	Published     Action = "published"        // a document that is believed: new, or newer than the one before
	Republished   Action = "republished"      // the same document again: healed, or its validity renewed
	Overwrote     Action = "overwritten"      // something unbelievable took its place on the chain
	RemovedOwn    Action = "removed"          // by the DID's account
	RemovedByElse Action = "removed-by-other" // by another account; the listing stays
	ActionExpired Action = "expired"
)

// Entry is one line of a listing's history.
type Entry struct {
	ID       int64 // given by the store, ascending over the history of all accounts
	Account  key.AccountID
	At       Point
	Who      *key.AccountID // nil: the chain itself (expiry), or unknown (state)
	Action   Action
	State    document.State // of the document, when Action brought one
	Sequence uint64
	Raw      []byte // the document, when Published
}

// Aside is a document that cannot be believed or read.
type Aside struct {
	ID      int64          // given by the store, ascending
	Account *key.AccountID // whose attribute; nil when the state does not tell
	At      Point
	Who     *key.AccountID
	Reason  string
	Size    int    // of the value, bytes
	Raw     []byte // its first MaxAsideRaw bytes
}

// MaxAsideRaw is how much of a set-aside value is kept, in bytes.
const MaxAsideRaw = 4096
