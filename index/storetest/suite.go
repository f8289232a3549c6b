package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Suite checks an implementation. open returns an empty store that the test closes at its end.
func Suite(t *testing.T, open func(t testing.TB) index.Store) {
	for _, x := range []struct {
		name string
		test func(*testing.T, index.Store)
	}{
		{"Empty", empty}, {"RoundTrip", roundTrip}, {"RollBack", rollBack}, {"Cursor", cursor}, {"Anchors", anchors}, {"Due", due},
		{"Search", search}, {"Reference", reference}, {"InMemory", inMemory}, {"Near", near}, {"Boxes", boxes}, {"Pages", pages},
		{"Columns", columns}, {"Matching", matching}, {"Ranks", ranks}, {"Meanwhile", meanwhile}, {"Legacy", legacy}, {"Injection", injection},
		{"Ended", ended}, {"History", history}, {"Reset", reset}, {"Walk", walk}, {"State", fromState}, {"Chains", chains},
		{"Faults", faults}, {"Expiry", expiry}, {"Undecodable", undecodable}, {"Poison", poisoned},
		{"Judged", judged}, {"Arranged", arranged}, {"ArrangedState", arrangedState}, {"TooMuch", tooMuch},
	} {
		t.Run(x.name, func(t *testing.T) { x.test(t, open(t)) })
	}
}

