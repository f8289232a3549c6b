package provision

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/access"
	"iod/document"
	"iod/key"
	"iod/overlay"
	"iod/pallet/did"
)

const testRelay = "tls://relay.example:7777/g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg"

var testTime = time.UnixMilli(1_700_000_000_000)

func testPair(t testing.TB, uri string) *key.Pair {
	t.Helper()
	p, err := key.FromURI(key.Ed25519, uri)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testVouch(t testing.TB, owner *key.Pair, device key.AccountID) string {
	t.Helper()
	v, err := document.SignVouch(owner, device)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// scene is a device whose owner is another account, and what it says in full.
type scene struct {
	t        testing.TB
	self     *key.Pair
	owner    *key.Pair
	manifest *Manifest
	actual   Actual
}

func newScene(t testing.TB) *scene {
	s := &scene{t: t, self: testPair(t, "//Device"), owner: testPair(t, "//Owner")}
	relay, err := overlay.ParseRelayAddr(testRelay)
	if err != nil {
		t.Fatal(err)
	}
	owner := s.owner.Account()
	s.manifest = &Manifest{Owner: &owner, Relays: []overlay.RelayAddr{relay},
		Device: DeviceInfo{DataType: "weather", Location: "40.1,44.5", PricePin: "1.5", PriceAccess: "2",
			Additional: []Additional{{"microcontroller", `"stm32"`}, {"floors", "3"}}},
		Streams: []Stream{{Name: "a", Kind: "mqtt", Target: "h:1", Topics: []string{"a/#", "b"}, DataType: "wind", Unit: "m/s",
			Description: "the wind", ContentType: "application/senml+json", Price: "42", Period: "30d"},
			{Name: "b", Kind: "tcp", Target: "h:2"}}}
	s.actual = Actual{Number: 1000, Time: testTime, Vouch: testVouch(t, s.owner, s.self.Account())}
	return s
}

func (s *scene) plan() *Plan {
	s.t.Helper()
	p, err := MakePlan(s.manifest, s.self.Account(), s.self.NodeKey().ID(), s.actual)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// apply does what the chain does with a plan.
func (s *scene) apply(p *Plan) {
	s.t.Helper()
	calls, raw, err := p.calls(s.self)
	if err != nil {
		s.t.Fatal(err)
	}
	if (raw != nil) != (len(calls) > 0) {
		s.t.Fatalf("%d calls for a document of %d bytes", len(calls), len(raw))
	}
	if raw == nil {
		return
	}
	s.stand(raw, did.Forever)
	if p.validFor != nil {
		s.actual.Attribute.Validity = s.actual.Number + *p.validFor
	}
	s.actual.Writer = true
}

func (s *scene) stand(raw []byte, validity uint32) {
	s.actual.Attribute = &did.Attribute{Name: document.DeviceAttribute, Value: raw, Validity: validity}
}

// sign signs a document as the device, changed from what is desired.
func (s *scene) sign(change func(*document.Device)) []byte {
	s.t.Helper()
	d, err := Desired(s.manifest, s.self.Account(), s.self.NodeKey().ID(), s.actual.Vouch)
	if err != nil {
		s.t.Fatal(err)
	}
	d.Sequence = 1
	d.Streams = slices.Clone(d.Streams)
	change(&d)
	raw, err := d.Sign(s.self)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// changesOfDevice changes one field each; TestEveryFieldIsCompared sees to it that none is forgotten.
var changesOfDevice = map[string]func(*document.Device){
	"Node":        func(d *document.Device) { d.Node = key.NodeID{1} },
	"DataType":    func(d *document.Device) { d.DataType = "x" },
	"Location":    func(d *document.Device) { d.Location = "x" },
	"PriceAccess": func(d *document.Device) { d.PriceAccess = "9" },
	"PricePin":    func(d *document.Device) { d.PricePin = "" },
	"Topics":      func(d *document.Device) { d.Topics = []string{"a/#"} },
	"Relays":      func(d *document.Device) { d.Relays = append(d.Relays, strings.Replace(testRelay, "relay", "other", 1)) },
	"Owner":       func(d *document.Device) { d.Owner, d.Vouch = nil, "" },
	"Vouch":       func(d *document.Device) { d.Vouch = "" },
	"Fleet":       func(d *document.Device) { d.Fleet = "x" },
	"Streams":     func(d *document.Device) { slices.Reverse(d.Streams) },
	"Additional":  func(d *document.Device) { d.Additional[0].Data = `"esp32"` },
}

var changesOfStream = map[string]func(*document.Stream){
	"Name":        func(s *document.Stream) { s.Name = "renamed" },
	"Kind":        func(s *document.Stream) { s.Kind = "http" },
	"DataType":    func(s *document.Stream) { s.DataType = "x" },
	"Unit":        func(s *document.Stream) { s.Unit = "" },
	"Description": func(s *document.Stream) { s.Description = "x" },
	"ContentType": func(s *document.Stream) { s.ContentType = "x" },
	"Topics":      func(s *document.Stream) { s.Topics = []string{"b", "a/#"} },
	"Price":       func(s *document.Stream) { s.Price = "42.1" },
	"Period":      func(s *document.Stream) { s.Period = "1d" },
}

func TestEveryFieldIsCompared(t *testing.T) {
	all := map[string]func(*document.Device){"Account": nil, "Sequence": nil} // who it is, and what grows with each publication
	for name, f := range changesOfDevice {
		all[name] = f
	}
	for f := range reflect.TypeFor[document.Device]().Fields() {
		if _, ok := all[f.Name]; !ok {
			t.Errorf("document.Device.%s is not compared", f.Name)
		}
	}
	for f := range reflect.TypeFor[document.Stream]().Fields() {
		change, ok := changesOfStream[f.Name]
		if !ok {
			t.Errorf("document.Stream.%s is not compared", f.Name)
			continue
		}
		all["Streams."+f.Name] = func(d *document.Device) { change(&d.Streams[0]) }
	}
	for name, change := range all {
		if change == nil {
			continue
		}
		s := newScene(t)
		s.stand(s.sign(change), did.Forever)
		if p := s.plan(); !p.Publish || len(p.Changes) == 0 || !strings.Contains(p.Diff(), p.Changes[0].Field) {
			t.Errorf("%s differs: %+v", name, p)
		}
	}
	s := newScene(t)
	s.stand(s.sign(func(*document.Device) {}), did.Forever)
	if p := s.plan(); p.Publish || len(p.Changes) > 0 {
		t.Errorf("nothing differs: %s", p.Diff())
	}
}

func TestDiff(t *testing.T) {
	s := newScene(t)
	s.stand(s.sign(func(d *document.Device) {
		d.PricePin, d.DataType = "", "rain"
		d.Additional = append(d.Additional, document.Additional{Type: "old", Data: "true"})
		d.Topics = []string{`a", "b/#`}
	}), did.Forever)
	const want = `the manifest differs from the document on the chain
- data_type: rain
+ data_type: weather
- topics: "a\", \"b/#"
+ topics: "a/#", "b"
- additional old: true
+ price_pin: 1.5
`
	if got := s.plan().Diff(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestReasonsToPublish(t *testing.T) {
	stranger := testPair(t, "//Stranger")
	forged := document.Device{Account: stranger.Account(), DataType: "gold", Sequence: math.MaxUint64}
	foreign, err := forged.Sign(stranger)
	if err != nil {
		t.Fatal(err)
	}
	same := func(*document.Device) {}
	for name, c := range map[string]struct {
		validFor uint32
		stand    func(*scene)
		reason   string // empty: nothing is published
	}{
		"nothing there":  {stand: func(*scene) {}, reason: "has no document"},
		"as it should":   {stand: func(s *scene) { s.stand(s.sign(same), did.Forever) }},
		"junk":           {stand: func(s *scene) { s.stand([]byte("junk"), did.Forever) }, reason: "is no document"},
		"huge":           {stand: func(s *scene) { s.stand(make([]byte, 1<<20), did.Forever) }, reason: "is no document"},
		"empty":          {stand: func(s *scene) { s.stand(nil, did.Forever) }, reason: "is no document"},
		"another's":      {stand: func(s *scene) { s.stand(foreign, did.Forever) }, reason: "is forged"},
		"truncated":      {stand: func(s *scene) { b := s.sign(same); s.stand(b[:len(b)-1], did.Forever) }, reason: "is no document"},
		"expired":        {stand: func(s *scene) { s.stand(s.sign(same), 999) }, reason: "ended with block 999"},
		"limited":        {stand: func(s *scene) { s.stand(s.sign(same), 2000) }, reason: "to be renewed"},
		"unlimited":      {validFor: 300, stand: func(s *scene) { s.stand(s.sign(same), did.Forever) }, reason: "for ever, and should not be"},
		"fresh":          {validFor: 300, stand: func(s *scene) { s.stand(s.sign(same), 1300) }},
		"a third left":   {validFor: 300, stand: func(s *scene) { s.stand(s.sign(same), 1100) }},
		"less left":      {validFor: 300, stand: func(s *scene) { s.stand(s.sign(same), 1099) }, reason: "to be renewed"},
		"longer than is": {validFor: 300, stand: func(s *scene) { s.stand(s.sign(same), 1301) }, reason: "to be renewed"},
	} {
		s := newScene(t)
		s.manifest.Device.ValidFor = c.validFor
		c.stand(s)
		p := s.plan()
		if p.Publish != (c.reason != "") || !strings.Contains(p.Reason, c.reason) {
			t.Errorf("%s: publish %v: %s", name, p.Publish, p.Reason)
		}
		if want := uint64(testTime.UnixMilli()); p.device.Sequence != want {
			t.Errorf("%s: sequence %d, not %d", name, p.device.Sequence, want)
		}
		s.apply(p)
		if again := s.plan(); !again.Empty() {
			t.Errorf("%s: once more: %s", name, again.Diff())
		}
	}
}

func TestSequences(t *testing.T) {
	for _, c := range []struct {
		clock          int64 // chain time in milliseconds
		stands, floor  uint64
		want           uint64 // 0: refused
		strangersClaim uint64
	}{
		{clock: 500, want: 500},
		{clock: 0, want: 1},
		{clock: -5, want: 1},
		{clock: 500, stands: 499, want: 500},
		{clock: 500, stands: 500, want: 501},
		{clock: 500, stands: 1 << 60, want: 1<<60 + 1},
		{clock: 500, stands: 10, floor: 700, want: 701},
		{clock: 500, stands: math.MaxUint64},
		{clock: 500, floor: math.MaxUint64},
		{clock: 500, strangersClaim: math.MaxUint64, want: 500},
	} {
		s := newScene(t)
		if c.stands > 0 {
			s.stand(s.sign(func(d *document.Device) { d.Sequence, d.DataType = c.stands, "other" }), did.Forever)
		}
		if c.strangersClaim > 0 {
			raw := s.sign(func(d *document.Device) { d.Sequence, d.DataType = c.strangersClaim, "other" })
			raw[len(raw)-2] ^= 1 // within the last service, so that the signature fails
			s.stand(raw, did.Forever)
		}
		s.actual.Time, s.actual.Floor = time.UnixMilli(c.clock), c.floor
		p, err := MakePlan(s.manifest, s.self.Account(), s.self.NodeKey().ID(), s.actual)
		if c.want == 0 {
			if err != errSequence {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || p.device.Sequence != c.want {
			t.Errorf("%+v: %d, %v", c, p.device.Sequence, err)
		}
	}
}

func TestVouches(t *testing.T) {
	s := newScene(t)
	first := s.actual.Vouch
	s.actual.Vouch = ""
	s.apply(s.plan())
	if p := s.plan(); !p.Empty() || len(p.Warnings) != 1 || !strings.Contains(p.Diff(), "! the owner "+s.owner.Account().String()+" has not vouched") {
		t.Fatalf("without a vouch: %s", p.Diff())
	}
	s.actual.Vouch = first
	p := s.plan()
	if p.Reason != "the owner vouched for the device" || p.Warnings != nil || len(p.Changes) != 1 || p.Changes[0].Field != "owner's vouch" {
		t.Fatalf("with a vouch: %+v", p)
	}
	s.apply(p)
	// Once it is in the document it stays, whatever becomes of the attribute: it is gone, or another as good.
	for _, v := range []string{"", first, "0x00"} {
		s.actual.Vouch = v
		if p := s.plan(); !p.Empty() {
			t.Errorf("vouch %q: %s", v, p.Diff())
		}
	}
	other := testPair(t, "//Other").Account()
	s.manifest.Owner, s.actual.Vouch = &other, ""
	if p := s.plan(); !p.Publish || p.device.Vouch != "" {
		t.Errorf("the old owner's vouch is published for the new one: %+v", p)
	}
}

func TestOwnOwnerSetsUpInOneGo(t *testing.T) {
	s := newScene(t)
	s.manifest.Owner = nil
	s.actual.Access = access.NewState(s.self.Account())
	p := s.plan()
	calls, _, err := p.calls(s.self)
	if err != nil {
		t.Fatal(err)
	}
	if p.SetupCalls == 0 || len(calls) != p.SetupCalls+1 || calls[0].Name != "add_attribute" || !strings.Contains(p.Diff(), "+ access: ") {
		t.Errorf("%d calls, %d of them set up: %s", len(calls), p.SetupCalls, p.Diff())
	}
	s.stand(s.sign(func(d *document.Device) { d.Owner, d.Vouch = nil, "" }), did.Forever)
	if p := s.plan(); p.Publish || p.Empty() {
		t.Errorf("with a document and nothing set up: %+v", p)
	}
}

// TestPlansConverge applies plans to a chain in any state: then there is nothing left to do, the document says all that the manifest
// says, and its sequence is above that of every genuine one before.
func TestPlansConverge(t *testing.T) {
	self, owner, stranger := testPair(t, "//Device"), testPair(t, "//Owner"), testPair(t, "//Stranger")
	relay, err := overlay.ParseRelayAddr(testRelay)
	if err != nil {
		t.Fatal(err)
	}
	label := rapid.StringMatching(`[a-zA-Z0-9_ "\\/<>&,äß]{0,20}`)
	price := rapid.SampledFrom([]string{"", "0", "1", "01.50", "0.000000000000000001", "12345678901234567890"})
	stream := rapid.Custom(func(t *rapid.T) Stream {
		s := Stream{Name: rapid.StringMatching(`[a-z0-9][a-z0-9_-]{0,10}`).Draw(t, "name"), Kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			DataType: label.Draw(t, "data"), Unit: label.Draw(t, "unit"), Description: label.Draw(t, "text"), ContentType: label.Draw(t, "type"),
			Price: price.Draw(t, "price"), Period: rapid.SampledFrom([]string{"", "1d", "90s"}).Draw(t, "period")}
		if s.Kind == "mqtt" {
			s.Topics = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "a/#", "+/b", "a b", "a, b"}), 1, 4, rapid.ID[string]).Draw(t, "topics")
		}
		return s
	})
	manifest := rapid.Custom(func(t *rapid.T) *Manifest {
		m := &Manifest{Device: DeviceInfo{DataType: label.Draw(t, "data"), Location: label.Draw(t, "location"), PricePin: price.Draw(t, "pin"),
			PriceAccess: price.Draw(t, "access"), ValidFor: rapid.SampledFrom([]uint32{0, 100, 1000}).Draw(t, "valid")}}
		if rapid.Bool().Draw(t, "relayed") {
			m.Relays = []overlay.RelayAddr{relay}
		}
		o := owner.Account()
		m.Owner = &o
		m.Streams = rapid.SliceOfNDistinct(stream, 0, 5, func(s Stream) string { return s.Name }).Draw(t, "streams")
		for i, v := range rapid.SliceOfN(label, 0, 4).Draw(t, "additional") {
			data, _ := jsonText(v)
			m.Device.Additional = append(m.Device.Additional, Additional{fmt.Sprintf("f%d", i), data})
		}
		return m
	})
	rapid.Check(t, func(rt *rapid.T) {
		s := &scene{t: t, self: self, owner: owner, manifest: manifest.Draw(rt, "before")}
		s.actual = Actual{Number: rapid.Uint32Range(1, 1<<30).Draw(rt, "number"), Time: time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(rt, "time"))}
		var genuine uint64
		switch rapid.SampledFrom([]string{"none", "older", "junk", "forged"}).Draw(rt, "stands") {
		case "older":
			genuine = rapid.Uint64Range(1, math.MaxUint64-1).Draw(rt, "sequence")
			s.stand(s.sign(func(d *document.Device) { d.Sequence = genuine }), rapid.SampledFrom([]uint32{did.Forever, 0, 1 << 20}).Draw(rt, "validity"))
		case "junk":
			s.stand(rapid.SliceOf(rapid.Byte()).Draw(rt, "junk"), did.Forever)
		case "forged":
			raw, err := document.Device{Account: stranger.Account(), Sequence: math.MaxUint64, DataType: "x"}.Sign(stranger)
			if err != nil {
				rt.Fatal(err)
			}
			s.stand(raw, did.Forever)
		}
		s.manifest = manifest.Draw(rt, "manifest")
		if rapid.Bool().Draw(rt, "vouched") {
			s.actual.Vouch = testVouch(t, owner, self.Account())
		}
		p := s.plan()
		s.apply(p)
		if again := s.plan(); !again.Empty() {
			rt.Fatalf("once more: %s", again.Diff())
		}
		d, v, err := document.ReadDevice(self.Account(), document.DeviceAttribute, s.actual.Attribute.Value)
		if err != nil || v.State != document.Verified || v.Vouched != (s.actual.Vouch != "" || d.Vouch != "") {
			rt.Fatalf("%+v, %v", v, err)
		}
		if p.Publish && (d.Sequence <= genuine || d.Sequence < uint64(s.actual.Time.UnixMilli())) {
			rt.Fatalf("sequence %d after %d", d.Sequence, genuine)
		}
		if len(d.Streams) != len(s.manifest.Streams) || len(d.Additional) != len(s.manifest.Device.Additional) || len(d.Relays) != len(s.manifest.Relays) {
			rt.Fatalf("the document says less than the manifest: %+v", d)
		}
	})
}

func BenchmarkMakePlan(b *testing.B) {
	s := newScene(b)
	s.apply(s.plan())
	b.ReportAllocs()
	for b.Loop() {
		if p := s.plan(); !p.Empty() {
			b.Fatal(p.Diff())
		}
	}
}
