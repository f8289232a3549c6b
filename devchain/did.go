package devchain

import (
	"math"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

var (
	attributeStore = newBlakeMap("PeaqDid", "AttributeStore")
	ownerStore     = newBlakeMap("PeaqDid", "OwnerStore")
)

// The errors of PeaqDid.
var (
	errAttributeName     = moduleError(didIndex, 0)
	errAttributeExists   = moduleError(didIndex, 1)
	errAttributeNotFound = moduleError(didIndex, 4)
	errAttributeForeign  = moduleError(didIndex, 5)
	errMaxBlockNumber    = moduleError(didIndex, 6)
)

const maxName = 64 // bytes, of attributes and RBAC entities

// didCall is the arguments of a call of PeaqDid; validFor and value are those of add and update only.
type didCall struct {
	did      key.AccountID
	name     []byte
	value    []byte
	validFor *uint32
}

func readDidCall(r *scale.Reader, index uint8) call {
	if index > 3 {
		return call{}
	}
	c := didCall{did: readAccount(r), name: r.Vec()}
	if index < 2 {
		c.value = r.Vec()
		if r.Option() {
			n := r.U32()
			c.validFor = &n
		}
	}
	return [...]call{
		{270_709_000, c.add},
		{173_815_000, c.update},
		{41_582_000, c.read},
		{169_998_000, c.remove},
	}[index]
}

// key is where the attribute stands in AttributeStore.
func (c didCall) key() string {
	h := metadata.Blake2_256(append(c.did[:len(c.did):len(c.did)], c.name...))
	return attributeStore.key(h[:])
}

// ownerKey is where it stands in OwnerStore that who has once added an attribute to the DID.
func (c didCall) ownerKey(who key.AccountID) string {
	h := metadata.Blake2_256(append(who[:len(who):len(who)], c.did[:]...))
	return ownerStore.key(append(who[:len(who):len(who)], h[:]...))
}

// validity is the block until which the attribute is meant to hold.
func (c didCall) validity(now uint32) (uint32, error) {
	if c.validFor == nil {
		return math.MaxUint32, nil
	}
	if *c.validFor > math.MaxUint32-now {
		return 0, errMaxBlockNumber
	}
	return now + *c.validFor, nil
}

func (c didCall) encodeAttribute(validity uint32, created uint64) []byte {
	b := scale.AppendVec(scale.AppendVec(nil, c.name), c.value)
	return scale.AppendU64(scale.AppendU32(b, validity), created)
}

// event is the payload of AttributeAdded and AttributeUpdated.
func (c didCall) event(who key.AccountID) []byte {
	b := append(who[:len(who):len(who)], c.did[:]...)
	b = scale.AppendVec(scale.AppendVec(b, c.name), c.value)
	if c.validFor == nil {
		return append(b, 0)
	}
	return scale.AppendU32(append(b, 1), *c.validFor)
}

func (c didCall) add(x *exec, who key.AccountID) error {
	if len(c.name) > maxName {
		return errAttributeName
	}
	k := c.key()
	if x.has(k) {
		return errAttributeExists
	}
	validity, err := c.validity(x.number)
	if err != nil {
		return err
	}
	x.set(k, c.encodeAttribute(validity, x.now))
	x.set(c.ownerKey(who), c.did[:])
	x.deposit(didIndex, 0, c.event(who))
	return nil
}

func (c didCall) update(x *exec, who key.AccountID) error {
	if len(c.name) > maxName {
		return errAttributeName
	}
	if !x.has(c.ownerKey(who)) {
		return errAttributeForeign
	}
	validity, err := c.validity(x.number)
	if err != nil {
		return err
	}
	k := c.key()
	old := x.get(k)
	if old == nil {
		return errAttributeNotFound
	}
	created := scale.NewReader(old[len(old)-8:]).U64()
	x.set(k, c.encodeAttribute(validity, created))
	x.deposit(didIndex, 2, c.event(who))
	return nil
}

func (c didCall) read(x *exec, who key.AccountID) error {
	attribute := x.get(c.key())
	if attribute == nil {
		return errAttributeNotFound
	}
	x.deposit(didIndex, 1, attribute)
	return nil
}

func (c didCall) remove(x *exec, who key.AccountID) error {
	if len(c.name) > maxName {
		return errAttributeName
	}
	if !x.has(c.ownerKey(who)) {
		return errAttributeForeign
	}
	k := c.key()
	if !x.has(k) {
		return errAttributeNotFound
	}
	x.remove(k)
	x.deposit(didIndex, 3, who[:], c.did[:], scale.AppendVec(nil, c.name))
	return nil
}