// Fill runs an index over the whole chain into the store and waits until it is there.
func Fill(t testing.TB, s index.Store, o index.Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Store = s
	head, err := o.Source.Finalised(ctx)
	if err != nil {
		t.Fatal(err)
	}
	notify := o.Notify
	o.Notify = func(p index.Progress) {
		if notify != nil {
			notify(p)
		}
		if p.Phase == index.Following && p.Block >= head.Number {
			cancel()
		}
	}
	if err := index.Run(ctx, o); err != nil {
		t.Fatal(err)
	}
	st := must(s.State(t.Context()))(t)
	if st.Cursor == nil || *st.Cursor != head {
		t.Fatalf("cursor %v, want %v", st.Cursor, head)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var genesis = index.Origin{Genesis: index.Hash{1}, Start: 7}

func begin(t *testing.T, s index.Store, listings ...*index.Listing) {
	t.Helper()
	if err := s.Reset(t.Context(), genesis); err != nil {
		t.Fatal(err)
	}
	put(t, s, listings...)
}

func put(t testing.TB, s index.Store, listings ...*index.Listing) {
	t.Helper()
	err := s.Update(t.Context(), func(tx index.Tx) error {
		for _, l := range listings {
			if err := tx.Put(t.Context(), l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// listing makes a live listing of an account of one byte; change adjusts it.
func listing(n byte, change func(*index.Listing)) *index.Listing {
	a := key.AccountID{n}
	at := index.Point{Block: 100 + uint32(n), Hash: index.Hash{n}, Time: Epoch.Add(time.Duration(n) * time.Minute), Extrinsic: 2, Event: 3}
	l := &index.Listing{
		Account: a, State: document.Verified, Raw: []byte{n, 0, 255}, Floor: 5, Signer: &a, First: at, Updated: at, PresenceAt: at,
		Expires: index.Never, ByOwn: true, Status: index.Live, Presence: index.Present, PresenceWho: &a,
		Device: document.Device{Account: a, DataType: "weather", Location: "Berlin", PriceAccess: "10", PricePin: "1.5", Sequence: 5},
	}
	if change != nil {
		change(l)
	}
	return l
}

func empty(t *testing.T, s index.Store) {
	st := must(s.State(t.Context()))(t)
	if st.Origin != nil || st.Cursor != nil || st.Live+st.Ended+st.SetAside+st.Verified != 0 {
		t.Errorf("an empty store is at %+v", st)
	}
	if l := must(s.Get(t.Context(), key.AccountID{1}))(t); l != nil {
		t.Errorf("an empty store has %+v", l)
	}
	if all := find(t, s, index.Query{}); len(all) != 0 {
		t.Errorf("an empty store finds %v", all)
	}
	if _, ok, err := s.Anchor(t.Context(), index.Never); ok || err != nil {
		t.Errorf("an empty store has an anchor, or %v", err)
	}
}

func roundTrip(t *testing.T, s index.Store) {
	owner, other := key.AccountID{77}, key.AccountID{78}
	full := listing(1, func(l *index.Listing) {
		d := &l.Device
		d.Node, d.Topics, d.Relays = key.NodeID{9}, []string{"a/#", "b"}, []string{"tls://relay.example:7777/x"}
		d.Owner, d.Vouch, l.Vouched, d.Fleet = &owner, "0x12", true, "roof"
		d.Location = "-89.5,179.25"
		d.Streams = []document.Stream{
			{Name: "a", Kind: "mqtt", DataType: "x", Unit: "m/s", Description: "d <&> \"'\\ ü 雨", ContentType: "c", Topics: []string{"t"}, Price: "1.000000000000000001", Period: "30d"},
			{Name: "b", Kind: "rtsp"}}
		d.Additional = []document.Additional{{Type: "z", Data: `"1"`}, {Type: "a", Data: "2"}}
		l.Floor, d.Sequence = 1<<62, 1<<62
		l.PresenceWho, l.Presence = &other, index.Overwritten
	})
	state := listing(2, func(l *index.Listing) {
		l.State, l.Reason, l.Signer, l.PresenceWho, l.ByOwn = document.Unverified, "it is not signed", nil, nil, false
		l.First.FromState, l.First.Extrinsic, l.First.Time = true, -1, time.Time{}
		l.Expires = 4_000_000_000
	})
	gone := listing(3, func(l *index.Listing) { l.Status, l.EndedBlock, l.Presence = index.Removed, 300, index.Gone })
	begin(t, s, full, state, gone)
	for _, want := range []*index.Listing{full, state, gone} {
		got := must(s.Get(t.Context(), want.Account))(t)
		want.Rank = got.Rank
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
		err := s.Update(t.Context(), func(tx index.Tx) error {
			inside, err := tx.Listing(t.Context(), want.Account)
			if err == nil && !reflect.DeepEqual(inside, want) {
				err = fmt.Errorf("within a transaction: %+v", inside)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	found := find(t, s, index.Query{Raw: true, Owner: &owner})
	if len(found) != 1 || !reflect.DeepEqual(found[0].Listing, full) {
		t.Errorf("search gives %+v", found)
	}
	full.Device.Streams, full.Device.Topics, full.Raw = nil, nil, []byte("other")
	put(t, s, full)
	if got := must(s.Get(t.Context(), full.Account))(t); !reflect.DeepEqual(got, full) {
		t.Errorf("after a change: got\n%+v, want\n%+v", got, full)
	}
}

func rollBack(t *testing.T, s index.Store) {
	begin(t, s, listing(1, nil))
	stop := errors.New("stop")
	err := s.Update(t.Context(), func(tx index.Tx) error {
		changed := listing(1, func(l *index.Listing) { l.Device.DataType = "changed" })
		err := errors.Join(tx.Put(t.Context(), changed), tx.Put(t.Context(), listing(2, nil)),
			tx.Record(t.Context(), index.Entry{Account: changed.Account, Action: index.Published, Raw: []byte("x")}),
			tx.SetAside(t.Context(), index.Aside{Reason: "x"}), tx.Advance(t.Context(), nil, []index.Cursor{{Number: 9}}, 9))
		if err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want that of the function", err)
	}
	st := must(s.State(t.Context()))(t)
	if st.Cursor != nil || st.Live != 1 || st.SetAside != 0 {
		t.Errorf("after rolling back: %+v", st)
	}
	if l := must(s.Get(t.Context(), key.AccountID{1}))(t); l.Device.DataType != "weather" {
		t.Errorf("after rolling back: %+v", l)
	}
	if l := must(s.Get(t.Context(), key.AccountID{2}))(t); l != nil {
		t.Errorf("after rolling back: %+v", l)
	}
	if h := must(s.History(t.Context(), key.AccountID{1}, 0, 10))(t); len(h) != 0 {
		t.Errorf("after rolling back: %+v", h)
	}
}

func cursor(t *testing.T, s index.Store) {
	begin(t, s)
	advance := func(was *index.Cursor, now index.Cursor) error {
		return s.Update(t.Context(), func(tx index.Tx) error { return tx.Advance(t.Context(), was, []index.Cursor{now}, now.Number+5) })
	}
	c := func(n uint32) index.Cursor { return index.Cursor{Number: n, Hash: index.Hash{byte(n), 1}} }
	first := c(8)
	if err := advance(nil, first); err != nil {
		t.Fatal(err)
	}
	for _, was := range []*index.Cursor{nil, {Number: 7, Hash: first.Hash}, {Number: 8, Hash: index.Hash{9}}} {
		if err := advance(was, c(9)); !errors.Is(err, index.ErrOtherWriter) {
			t.Errorf("advance from %v: %v, want ErrOtherWriter", was, err)
		}
	}
	st := must(s.State(t.Context()))(t)
	if st.Cursor == nil || *st.Cursor != first || st.Head != 13 || *st.Origin != genesis || st.Committed.IsZero() {
		t.Errorf("state %+v", st)
	}
	for below, want := range map[uint32]uint32{8: 8, 9: 8, index.Never: 8} {
		if got, ok, err := s.Anchor(t.Context(), below); err != nil || !ok || got != c(want) {
			t.Errorf("anchor below %d: %v, %v, %v", below, got, ok, err)
		}
	}
	if got, ok, err := s.Anchor(t.Context(), 7); ok || err != nil {
		t.Errorf("anchor below 7: %v, %v", got, err)
	}
}

// anchors: whatever the transactions in which blocks were passed by, the hashes of the same ones are known in the end.
func anchors(t *testing.T, s index.Store) {
	const last = 9000
	hash := func(n uint32) index.Hash { return index.Hash{byte(n), byte(n >> 8), 1} }
	for _, step := range []uint32{1, 7, 1000} {
		begin(t, s)
		var was *index.Cursor
		for n := uint32(0); n < last; {
			var passed []index.Cursor
			for ; n < last && len(passed) < int(step)*100; n++ {
				passed = append(passed, index.Cursor{Number: n + 1, Hash: hash(n + 1)})
			}
			for len(passed) > 0 { // one transaction for every step
				some := passed[:min(int(step), len(passed))]
				passed = passed[len(some):]
				if step == 1 && some[0].Number < last-300 && some[0].Number%index.Anchors != 0 {
					continue // for the time it takes
				}
				err := s.Update(t.Context(), func(tx index.Tx) error { return tx.Advance(t.Context(), was, some, last) })
				if err != nil {
					t.Fatal(err)
				}
				was = &some[len(some)-1]
			}
		}
		for below, want := range map[uint32]uint32{
			last: last, last - 1: last - 1, last - 63: last - 63, last - 64: 8896, 8896: 8896, 8895: 8832, 4928: 4928, 4927: 4096, 4096: 4096} {
			got := must(func() (index.Cursor, error) { c, _, err := s.Anchor(t.Context(), below); return c, err }())(t)
			if got.Number != want || got.Hash != hash(want) {
				t.Errorf("by %d: anchor below %d: %v, want %d", step, below, got, want)
			}
		}
		if got, ok, err := s.Anchor(t.Context(), 4095); ok || err != nil {
			t.Errorf("by %d: anchor below 4095: %v, %v", step, got, err)
		}
	}
}

func due(t *testing.T, s index.Store) {
	end := func(at uint32) func(*index.Listing) { return func(l *index.Listing) { l.Expires = at } }
	begin(t, s, listing(5, end(20)), listing(4, end(10)), listing(3, end(10)), listing(2, end(30)), listing(1, nil),
		listing(6, func(l *index.Listing) { l.Expires, l.Status = 1, index.Removed }))
	for _, x := range []struct {
		block uint32
		ended []byte
		next  uint32
	}{{0, nil, 10}, {10, nil, 10}, {11, []byte{3, 4}, 20}, {21, []byte{3, 4, 5}, 30}, {31, []byte{3, 4, 5, 2}, index.Never}} {
		err := s.Update(t.Context(), func(tx index.Tx) error {
			ended, next, err := tx.Due(t.Context(), x.block)
			var first []byte
			for _, a := range ended {
				first = append(first, a[0])
			}
			if !slices.Equal(first, x.ended) || next != x.next {
				t.Errorf("due at %d: %v, then %d; want %v, %d", x.block, first, next, x.ended, x.next)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ended(t *testing.T, s index.Store) {
	l := listing(1, func(l *index.Listing) { l.Device.Streams = []document.Stream{{Name: "a", Kind: "mqtt", DataType: "x"}} })
	begin(t, s, l, listing(2, func(l *index.Listing) { l.State = document.Unverified }))
	counts := func(live, verified, ended uint64) {
		t.Helper()
		if st := must(s.State(t.Context()))(t); st.Live != live || st.Verified != verified || st.Ended != ended {
			t.Errorf("counts %+v, want %d live, %d verified, %d ended", st, live, verified, ended)
		}
	}
	queries := []index.Query{{}, {Text: "weather"}, {DataTypes: []string{"x"}}, {Kinds: []string{"mqtt"}}, {State: document.Verified}, {Owner: &l.Account}}
	counts(2, 1, 0)
	for _, status := range []index.Status{index.Removed, index.Expired, index.Removed} {
		l.Status = status
		put(t, s, l)
		counts(1, 0, 1)
		for _, q := range queries {
			for _, found := range find(t, s, q) {
				if found.Account == l.Account {
					t.Errorf("%+v finds a listing that is %s", q, status)
				}
			}
		}
		if found := must(s.Legacy(t.Context(), index.LegacyQuery{Account: &l.Account}))(t); len(found) != 0 {
			t.Errorf("the old form finds a listing that is %s", status)
		}
	}
	l.Status = index.Live
	put(t, s, l)
	counts(2, 1, 0)
	for _, q := range queries {
		if found := find(t, s, q); !slices.ContainsFunc(found, func(f index.Found) bool { return f.Account == l.Account }) {
			t.Errorf("%+v does not find a listing that is back", q)
		}
	}
}

func history(t *testing.T, s index.Store) {
	begin(t, s)
	a, who := key.AccountID{1}, key.AccountID{2}
	at := func(n uint32) index.Point {
		return index.Point{Block: n, Hash: index.Hash{byte(n)}, Time: Epoch, Extrinsic: -1}
	}
	lines := []index.Entry{
		{Account: a, At: at(1), Who: &who, Action: index.Published, State: document.Verified, Sequence: 1 << 60},
		{Account: a, At: at(2), Who: &who, Action: index.Overwrote},
		{Account: a, At: at(3), Action: index.ActionExpired},
	}
	err := s.Update(t.Context(), func(tx index.Tx) error {
		for i, e := range lines {
			e.Raw = []byte("raw")
			aside := index.Aside{Account: &a, Who: &who, At: at(uint32(i)), Reason: fmt.Sprint("reason ", i), Size: 10 + i, Raw: []byte{byte(i)}}
			if i == 0 {
				aside.Account, aside.Who = nil, nil
			}
			if err := errors.Join(tx.Record(t.Context(), e), tx.SetAside(t.Context(), aside)); err != nil {
				return err
			}
		}
		return tx.Record(t.Context(), index.Entry{Account: who, At: at(9), Action: index.RemovedOwn})
	})
	if err != nil {
		t.Fatal(err)
	}
	got := must(s.History(t.Context(), a, 0, 10))(t)
	slices.Reverse(got)
	for i := range got {
		if i > 0 && got[i].ID <= got[i-1].ID {
			t.Errorf("line %d has the ID %d after %d", i, got[i].ID, got[i-1].ID)
		}
		lines[i].ID = got[i].ID
	}
	if !reflect.DeepEqual(got, lines) {
		t.Errorf("history\n%+v, want\n%+v", got, lines)
	}
	if got := must(s.History(t.Context(), a, 0, 1))(t); len(got) != 1 || got[0].Action != index.ActionExpired {
		t.Errorf("history of one line: %+v", got)
	}
	if got := must(s.History(t.Context(), a, lines[1].ID, 10))(t); len(got) != 1 || got[0].ID != lines[0].ID {
		t.Errorf("history before the second line: %+v", got)
	}
	changes := must(s.Changes(t.Context(), lines[0].ID, 3))(t)
	if len(changes) != 3 || changes[0].ID != lines[1].ID || changes[2].Account != who || changes[2].Action != index.RemovedOwn {
		t.Errorf("changes after the first line: %+v", changes)
	}
	if st := must(s.State(t.Context()))(t); st.Change != changes[2].ID {
		t.Errorf("the newest change is %d, want %d", st.Change, changes[2].ID)
	}
	asides := must(s.Asides(t.Context(), 0, 2))(t)
	if len(asides) != 2 || asides[0].Reason != "reason 2" || asides[0].Size != 12 || asides[1].Reason != "reason 1" || *asides[0].Account != a || *asides[0].Who != who {
		t.Fatalf("set aside: %+v", asides)
	}
	rest := must(s.Asides(t.Context(), asides[1].ID, 10))(t)
	if len(rest) != 1 || rest[0].Account != nil || rest[0].Who != nil || string(rest[0].Raw) != "\x00" || rest[0].At != at(0) {
		t.Errorf("set aside before: %+v", rest)
	}
	if st := must(s.State(t.Context()))(t); st.SetAside != 3 {
		t.Errorf("%d set aside, want 3", st.SetAside)
	}
}

func reset(t *testing.T, s index.Store) {
	begin(t, s, listing(1, nil), listing(2, func(l *index.Listing) { l.Status = index.Removed }))
	history(t, s)
	begin(t, s)
	st := must(s.State(t.Context()))(t)
	if st.Live+st.Verified+st.Ended+st.SetAside != 0 || st.Cursor != nil || *st.Origin != genesis {
		t.Errorf("after a reset: %+v", st)
	}
	if found := find(t, s, index.Query{Text: "weather"}); len(found) != 0 {
		t.Errorf("after a reset: %+v", found)
	}
	put(t, s, listing(1, nil))
	if found := find(t, s, index.Query{Text: "weather"}); len(found) != 1 {
		t.Errorf("filled again: %+v", found)
	}
}
