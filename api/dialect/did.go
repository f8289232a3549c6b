package dialect

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/mr-tron/base58"

	"iod/document"
	"iod/index"
	"iod/key"
)

// The contexts of DID documents.
const (
	didContext        = "https://www.w3.org/ns/did/v1"
	ed25519Context    = "https://w3id.org/security/suites/ed25519-2020/v1"
	resolutionContext = "https://w3id.org/did-resolution/v1"
)

// DIDDocument is a DID document as the W3C has it (DID Core 1.0), in JSON-LD.
type DIDDocument struct {
	Context        []any                `json:"@context" doc:"JSON-LD contexts: DID Core's first, then the key suites', last the terms of iod."`
	ID             string               `json:"id" doc:"The DID, as it was asked for." example:"did:peaq:5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX"`
	AlsoKnownAs    []string             `json:"alsoKnownAs,omitempty" doc:"The canonical form when another one was asked for."`
	Controller     string               `json:"controller" doc:"Always the DID itself: only its account signs its document."`
	Methods        []VerificationMethod `json:"verificationMethod,omitempty" doc:"The account's key."`
	Authentication []string             `json:"authentication,omitempty" doc:"Ids of the methods by which the account proves itself."`
	Assertion      []string             `json:"assertionMethod,omitempty" doc:"Ids of the methods that sign its documents."`
	Services       []Service            `json:"service,omitempty" doc:"Streams, relays, owner and Thing Description of a listed device."`
}

// VerificationMethod is a key of a DID.
type VerificationMethod struct {
	ID         string `json:"id" doc:"<did>#key-<n>"`
	Type       string `json:"type" enum:"Sr25519VerificationKey2020,Ed25519VerificationKey2020,EcdsaSecp256k1VerificationKey2019,EcdsaSecp256k1RecoveryMethod2020" doc:"By the key's scheme."`
	Controller string `json:"controller" doc:"The DID."`
	Multibase  string `json:"publicKeyMultibase,omitempty" doc:"z, then base58btc of the multicodec prefix (0xef01 sr25519, 0xed01 ed25519, 0xe701 secp256k1) and the public key."`
	Account    string `json:"blockchainAccountId,omitempty" doc:"CAIP-10 account, where only the hash of an ecdsa key is known."`
}

// Service is something that a device offers.
type Service struct {
	ID       string `json:"id" doc:"<did>#<name>"`
	Type     string `json:"type" doc:"IodStream, IodRelay, IodOwner, or WotThing for the Thing Description."`
	Endpoint string `json:"serviceEndpoint" doc:"iod://<node id>/<stream>, tls://host:port/<node id> of a relay, the owner's DID, or a URL."`
	Kind     string `json:"iod:kind,omitempty" doc:"Kind of a stream: mqtt, http, rtsp, tcp or udp."`
	DataType string `json:"iod:dataType,omitempty" doc:"What a stream measures."`
	Unit     string `json:"iod:unit,omitempty" doc:"Unit of its values."`
	Price    string `json:"iod:price,omitempty" doc:"Decimal, for one period." unit:"PEAQ"`
	Period   string `json:"iod:period,omitempty" doc:"A number and s, m, h or d." example:"30d"`
}

// Resolution is what a DID resolver answers (W3C DID Resolution, the universal resolver's form).
type Resolution struct {
	Context  string             `json:"@context" doc:"https://w3id.org/did-resolution/v1"`
	Document *DIDDocument       `json:"didDocument" doc:"null when there is none."`
	Result   ResolutionMetadata `json:"didResolutionMetadata" doc:"On the resolving."`
	Metadata DocumentMetadata   `json:"didDocumentMetadata" doc:"On the document."`
}

// ResolutionMetadata tells of the resolving.
type ResolutionMetadata struct {
	ContentType string `json:"contentType,omitempty" doc:"Of the document."`
	Error       string `json:"error,omitempty" enum:"invalidDid,notFound,representationNotSupported,methodNotSupported,internalError" doc:"Absent when the DID was resolved."`
	Message     string `json:"errorMessage,omitempty" doc:"The same for people."`
}

