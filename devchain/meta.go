package devchain

import (
	"encoding/hex"
	"strings"
	"sync"

	"iod/scale"
)

type pallet struct {
	name                string
	index               uint8
	prefix              string // of the storage; empty without one
	storage             []entry
	calls, event, error *typ
	constants           []constant
}

type entry struct {
	name     string
	modifier uint8
	hashers  []uint8
	key      *typ
	value    *typ
	fallback string // hex of the default
}

// The modifiers of a storage entry.
const (
	optional  = 0
	defaulted = 1
)

type constant struct {
	name  string
	t     *typ
	value string // hex
}

type extension struct {
	name              string
	extra, additional *typ
}

func zeros(n int) string { return strings.Repeat("00", n) }

// runtime is a version of the runtime. Upgrades raise spec and may change the metadata by the two flags.
type runtime struct {
	spec, tx     uint32
	metadataHash bool // transactions carry the signed extension CheckMetadataHash
	marker       bool // the constant System.DevchainUpgrade, the number of the version, is there
}

// encode is what stands in storage under :code.
func (rt runtime) encode() []byte {
	b := scale.AppendU32([]byte("iod devchain "), rt.spec)
	b = scale.AppendU32(b, rt.tx)
	return scale.AppendBool(scale.AppendBool(b, rt.metadataHash), rt.marker)
}

func decodeRuntime(code []byte) (runtime, error) {
	r := scale.NewReader(code)
	r.Bytes(len("iod devchain "))
	rt := runtime{spec: r.U32(), tx: r.U32(), metadataHash: r.Bool(), marker: r.Bool()}
	return rt, r.End()
}

// extensions lists what a signed transaction carries under this runtime.
func (rt runtime) extensions() []extension {
	if !rt.metadataHash {
		return signedExtensions
	}
	mode := enum("frame_metadata_hash_extension::Mode", v(0, "Disabled"), v(1, "Enabled"))
	check := composite("frame_metadata_hash_extension::CheckMetadataHash", f("mode", mode, "Mode")).param("T", nil)
	return append(signedExtensions[:len(signedExtensions):len(signedExtensions)],
		extension{"CheckMetadataHash", check, option(bytes32T)})
}

// metadata returns the metadata of the runtime in the version 14 or 15 of the format, made once.
func (rt runtime) metadata(version uint8) []byte {
	key := metadataKey{rt, version}
	if b, ok := metadataCache.Load(key); ok {
		return b.([]byte)
	}
	b := buildMetadata(rt, version)
	metadataCache.Store(key, b)
	return b
}

type metadataKey struct {
	rt      runtime
	version uint8
}

var metadataCache sync.Map // metadataKey → []byte

// fillRuntimeEnums gives the runtime's call, event and error types their variants, once.
var fillRuntimeEnums = sync.OnceFunc(func() {
	for _, p := range declarePallets() {
		if p.calls != nil {
			callT.variants = append(callT.variants, v(p.index, p.name, f("", p.calls, callTypeName(p.name))))
		}
		if p.event != nil {
			eventT.variants = append(eventT.variants, v(p.index, p.name, f("", p.event, eventTypeName(p))))
		}
		if p.error != nil {
			errorT.variants = append(errorT.variants, v(p.index, p.name, f("", p.error, "")))
		}
	}
})

func callTypeName(pallet string) string {
	return "self::sp_api_hidden_includes_construct_runtime::hidden_include::dispatch\n::CallableCallFor<" + pallet + ", Runtime>"
}

func eventTypeName(p pallet) string {
	path := strings.TrimSuffix(p.event.path, "::pallet::Event")
	if len(p.event.params) == 0 {
		return path + "::Event"
	}
	return path + "::Event<Runtime>"
}

