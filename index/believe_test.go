package index_test

import (
	"strings"
	"testing"

	"iod/document"
	"iod/index"
	"iod/index/storetest"
	"iod/key"
)

// history plays claims one after the other as the follower does.
type history struct {
	t       *testing.T
	chain   *storetest.Chain
	listing *index.Listing
	last    index.Outcome
}

func (h *history) play(events ...index.Event) {
	h.t.Helper()
	for _, c := range index.Digest(h.chain.Append(events...)) {
		before := h.listing
		var copied index.Listing
		if before != nil {
			copied = *before
		}
		h.last = index.Believe(before, c)
		if before != nil && (before.Status != copied.Status || before.Presence != copied.Presence || before.Expires != copied.Expires) {
			h.t.Fatal("Believe changed the listing that it was given")
		}
		if h.last.Listing != nil {
			h.listing = h.last.Listing
		}
	}
}

func (h *history) fromState(e index.Event) {
	h.t.Helper()
	b := h.chain.Append()
	b.FromState, b.Events = true, []index.Event{e}
	for _, c := range index.Digest(b) {
		h.last = index.Believe(h.listing, c)
		if h.last.Listing != nil {
			h.listing = h.last.Listing
		}
	}
}

// Every rule of what is believed, in a scene of its own. want: action, listing's status, presence and document; aside is a part
// of the reason for which the last event's document was set aside.
func TestBelieve(t *testing.T) {
	device, stranger := storetest.Account(t, "device"), storetest.Account(t, "stranger")
	d, s := device.Account(), stranger.Account()
	signed := func(sequence uint64) []byte { return storetest.Sign(t, device, storetest.Weather(device, sequence)) }
	first, second := signed(1000), signed(2000)
	v1, v1b := storetest.Unsigned(d, "noise", "3"), storetest.Unsigned(d, "light", "4")
	otherOfSame := storetest.Weather(device, 1000)
	otherOfSame.DataType = "other"
	same := storetest.Sign(t, device, otherOfSame)
	strangers := storetest.Sign(t, stranger, storetest.Weather(stranger, 9000))
	own := func(raw []byte) index.Event { return storetest.Write(d, d, raw, nil) }
	foreign := func(raw []byte) index.Event { return storetest.Write(s, d, raw, nil) }
	blocks := func(n uint32) *uint32 { return &n }

	for _, x := range []struct {
		name     string
		events   []index.Event
		action   index.Action
		status   index.Status
		presence index.Presence
		raw      []byte
		aside    string
	}{
		{"signed, by its account", []index.Event{own(first)}, index.Published, index.Live, index.Present, first, ""},
		{"signed, sent by another", []index.Event{foreign(first)}, index.Published, index.Live, index.Present, first, ""},
		{"newer replaces", []index.Event{own(first), own(second)}, index.Published, index.Live, index.Present, second, ""},
		{"newer replaces whoever sends it", []index.Event{own(first), foreign(second)}, index.Published, index.Live, index.Present, second, ""},
		{"older never replaces", []index.Event{own(second), own(first)}, index.Overwrote, index.Live, index.Overwritten, second, "older"},
		{"older, sent by another", []index.Event{own(second), foreign(first)}, index.Overwrote, index.Live, index.Overwritten, second, "older"},
		{"other with the same sequence", []index.Event{own(first), own(same)}, index.Overwrote, index.Live, index.Overwritten, first, "same sequence"},
		{"another DID's document", []index.Event{own(first), foreign(strangers)}, index.Overwrote, index.Live, index.Overwritten, first, "forged"},
		{"another DID's document at first", []index.Event{foreign(strangers)}, "", "", "", nil, "forged"},
		{"garbage over it", []index.Event{own(first), foreign([]byte{0xde, 0xad})}, index.Overwrote, index.Live, index.Overwritten, first, "unreadable"},
		{"healed", []index.Event{own(first), foreign([]byte{0xde, 0xad}), own(first)}, index.Republished, index.Live, index.Present, first, ""},
		{"healed by another", []index.Event{own(first), foreign([]byte{0xde, 0xad}), foreign(first)}, index.Republished, index.Live, index.Present, first, ""},
		{"unsigned over signed, own", []index.Event{own(first), own(v1)}, index.Overwrote, index.Live, index.Overwritten, first, "unsigned"},
		{"unsigned, own", []index.Event{own(v1)}, index.Published, index.Live, index.Present, v1, ""},
		{"unsigned, by another", []index.Event{foreign(v1)}, "", "", "", nil, "sent by another account"},
		{"unsigned over unsigned, own", []index.Event{own(v1), own(v1b)}, index.Published, index.Live, index.Present, v1b, ""},
		{"unsigned over unsigned, by another", []index.Event{own(v1), foreign(v1b)}, index.Overwrote, index.Live, index.Overwritten, v1, "sent by another account"},
		{"signed over unsigned", []index.Event{own(v1), foreign(first)}, index.Published, index.Live, index.Present, first, ""},
		{"removed by its account", []index.Event{own(first), storetest.Erase(d, d)}, index.RemovedOwn, index.Removed, index.Gone, first, ""},
		{"removed by another", []index.Event{own(first), storetest.Erase(s, d)}, index.RemovedByElse, index.Live, index.Gone, first, ""},
		{"unsigned, removed by another", []index.Event{own(v1), storetest.Erase(s, d)}, index.RemovedByElse, index.Live, index.Gone, v1, ""},
		{"removed before it was there", []index.Event{storetest.Erase(s, d)}, "", "", "", nil, ""},
		{"removed twice", []index.Event{own(first), storetest.Erase(d, d), storetest.Erase(s, d)}, "", index.Removed, index.Gone, first, ""},
		{"replayed after the removal", []index.Event{own(first), storetest.Erase(d, d), foreign(first)}, "", index.Removed, index.Gone, first, "has ended"},
		{"published again after the removal", []index.Event{own(first), storetest.Erase(d, d), own(first)}, index.Republished, index.Live, index.Present, first, ""},
		{"newer after the removal", []index.Event{own(first), storetest.Erase(d, d), foreign(second)}, index.Published, index.Live, index.Present, second, ""},
		{"older after the removal", []index.Event{own(second), storetest.Erase(d, d), own(first)}, "", index.Removed, index.Gone, second, "older"},
		{"unsigned after the removal", []index.Event{own(first), storetest.Erase(d, d), own(v1)}, index.Published, index.Live, index.Present, v1, ""},
		{"given up, then replayed", []index.Event{own(first), storetest.Erase(d, d), own(v1), foreign(first)}, index.Overwrote, index.Live, index.Overwritten, v1, "gave up"},
		{"given up, then taken up", []index.Event{own(first), storetest.Erase(d, d), own(v1), own(first)}, index.Published, index.Live, index.Present, first, ""},
		{"a stranger's copy with a short validity", []index.Event{own(first), storetest.Write(s, d, first, blocks(1))}, index.Republished, index.Live, index.Present, first, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := &history{t: t, chain: storetest.NewChain("test")}
			for _, e := range x.events {
				h.play(e)
			}
			if h.last.Action != x.action {
				t.Errorf("action %q, want %q", h.last.Action, x.action)
			}
			if (x.aside == "") != (h.last.Aside == "") || !strings.Contains(h.last.Aside, x.aside) {
				t.Errorf("set aside for %q, want %q", h.last.Aside, x.aside)
			}
			switch {
			case h.listing == nil && x.raw == nil:
			case h.listing == nil || x.raw == nil:
				t.Fatalf("listing %+v, want document %x", h.listing, x.raw)
			case string(h.listing.Raw) != string(x.raw) || h.listing.Status != x.status || h.listing.Presence != x.presence:
				t.Errorf("listing is %s, %s with %q; want %s, %s", h.listing.Status, h.listing.Presence, h.listing.Device.DataType, x.status, x.presence)
			case h.listing.Expires != index.Never:
				t.Errorf("listing ends at block %d", h.listing.Expires)
			}
		})
	}
}

