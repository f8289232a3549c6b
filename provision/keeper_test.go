package provision

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/chain"
	"iod/document"
	"iod/pallet/did"
)

// model is a device's keeper over a chain of which the test makes the blocks.
type model struct {
	*scene
	keeper keeper
	now    time.Time
	paid   []time.Time // when fees were paid for heals
	raws   [][]byte    // all genuine documents that were ever there
}

func newModel(t testing.TB, limit int) *model {
	s := newScene(t)
	s.manifest.MaxHeals = limit
	return &model{scene: s, keeper: keeper{limit: limit}, now: testTime}
}

func (m *model) block() {
	m.actual.Number++
	m.now = m.now.Add(6 * time.Second)
	m.actual.Time = m.now
}

// look decides about what stands in the best block.
func (m *model) look(displaced bool) (decision, *Plan) {
	m.t.Helper()
	a := m.keeper.known(m.actual)
	p, err := MakePlan(m.manifest, m.self.Account(), m.self.NodeKey().ID(), a)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.keeper.decide(p, a, displaced, m.now), p
}

// land puts a plan's document into a block of its own.
func (m *model) land(do verb, p *Plan) *publication {
	m.t.Helper()
	m.keeper.paid(do, m.now)
	if do == heal {
		m.paid = append(m.paid, m.now)
	}
	m.block()
	m.actual.Nonce++
	_, raw, err := p.calls(m.self)
	if err != nil {
		m.t.Fatal(err)
	}
	if raw != nil {
		m.raws = append(m.raws, raw)
		m.stand(raw, did.Forever)
		if p.validFor != nil {
			m.actual.Attribute.Validity = m.actual.Number + *p.validFor
		}
	}
	return m.keeper.published(p, raw, m.actual.Number, m.actual.Nonce-1)
}

// publish lets the keeper publish, which it must want, and makes it final.
func (m *model) publish(want verb) {
	m.t.Helper()
	d, p := m.look(false)
	if d.do != want {
		m.t.Fatalf("decided %+v about: %s", d, p.Reason)
	}
	m.keeper.ended(m.land(d.do, p), true)
}

func (m *model) expect(want verb, why string) decision {
	m.t.Helper()
	d, p := m.look(false)
	if d.do != want || !strings.Contains(d.why, why) {
		m.t.Fatalf("decided %+v about: %s", d, p.Reason)
	}
	return d
}

func TestKeeperRestsOnItsDocument(t *testing.T) {
	m := newModel(t, 12)
	m.publish(publish)
	m.expect(rest, "")
	again := &model{scene: m.scene, keeper: keeper{limit: 12}, now: m.now} // another process
	again.expect(rest, "")
	m.stand([]byte("junk"), did.Forever)
	again.expect(heal, "") // it knows that it stood there
}

func TestKeeperWaitsForItsBlock(t *testing.T) {
	m := newModel(t, 12)
	d, p := m.look(false)
	pending := m.land(d.do, p)
	ours := m.actual.Attribute
	// The endpoint is behind, or the block was replaced by one without the transaction, be a stranger in it or not.
	m.actual.Attribute, m.actual.Nonce = nil, 0
	m.expect(hold, "it is waited for")
	m.stand([]byte("junk"), did.Forever)
	m.expect(hold, "it is waited for")
	// It is back.
	m.actual.Attribute, m.actual.Nonce = ours, 1
	m.expect(rest, "")
	// A stranger comes after it.
	m.actual.Attribute = nil
	m.expect(heal, "")
	// It never comes.
	m.actual.Nonce = 0
	m.keeper.ended(pending, false)
	m.expect(publish, "")
}

func TestKeeperBoundsHeals(t *testing.T) {
	m := newModel(t, 2)
	m.publish(publish)
	for range 2 {
		m.actual.Attribute = nil
		m.publish(heal)
		m.expect(rest, "")
	}
	first := m.paid[0]
	m.actual.Attribute = nil
	d := m.expect(hold, "too often")
	if !d.until.Equal(first.Add(time.Hour)) {
		t.Errorf("until %v, not an hour after %v", d.until, first)
	}
	m.now = d.until
	for range 2 { // the hours of both are over by the time of each
		m.publish(heal)
		m.actual.Attribute = nil
	}
	m.expect(hold, "too often")

	none := newModel(t, 0)
	none.publish(publish)
	none.actual.Attribute = nil
	if d := none.expect(hold, "heals_per_hour is 0"); !d.until.IsZero() {
		t.Errorf("until %v", d.until)
	}
}

func TestOwnReasonsAreNoHeals(t *testing.T) {
	m := newModel(t, 0)
	m.manifest.Device.ValidFor = 300
	vouch := m.actual.Vouch
	m.actual.Vouch = ""
	m.publish(publish)
	m.actual.Vouch = vouch
	m.publish(publish)
	for range 5 {
		m.actual.Number += 250
		m.publish(publish)
		m.expect(rest, "")
	}
	m.actual.Number += 1000 // the device was off for long
	m.publish(publish)
	// A stranger who makes it expire is not the time that passes.
	m.actual.Attribute.Validity--
	m.expect(rest, "")
	m.actual.Attribute.Validity = m.actual.Number + 1
	m.expect(hold, "heals_per_hour is 0")
}

