package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"iod/key"
)

// The types of services.
const (
	typeVersion  = "staex_iod_version"
	typeData     = "data_type"
	typeLocation = "location"
	typePin      = "price_pin"
	typeAccess   = "price_access"
	typeNode     = "staex_mcc_id"
	typeTopic    = "mqtt_topic"
	typeSequence = "iod_sequence"
	typeRelay    = "iod_relay"
	typeOwner    = "iod_owner"
	typeFleet    = "iod_fleet"
	typeStream   = "iod_stream"

	version1 = "v1"
	ours     = "iod_" // prefix of types that others must not use
)

var reserved = map[string]bool{typeVersion: true, typeData: true, typeLocation: true, typePin: true, typeAccess: true, typeNode: true, typeTopic: true}

// Normal checks a device's description as Sign does and returns it in the one form that documents hold: prices without
// superfluous zeros, an owner only when it is another account, no empty lists. Compare normal forms. Sequence is not looked at.
func (d Device) Normal() (Device, error) {
	fail := func(err error) (Device, error) { return Device{}, fmt.Errorf("device %s: %w", d.Account, err) }
	for what, label := range map[string]string{typeData: d.DataType, typeLocation: d.Location} {
		if err := checkLabel(what, label); err != nil {
			return fail(err)
		}
	}
	for what, price := range map[string]*string{typeAccess: &d.PriceAccess, typePin: &d.PricePin} {
		if err := normalise(price, NormalPrice); err != nil {
			return fail(fmt.Errorf("%s: %w", what, err))
		}
	}
	if err := checkTopics(d.Topics); err != nil {
		return fail(err)
	}
	if len(d.Relays) > MaxRelays {
		return fail(fmt.Errorf("%d relays are more than %d", len(d.Relays), MaxRelays))
	}
	for _, r := range d.Relays {
		if err := checkRelay(r); err != nil {
			return fail(err)
		}
	}
	if d.Owner != nil && *d.Owner == d.Account {
		d.Owner, d.Vouch = nil, ""
	}
	if d.Owner == nil && d.Vouch != "" {
		return fail(errors.New("a vouch without an owner"))
	}
	if err := checkLabel("the owner's vouch", d.Vouch); err != nil {
		return fail(err)
	}
	if d.Fleet != "" && !ValidFleetName(d.Fleet) {
		return fail(fmt.Errorf("fleet %.40q: want 1 to 32 of a-z, 0-9, _ and -", d.Fleet))
	}
	streams, err := normalStreams(d.Streams)
	if err != nil {
		return fail(err)
	}
	if err := checkAdditional(d.Additional); err != nil {
		return fail(err)
	}
	d.Streams = streams
	d.Topics, d.Relays, d.Additional = orNil(d.Topics), orNil(d.Relays), orNil(d.Additional)
	return d, nil
}

// orNil returns a copy of the list, nil for an empty one.
func orNil[T any](s []T) []T { return append([]T(nil), s...) }

func normalise(s *string, f func(string) (string, error)) (err error) {
	if *s != "" {
		*s, err = f(*s)
	}
	return err
}

func normalStreams(streams []Stream) ([]Stream, error) {
	if len(streams) > MaxStreams {
		return nil, fmt.Errorf("%d streams are more than %d", len(streams), MaxStreams)
	}
	out := orNil(streams)
	seen := map[string]bool{}
	for i := range out {
		s := &out[i]
		if err := s.normalise(NormalPrice); err != nil {
			return nil, fmt.Errorf("stream %.40q: %w", s.Name, err)
		}
		if !kinds[s.Kind] {
			return nil, fmt.Errorf("stream %s: kind %.20q is none of mqtt, http, rtsp, tcp, udp", s.Name, s.Kind)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("stream %s is there twice", s.Name)
		}
		seen[s.Name] = true
	}
	return out, nil
}

// normalise checks what must hold of a stream, its kind's name apart: later versions may know more kinds.
func (s *Stream) normalise(price func(string) (string, error)) error {
	if !ValidStreamName(s.Name) {
		return errors.New("want a name of 1 to 32 of a-z, 0-9, _ and -")
	}
	if !streamName.MatchString(s.Kind) {
		return fmt.Errorf("kind %.40q", s.Kind)
	}
	for _, label := range []string{s.DataType, s.Unit, s.Description, s.ContentType} {
		if err := checkLabel("text", label); err != nil {
			return err
		}
	}
	if err := normalise(&s.Price, price); err != nil {
		return err
	}
	if s.Period != "" {
		if _, err := ParsePeriod(s.Period); err != nil {
			return err
		}
	}
	s.Topics = orNil(s.Topics)
	return checkTopics(s.Topics)
}

