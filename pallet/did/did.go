// Package did speaks to the chain's PeaqDid pallet: its calls, its storage at a block and its events, as types.
//
//	AttributeStore  blake2_128_concat([u8; 32]) → {name, value, validity: u32, created: u64 ms}
//	                key = blake2_256(account ‖ name)
//	OwnerStore      blake2_128_concat((writer, [u8; 32])) → account
//	                key = blake2_256(writer ‖ account); present when writer has added any attribute to account's DID
//
// The pallet has no authorisation worth the name: anyone may add attributes to anyone's DID, and whoever has added one
// may change and remove them all. What an attribute says counts only as far as its value proves itself.
package did

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/blake2b"

	"iod/chain"
	"iod/key"
	"iod/metadata"
)

// Pallet is the pallet's name in metadata.
const Pallet = "PeaqDid"

// MaxName is the longest name of an attribute, in bytes.
const MaxName = 64

// Forever is the Validity of an attribute that does not expire.
const Forever = math.MaxUint32

// maxStored bounds the bytes of a stored attribute that are looked at.
const maxStored = 1 << 20

// Block is the view of the chain that reads need; *chain.Block is one.
type Block interface {
	Metadata(ctx context.Context) (*metadata.Metadata, error)
	Raw(ctx context.Context, keys ...[]byte) ([]chain.KeyValue, error)
}

// Attribute is an entry of a DID.
type Attribute struct {
	Name     string // as written by anyone: not necessarily UTF-8
	Value    []byte
	Validity uint32    // the last block number at which it is valid; Forever: no end
	Created  time.Time // of the block that added it; updates leave it
}

// Expired reports whether the attribute is no longer valid at the block of that number. The chain itself never
// enforces validity: whoever reads must.
func (a *Attribute) Expired(number uint32) bool { return a.Validity != Forever && number > a.Validity }

// AddAttribute returns the call that adds an attribute. A nil validFor means no end; otherwise it is a number of blocks
// from the block that executes the call.
func AddAttribute(account key.AccountID, name string, value []byte, validFor *uint32) metadata.Call {
	return put("add_attribute", account, name, value, validFor)
}

// UpdateAttribute returns the call that replaces the value and validity of an existing attribute.
func UpdateAttribute(account key.AccountID, name string, value []byte, validFor *uint32) metadata.Call {
	return put("update_attribute", account, name, value, validFor)
}

// RemoveAttribute returns the call that removes an attribute.
func RemoveAttribute(account key.AccountID, name string) metadata.Call {
	return metadata.Call{Pallet: Pallet, Name: "remove_attribute", Args: naming(account, name)}
}

// ReadAttribute returns the call that makes the chain deposit the attribute as an event. Reading storage costs nothing; this does.
func ReadAttribute(account key.AccountID, name string) metadata.Call {
	return metadata.Call{Pallet: Pallet, Name: "read_attribute", Args: naming(account, name)}
}

func naming(account key.AccountID, name string) metadata.Fields {
	return metadata.Fields{{Name: "did_account", Value: account}, {Name: "name", Value: []byte(name)}}
}

func put(call string, account key.AccountID, name string, value []byte, validFor *uint32) metadata.Call {
	args := append(naming(account, name), metadata.Field{Name: "value", Value: value}, metadata.Field{Name: "valid_for"})
	if validFor != nil {
		args[3].Value = *validFor
	}
	return metadata.Call{Pallet: Pallet, Name: call, Args: args}
}

// AttributeKey returns the key of an attribute in AttributeStore: blake2_256(account ‖ name).
func AttributeKey(account key.AccountID, name string) [32]byte {
	return blake2b.Sum256(append(account[:len(account):len(account)], name...))
}

// StorageKey returns the whole storage key of an attribute, to be watched or read raw.
func StorageKey(m *metadata.Metadata, account key.AccountID, name string) ([]byte, error) {
	k := AttributeKey(account, name)
	return m.StorageKey(Pallet, "AttributeStore", k[:])
}

