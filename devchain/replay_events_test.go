package devchain

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"iod/metadata"
	"iod/scale"
)

// split cuts a raw System.Events value into its records, by the metadata's decoder.
func split(t *testing.T, m *metadata.Metadata, raw []byte) (records [][]byte) {
	t.Helper()
	r := scale.NewReader(raw)
	for range r.Count(3) {
		start := r.Offset()
		phase := r.U8()
		if phase == 0 {
			r.U32()
		}
		if _, err := m.Read(r, m.EventType()); err != nil {
			t.Fatal(err)
		}
		r.Count(32)
		records = append(records, raw[start:r.Offset()])
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return records
}

// kept are the events that must be the recorded ones to the byte; the phase's extrinsic index is theirs less one, since the
// recorded runtime has one more inherent.
func kept(t *testing.T, records [][]byte, shift uint32) (all [][]byte, failed []byte) {
	t.Helper()
	for _, e := range records {
		if e[0] != 0 {
			continue
		}
		r := scale.NewReader(e[1:])
		index := r.U32()
		pallet, variant := r.U8(), r.U8()
		if index != 1+shift {
			continue
		}
		switch {
		case pallet == didIndex, pallet == rbacIndex, pallet == utilityIndex, pallet == systemIndex && variant == 5:
			all = append(all, e[5:])
		case pallet == systemIndex && variant == 1:
			failed = e[7 : len(e)-11] // without dispatch info and topics
		}
	}
	return all, failed
}

func TestReplayGivesTheRecordedEvents(t *testing.T) {
	rec := readRecording(t)
	c := replay(t, rec)
	real, err := metadata.Parse(readShared(t, "metadata-v14.scale"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := metadata.Parse(runtime{spec: 1, tx: 1}.metadata(14))
	if err != nil {
		t.Fatal(err)
	}
	events, failures := 0, 0
	for i, b := range rec.Blocks {
		raw := c.led.state.at(eventsKey, uint32(i+3))
		want, wantFailed := kept(t, split(t, real, unhex(t, b.EventsHex)), 1)
		got, gotFailed := kept(t, split(t, ours, raw), 0)
		if len(got) != len(want) {
			t.Errorf("%s: %d events, want %d", b.Name, len(got), len(want))
			continue
		}
		for j := range want {
			if !bytes.Equal(got[j], want[j]) {
				t.Errorf("%s event %d:\n got %x\nwant %x", b.Name, j, got[j], want[j])
			}
			events++
		}
		if !bytes.Equal(gotFailed, wantFailed) {
			t.Errorf("%s fails with %x, want %x", b.Name, gotFailed, wantFailed)
		}
		if wantFailed != nil {
			failures++
			checkErrorName(t, rec, ours, wantFailed, b.Name)
		}
	}
	if len(rec.Blocks) != 32 || events != 31 || failures != 9 {
		t.Errorf("%d blocks with %d events and %d failures were compared", len(rec.Blocks), events, failures)
	}
}

// checkErrorName compares the names that the vectors and our metadata give to a module error.
func checkErrorName(t *testing.T, rec recording, m *metadata.Metadata, e []byte, step string) {
	t.Helper()
	want := ""
	for _, p := range rec.Errors {
		for _, x := range p.Errors {
			if p.Index == e[1] && x.Index == e[2] {
				want = strings.ToLower(p.Pallet) + "." + x.Name
			}
		}
	}
	info, err := m.ModuleError(e[1], e[2])
	if got := strings.ToLower(info.Pallet) + "." + info.Name; err != nil || got != want || want == "" {
		t.Errorf("%s: error is %s (%v), want %s", step, got, err, want)
	}
}

// TestReplayTakesTheRecordedFees compares the Withdraw and TransactionFeePaid events.
func TestReplayTakesTheRecordedFees(t *testing.T) {
	rec := readRecording(t)
	c := replay(t, rec)
	fees := func(raw []byte) map[string][]byte {
		all := map[string][]byte{}
		for _, head := range [][]byte{{balancesIndex, 8}, {paymentIndex, 0}} {
			for i := 0; i+2 < len(raw); i++ {
				if bytes.Equal(raw[i:i+2], head) && i >= 5 && raw[i-5] == 0 && bytes.Equal(raw[i-3:i], []byte{0, 0, 0}) && raw[i-4] >= 1 && raw[i-4] <= 2 {
					all[fmt.Sprint(head)] = raw[i+2 : min(len(raw), i+2+48)]
				}
			}
		}
		return all
	}
	same := 0
	for i, b := range rec.Blocks {
		want, got := fees(unhex(t, b.EventsHex)), fees(c.led.state.at(eventsKey, uint32(i+3)))
		if len(want) != 2 || len(got) != 2 {
			t.Fatalf("%s: fee events not found", b.Name)
		}
		w, g := scale.NewReader(want["[5 0]"][32:]).Big(16), scale.NewReader(got["[5 0]"][32:]).Big(16)
		if w.Cmp(g) == 0 {
			same++
		} else {
			t.Errorf("%s: fee %s, recorded %s", b.Name, g, w)
		}
	}
	if same != len(rec.Blocks) {
		t.Errorf("only %d of %d fees are the recorded ones", same, len(rec.Blocks))
	}
}

func TestReplayLeavesTheRecordedState(t *testing.T) {
	rec := readRecording(t)
	c := replay(t, rec)
	checked := 0
	for _, s := range rec.Storage {
		if s.Name == "System.Account" { // depends on what the recorded chain endowed
			continue
		}
		if got := c.led.state.at(string(unhex(t, s.Key)), c.led.head().number); !bytes.Equal(got, unhex(t, s.Value)) {
			t.Errorf("%s:\n got %x\nwant %s", s.Name, got, s.Value)
		}
		checked++
	}
	for _, a := range rec.RuntimeApi {
		got, err := callRuntime(runtime{spec: 1, tx: 1}, c.led.getter(c.led.head()), a.Method, unhex(t, a.Params))
		if err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
		want := unhex(t, a.Result)
		if a.Method == "Core_version" { // up to the list of APIs, of which we have fewer
			want, got = want[:32], got[:min(len(got), 32)]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", a.Name, got, want)
		}
		checked++
	}
	if checked != 17 {
		t.Errorf("%d values were compared, want 17", checked)
	}
}