func checkAdditional(fields []Additional) error {
	for _, a := range fields {
		if err := checkLabel("name of an additional field", a.Type); err != nil {
			return err
		}
		switch {
		case a.Type == "":
			return fmt.Errorf("name of an additional field %w", errEmpty)
		case reserved[a.Type] || strings.HasPrefix(a.Type, ours):
			return fmt.Errorf("additional field %s: the name has a meaning of its own", a.Type)
		case len(a.Data) > maxText:
			return fmt.Errorf("additional field %s of %d bytes is longer than %d", a.Type, len(a.Data), maxText)
		case !utf8.ValidString(a.Data):
			return fmt.Errorf("additional field %s is not UTF-8", a.Type)
		}
	}
	return nil
}

// document renders the device as a message without signature. The order of services is the existing marketplace's, with
// ours between its own and the additional ones.
func (d Device) document(public key.Public) (*Document, error) {
	doc := skeleton(d.Account, public)
	add := func(typ, data string) {
		if data != "" {
			doc.Services = append(doc.Services, Service{ID: doc.ID + "#" + typ, Type: typ, Data: data})
		}
	}
	add(typeVersion, version1)
	add(typeData, d.DataType)
	add(typeLocation, d.Location)
	add(typePin, d.PricePin)
	add(typeAccess, d.PriceAccess)
	if d.Node != (key.NodeID{}) {
		add(typeNode, d.Node.String())
	}
	for _, t := range d.Topics {
		add(typeTopic, t)
	}
	if d.Sequence != 0 {
		add(typeSequence, strconv.FormatUint(d.Sequence, 10))
	}
	for _, r := range d.Relays {
		doc.Services = append(doc.Services, Service{ID: doc.ID + "#" + typeRelay, Type: typeRelay, Endpoint: r})
	}
	if d.Owner != nil {
		doc.Services = append(doc.Services, Service{doc.ID + "#" + typeOwner, typeOwner, d.Owner.String(), d.Vouch})
	}
	add(typeFleet, d.Fleet)
	for _, s := range d.Streams {
		data, err := streamJSON(s)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.Name, err)
		}
		doc.Services = append(doc.Services, Service{doc.ID + "#" + s.Name, typeStream, streamEndpoint(d.Node, s.Name), data})
	}
	for _, a := range d.Additional {
		doc.Services = append(doc.Services, Service{ID: doc.ID + "#" + a.Type, Type: a.Type, Data: a.Data})
	}
	if len(doc.Services) > MaxServices {
		return nil, fmt.Errorf("%d services are more than %d", len(doc.Services), MaxServices)
	}
	return doc, nil
}

func skeleton(a key.AccountID, public key.Public) *Document {
	hex := public.String()
	did := a.DID()
	return &Document{
		ID: did, Controller: did,
		Methods:         []VerificationMethod{{ID: hex, Type: KeyType(public.Scheme()), Controller: did, PublicKey: hex}},
		Authentications: []string{hex},
	}
}

func streamEndpoint(n key.NodeID, name string) string { return "iod://" + n.String() + "/" + name }

func streamJSON(s Stream) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// deviceOf reads a device's description out of a document. A field of version 1 that only its own overlay understands is
// passed over; a price that is no number, and a field of ours that is not well-formed, is an error.
func deviceOf(account key.AccountID, doc *Document) (Device, error) {
	d := Device{Account: account}
	version := ""
	for _, s := range doc.Services {
		if s.Type == typeVersion {
			version = s.Data
		} else if err := d.take(doc, s); err != nil {
			return Device{}, fmt.Errorf("%w: service %.40q: %w", ErrMalformed, s.Type, err)
		}
	}
	if version != version1 {
		return Device{}, fmt.Errorf("%w: not a device of version %s: %s is %.20q", ErrMalformed, version1, typeVersion, version)
	}
	for _, s := range d.Streams {
		if !slices.ContainsFunc(doc.Services, func(x Service) bool {
			return x.Type == typeStream && x.Endpoint == streamEndpoint(d.Node, s.Name)
		}) {
			return Device{}, fmt.Errorf("%w: stream %s is not at the device's node", ErrMalformed, s.Name)
		}
	}
	return d, nil
}