// DecodeAttribute decodes a stored attribute; nil raw is an absent one and gives nil.
func DecodeAttribute(m *metadata.Metadata, raw []byte) (*Attribute, error) {
	if raw == nil {
		return nil, nil
	}
	if len(raw) > maxStored {
		return nil, fmt.Errorf("decode attribute: %d bytes are more than %d", len(raw), maxStored)
	}
	v, err := m.DecodeStorage(Pallet, "AttributeStore", raw)
	if err != nil {
		return nil, fmt.Errorf("decode attribute: %w", err)
	}
	var a struct {
		Name, Value []byte
		Validity    uint32
		Created     uint64
	}
	if err := metadata.Assign(&a, v); err != nil {
		return nil, fmt.Errorf("decode attribute: %w", err)
	}
	// Dates far outside the calendar would break whoever formats them.
	created := time.UnixMilli(int64(min(a.Created, 1<<47))).UTC()
	return &Attribute{Name: string(a.Name), Value: a.Value, Validity: a.Validity, Created: created}, nil
}

// Read returns an attribute of account's DID as of the block, expired or not; nil when there is none.
func Read(ctx context.Context, b Block, account key.AccountID, name string) (*Attribute, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("read attribute %q of %s: %w", name, account, err)
	}
	k, err := StorageKey(m, account, name)
	if err != nil {
		return nil, fmt.Errorf("read attribute %q of %s: %w", name, account, err)
	}
	raw, err := readOne(ctx, b, k)
	if err != nil {
		return nil, fmt.Errorf("read attribute %q of %s: %w", name, account, err)
	}
	a, err := DecodeAttribute(m, raw)
	if err == nil && a != nil && a.Name != name {
		err = fmt.Errorf("the node answered with attribute %q", a.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read attribute %q of %s: %w", name, account, err)
	}
	return a, nil
}

// IsWriter reports whether writer may update and remove the attributes of account's DID as of the block: whether it has
// ever added one. On runtimes that keep ownership per attribute the answer says less.
func IsWriter(ctx context.Context, b Block, writer, account key.AccountID) (bool, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return false, fmt.Errorf("read writer %s of %s: %w", writer, account, err)
	}
	id := blake2b.Sum256(append(writer[:len(writer):len(writer)], account[:]...))
	k, err := m.StorageKey(Pallet, "OwnerStore", []any{writer, id[:]})
	if err != nil {
		return false, fmt.Errorf("read writer %s of %s: %w", writer, account, err)
	}
	raw, err := readOne(ctx, b, k)
	if err != nil {
		return false, fmt.Errorf("read writer %s of %s: %w", writer, account, err)
	}
	return raw != nil, nil
}

func readOne(ctx context.Context, b Block, k []byte) ([]byte, error) {
	kvs, err := b.Raw(ctx, k)
	if err != nil {
		return nil, err
	}
	if len(kvs) != 1 {
		return nil, fmt.Errorf("%d values for one key", len(kvs))
	}
	return kvs[0].Value, nil
}

// Standing is what decides how an attribute can be published.
type Standing struct {
	Exists bool // someone has added it
	Writer bool // the signer has added some attribute to the DID before
}

// Put returns the calls by which account, as signer, makes its own attribute hold value, to be sent as one batch_all. When a
// stranger occupied the name first, account makes itself a writer of its DID by an attribute of another name, which it takes
// away again.
func Put(s Standing, account key.AccountID, name string, value []byte, validFor *uint32) []metadata.Call {
	if !s.Exists {
		return []metadata.Call{AddAttribute(account, name, value, validFor)}
	}
	update := UpdateAttribute(account, name, value, validFor)
	if s.Writer {
		return []metadata.Call{update}
	}
	// A name that nobody can have foreseen, since signatures are in value.
	sum := blake2b.Sum256(value)
	ticket := fmt.Sprintf("iod-writer/%x", sum[:8])
	return []metadata.Call{AddAttribute(account, ticket, nil, nil), update, RemoveAttribute(account, ticket)}
}
