package metadata

import (
	"fmt"

	"iod/scale"
	"iod/spelling"
)

// eventPlan tells whether System.Events has the form that DecodeEvents reads:
// Vec<{phase: Phase, event: the runtime's event, topics: Vec<[u8; 32]>}>.
type eventPlan struct {
	problem string // empty: it has
	least   int    // bytes of an entry
}

// planEvents finds the runtime's event type in V14 and checks the form of the entry.
func (m *Metadata) planEvents() {
	m.events.problem = "System.Events is not of the known form"
	p, err := m.pallet("System")
	if err != nil {
		return
	}
	s := p.entry("Events")
	if s == nil || len(s.keys) != 0 || m.nodes[s.value].op != opSeq {
		return
	}
	record := &m.nodes[m.nodes[s.value].elem]
	f := record.fields
	if record.op != opComposite || len(f) != 3 || f[0].name != "phase" || f[1].name != "event" || f[2].name != "topics" {
		return
	}
	topics := &m.nodes[f[2].typ]
	if topics.op != opSeq || m.nodes[topics.elem].op != opFixed || m.nodes[topics.elem].n != 32 ||
		!m.isPhase(f[0].typ) || m.nodes[f[1].typ].op != opEnum {
		return
	}
	if m.event == NoType {
		m.event = f[1].typ
	}
	m.events = eventPlan{least: 4} // phase, pallet, variant, no topics
}

func (m *Metadata) isPhase(id TypeID) bool {
	v := m.nodes[id].variants
	return len(v) == 3 && v[0].name == "ApplyExtrinsic" && v[1].name == "Finalization" && v[2].name == "Initialization" &&
		byIndex(v, 2) != nil && len(v[0].fields) == 1 && len(v[1].fields)+len(v[2].fields) == 0 &&
		m.nodes[v[0].fields[0].typ].op == opUint && m.nodes[v[0].fields[0].typ].n == 4
}

// DecodeEvents decodes the raw value of System.Events. No bytes are no events.
func (m *Metadata) DecodeEvents(raw []byte) ([]Event, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if m.events.problem != "" {
		return nil, fmt.Errorf("metadata: decode events: %s: %w", m.events.problem, ErrNotFound)
	}
	d := newDecoder(m, scale.NewReader(clone(raw)))
	es := make([]Event, d.r.Count(m.events.least))
	for i := range es {
		d.event(&es[i])
		if err := d.r.Err(); err != nil {
			return nil, fmt.Errorf("metadata: decode event %d of %d (%s.%s) at byte %d of %d: %w",
				i, len(es), es[i].Pallet, es[i].Name, d.r.Offset(), len(raw), err)
		}
	}
	if err := d.r.End(); err != nil {
		return nil, fmt.Errorf("metadata: decode %d events: %w", len(es), err)
	}
	return es, nil
}

func (d *decoder) event(e *Event) {
	switch e.Phase.Kind = PhaseKind(d.r.U8()); e.Phase.Kind {
	case ApplyExtrinsic:
		e.Phase.Extrinsic = d.r.U32()
	case Finalization, Initialization:
	default:
		d.r.Fail(fmt.Errorf("phase %d: %w", e.Phase.Kind, ErrMalformed))
	}
	p, v := d.item("event", func(p *pallet) TypeID { return p.events })
	if v == nil {
		return
	}
	e.Pallet, e.Name = p.name, v.name
	e.Fields = d.fields(v.fields)
	if n := d.r.Count(32); n > 0 {
		e.Topics = make([][32]byte, n)
		for i := range e.Topics {
			copy(e.Topics[i][:], d.r.Bytes(32))
		}
	}
}

// EncodeEvents is the inverse of DecodeEvents.
func (m *Metadata) EncodeEvents(es []Event) ([]byte, error) {
	e := encoder{m: m, b: scale.AppendCompact(nil, uint64(len(es)))}
	for i := range es {
		if err := e.event(&es[i]); err != nil {
			return nil, fmt.Errorf("metadata: encode event %d, %s.%s: %w", i, es[i].Pallet, es[i].Name, err)
		}
	}
	return e.b, nil
}

func (e *encoder) event(x *Event) error {
	e.b = append(e.b, byte(x.Phase.Kind))
	if x.Phase.Kind == ApplyExtrinsic {
		e.b = scale.AppendU32(e.b, x.Phase.Extrinsic)
	}
	p, err := e.m.pallet(x.Pallet)
	if err != nil {
		return err
	}
	v := byName(e.m.variants(p.events), x.Name)
	if v == nil {
		return &NotFoundError{"event", x.Pallet, x.Name, spelling.Nearest(x.Name, variantNames(e.m.variants(p.events)))}
	}
	e.b = append(e.b, p.index, v.index)
	if err := e.fields(v.fields, x.Fields); err != nil {
		return err
	}
	e.b = scale.AppendCompact(e.b, uint64(len(x.Topics)))
	for _, t := range x.Topics {
		e.b = append(e.b, t[:]...)
	}
	return nil
}