// DocumentMetadata tells of the document.
type DocumentMetadata struct {
	Created     *time.Time `json:"created,omitempty" doc:"When the index first saw a document that it believes."`
	Updated     *time.Time `json:"updated,omitempty" doc:"When the chain took in this one."`
	VersionID   string     `json:"versionId,omitempty" doc:"The document's iod_sequence: Unix milliseconds." unit:"ms"`
	Deactivated bool       `json:"deactivated,omitempty" doc:"The DID's own account removed its document from the chain."`
	CanonicalID string     `json:"canonicalId,omitempty" doc:"did:peaq with the address of SS58 prefix 42."`
	Equivalent  []string   `json:"equivalentId,omitempty" doc:"The same, when another form was asked for."`
	Source      string     `json:"iod:source,omitempty" enum:"document,account" doc:"document: made from the signed document on the chain. account: there is none that can be believed, and the DID's account is its own key."`
	State       string     `json:"iod:state,omitempty" enum:"verified,unverified" doc:"Whether the document is signed by the DID's account."`
	Reason      string     `json:"iod:reason,omitempty" doc:"Why it is not."`
	Block       *uint32    `json:"iod:block,omitempty" doc:"Finalised block that brought the document."`
	Proof       string     `json:"iod:proof,omitempty" doc:"Where the raw document and its verification are."`
}

// Failed is the resolution of a DID that could not be resolved.
func Failed(code, message string) Resolution {
	return Resolution{Context: resolutionContext, Result: ResolutionMetadata{Error: code, Message: message}}
}

// Resolve answers for a DID of the account, in the form in which it was asked for. l is its listing, nil when there is none.
//
// A did:peaq DID is an account, and an account is its key: so a DID without a listing, or whose document's validity has ended,
// resolves to that key alone, as did:key and did:ethr do, and metadata says so. When the account itself removed its document, the DID
// counts as deactivated until it publishes again.
func (s Site) Resolve(asked string, a key.AccountID, l *index.Listing) Resolution {
	r := Resolution{Context: resolutionContext, Result: ResolutionMetadata{ContentType: "application/did+ld+json"}}
	r.Metadata.CanonicalID = a.DID()
	d := &DIDDocument{ID: asked, Controller: asked}
	if asked != a.DID() {
		d.AlsoKnownAs = []string{a.DID()}
		r.Metadata.Equivalent = d.AlsoKnownAs
	}
	r.Document = d
	if l != nil {
		s.describeState(&r, l)
	}
	if l == nil || l.Status != index.Live {
		r.Metadata.Source = "account"
		s.addKeys(d, accountKeys(a), a)
		return r
	}
	r.Metadata.Source = "document"
	s.addKeys(d, listedKeys(l), a)
	s.addServices(d, l)
	return r
}

func (s Site) describeState(r *Resolution, l *index.Listing) {
	m := &r.Metadata
	m.Created, m.Updated = timeOf(l.First), timeOf(l.Updated)
	m.Deactivated = l.Status == index.Removed
	if l.Device.Sequence > 0 {
		m.VersionID = itoa(l.Device.Sequence)
	}
	if l.Status != index.Live {
		return
	}
	m.State, m.Reason = string(l.State), l.Reason
	block := l.Updated.Block
	m.Block, m.Proof = &block, s.Device(l.Account)+"/proof"
}

// accountKeys are the keys that an account's 32 bytes may be. The chain takes a signature of any scheme that verifies under them, so
// all that are possible are named; none of them can be another's. Bytes that are no key of either curve are the hash of an ecdsa key.
func accountKeys(a key.AccountID) []key.Public {
	var keys []key.Public
	for _, scheme := range []key.Scheme{key.Sr25519, key.Ed25519} {
		if p, err := key.NewPublic(scheme, a[:]); err == nil {
			keys = append(keys, p)
		}
	}
	return keys
}

// listedKeys is the key that signed a listing's document: its scheme is the signature's. Of an unsigned one it is as accountKeys has it.
func listedKeys(l *index.Listing) []key.Public {
	doc, err := document.Parse(l.Raw)
	if l.State != document.Verified || err != nil || doc.Signature == nil {
		return accountKeys(l.Account)
	}
	scheme := key.Scheme(doc.Signature.Type)
	if scheme != key.Ecdsa {
		if p, err := key.NewPublic(scheme, l.Account[:]); err == nil {
			return []key.Public{p}
		}
		return nil
	}
	for _, m := range doc.Methods {
		b, err := hex.DecodeString(strings.TrimPrefix(m.PublicKey, "0x"))
		if err != nil {
			continue
		}
		if p, err := key.NewPublic(key.Ecdsa, b); err == nil && p.Account() == l.Account {
			return []key.Public{p}
		}
	}
	return nil
}

