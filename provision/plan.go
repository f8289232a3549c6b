package provision

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"iod/access"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// Actual is what the chain holds as of one block, as far as a device's plan depends on it.
type Actual struct {
	Number uint32
	Time   time.Time // of the block: the clock that documents go by, since a device's own may be wrong
	// Attribute holds the device's document; nil when there is none.
	Attribute *did.Attribute
	Writer    bool         // the device may update and remove its DID's attributes
	Vouch     string       // the owner's valid vouch; empty: none
	Access    access.State // the owner's entities; looked at only when the device is its own owner
}

// Change is a field of the document that differs.
type Change struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"` // empty: it is new
	New   string `json:"new,omitempty"` // empty: it goes away
}

// Plan is what has to be done so that the chain says what the manifest says.
type Plan struct {
	Publish bool     `json:"publish"`
	Reason  string   `json:"reason"` // why it is published, or that nothing differs
	Changes []Change `json:"changes"`
	// Setup are the calls that set up the streams' roles, when the device is its own owner.
	Setup []metadata.Call `json:"-"`
	// SetupCalls is how many they are.
	SetupCalls int `json:"setup_calls"`

	device   document.Device // to be signed, with its sequence
	standing did.Standing
	validFor *uint32
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return !p.Publish && len(p.Setup) == 0 }

// Desired is the document that a manifest asks for; it has no sequence yet.
func Desired(m *Manifest, account key.AccountID, node key.NodeID, vouch string) (document.Device, error) {
	d := document.Device{
		Account: account, Node: node, DataType: m.Device.DataType, Location: m.Device.Location,
		PriceAccess: m.Device.PriceAccess, PricePin: m.Device.PricePin,
	}
	for _, r := range m.Relays {
		d.Relays = append(d.Relays, r.String())
	}
	for _, s := range m.Streams {
		d.Streams = append(d.Streams, s.documentStream())
		for _, t := range s.Topics {
			if !slices.Contains(d.Topics, t) {
				d.Topics = append(d.Topics, t)
			}
		}
	}
	if m.Owner != nil && *m.Owner != account {
		d.Owner, d.Vouch = m.Owner, vouch
	}
	for _, a := range m.Device.Additional {
		d.Additional = append(d.Additional, document.Additional{Type: a.Name, Data: a.Data})
	}
	return d.Normal()
}

// MakePlan compares the manifest with the chain. It reads no clock and does nothing.
func MakePlan(m *Manifest, account key.AccountID, node key.NodeID, actual Actual) (*Plan, error) {
	want, err := Desired(m, account, node, actual.Vouch)
	if err != nil {
		return nil, fmt.Errorf("describe the device: %w", err)
	}
	p := &Plan{device: want, standing: did.Standing{Exists: actual.Attribute != nil, Writer: actual.Writer}}
	if m.Device.ValidFor > 0 {
		p.validFor = &m.Device.ValidFor
	}
	had, floor := p.compare(want, actual)
	p.device.Sequence = max(uint64(max(actual.Time.UnixMilli(), 1)), floor+1)
	if p.Publish {
		p.Changes = changes(had, want)
	}
	if m.Owner == nil || *m.Owner == account {
		names := make([]string, len(want.Streams))
		for i, s := range want.Streams {
			names[i] = s.Name
		}
		p.Setup = access.Setup(account, account, names, actual.Access)
		p.SetupCalls = len(p.Setup)
	}
	return p, nil
}

// compare decides whether to publish and why. It returns the document that counts on the chain now, and its sequence.
func (p *Plan) compare(want document.Device, actual Actual) (had document.Device, floor uint64) {
	p.Publish = true
	if actual.Attribute == nil {
		p.Reason = "the device has no document on the chain"
		return had, 0
	}
	got, verdict, err := document.ReadDevice(want.Account, document.DeviceAttribute, actual.Attribute.Value)
	switch {
	case err != nil:
		p.Reason = fmt.Sprintf("what stands on the chain is no document: %v", err)
		return had, 0
	case verdict.State != document.Verified:
		p.Reason = fmt.Sprintf("the document on the chain is %s: %s", verdict.State, verdict.Reason)
		return got, 0 // its sequence is nobody's word
	}
	normal, err := got.Normal()
	if err != nil {
		normal = got
	}
	normal.Sequence = 0
	switch {
	case !same(normal, want):
		p.Reason = "the manifest differs from the document on the chain"
	case actual.Attribute.Expired(actual.Number):
		p.Reason = fmt.Sprintf("the document's validity ended with block %d", actual.Attribute.Validity)
	case p.renew(actual):
		p.Reason = fmt.Sprintf("the document's validity is to end with block %d", actual.Attribute.Validity)
	default:
		p.Publish, p.Reason = false, "the document on the chain says what the manifest says"
	}
	return normal, got.Sequence
}

// renew reports whether less than a third of the wanted validity is left, or the wanted one is of another kind.
func (p *Plan) renew(actual Actual) bool {
	forever := actual.Attribute.Validity == did.Forever
	if p.validFor == nil {
		return !forever
	}
	return forever || actual.Attribute.Validity-actual.Number < *p.validFor/3
}

// same compares two normal documents by the bytes that people would see.
func same(a, b document.Device) bool {
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// field is one line of a document for people.
type field struct{ name, value string }

// fields lists what a document says, every field of it, in a fixed order.
func fields(d document.Device) []field {
	var out []field
	add := func(name, value string) {
		if value != "" {
			out = append(out, field{name, value})
		}
	}
	if d.Node != (key.NodeID{}) {
		add("node", d.Node.String())
	}
	add("data_type", d.DataType)
	add("location", d.Location)
	add("price_pin", d.PricePin)
	add("price_access", d.PriceAccess)
	if d.Owner != nil {
		add("owner", d.Owner.String())
		add("owner's vouch", d.Vouch)
	}
	add("relays", strings.Join(d.Relays, " "))
	add("topics", strings.Join(d.Topics, " "))
	for _, s := range d.Streams {
		for _, f := range []field{
			{"kind", s.Kind}, {"data_type", s.DataType}, {"unit", s.Unit}, {"description", s.Description},
			{"content_type", s.ContentType}, {"topics", strings.Join(s.Topics, " ")}, {"price", s.Price}, {"period", s.Period},
		} {
			add("stream "+s.Name+" "+f.name, f.value)
		}
	}
	for _, a := range d.Additional {
		add("additional "+a.Type, a.Data)
	}
	return out
}

// changes lists the fields in which two documents differ.
func changes(had, want document.Device) []Change {
	old, now := fields(had), fields(want)
	find := func(list []field, name string) string {
		i := slices.IndexFunc(list, func(f field) bool { return f.name == name })
		if i < 0 {
			return ""
		}
		return list[i].value
	}
	var out []Change
	for _, f := range old {
		if v := find(now, f.name); v != f.value {
			out = append(out, Change{f.name, f.value, v})
		}
	}
	for _, f := range now {
		if find(old, f.name) == "" {
			out = append(out, Change{f.name, "", f.value})
		}
	}
	return out
}

// Diff shows the plan to people: a line for what goes (-) and what comes (+).
func (p *Plan) Diff() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.Reason)
	for _, c := range p.Changes {
		if c.Old != "" {
			fmt.Fprintf(&b, "- %s: %s\n", c.Field, c.Old)
		}
		if c.New != "" {
			fmt.Fprintf(&b, "+ %s: %s\n", c.Field, c.New)
		}
	}
	if n := len(p.Setup); n > 0 {
		fmt.Fprintf(&b, "+ access: %d calls that set up the streams' permissions, roles and groups\n", n)
	}
	return b.String()
}
