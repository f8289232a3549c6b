package chain

import (
	"fmt"

	"iod/metadata"
	"iod/scale"
)

// filling is what a signed extension wants written in one of its two places.
type filling uint8

const (
	nothing     filling = iota
	fillEra             // mortal or immortal
	fillNonce           // compact
	fillTip             // compact
	fillTipNone         // compact tip, then no asset: fees are paid in the native token
	fillZero            // one zero byte: mode "disabled", or None
	fillSpec            // specification version, u32
	fillTx              // transaction version, u32
	fillGenesis
	fillBirth // hash of the block that mortality counts from; genesis for an immortal one
)

// extension is one signed extension as this package fills it in.
type extension struct{ extra, additional filling }

// known are the extensions that carry bytes and what the bytes are. Those that carry none need no entry.
var known = map[string]extension{
	"CheckSpecVersion":         {additional: fillSpec},
	"CheckTxVersion":           {additional: fillTx},
	"CheckGenesis":             {additional: fillGenesis},
	"CheckMortality":           {extra: fillEra, additional: fillBirth},
	"CheckEra":                 {extra: fillEra, additional: fillBirth},
	"CheckNonce":               {extra: fillNonce},
	"ChargeTransactionPayment": {extra: fillTip},
	"ChargeAssetTxPayment":     {extra: fillTipNone},
	"CheckMetadataHash":        {extra: fillZero, additional: fillZero},
}

func (f filling) append(b []byte, o *Offline, p Params) []byte {
	switch f {
	case fillEra:
		return p.Era.append(b)
	case fillNonce:
		return scale.AppendCompact(b, uint64(p.Nonce))
	case fillTip:
		return appendTip(b, p)
	case fillTipNone:
		return append(appendTip(b, p), 0)
	case fillZero:
		return append(b, 0)
	case fillSpec:
		return scale.AppendU32(b, o.runtime.SpecVersion)
	case fillTx:
		return scale.AppendU32(b, o.runtime.TxVersion)
	case fillGenesis:
		return append(b, o.genesis[:]...)
	case fillBirth:
		if p.Era.immortal() {
			return append(b, o.genesis[:]...)
		}
		return append(b, p.Era.Hash[:]...)
	}
	return b
}

func appendTip(b []byte, p Params) []byte {
	b, err := scale.AppendCompactBig(b, &p.Tip.v)
	if err != nil {
		panic("chain: a Planck over 128 bits") // no constructor of Planck makes one
	}
	return b
}

// extensionFor finds how to fill an extension in, and proves on samples that the metadata's types agree.
func (o *Offline) extensionFor(x metadata.SignedExtension) (extension, error) {
	e, ok := known[x.Identifier]
	if !ok {
		if x.Empty && x.AdditionalEmpty {
			return extension{}, nil
		}
		return e, fmt.Errorf("runtime's signed extension %s is not known and carries bytes (%s, signed with %s): cannot sign for this chain",
			x.Identifier, o.meta.Describe(x.Type), o.meta.Describe(x.Additional))
	}
	mortal := Params{Nonce: 70000, Tip: NewPlanck(1 << 40), Era: Era{Period: 64, Number: 21}}
	for _, p := range []Params{{}, mortal} {
		for _, place := range []struct {
			f  filling
			id metadata.TypeID
		}{{e.extra, x.Type}, {e.additional, x.Additional}} {
			b := place.f.append(nil, o, p)
			if _, err := o.meta.Decode(place.id, b); err != nil {
				return e, fmt.Errorf("runtime's signed extension %s has another form (%s) than the one known: %w",
					x.Identifier, o.meta.Describe(place.id), err)
			}
		}
	}
	return e, nil
}