// methods are the type and the multicodec prefix of a scheme's keys.
var methods = map[key.Scheme]struct {
	name   string
	prefix [2]byte
}{
	key.Sr25519: {"Sr25519VerificationKey2020", [2]byte{0xef, 0x01}},
	key.Ed25519: {"Ed25519VerificationKey2020", [2]byte{0xed, 0x01}},
	key.Ecdsa:   {"EcdsaSecp256k1VerificationKey2019", [2]byte{0xe7, 0x01}},
}

func (s Site) addKeys(d *DIDDocument, keys []key.Public, a key.AccountID) {
	terms := map[string]any{}
	contexts := []any{didContext}
	for i, p := range keys {
		m := VerificationMethod{ID: d.ID + "#key-" + itoa(uint64(i+1)), Type: methods[p.Scheme()].name, Controller: d.ID, Multibase: Multibase(p)}
		if p.Scheme() == key.Ed25519 {
			contexts = append(contexts, ed25519Context)
		} else {
			terms[m.Type] = "https://w3id.org/security#" + m.Type
			terms["publicKeyMultibase"] = map[string]string{"@id": "https://w3id.org/security#publicKeyMultibase", "@type": "https://w3id.org/security#multibase"}
		}
		d.Methods = append(d.Methods, m)
	}
	if chain := s.chainID(); len(keys) == 0 && chain != "" {
		m := VerificationMethod{ID: d.ID + "#key-1", Type: "EcdsaSecp256k1RecoveryMethod2020", Controller: d.ID, Account: chain + ":" + a.String()}
		terms[m.Type] = "https://w3id.org/security#" + m.Type
		terms["blockchainAccountId"] = "https://w3id.org/security#blockchainAccountId"
		d.Methods = append(d.Methods, m)
	}
	for _, m := range d.Methods {
		d.Authentication = append(d.Authentication, m.ID)
	}
	d.Assertion = d.Authentication
	if d.Context = contexts; len(terms) > 0 {
		d.Context = append(d.Context, terms)
	}
}

// chainID is the CAIP-2 id of the chain; empty when it is not known.
func (s Site) chainID() string {
	if s.Genesis == (index.Hash{}) {
		return ""
	}
	return "polkadot:" + hex.EncodeToString(s.Genesis[:16])
}

// Multibase is the multikey form of a public key: z, and base58btc of its multicodec prefix and bytes.
func Multibase(p key.Public) string {
	prefix := methods[p.Scheme()].prefix
	return "z" + base58.Encode(append(prefix[:], p.Bytes()...))
}

func (s Site) addServices(d *DIDDocument, l *index.Listing) {
	for _, st := range l.Device.Streams {
		e := endpoint(&l.Device, st.Name)
		if e == "" {
			continue
		}
		d.Services = append(d.Services, Service{
			ID: d.ID + "#" + st.Name, Type: "IodStream", Endpoint: e, Kind: st.Kind, DataType: st.DataType, Unit: st.Unit, Price: st.Price, Period: st.Period,
		})
	}
	for i, r := range l.Device.Relays {
		d.Services = append(d.Services, Service{ID: d.ID + "#iod.relay-" + itoa(uint64(i+1)), Type: "IodRelay", Endpoint: r})
	}
	if o := decider(l); o != "" {
		d.Services = append(d.Services, Service{ID: d.ID + "#iod.owner", Type: "IodOwner", Endpoint: o})
	}
	d.Services = append(d.Services, Service{ID: d.ID + "#iod.td", Type: "WotThing", Endpoint: s.Device(l.Account) + "/td"})
	d.Context = append(d.Context, map[string]string{
		"iod": Namespace, "IodStream": "iod:Stream", "IodRelay": "iod:Relay", "IodOwner": "iod:Owner",
		"WotThing": "https://www.w3.org/2022/wot/discovery#WotThing",
	})
}
