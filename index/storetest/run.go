package storetest

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"iod/document"
	"iod/index"
	"iod/key"
)

var zero uint32

// walk: taking the history in at once and with an end after every few blocks give the same.
func walk(t *testing.T, s index.Store) {
	const blocks, devices = 120, 6
	accounts := Accounts(t, devices)
	Fill(t, s, index.Options{Source: Random(t, 1, blocks, devices), From: &zero})
	want := Dump(t, s, accounts...)
	for _, x := range []string{`"Action":"published"`, `"Action":"republished"`, `"Action":"overwritten"`, `"Action":"removed"`,
		`"Action":"removed-by-other"`, `"Action":"expired"`, "forged", "older", "unreadable", "unsigned"} {
		if !strings.Contains(strings.ReplaceAll(want, `": "`, `":"`), x) {
			t.Errorf("the random chain has no %s: the test shows less than it should", x)
		}
	}
	Fill(t, s, index.Options{Source: Random(t, 1, 1, devices), From: &zero, Rebuild: true})
	for n := 1; n <= blocks; n += 7 {
		Fill(t, s, index.Options{Source: Random(t, 1, n, devices)})
	}
	Fill(t, s, index.Options{Source: Random(t, 1, blocks, devices)})
	if got := Dump(t, s, accounts...); got != want {
		t.Errorf("walking in parts gives another index than at once:\n%s", FirstDifference(got, want))
	}
}

// FirstDifference shows where two dumps differ.
func FirstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return strings.Join(g[max(0, i-20):min(len(g), i+5)], "\n") + "\n--- want\n" + strings.Join(w[max(0, i-20):min(len(w), i+5)], "\n")
		}
	}
	return "one is longer"
}

// fromState: a new index reads the state, then follows; what it cannot know from the state it sets aside.
func fromState(t *testing.T, s index.Store) {
	signed, old, torn, ended := Account(t, "signed"), Account(t, "old"), Account(t, "torn"), Account(t, "ended")
	stranger := Account(t, "stranger").Account()
	c := NewChain("state")
	raw := Sign(t, signed, Weather(signed, 10))
	two := uint32(2)
	c.Append(Write(stranger, signed.Account(), raw, nil), Write(old.Account(), old.Account(), Unsigned(old.Account(), "noise", "3"), nil))
	c.Append(Write(torn.Account(), torn.Account(), Unsigned(torn.Account(), "light", "3"), nil), Write(stranger, torn.Account(), Unsigned(torn.Account(), "dark", "9"), nil),
		Write(ended.Account(), ended.Account(), Sign(t, ended, Weather(ended, 10)), &two))
	for range 5 {
		c.Append()
	}
	Fill(t, s, index.Options{Source: c})
	st := must(s.State(t.Context()))(t)
	if st.Live != 2 || st.Verified != 1 || st.SetAside != 1 || !st.Origin.FromState || st.Origin.Start != 7 {
		t.Errorf("state %+v", st)
	}
	l := must(s.Get(t.Context(), signed.Account()))(t)
	if l == nil || l.State != document.Verified || l.Signer != nil || !l.Updated.FromState || l.Updated.Block != 7 || !l.Updated.Time.Equal(Epoch.Add(BlockTime)) {
		t.Errorf("signed: %+v", l)
	}
	if l := must(s.Get(t.Context(), old.Account()))(t); l == nil || l.State != document.Unverified {
		t.Errorf("unsigned, only its own account wrote: %+v", l)
	}
	for _, a := range []key.AccountID{torn.Account(), ended.Account()} {
		if l := must(s.Get(t.Context(), a))(t); l != nil {
			t.Errorf("believed from the state: %+v", l)
		}
	}
	c.Append(Write(torn.Account(), torn.Account(), Unsigned(torn.Account(), "light", "3"), nil), Erase(signed.Account(), signed.Account()))
	Fill(t, s, index.Options{Source: c})
	if st := must(s.State(t.Context()))(t); st.Live != 2 || st.Verified != 0 || st.Ended != 1 || st.Cursor.Number != 8 {
		t.Errorf("after a further block: %+v", st)
	}
}

