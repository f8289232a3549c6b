package document

import (
	"regexp"
	"time"

	"iod/key"
)

// MaxStreams is how many streams a device document may hold.
const MaxStreams = 64

var streamName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// ValidStreamName reports whether name is 1 to 32 of a-z, 0-9, _ and -.
func ValidStreamName(name string) bool { return streamName.MatchString(name) }

// VerifyVouch reports whether vouch is owner's signature over the device's DID.
func VerifyVouch(owner, device key.AccountID, vouch string) bool { panic("document: to be written") }

// Normal checks a device's description as Sign does and returns it in the one form that documents hold: prices without
// superfluous zeros, an owner only when it is another account. Compare normal forms.
func (d Device) Normal() (Device, error) { panic("document: to be written") }

// MarshalJSON renders the device for people and programs.
func (d Device) MarshalJSON() ([]byte, error) { panic("document: to be written") }

// Client is what a consumer's document says.
type Client struct {
	Account  key.AccountID
	Node     key.NodeID
	Sequence uint64
}

// Sign encodes the consumer's document and signs it as account c.Account.
func (c Client) Sign(p *key.Pair) ([]byte, error) { panic("document: to be written") }

// ReadClient decodes and judges the value of a consumer's attribute, as ReadDevice does for devices.
func ReadClient(account key.AccountID, attribute string, raw []byte) (Client, Verdict, error) {
	panic("document: to be written")
}

// Standing is what decides which of two documents of one DID counts.
type Standing struct {
	State    State // empty: there is none
	Sequence uint64
}

// Replaces reports whether a document that was seen later takes the place of the current one.
func Replaces(current, next Standing) bool { panic("document: to be written") }

// ParseLocation reads "lat,lon" in degrees; ok is false for a name or what is out of range.
func ParseLocation(s string) (lat, lon float64, ok bool) { panic("document: to be written") }

// NormalPrice checks a decimal amount and returns its canonical form.
func NormalPrice(s string) (string, error) { panic("document: to be written") }

// ParsePeriod reads a period as in "30d", "12h", "15m" or "90s".
func ParsePeriod(s string) (time.Duration, error) { panic("document: to be written") }

// ValidTopicFilter reports whether filter is an MQTT topic filter.
func ValidTopicFilter(filter string) bool { panic("document: to be written") }

// NewAdditional returns a field of the owner's with a text as its value, in the form in which the existing marketplace writes
// texts: as a JSON string.
func NewAdditional(name, value string) Additional { panic("document: to be written") }

// Text returns the value without the JSON quotes that the existing marketplace puts around texts.
func (a Additional) Text() string { panic("document: to be written") }

// Document is the protobuf message that stands under an attribute, as it was written.
type Document struct{}

// Parse decodes a document within bounds.
func Parse(raw []byte) (*Document, error) { panic("document: to be written") }
