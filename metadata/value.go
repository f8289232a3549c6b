package metadata

// Field is a named value. Name is empty in tuples and unnamed composites.
type Field struct {
	Name  string
	Value any
}

// Fields are the members of a composite, the payload of a variant, the arguments of a call or an event.
type Fields []Field

// Get returns the value of the first field called name.
func (f Fields) Get(name string) (any, bool) {
	for _, x := range f {
		if x.Name == name {
			return x.Value, true
		}
	}
	return nil, false
}

// Variant is a value of an enum type, Option and Result included.
type Variant struct {
	Name   string
	Index  uint8
	Fields Fields
}

// Call is a call of a pallet by the names in metadata, as in {"PeaqDid", "add_attribute", …}.
// As an argument of another call (Utility.batch_all) it encodes to the runtime's call type.
type Call struct {
	Pallet string
	Name   string
	Args   Fields
}

// Phase tells when in a block an event was deposited.
type Phase struct {
	Kind      PhaseKind
	Extrinsic uint32 // index, when Kind is ApplyExtrinsic
}

// PhaseKind is the kind of a Phase, with the runtime's variant index.
type PhaseKind uint8

// The phases of a block.
const (
	ApplyExtrinsic PhaseKind = iota
	Finalization
	Initialization
)

// Event is one entry of System.Events.
type Event struct {
	Phase  Phase
	Pallet string
	Name   string
	Fields Fields
	Topics [][32]byte
}