// chains: a store does not go on with another chain than its own.
func chains(t *testing.T, s index.Store) {
	for n := 1; n <= 40; n++ { // as it happens at the head of a chain, so that many blocks are recognised
		Fill(t, s, index.Options{Source: Random(t, 3, n, 3), From: &zero})
	}
	before := Dump(t, s, Accounts(t, 3)...)
	longer := NewChain("random") // the same block 0, others after it
	for range 60 {
		longer.Append()
	}
	shorter := NewChain("random")
	shorter.Append(Erase(key.AccountID{1}, key.AccountID{1}))
	for name, x := range map[string]struct {
		source index.Source
		want   error
	}{
		"another genesis":             {NewChain("other"), index.ErrOtherChain},
		"the same genesis and longer": {longer, index.ErrChainReset},
		"the same genesis and wiped":  {shorter, index.ErrChainReset},
		"nothing but the genesis":     {NewChain("random"), index.ErrChainReset},
		"a node that is behind":       {Random(t, 3, 30, 3), nil},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if x.want == nil {
			time.AfterFunc(100*time.Millisecond, cancel)
		}
		err := index.Run(ctx, index.Options{Source: x.source, Store: s})
		cancel()
		if !errors.Is(err, x.want) || x.want != nil && !strings.Contains(err.Error(), "--rebuild") {
			t.Errorf("%s: %v, want %v with what to do", name, err, x.want)
		}
	}
	if after := Dump(t, s, Accounts(t, 3)...); after != before {
		t.Error("a refused chain changed the index")
	}
	Fill(t, s, index.Options{Source: longer, From: &zero, Rebuild: true})
	if st := must(s.State(t.Context()))(t); st.Live+st.Ended+st.SetAside != 0 || st.Cursor.Number != 60 {
		t.Errorf("rebuilt: %+v", st)
	}
}

// failing is a store whose updates fail while there are failures left; each then has done half of its work.
type failing struct {
	index.Store
	left int
}

var errDisk = errors.New("the disk is full")

func (f *failing) Update(ctx context.Context, do func(index.Tx) error) error {
	return f.Store.Update(ctx, func(tx index.Tx) error {
		if err := do(tx); err != nil || f.left == 0 {
			return err
		}
		f.left--
		return errDisk
	})
}

// gap is a source that leaves a block out.
type gap struct{ *Chain }

func (g gap) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		for b, err := range g.Chain.Follow(ctx, from) {
			if b.Number != 5 && !yield(b, err) {
				return
			}
		}
	}
}

func faults(t *testing.T, s index.Store) {
	c := Random(t, 5, 60, 4)
	Fill(t, s, index.Options{Source: c, From: &zero})
	want := Dump(t, s, Accounts(t, 4)...)

	if err := index.Run(t.Context(), index.Options{Source: gap{c}, Store: s, From: &zero, Rebuild: true}); err == nil || !strings.Contains(err.Error(), "block 6 came after 4") {
		t.Errorf("a gap: %v", err)
	}
	for _, left := range []int{1, 2} {
		f := &failing{Store: s, left: left}
		Fill(t, f, index.Options{Source: c, From: &zero, Rebuild: true})
		if got := Dump(t, s, Accounts(t, 4)...); got != want {
			t.Errorf("after %d failures of the store another index:\n%s", left, FirstDifference(got, want))
		}
	}
	f := &failing{Store: s, left: 1 << 30}
	err := index.Run(t.Context(), index.Options{Source: c, Store: f, From: &zero, Rebuild: true, Patience: time.Nanosecond})
	if !errors.Is(err, errDisk) {
		t.Errorf("a store that stays broken: %v", err)
	}
	if st := must(s.State(t.Context()))(t); st.Cursor != nil || st.Live+st.Ended+st.SetAside != 0 {
		t.Errorf("a store that stays broken has %+v", st)
	}
}

func expiry(t *testing.T, s index.Store) {
	d := Account(t, "device")
	a := d.Account()
	raw := Sign(t, d, Weather(d, 10))
	c := NewChain("expiry")
	three := uint32(3)
	status := func() *index.Listing {
		t.Helper()
		Fill(t, s, index.Options{Source: c, From: &zero})
		return must(s.Get(t.Context(), a))(t)
	}
	c.Append(Write(a, a, raw, &three)) // block 1, to block 4
	for want := uint32(1); want <= 4; want++ {
		if l := status(); l.Status != index.Live || l.Expires != 4 {
			t.Fatalf("at block %d: %s, to block %d", want, l.Status, l.Expires)
		}
		c.Append()
	}
	if l := status(); l.Status != index.Expired || l.EndedBlock != 5 {
		t.Fatalf("at block 5: %s since %d", l.Status, l.EndedBlock)
	}
	c.Append(Write(a, a, raw, &three)) // block 6
	if l := status(); l.Status != index.Live || l.Expires != 9 || l.EndedBlock != 0 {
		t.Fatalf("renewed: %s to %d", l.Status, l.Expires)
	}
	for range 20 { // ends in the middle of one batch
		c.Append()
	}
	if l := status(); l.Status != index.Expired || l.EndedBlock != 10 {
		t.Fatalf("after block 26: %s since %d", l.Status, l.EndedBlock)
	}
	h := must(s.History(t.Context(), a, 0, 10))(t)
	var actions []index.Action
	for _, e := range h {
		actions = append(actions, e.Action)
	}
	want := []index.Action{index.ActionExpired, index.Republished, index.ActionExpired, index.Published}
	if len(actions) != len(want) || actions[0] != want[0] || actions[1] != want[1] || actions[2] != want[2] || actions[3] != want[3] {
		t.Errorf("history %v, want %v", actions, want)
	}
}

