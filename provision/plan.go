package provision

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
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
	Floor     uint64       // the highest sequence that a genuine document is known to have had, whatever stands there now
	Nonce     uint32       // of the device's account: how many of its transactions are in the block's chain; looked at while one is not final
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
	// Warnings say what only somebody else can do.
	Warnings []string `json:"warnings,omitempty"`

	device   document.Device // to be signed, with its sequence
	standing did.Standing
	validFor *uint32
	genuine  bool   // the account itself signed what stands on the chain
	sequence uint64 // of what stands there, if genuine
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
	d.Fleet = m.Fleet
	for _, a := range m.Device.Additional {
		d.Additional = append(d.Additional, document.Additional{Type: a.Name, Data: a.Data})
	}
	return d.Normal()
}

// errSequence says that no document can follow the one that stands.
var errSequence = errors.New("the document on the chain has the highest sequence there is, which none can follow: use a new key for the device")

// MakePlan compares the manifest with the chain. It reads no clock and does nothing.
func MakePlan(m *Manifest, account key.AccountID, node key.NodeID, actual Actual) (*Plan, error) {
	p := &Plan{Changes: []Change{}, standing: did.Standing{Exists: actual.Attribute != nil, Writer: actual.Writer}}
	if m.Device.ValidFor > 0 {
		p.validFor = &m.Device.ValidFor
	}
	had := p.read(account, actual.Attribute)
	want, err := Desired(m, account, node, lasting(had, m.Owner, actual.Vouch))
	if err != nil {
		return nil, fmt.Errorf("describe the device: %w", err)
	}
	p.device = want
	p.device.Sequence = following(actual.Time, max(p.sequence, actual.Floor))
	if p.compare(had, want, actual); p.Publish && p.device.Sequence == 0 {
		return nil, errSequence
	}
	if want.Owner != nil && want.Vouch == "" {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the owner %s has not vouched for the device: nobody is shown as its owner until it runs, from anywhere: iod access setup --device %s",
			want.Owner, account.DID()))
	}
	if m.Owner == nil || *m.Owner == account {
		p.Setup = access.Setup(account, account, streamNames(m), actual.Access)
		p.SetupCalls = len(p.Setup)
	}
	return p, nil
}

// following returns the sequence of a document that is made at a time after another one; 0: there is none.
func following(t time.Time, last uint64) uint64 {
	if last == math.MaxUint64 {
		return 0
	}
	return max(uint64(max(t.UnixMilli(), 1)), last+1)
}

// lasting returns the vouch to publish: that of the genuine document if it holds, since a signature can be neither taken back nor
// improved, whatever strangers do to the attribute under which the owner handed it over; otherwise the one found.
func lasting(had document.Device, owner *key.AccountID, found string) string {
	if owner != nil && had.Owner != nil && *had.Owner == *owner && document.VerifyVouch(*owner, had.Account, had.Vouch) {
		return had.Vouch
	}
	return found
}

// read takes in what stands on the chain; what is not the account's own word is a reason to publish, and otherwise ignored.
func (p *Plan) read(account key.AccountID, a *did.Attribute) (had document.Device) {
	if a == nil {
		p.Reason = "the device has no document on the chain"
		return had
	}
	got, verdict, err := document.ReadDevice(account, document.DeviceAttribute, a.Value)
	switch {
	case err != nil:
		p.Reason = fmt.Sprintf("what stands on the chain is no document of a device: %v", err)
		return had
	case verdict.State != document.Verified:
		p.Reason = fmt.Sprintf("the document on the chain is %s: %s", verdict.State, verdict.Reason)
		return had
	}
	p.genuine, p.sequence = true, got.Sequence
	got.Sequence = 0
	if normal, err := got.Normal(); err == nil {
		return normal
	}
	return got
}

// compare decides whether to publish and why.
func (p *Plan) compare(had, want document.Device, actual Actual) {
	p.Publish = true
	switch {
	case !p.genuine:
	case !reflect.DeepEqual(had, want):
		p.Reason = "the manifest differs from the document on the chain"
		if had.Vouch == "" && want.Vouch != "" {
			p.Reason = "the owner vouched for the device"
		}
	case actual.Attribute.Expired(actual.Number):
		p.Reason = fmt.Sprintf("the document's validity ended with block %d", actual.Attribute.Validity)
	case p.renew(actual):
		p.Reason = fmt.Sprintf("the document's validity is to be renewed; it ends with block %d", actual.Attribute.Validity)
		if actual.Attribute.Validity == did.Forever {
			p.Reason = "the document on the chain is valid for ever, and should not be"
		}
	default:
		p.Publish, p.Reason = false, "the document on the chain says what the manifest says"
		return
	}
	p.Changes = changes(had, want)
}

// renew reports whether less than a third of the wanted validity is left, or more than the whole. It is for attributes that have
// not expired.
func (p *Plan) renew(actual Actual) bool {
	if p.validFor == nil {
		return actual.Attribute.Validity != did.Forever
	}
	left := actual.Attribute.Validity - actual.Number
	return left < *p.validFor/3 || left > *p.validFor
}

// field is one line of a document for people.
type field struct{ name, value string }

// fields lists what a document says, every field of it but the sequence, in a fixed order.
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
	add("fleet", d.Fleet)
	add("relays", texts(d.Relays))
	add("topics", texts(d.Topics))
	for _, s := range d.Streams {
		for _, f := range []field{
			{"kind", s.Kind}, {"data_type", s.DataType}, {"unit", s.Unit}, {"description", s.Description},
			{"content_type", s.ContentType}, {"topics", texts(s.Topics)}, {"price", s.Price}, {"period", s.Period},
		} {
			add("stream "+s.Name+" "+f.name, f.value)
		}
	}
	seen := map[string]int{}
	for _, a := range d.Additional {
		name := "additional " + a.Type
		if seen[name]++; seen[name] > 1 { // others' programs may write a field more than once
			name += fmt.Sprintf(" (%d)", seen[name])
		}
		add(name, a.Data)
	}
	var streams []string
	for _, s := range d.Streams {
		streams = append(streams, s.Name)
	}
	add("streams", texts(streams))
	return out
}

// texts shows a list so that no two lists look the same.
func texts(list []string) string {
	if len(list) == 0 {
		return ""
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return strings.Join(quoted, ", ")
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
	out := []Change{}
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

// Diff shows the plan to people: a line for what goes (-), what comes (+), and what is to be known (!).
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
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "! %s\n", w)
	}
	return b.String()
}
