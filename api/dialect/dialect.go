// Package dialect says what the index believes of a device in the languages of others: W3C DID documents, W3C Thing Descriptions,
// AsyncAPI documents and DCAT catalogues. It is pure: listings in, values for encoding/json out.
//
// # What it adds and what it does not
//
// Everything comes from the listing; nothing is guessed. What a device does not say (the shape of its messages, a licence) is
// left out or called unknown. Terms that the standards have no word for (price, period, how a document was verified) stand under the
// prefix iod, which is [Namespace].
//
// Streams are reached through the overlay, never at an address of the device: their address is iod://<node id>/<stream>, and access is
// what the owner grants on the chain. In a Thing Description that is a security scheme of its own (iod:grant), in AsyncAPI an
// asymmetricEncryption scheme: who connects proves an account by its signature.
package dialect

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Namespace is what the prefix iod stands for. It names terms; nothing is there to be fetched.
const Namespace = "urn:iod:ns#"

// Site says where an index is served, for links.
type Site struct {
	Base    string     // http(s)://host[/path] without a final slash
	Genesis index.Hash // of the chain; zero: not known
}

// Device is the address of a device in the API.
func (s Site) Device(a key.AccountID) string { return s.Base + "/api/v1/devices/" + a.DID() }

// page is the address of the device's page for people.
func (s Site) page(a key.AccountID) string { return s.Base + "/d/" + a.DID() }

// Link points elsewhere.
type Link struct {
	Rel  string `json:"rel" doc:"What is there for the device."`
	Href string `json:"href" doc:"Where."`
	Type string `json:"type,omitempty" doc:"Media type."`
}

// links are the places that say more about a device.
func (s Site) links(a key.AccountID) []Link {
	return []Link{
		{"describedby", s.Device(a), "application/json"},
		{"iod:did", s.Base + "/1.0/identifiers/" + a.DID(), "application/did+ld+json"},
		{"iod:proof", s.Device(a) + "/proof", "application/json"},
		{"iod:asyncapi", s.Device(a) + "/asyncapi", "application/json"},
		{"alternate", s.page(a), "text/html"},
	}
}

// endpoint is the address of a stream in the overlay; empty when the device names no node.
func endpoint(d *document.Device, stream string) string {
	if d.Node == (key.NodeID{}) {
		return ""
	}
	return "iod://" + d.Node.String() + "/" + stream
}

// title names a device by what it gives: "wind_speed, video in Berlin".
func title(l *index.Listing) string {
	var types []string
	seen := map[string]bool{}
	for _, o := range l.Offers() {
		if o.DataType != "" && !seen[o.DataType] {
			seen[o.DataType] = true
			types = append(types, o.DataType)
		}
	}
	t := strings.Join(types, ", ")
	if t == "" {
		t = l.Device.DataType
	}
	if t == "" {
		t = "Device"
	}
	if _, _, placed := l.Place(); !placed && l.Device.Location != "" {
		t += " in " + l.Device.Location
	}
	return t
}

// about is a sentence on the whole device.
func about(l *index.Listing) string {
	streams := len(l.Device.Streams)
	text := fmt.Sprintf("Device %s on the peaq network with %d streams.", l.Account, streams)
	if streams == 1 {
		text = fmt.Sprintf("Device %s on the peaq network with one stream.", l.Account)
	}
	if l.State == document.Verified {
		return text + " Its document is signed by the device's own account."
	}
	return text + " Its document is not verified: " + l.Reason + "."
}

// streamAbout is a sentence on a stream.
func streamAbout(s document.Stream) string {
	text := s.Description
	if text == "" {
		text = s.Kind + " stream"
		if s.DataType != "" {
			text += " of " + s.DataType
		}
		if s.Unit != "" {
			text += " in " + s.Unit
		}
	}
	if s.Price != "" {
		text += " (" + s.Price + " PEAQ"
		if s.Period != "" {
			text += " for " + s.Period
		}
		text += ")"
	}
	return text
}

// contentType is the media type of what arrives: bytes, when the device says none.
func contentType(s document.Stream) string { return cmp.Or(s.ContentType, "application/octet-stream") }

// access tells people how a stream is reached.
const access = "Reached through the iod overlay: iod connect <DID> <stream> opens a local port, end to end encrypted. The consumer's account " +
	"signs when it knocks, and the device lets it in as long as the owner's RBAC entities on the chain grant the stream."

func timeOf(p index.Point) *time.Time {
	if p.Time.IsZero() {
		return nil
	}
	t := p.Time.UTC()
	return &t
}

// decider is the account that grants access, as far as it is known.
func decider(l *index.Listing) string {
	if o := l.Owner(); o != nil {
		return o.DID()
	}
	return ""
}