// buildMetadata lays metadata out:
//
//	"meta" version types pallets…
//	V14: extrinsic {type, version, extensions}, runtime type
//	V15: extrinsic {version, address, call, signature, extra, extensions}, runtime type, APIs, outer enums, custom
//
// The types come first, but are known only when all else is written.
func buildMetadata(rt runtime, version uint8) []byte {
	fillRuntimeEnums()
	r := newRegistry()
	var rest []byte
	pallets := declarePallets()
	rest = scale.AppendCompact(rest, uint64(len(pallets)))
	for _, p := range pallets {
		rest = appendPallet(r, rest, p, rt)
		if version >= 15 {
			rest = appendDocs(rest)
		}
	}
	rest = appendExtrinsic(r, rest, rt, version)
	rest = r.appendID(rest, composite("peaq_runtime::Runtime"))
	if version >= 15 {
		rest = appendAPIs(r, rest, rt)
		rest = r.appendID(r.appendID(r.appendID(rest, callT), eventT), errorT)
		rest = append(rest, 0) // no custom values
	}
	b := append([]byte("meta"), version)
	return append(r.append(b), rest...)
}

func appendPallet(r *registry, b []byte, p pallet, rt runtime) []byte {
	b = scale.AppendStr(b, p.name)
	if p.prefix == "" {
		b = append(b, 0)
	} else {
		b = scale.AppendStr(append(b, 1), p.prefix)
		b = scale.AppendCompact(b, uint64(len(p.storage)))
		for _, e := range p.storage {
			b = appendEntry(r, b, e)
		}
	}
	b = r.appendOptional(r.appendOptional(b, p.calls), p.event)
	constants := p.constants
	if p.name == "System" && rt.marker {
		constants = append(constants, constant{"DevchainUpgrade", u32T, hex.EncodeToString(scale.AppendU32(nil, rt.spec))})
	}
	b = scale.AppendCompact(b, uint64(len(constants)))
	for _, c := range constants {
		value := mustHex(c.value)
		if c.name == "Version" {
			value = rt.version()
		}
		b = r.appendID(scale.AppendStr(b, c.name), c.t)
		b = appendDocs(scale.AppendVec(b, value))
	}
	return append(r.appendOptional(b, p.error), p.index)
}

func appendEntry(r *registry, b []byte, e entry) []byte {
	b = append(scale.AppendStr(b, e.name), e.modifier)
	if e.key == nil {
		b = r.appendID(append(b, 0), e.value)
	} else {
		b = scale.AppendVec(append(b, 1), e.hashers)
		b = r.appendID(r.appendID(b, e.key), e.value)
	}
	return appendDocs(scale.AppendVec(b, mustHex(e.fallback)))
}

// extra is what a signed transaction carries beside signature and call.
func (rt runtime) extra() *typ {
	var extras []*typ
	for _, x := range rt.extensions() {
		extras = append(extras, x.extra)
	}
	return tuple(extras...)
}

// uncheckedExtrinsic is the type of a transaction. Clients find out by its parameters which type the calls are of.
func (rt runtime) uncheckedExtrinsic() *typ {
	with := func(t *typ) *typ {
		return t.param("Address", multiAddressT).param("Call", callT).param("Signature", multiSignatureT).
			param("Extra", rt.extra())
	}
	inner := with(composite("sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic", f("", bytesT, "")))
	return with(composite("fp_self_contained::unchecked_extrinsic::UncheckedExtrinsic",
		f("", inner, "sp_runtime::generic::UncheckedExtrinsic<Address, Call, Signature, Extra\n>")))
}

func appendExtrinsic(r *registry, b []byte, rt runtime, version uint8) []byte {
	const extrinsicVersion = 4
	if version >= 15 {
		b = append(b, extrinsicVersion)
		b = r.appendID(r.appendID(r.appendID(r.appendID(b, multiAddressT), callT), multiSignatureT), rt.extra())
	} else {
		b = append(r.appendID(b, rt.uncheckedExtrinsic()), extrinsicVersion)
	}
	b = scale.AppendCompact(b, uint64(len(rt.extensions())))
	for _, x := range rt.extensions() {
		b = r.appendID(r.appendID(scale.AppendStr(b, x.name), x.extra), x.additional)
	}
	return b
}

// mustHex decodes the declarations of this package, which a test reads in full.
func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("devchain: declaration holds bad hex: " + s)
	}
	return b
}
