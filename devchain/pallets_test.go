package devchain

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"iod/key"
	"iod/scale"
)

// newTrial is an open block on which calls are tried without signatures.
func newTrial(t *testing.T, endowed map[key.AccountID]*big.Int) *exec {
	t.Helper()
	changes := genesisState(runtime{spec: 1, tx: 1}, endowed)
	values := map[string][]byte{}
	for _, c := range changes {
		values[c.key] = c.value
	}
	return &exec{overlay: newOverlay(func(k string) []byte { return values[k] }), number: 7, now: 1234,
		phase: []byte{0, 1, 0, 0, 0}, multiplier: unit}
}

// do dispatches a call given by its bytes and returns the pallet and index of each event, and its error.
func do(t *testing.T, x *exec, who key.AccountID, raw []byte) (events [][2]uint8, err error) {
	t.Helper()
	r := scale.NewReader(raw)
	c := readCall(r, 0)
	if err := r.End(); err != nil {
		t.Fatalf("call %x: %v", raw, err)
	}
	before := len(x.events)
	err = x.dispatch(c, who)
	for _, e := range x.events[before:] {
		events = append(events, [2]uint8{e[5], e[6]})
	}
	return events, err
}

func TestTransfers(t *testing.T) {
	a, b, c := key.AccountID{1}, key.AccountID{2}, key.AccountID{3}
	call := func(index uint8, to key.AccountID, value *big.Int) []byte {
		raw, err := scale.AppendCompactBig(append([]byte{balancesIndex, index, 0}, to[:]...), value)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	n := big.NewInt
	steps := []struct {
		name   string
		raw    []byte
		err    error
		events [][2]uint8
		a, c   int64
	}{
		{"too much", call(0, b, n(100_001)), moduleError(balancesIndex, 2), nil, 100_000, 0},
		{"too little for a new account", call(0, c, n(499)), moduleError(balancesIndex, 3), nil, 100_000, 0},
		{"new account", call(0, c, n(500)), nil, [][2]uint8{{0, 3}, {4, 0}, {4, 2}}, 99_500, 500},
		{"to one that is there", call(3, c, n(1)), nil, [][2]uint8{{4, 2}}, 99_499, 501},
		{"would end the sender", call(3, c, n(99_000)), moduleError(balancesIndex, 4), nil, 99_499, 501},
		{"nothing", call(0, c, n(0)), nil, nil, 99_499, 501},
		{"to oneself", call(0, a, n(5)), nil, nil, 99_499, 501},
		{"overflow", call(0, b, n(99_000)), errOverflow, nil, 99_499, 501},
		{"set_balance", append(call(1, c, n(1)), 0), errBadOrigin, nil, 99_499, 501},
		{"all but the deposit", append(append([]byte{balancesIndex, 4, 0}, c[:]...), 1), nil, [][2]uint8{{4, 2}}, 500, 99_500},
		{"ends the sender with dust", call(0, c, n(499)), nil, [][2]uint8{{0, 4}, {4, 1}, {4, 2}}, 0, 99_999},
		{"ended", call(0, c, n(1)), moduleError(balancesIndex, 2), nil, 0, 99_999},
	}
	x := newTrial(t, map[key.AccountID]*big.Int{a: n(100_000)})
	x.putAccount(b, account{providers: 1, free: maxBalance})
	x.set(issuanceKey, appendU128(nil, n(1_000_000)))
	for _, s := range steps {
		events, err := do(t, x, a, s.raw)
		if err != s.err || !slices.Equal(events, s.events) {
			t.Errorf("%s: %v and events %v, want %v and %v", s.name, err, events, s.err, s.events)
		}
		if x.account(a).free.Int64() != s.a || x.account(c).free.Int64() != s.c {
			t.Errorf("%s leaves %s and %s, want %d and %d", s.name, x.account(a).free, x.account(c).free, s.a, s.c)
		}
	}
	if x.has(accounts.key(a[:])) {
		t.Error("the ended account is still there")
	}
	if got := scale.NewReader(x.get(issuanceKey)).Big(16).Int64(); got != 999_999 {
		t.Errorf("issuance is %d after one planck of dust", got)
	}
}

func TestBatchesNest(t *testing.T) {
	a, b := key.AccountID{1}, key.AccountID{2}
	batchOf := func(index uint8, calls ...[]byte) []byte {
		raw := scale.AppendCompact([]byte{utilityIndex, index}, uint64(len(calls)))
		return append(raw, bytes.Join(calls, nil)...)
	}
	fails := append([]byte{rbacIndex, 4}, make([]byte, 32)...) // disable_role of none
	ok := transfer(b, 600)
	x := newTrial(t, map[key.AccountID]*big.Int{a: big.NewInt(1_000_000)})
	// batch_all inside force_batch inside batch_all is filtered out, and force_batch goes on, as the real runtime does.
	events, err := do(t, x, a, batchOf(2, ok, batchOf(4, batchOf(2, ok, fails), ok), ok))
	if err != nil || x.account(b).free.Int64() != 1800 {
		t.Errorf("%v, %s transferred", err, x.account(b).free)
	}
	want := [][2]uint8{{0, 3}, {4, 0}, {4, 2}, {8, 3}, {8, 4}, {4, 2}, {8, 3}, {8, 2}, {8, 3}, {4, 2}, {8, 3}, {8, 1}}
	if !slices.Equal(events, want) {
		t.Errorf("events %v, want %v", events, want)
	}
	events, err = do(t, x, a, batchOf(2, ok, batchOf(2, fails)))
	if err != errCallFiltered || len(events) != 0 || x.account(b).free.Int64() != 1800 {
		t.Errorf("failing batch_all: %v, events %v, %s", err, events, x.account(b).free)
	}
	if events, err = do(t, x, a, batchOf(2, ok, batchOf(0, fails), fails)); err != moduleError(rbacIndex, 2) || len(events) != 0 {
		t.Errorf("batch_all with a failure: %v, events %v", err, events)
	}
	// As a derivative account, which has nothing.
	raw := append([]byte{utilityIndex, 1, 3, 0}, ok...)
	if _, err := do(t, x, a, raw); err != moduleError(balancesIndex, 2) {
		t.Errorf("derivative account: %v", err)
	}
	many := make([][]byte, maxBatch+1)
	for i := range many {
		many[i] = []byte{systemIndex, 1, 0}
	}
	if _, err := do(t, x, a, batchOf(0, many...)); err != moduleError(utilityIndex, 0) {
		t.Errorf("too many calls: %v", err)
	}
	deep := ok
	for range errDispatchMax {
		deep = batchOf(0, deep)
	}
	r := scale.NewReader(deep)
	if readCall(r, 0); r.Err() != errNesting {
		t.Errorf("calls nested %d deep: %v", errDispatchMax, r.Err())
	}
}

func TestAttributeValidity(t *testing.T) {
	a := key.AccountID{1}
	add := func(index uint8, name string, validFor ...uint32) []byte {
		b := append([]byte{didIndex, index}, a[:]...)
		b = append(scale.AppendStr(scale.AppendStr(b, name), "v"), byte(len(validFor)))
		for _, n := range validFor {
			b = scale.AppendU32(b, n)
		}
		return b
	}
	x := newTrial(t, nil)
	for _, s := range []struct {
		raw []byte
		err error
	}{
		{add(0, "n", 1<<32-1), errMaxBlockNumber},
		{add(0, "n", 1<<32-8), nil}, // in block 7 the last that fits
		{add(0, "n"), errAttributeExists},
		{add(1, "n", 1<<32-7), errMaxBlockNumber},
		{add(1, "other", 1<<32-7), errMaxBlockNumber}, // before it is looked for
		{add(1, "other", 5), errAttributeNotFound},
		{add(1, "n", 5), nil},
	} {
		if _, err := do(t, x, a, s.raw); err != s.err {
			t.Errorf("%x: %v, want %v", s.raw, err, s.err)
		}
	}
	c := didCall{did: a, name: []byte("n")}
	want := append(scale.AppendStr(scale.AppendStr(nil, "n"), "v"), 12, 0, 0, 0, 0xd2, 4, 0, 0, 0, 0, 0, 0)
	if got := x.get(c.key()); !bytes.Equal(got, want) {
		t.Errorf("attribute is %x, want %x", got, want)
	}
}

// TestRBACRules names entities by a byte and checks the pallet's events and errors call by call.
func TestRBACRules(t *testing.T) {
	owner := key.AccountID{1}
	e := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	named := func(index uint8, id byte, name string) []byte {
		return scale.AppendStr(append([]byte{rbacIndex, index}, e(id)...), name)
	}
	ids := func(index uint8, list ...byte) []byte {
		b := []byte{rbacIndex, index}
		for _, id := range list {
			b = append(b, e(id)...)
		}
		return b
	}
	ask := func(index uint8, list ...byte) []byte {
		return append(append([]byte{rbacIndex, index}, owner[:]...), ids(0, list...)[2:]...)
	}
	missing, disabled, unassigned := moduleError(rbacIndex, 2), moduleError(rbacIndex, 3), moduleError(rbacIndex, 6)
	assigned := moduleError(rbacIndex, 5)
	const role, perm, group, user = 'r', 'p', 'g', 'u'
	x := newTrial(t, nil)
	for i, s := range []struct {
		raw   []byte
		err   error
		event uint8
	}{
		{named(2, role, "role"), nil, 0},
		{named(2, role, "role"), moduleError(rbacIndex, 1), 0},
		{named(2, 'x', string(make([]byte, 65))), errEntityName, 0},
		{named(3, role, "new"), nil, 1},
		{named(3, 'x', "new"), missing, 0},
		{ids(14, perm, role), missing, 0}, // no permission yet
		{named(10, perm, "perm"), nil, 14},
		{named(11, perm, "perm2"), nil, 15},
		{named(18, group, "group"), nil, 24},
		{named(19, group, "group2"), nil, 25},
		{ids(14, perm, role), nil, 17},
		{ids(14, perm, role), assigned, 0},
		{ids(6, role, user), nil, 5},
		{ids(6, 'x', user), missing, 0},
		{ids(21, role, group), nil, 7},
		{ids(24, user, group), nil, 27},
		{ids(24, user, group), assigned, 0},
		{ask(0, role), nil, 3}, {ask(1), nil, 4}, {ask(5, user), nil, 10}, {ask(8, perm), nil, 20}, {ask(9), nil, 21},
		{ask(13, role), nil, 19}, {ask(16, group), nil, 22}, {ask(17), nil, 23}, {ask(23, group), nil, 9},
		{ask(26, user), nil, 11}, {ask(27, user), nil, 12}, {ask(28, group), nil, 13},
		{ask(5, 'x'), unassigned, 0}, {ask(27, 'x'), nil, 12},
		{ids(20, group), nil, 26}, // disabled groups still give
		{ask(27, user), nil, 12},
		{ids(20, group), disabled, 0},
		{ids(24, 'v', group), nil, 27}, // and take members
		{ids(4, role), nil, 2},         // so do roles
		{ask(0, role), disabled, 0},
		{ask(27, user), nil, 12},
		{ids(12, perm), nil, 16}, // a disabled permission fails the user as a whole
		{ask(27, user), disabled, 0},
		{ids(15, perm, role), nil, 18},
		{ask(27, user), unassigned, 0}, // and so does a role without permissions
		{ids(7, role, user), nil, 6},
		{ids(7, role, user), unassigned, 0},
		{ids(22, role, group), nil, 8},
		{ask(27, user), nil, 12},
		{ids(25, user, group), nil, 28},
	} {
		events, err := do(t, x, owner, s.raw)
		if err != s.err {
			t.Errorf("step %d: %v, want %v", i, err, s.err)
		} else if err == nil && !slices.Equal(events, [][2]uint8{{rbacIndex, s.event}}) {
			t.Errorf("step %d: events %v, want %d", i, events, s.event)
		}
	}
}

// TestUnassignSearchesAsRust pins a fault of the real pallet: it searches an unsorted list by halving, so that some assignments
// cannot be taken back until others are.
func TestUnassignSearchesAsRust(t *testing.T) {
	p := func(b byte) pair { return newPair([32]byte{b}, [32]byte{}) }
	for _, x := range []struct {
		list []byte
		of   byte
		at   int
	}{
		{[]byte{1, 2, 3}, 3, 2}, {[]byte{1, 2, 3}, 1, 0}, {[]byte{2, 1}, 2, -1}, {[]byte{2, 1}, 1, 1},
		{[]byte{3, 1, 2}, 3, -1}, {[]byte{3, 1, 2}, 2, 2}, {[]byte{5}, 5, 0}, {nil, 1, -1},
	} {
		var all []pair
		for _, b := range x.list {
			all = append(all, p(b))
		}
		if got := binarySearch(all, p(x.of)); got != x.at {
			t.Errorf("%d in %v at %d, want %d", x.of, x.list, got, x.at)
		}
	}
}
