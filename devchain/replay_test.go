package devchain

import (
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"iod/key"
	"iod/scale"
)

// recording is vectors.json, as far as it concerns this package.
type recording struct {
	Runtime struct{ GenesisHash string }
	Signing []struct{ Name, Extrinsic, CheckpointHash string }
	Blocks  []struct {
		Name, Hash string
		Header     struct{ Number, ParentHash string }
		Extrinsics []string
		EventsHex  string
		Events     []struct {
			Phase           map[string]any
			Pallet, Variant string
			Index           [2]uint8
			Data            json.RawMessage
			Human           json.RawMessage
		}
	}
	Storage    []struct{ Name, Key, Value string }
	RuntimeApi []struct{ Name, Method, Params, Result string }
	Errors     []struct {
		Pallet string
		Index  uint8
		Errors []struct {
			Name  string
			Index uint8
		}
	}
	FeeExample struct{ Weight string }
}

func readRecording(t testing.TB) (r recording) {
	t.Helper()
	if err := json.Unmarshal(readShared(t, "vectors.json"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatalf("hex %q: %v", s, err)
	}
	return b
}

// replay runs the recorded extrinsics in blocks of their own on a chain with the recorded genesis, hashes and times.
func replay(t testing.TB, rec recording) *Chain {
	t.Helper()
	genesis := [32]byte(unhex(t, rec.Runtime.GenesisHash))
	hashes := map[uint32][32]byte{2: [32]byte(unhex(t, rec.Blocks[0].Header.ParentHash))}
	times := map[uint32]time.Time{}
	for i, b := range rec.Blocks {
		hashes[uint32(i+3)] = [32]byte(unhex(t, b.Hash))
		r := scale.NewReader(unhex(t, b.Extrinsics[0]))
		r.Bytes(4)
		times[uint32(i+3)] = time.UnixMilli(int64(r.Compact()))
	}
	var c *Chain
	endowed := map[key.AccountID]*big.Int{}
	for _, s := range rec.Signing {
		xt, err := decodeExtrinsic(runtime{spec: 1, tx: 1}, unhex(t, s.Extrinsic))
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		endowed[xt.who] = new(big.Int).Mul(unit, big.NewInt(1_000_000))
	}
	c, err := New(Options{Manual: true, GenesisHash: &genesis, Endowed: endowed,
		BlockHash: func(n uint32) ([32]byte, bool) { h, ok := hashes[n]; return h, ok },
		Now:       func() time.Time { return times[c.led.head().number+1] }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.NewBlock(2); err != nil {
		t.Fatal(err)
	}
	for i, s := range rec.Signing {
		if _, err := c.Submit(unhex(t, s.Extrinsic)); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if n, err := strconv.ParseUint(rec.Blocks[i].Header.Number[2:], 16, 32); err != nil || c.led.head().number+1 != uint32(n) {
			t.Fatalf("%s: block %d comes next, recorded was %d", s.Name, c.led.head().number+1, n)
		}
		if _, err := c.NewBlock(1); err != nil {
			t.Fatal(err)
		}
		if n := len(c.led.body(c.led.head())); n != 2 {
			t.Fatalf("%s: block holds %d extrinsics, want 2", s.Name, n)
		}
	}
	return c
}