func TestKeeperYieldsToANewerProvisioner(t *testing.T) {
	m := newModel(t, 12)
	m.publish(publish)
	newer := func(d *document.Device) { d.DataType, d.Sequence = "rain", m.keeper.floor+1 }
	m.stand(m.sign(newer), did.Forever)
	m.expect(yield, "another iod device run")
	m.actual.Attribute = nil
	m.expect(yield, "another iod device run") // for good

	m = newModel(t, 12)
	m.publish(publish)
	m.stand(m.sign(func(d *document.Device) { d.DataType = "rain" }), did.Forever)
	m.expect(heal, "") // an older one is a replay

	m = newModel(t, 12)
	m.publish(publish)
	m.stand(m.sign(func(d *document.Device) { d.Sequence = m.keeper.floor + 5 }), did.Forever)
	m.expect(rest, "") // it says the same
	m.actual.Attribute = nil
	m.publish(heal)
}

func TestKeeperYieldsWhileDisplaced(t *testing.T) {
	m := newModel(t, 12)
	if d, _ := m.look(true); d.do != yield || !d.until.After(m.now) {
		t.Errorf("displaced: %+v", d)
	}
	m.publish(publish)
	if d, _ := m.look(true); d.do != rest {
		t.Errorf("displaced with nothing to do: %+v", d)
	}
}

func TestFailedPublicationsGetRare(t *testing.T) {
	m := newModel(t, 12)
	refused := fmt.Errorf("publish: %w", &chain.DispatchError{Pallet: "PeaqDid", Name: "AttributeAuthorizationFailed"})
	attempts, end := 0, m.now.Add(30*24*time.Hour)
	for m.now.Before(end) {
		switch d, _ := m.look(false); d.do {
		case publish:
			attempts++
			m.keeper.failed(refused, m.now)
		case hold:
			// Whatever strangers do meanwhile.
			m.stand(fmt.Appendf(nil, "junk %d", attempts), did.Forever)
			m.expect(hold, "cost its fee")
			m.now = d.until
		default:
			t.Fatalf("%+v", d)
		}
	}
	if attempts < 100 || attempts > 30*4+12 {
		t.Errorf("%d attempts in a month", attempts)
	}
	m.keeper.failed(errors.New("connection lost"), m.now)
	m.publish(publish)
	if m.keeper.failures != 0 {
		t.Error("a success does not end the series of failures")
	}
}

func TestRenewal(t *testing.T) {
	for _, c := range []struct {
		validFor, validity, number uint32
		pace, want                 time.Duration
	}{
		{300, 1300, 1000, 6 * time.Second, 600 * time.Second},           // at most a third of the whole
		{300, 1300, 1150, 6 * time.Second, 306 * time.Second},           // until a third is left
		{300, 1300, 1200, 6 * time.Second, 6 * time.Second},             // now
		{300, 1000, 1200, 6 * time.Second, 6 * time.Second},             // too late
		{300, 1300, 1200, time.Millisecond, time.Second},                // not more often than that
		{0xffffffff, 0xffffffff, 0, time.Minute, 1 << 20 * time.Minute}, // no overflow
	} {
		if got := renewal(c.validFor, c.validity, c.number, c.pace); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestKeeperUnderAttack lets strangers, reorganisations and time do what they like.
func TestKeeperUnderAttack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rapid.IntRange(0, 4).Draw(rt, "limit"))
		m.manifest.Device.ValidFor = rapid.SampledFrom([]uint32{0, 100}).Draw(rt, "valid")
		var pending *publication
		var before *did.Attribute // the publication that is pending
		calm := false             // nobody did anything since the last look
		rt.Repeat(map[string]func(*rapid.T){
			"stranger": func(rt *rapid.T) {
				calm = false
				switch rapid.SampledFrom([]string{"remove", "junk", "replay", "expire"}).Draw(rt, "what") {
				case "remove":
					m.actual.Attribute = nil
				case "junk":
					m.stand(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "junk"), did.Forever)
				case "replay":
					if len(m.raws) > 0 {
						m.stand(rapid.SampledFrom(m.raws).Draw(rt, "raw"), did.Forever)
					}
				case "expire":
					if m.actual.Attribute != nil {
						m.stand(m.actual.Attribute.Value, m.actual.Number)
					}
				}
				m.block()
			},
			"time": func(rt *rapid.T) {
				calm = false
				m.actual.Number += rapid.Uint32Range(0, 200).Draw(rt, "blocks")
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "seconds")) * time.Second)
				m.actual.Time = m.now
			},
			"reorganise": func(*rapid.T) {
				if pending != nil {
					ours := m.actual.Attribute
					m.actual.Attribute, m.actual.Nonce = before, m.actual.Nonce-1
					d, _ := m.look(false)
					m.actual.Attribute, m.actual.Nonce = ours, m.actual.Nonce+1 // it is back
					if d.do != hold {
						rt.Fatalf("what a reorganisation took back is published twice: %+v", d)
					}
				}
			},
			"final": func(*rapid.T) {
				if pending != nil {
					calm = false
					m.keeper.ended(pending, true)
					pending = nil
				}
			},
			"look": func(rt *rapid.T) {
				d, p := m.look(false)
				switch d.do {
				case publish, heal:
					if calm {
						rt.Fatalf("published again although nothing happened: %s", p.Reason)
					}
					before = m.actual.Attribute
					pending = m.land(d.do, p)
					calm = true
				case rest:
					if !p.Empty() {
						rt.Fatalf("rests although: %s", p.Reason)
					}
				case yield:
					rt.Fatalf("yields, to nobody: %+v", d)
				}
			},
			"": func(rt *rapid.T) {
				for i, at := range m.paid {
					if i+m.keeper.limit < len(m.paid) && m.paid[i+m.keeper.limit].Sub(at) < time.Hour {
						rt.Fatalf("more than %d heals in an hour: %v", m.keeper.limit, m.paid)
					}
				}
			},
		})
	})
}
