package main

import (
	"encoding/hex"
	"math/big"

	"iod/metadata"
)

// safeInteger is the largest integer that every JSON reader keeps exact.
const safeInteger = 1<<53 - 1

// jsonValue turns a value decoded by metadata into one that encodes as JSON: bytes as 0x-hex, integers beyond 53 bits as
// decimal strings, variants without fields as their name, others as {name: fields}.
func jsonValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return "0x" + hex.EncodeToString(v)
	case uint64:
		if v > safeInteger {
			return new(big.Int).SetUint64(v).String()
		}
		return v
	case int64:
		if v > safeInteger || v < -safeInteger {
			return big.NewInt(v).String()
		}
		return v
	case *big.Int:
		return v.String()
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = jsonValue(x)
		}
		return out
	case metadata.Fields:
		return jsonFields(v)
	case *metadata.Variant:
		if len(v.Fields) == 0 {
			return v.Name
		}
		return map[string]any{v.Name: jsonFields(v.Fields)}
	case metadata.Call:
		return map[string]any{"pallet": v.Pallet, "call": v.Name, "args": jsonFields(v.Args)}
	}
	return v
}

// jsonFields is an object when every field has a name of its own, else a list; a single unnamed field is its value.
func jsonFields(fields metadata.Fields) any {
	named := make(map[string]any, len(fields))
	for _, f := range fields {
		if f.Name != "" {
			named[f.Name] = jsonValue(f.Value)
		}
	}
	if len(named) == len(fields) {
		return named
	}
	if len(fields) == 1 {
		return jsonValue(fields[0].Value)
	}
	out := make([]any, len(fields))
	for i, f := range fields {
		out[i] = jsonValue(f.Value)
	}
	return out
}
