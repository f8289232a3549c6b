package devchain

import (
	"bytes"
	"encoding/json"
	"testing"

	"iod/key"
	"iod/scale"
)

// FuzzExtrinsic decodes hostile extrinsics and runs what decodes: no panic, and what is kept re-encodes.
func FuzzExtrinsic(f *testing.F) {
	rec := readRecording(f)
	for _, s := range rec.Signing {
		f.Add(unhex(f, s.Extrinsic))
	}
	if len(rec.Signing) != 32 {
		f.Fatalf("%d seeds, want 32", len(rec.Signing))
	}
	c, err := New(Options{Manual: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, rt := range []runtime{{spec: 1, tx: 1}, {spec: 2, tx: 1, metadataHash: true}} {
			xt, err := decodeExtrinsic(rt, raw)
			if err != nil {
				continue
			}
			if !bytes.HasSuffix(raw, append(bytes.Clone(xt.extra), xt.callBytes...)) {
				t.Errorf("extra and call of %x are not its end", raw)
			}
			x := c.trial()
			x.phase = []byte{0, 1, 0, 0, 0}
			x.apply(asRich(x, xt))
			if len(x.extrinsics) != 1 || len(x.events) < 3 {
				t.Errorf("%d extrinsics and %d events", len(x.extrinsics), len(x.events))
			}
		}
	})
}

// asRich gives the signer enough to pay any fee.
func asRich(x *exec, xt *extrinsic) *extrinsic {
	xt.tip = unit
	x.putAccount(xt.who, account{providers: 1, free: maxBalance})
	return xt
}

// FuzzRequest sends hostile messages to the server: each gets an answer that is JSON, or none if it is a notification.
func FuzzRequest(f *testing.F) {
	var seeds []string
	for name := range methods() {
		for _, params := range []string{"[]", "[null]", `["0x"]`, `[["0x00"]]`, `[1,2,3]`, `["", 10, "0x00"]`, `{"count":1}`} {
			seeds = append(seeds, `{"jsonrpc":"2.0","id":1,"method":"`+name+`","params":`+params+`}`)
		}
	}
	seeds = append(seeds, "", "[", "[]", "{}", "null", `[{},1,"x"]`, `{"jsonrpc":"2.0","method":"system_health"}`,
		`{"jsonrpc":"2.0","id":{},"method":"system_health"}`, `{"jsonrpc":"2.0","id":1,"method":"state_call","params":["PeaqDIDApi_read","0x00"]}`,
		`{"jsonrpc":"2.0","id":1,"method":"state_call","params":["TransactionPaymentApi_query_info","0x04ff00000000"]}`,
		`{"jsonrpc":"2.0","id":"a","method":"chain_getBlockHash","params":[[0,"0x0",1e300,-1,null]]}`)
	if len(seeds) < 300 {
		f.Fatalf("only %d seeds", len(seeds))
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	c, err := New(Options{Manual: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, msg []byte) {
		if bytes.Contains(msg, []byte("dev_")) || bytes.Contains(msg, []byte(`\u`)) {
			return // making blocks without end is what the dev_ calls are for
		}
		reply, _ := c.server.handle(nil, msg)
		if reply != nil && !json.Valid(reply) {
			t.Errorf("answer to %q is not JSON: %q", msg, reply)
		}
	})
}

// FuzzRecord decodes hostile log records: no panic, and what decodes encodes to the same bytes.
func FuzzRecord(f *testing.F) {
	c, err := New(Options{Manual: true})
	if err != nil {
		f.Fatal(err)
	}
	defer c.Close()
	alice := key.AccountID{1}
	if _, err := c.SetBalance(alice, unit); err != nil {
		f.Fatal(err)
	}
	for _, b := range c.led.canon {
		payload, _, _ := blockRecord{hash: b.id, header: b.header, extrinsics: b.extrinsics,
			changes: []change{{"a", []byte("b")}, {"c", nil}, {"d", []byte{}}}}.encode()
		f.Add(payload)
	}
	f.Add([]byte{recordFinal, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		led := newLedger()
		led.load(payload, 0)
		if len(payload) == 0 || payload[0] != recordBlock {
			return
		}
		rec, _, offs, err := decodeBlockRecord(payload)
		if err != nil {
			return
		}
		again, _, offsAgain, _ := reencode(rec)
		if !bytes.Equal(again, payload) {
			t.Errorf("%x encodes to %x", payload, again)
		}
		for i := range offs {
			if offs[i] != offsAgain[i] {
				t.Errorf("value %d stands at %d, not %d", i, offs[i], offsAgain[i])
			}
		}
	})
}

func reencode(rec blockRecord) ([]byte, int, []int64, error) {
	payload, n, offs := rec.encode()
	return payload, n, offs, nil
}

// TestDecodingIsBounded feeds counts that promise more than the bytes hold: nothing large may be allocated for them.
func TestDecodingIsBounded(t *testing.T) {
	huge := scale.AppendCompact(nil, 1<<30)
	for name, call := range map[string][]byte{
		"batch":       append([]byte{utilityIndex, 0}, huge...),
		"set_storage": append([]byte{systemIndex, 5}, huge...),
		"remark":      append([]byte{systemIndex, 1}, huge...),
	} {
		if allocs := testing.AllocsPerRun(10, func() {
			r := scale.NewReader(call)
			if readCall(r, 0); r.Err() == nil {
				t.Errorf("%s was decoded", name)
			}
		}); allocs > 12 {
			t.Errorf("%s: %.0f allocations", name, allocs)
		}
	}
}