// undecodable: events and blocks that cannot be decoded are set aside with their place, and what is beside them is taken in.
func undecodable(t *testing.T, s index.Store) {
	d, other := Account(t, "device"), Account(t, "other")
	broken := func(value string) index.Event {
		return index.Event{Kind: index.Undecodable, Value: []byte(value), Doubt: "not of this world", Expires: index.Never}
	}
	c := NewChain("undecodable")
	c.Append(Write(d.Account(), d.Account(), Sign(t, d, Weather(d, 10)), nil), broken(""), Write(other.Account(), other.Account(), Sign(t, other, Weather(other, 10)), nil))
	whole := c.Append(broken(strings.Repeat("x", 3*index.MaxAsideRaw)))
	c.Append(Erase(other.Account(), other.Account()))
	Fill(t, s, index.Options{Source: c, From: &zero})
	if st := must(s.State(t.Context()))(t); st.Live != 1 || st.Ended != 1 || st.SetAside != 2 || st.Cursor.Number != 3 {
		t.Errorf("state %+v", st)
	}
	if l := must(s.Get(t.Context(), d.Account()))(t); l == nil || l.Presence != index.Present {
		t.Errorf("beside what cannot be decoded: %+v", l)
	}
	asides := must(s.Asides(t.Context(), 0, 10))(t)
	if len(asides) != 2 {
		t.Fatalf("set aside: %+v", asides)
	}
	a := asides[0]
	if a.At.Block != whole.Number || a.At.Hash != whole.Hash || a.Account != nil || a.Who != nil || a.Size != 3*index.MaxAsideRaw ||
		len(a.Raw) != index.MaxAsideRaw || !strings.Contains(a.Reason, "not of this world") {
		t.Errorf("set aside: %+v", a)
	}
	if a := asides[1]; a.At.Block != 1 || a.At.Extrinsic != 2 || a.At.Event != 5 {
		t.Errorf("set aside: %+v", a)
	}
}

// poisoned: whatever is poured in between, by the account itself and over good documents, is set aside with its reason and counted, and
// what is good is there before, between and after.
func poisoned(t *testing.T, s index.Store) {
	victim, fresh, later := Account(t, "victim"), Account(t, "fresh"), Account(t, "later")
	v, f := victim.Account(), fresh.Account()
	c := NewChain("poison")
	c.Append(Write(v, v, Sign(t, victim, Weather(victim, 1)), nil))
	n := 0
	for _, x := range Poison(t, fresh, 1000) {
		c.Append(Write(f, f, x.Raw, nil))
		n++
	}
	for _, x := range Poison(t, victim, 1000) {
		c.Append(Write(v, v, x.Raw, nil), Write(Account(t, "stranger").Account(), v, x.Raw, nil))
		n += 2
	}
	c.Append(Write(later.Account(), later.Account(), Sign(t, later, Weather(later, 1)), nil))
	Fill(t, s, index.Options{Source: c, From: &zero})
	st := must(s.State(t.Context()))(t)
	if st.Live != 2 || st.Verified != 2 || st.Ended != 0 || st.SetAside != uint64(n) || st.Cursor.Number != uint32(n-len(Poison(t, victim, 1000))+2) {
		t.Errorf("state %+v, want 2 live and %d set aside", st, n)
	}
	if l := must(s.Get(t.Context(), v))(t); l == nil || l.Status != index.Live || l.Presence != index.Overwritten || l.Device.Sequence != 1 {
		t.Errorf("what was overwritten: %+v", l)
	}
	if l := must(s.Get(t.Context(), f))(t); l != nil {
		t.Errorf("nothing but poison: %+v", l)
	}
	if found := must(s.Search(t.Context(), index.Query{Text: "weather"}))(t).Found; len(found) != 2 {
		t.Errorf("%d are found", len(found))
	}
	read := 0
	for before := int64(0); ; {
		page := must(s.Asides(t.Context(), before, index.MaxLimit))(t)
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			if read++; a.Reason == "" || len(a.Reason) > 600 || !utf8.ValidString(a.Reason) || len(a.Raw) > index.MaxAsideRaw || len(a.Raw) > a.Size ||
				a.Account == nil || a.Who == nil || strings.ContainsFunc(a.Reason, unicode.IsControl) {
				t.Errorf("set aside: %q, %d of %d bytes", a.Reason, len(a.Raw), a.Size)
			}
		}
		before = page[len(page)-1].ID
	}
	if read != n {
		t.Errorf("%d are told to be set aside, want %d", read, n)
	}
}