func TestValidityIsBelievedOfTheOwnAccount(t *testing.T) {
	device, stranger := storetest.Account(t, "device"), storetest.Account(t, "stranger")
	d, s := device.Account(), stranger.Account()
	raw := storetest.Sign(t, device, storetest.Weather(device, 1000))
	h := &history{t: t, chain: storetest.NewChain("test")}
	ten, one := uint32(10), uint32(1)
	steps := []struct {
		event index.Event
		want  uint32
	}{
		{storetest.Write(s, d, raw, &ten), 1 + 10}, // nothing better is known
		{storetest.Write(s, d, raw, nil), 1 + 10},  // nor is this
		{storetest.Write(d, d, raw, &ten), 3 + 10}, // the account itself
		{storetest.Write(s, d, raw, &one), 3 + 10}, // a stranger neither shortens
		{storetest.Write(s, d, raw, nil), 3 + 10},  // nor extends
		{storetest.Write(d, d, raw, nil), index.Never},
	}
	for i, x := range steps {
		if h.play(x.event); h.listing.Expires != x.want {
			t.Errorf("step %d: ends at %d, want %d", i, h.listing.Expires, x.want)
		}
	}
}

func TestState(t *testing.T) {
	device := storetest.Account(t, "device")
	d := device.Account()
	signed, v1 := storetest.Sign(t, device, storetest.Weather(device, 1000)), storetest.Unsigned(d, "noise", "3")
	entry := func(who, account *key.AccountID, raw []byte, doubt string) index.Event {
		return index.Event{Kind: index.Written, Who: who, Account: account, Value: raw, Expires: index.Never, Extrinsic: -1, Doubt: doubt}
	}
	for _, x := range []struct {
		name  string
		event index.Event
		state document.State
		aside string
	}{
		{"signed", entry(nil, &d, signed, "x"), document.Verified, ""},
		{"unsigned, only by its account", entry(&d, &d, v1, ""), document.Unverified, ""},
		{"unsigned, by whomever", entry(nil, &d, v1, "read from the state"), "", "unsigned, and read from the state"},
		{"whose?", entry(nil, nil, signed, ""), "", "whose"},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := &history{t: t, chain: storetest.NewChain("test")}
			h.fromState(x.event)
			if !strings.Contains(h.last.Aside, x.aside) || (x.aside == "") != (h.last.Aside == "") {
				t.Errorf("set aside for %q, want %q", h.last.Aside, x.aside)
			}
			if x.state == "" != (h.listing == nil) || h.listing != nil && h.listing.State != x.state {
				t.Errorf("listing %+v, want %q", h.listing, x.state)
			}
		})
	}
}
