package metadata

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// shared is where the recorded chain data lies, beside the repository.
const shared = "../../shared/peaq"

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(shared, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var cache sync.Map // parsed metadata by file

func load(t testing.TB, name string) *Metadata {
	t.Helper()
	if m, ok := cache.Load(name); ok {
		return m.(*Metadata)
	}
	m, err := Parse(read(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	cache.Store(name, m)
	return m
}

func peaq(t testing.TB) *Metadata { return load(t, "metadata-v14.scale") }

// hexBytes is 0x-hex in JSON.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(strings.TrimPrefix(string(b), "0x"))
	return err
}

type vectors struct {
	Calls []struct {
		Name, Section, Method string
		Args                  json.RawMessage
		Hex                   hexBytes
	}
	Signing []struct{ Name string }
	Blocks  []struct {
		Name             string
		Extrinsics       []hexBytes
		EventsStorageKey hexBytes
		EventsHex        hexBytes
		Events           []struct {
			Phase   json.RawMessage
			Pallet  string
			Variant string
			Index   [2]uint8
			Data    []any
			Human   any
		}
	}
	Storage []struct {
		Name    string
		Key     hexBytes
		Args    []any
		Value   hexBytes
		Decoded any
	}
	RuntimeAPI []struct {
		Name, Method   string
		Params, Result hexBytes
	}
	Errors []struct {
		Pallet string
		Index  uint8
		Errors []struct {
			Name  string
			Index uint8
		}
	}
}

func recorded(t testing.TB) *vectors {
	t.Helper()
	var v vectors
	d := json.NewDecoder(strings.NewReader(string(read(t, "vectors.json"))))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return &v
}