func (d *Device) take(doc *Document, s Service) (err error) {
	switch s.Type {
	case typeData:
		d.DataType = s.Data
	case typeLocation:
		d.Location = s.Data
	case typePin:
		d.PricePin, err = readPrice(s.Data)
	case typeAccess:
		d.PriceAccess, err = readPrice(s.Data)
	case typeNode:
		d.Node, _ = key.ParseNodeID(s.Data)
	case typeTopic:
		d.Topics = append(d.Topics, s.Data)
	case typeSequence:
		d.Sequence, err = parseSequence(s.Data)
	case typeRelay:
		if len(d.Relays) == MaxRelays {
			return fmt.Errorf("more than %d relays", MaxRelays)
		}
		d.Relays = append(d.Relays, s.Endpoint)
		err = checkRelay(s.Endpoint)
	case typeOwner:
		var owner key.AccountID
		owner, err = key.ParseAccount(s.Endpoint)
		d.Owner, d.Vouch = &owner, s.Data
	case typeFleet:
		d.Fleet = s.Data
		if !ValidFleetName(s.Data) {
			err = errors.New("want a name of 1 to 32 of a-z, 0-9, _ and -")
		}
	case typeStream:
		err = d.takeStream(doc, s)
	default:
		d.Additional = append(d.Additional, Additional{s.Type, s.Data})
	}
	return err
}

func parseSequence(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s || n == 0 {
		return 0, fmt.Errorf("sequence %.30q: want Unix milliseconds", s)
	}
	return n, nil
}

func (d *Device) takeStream(doc *Document, s Service) error {
	if len(d.Streams) == MaxStreams {
		return fmt.Errorf("more than %d streams", MaxStreams)
	}
	i := strings.LastIndexByte(s.ID, '#')
	st := Stream{Name: s.ID[i+1:]}
	if i < 0 || s.ID[:i] != doc.ID {
		return fmt.Errorf("id %.80q: want <did>#<name>", s.ID)
	}
	if err := json.Unmarshal([]byte(s.Data), &st); err != nil {
		return fmt.Errorf("stream %.40q: %w", st.Name, err)
	}
	if err := st.normalise(readPrice); err != nil {
		return fmt.Errorf("stream %.40q: %w", st.Name, err)
	}
	if slices.ContainsFunc(d.Streams, func(x Stream) bool { return x.Name == st.Name }) {
		return fmt.Errorf("stream %s is there twice", st.Name)
	}
	d.Streams = append(d.Streams, st)
	return nil
}

// MarshalJSON renders the device for people and programs, without an owner: see Render.
func (d Device) MarshalJSON() ([]byte, error) { return render(d, nil) }

// Render is MarshalJSON with the verdict on the document, and with the owner when it vouched for the device.
func Render(d Device, v Verdict) ([]byte, error) { return render(d, &v) }

func render(d Device, v *Verdict) ([]byte, error) {
	type named struct {
		Name string `json:"name"`
		Stream
	}
	streams := make([]named, len(d.Streams))
	for i, s := range d.Streams {
		streams[i] = named{s.Name, s}
	}
	additional := map[string]string{}
	for _, a := range d.Additional {
		additional[a.Type] = a.Text()
	}
	if v == nil || !v.Vouched {
		d.Owner = nil
	}
	return json.Marshal(struct {
		DID         string            `json:"did"`
		Account     key.AccountID     `json:"account"`
		Verdict     *Verdict          `json:"verdict,omitempty"`
		Node        key.NodeID        `json:"node,omitzero"`
		DataType    string            `json:"data_type,omitempty"`
		Location    string            `json:"location,omitempty"`
		PriceAccess string            `json:"price_access,omitempty"`
		PricePin    string            `json:"price_pin,omitempty"`
		Topics      []string          `json:"topics,omitempty"`
		Sequence    uint64            `json:"sequence,omitempty"`
		Relays      []string          `json:"relays,omitempty"`
		Owner       *key.AccountID    `json:"owner,omitempty"`
		Fleet       string            `json:"fleet,omitempty"`
		Streams     []named           `json:"streams,omitempty"`
		Additional  map[string]string `json:"additional,omitempty"`
	}{d.Account.DID(), d.Account, v, d.Node, d.DataType, d.Location, d.PriceAccess, d.PricePin, d.Topics, d.Sequence, d.Relays,
		d.Owner, d.Fleet, streams, additional})
}
