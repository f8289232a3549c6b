package provision

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"iod/chain"
	"iod/key"
	"iod/overlay"
)

var dark = slog.New(slog.DiscardHandler)

func planck(t testing.TB, n int64) chain.Planck {
	t.Helper()
	p, err := chain.PlanckFromBig(big.NewInt(n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever a loss of power makes of the state file, it is read whole or not at all, and a device starts.
func TestStateFileIsWholeOrIgnored(t *testing.T) {
	l := ledger{Fees: []fee{{testTime, planck(t, 41367921663)}, {testTime.Add(time.Hour), planck(t, 7)}}, Seen: testTime}
	whole := l.encode()
	if got, err := decodeLedger(whole); err != nil || fmt.Sprint(got) != fmt.Sprint(l) {
		t.Fatalf("%+v, %v", got, err)
	}
	for at := range whole[:len(whole)-1] { // the last byte is a line's end
		for _, b := range [][]byte{whole[:at], append(bytes.Clone(whole[:at]), make([]byte, len(whole)-at)...)} {
			if got, err := decodeLedger(b); err == nil {
				t.Fatalf("torn at %d it is read as %+v", at, got)
			}
		}
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[at] ^= 1 << bit
			if got, err := decodeLedger(b); err == nil && fmt.Sprint(got) != fmt.Sprint(l) {
				t.Fatalf("%s is read as %+v", b, got)
			}
		}
	}
	dir := t.TempDir()
	torn := []string{"{}", "{\"sum\":\"\",\"ledger\":null}"}
	for at := range whole[:len(whole)-1] {
		torn = append(torn, string(whole[:at]))
	}
	for _, torn := range torn {
		if err := os.WriteFile(filepath.Join(dir, ledgerName), []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openState(dir, dark)
		if err != nil {
			t.Fatalf("%q: %v", torn, err)
		}
		s.paid(fee{testTime, planck(t, 5)})
		s.close()
		if got, err := readLedger(dir); err != nil || len(got.Fees) != 1 {
			t.Errorf("after %q: %+v, %v", torn, got, err)
		}
	}
}

func TestStateKeepsAFloor(t *testing.T) {
	dir := t.TempDir()
	open := func(now time.Time) *state {
		t.Helper()
		s, err := openState(dir, dark)
		if err != nil {
			t.Fatal(err)
		}
		s.start(now)
		return s
	}
	now := testTime
	s := open(now)
	first := s.floor()
	if first.Before(firstMoment) {
		t.Errorf("floor %v", first)
	}
	modified := func() time.Time {
		info, err := os.Stat(filepath.Join(dir, ledgerName))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	day := first.Add(40 * 24 * time.Hour)
	s.seen(day, now)
	written := modified()
	for i := range 23 { // an hour after the other: nothing is written
		s.seen(day.Add(time.Duration(i)*time.Hour), now.Add(time.Duration(i)*time.Hour))
	}
	if !modified().Equal(written) {
		t.Error("the state file was written within a day")
	}
	s.close()
	s = open(now)
	if !s.floor().Equal(day) {
		t.Errorf("floor %v, want %v", s.floor(), day)
	}
	s.seen(day.Add(100*365*24*time.Hour), now) // a node that lies
	s.close()
	if s = open(now); s.floor().After(day.Add(leap)) {
		t.Errorf("a lie moved the floor to %v", s.floor())
	}
	s.close()
}

func TestFeesAreBounded(t *testing.T) {
	s, err := openState(filepath.Join("/dev/null", "state"), dark)
	if err != nil || s.dir() != "" || s.trouble() == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	for i := range 3 * maxFees {
		s.paid(fee{testTime, planck(t, int64(i))})
	}
	if f := s.fees(); len(f) != maxFees || f[maxFees-1].Planck.String() != fmt.Sprint(3*maxFees-1) {
		t.Errorf("%d fees", len(f))
	}
}

func TestBalance(t *testing.T) {
	day := 24 * time.Hour
	token := &chain.Properties{TokenDecimals: 2, TokenSymbol: "T"}
	fees := func(ages ...time.Duration) (all []fee) {
		for _, a := range ages {
			all = append(all, fee{testTime.Add(-a), planck(t, 100)})
		}
		return all
	}
	for name, c := range map[string]struct {
		free, frozen int64
		fees         []fee
		validFor     uint32
		pace         time.Duration
		poor         bool
		days         float64 // -1: it uses nothing
		low          bool
	}{
		"new":                     {free: 100_000, days: -1},
		"empty":                   {days: -1, low: true},
		"published once":          {free: 100_000, fees: fees(day), days: 30_000},
		"published long ago":      {free: 100_000, fees: fees(40 * day), days: -1},
		"busy":                    {free: 1_000, fees: fees(1*day, 2*day, 3*day, 4*day, 5*day, 6*day, 7*day, 8*day, 9*day, 10*day, 11*day, 12*day), days: 25, low: true},
		"frozen":                  {free: 100_000, frozen: 99_900, fees: fees(day), days: 30, low: true}, // one more fee
		"less than three fees":    {free: 299, fees: fees(40 * day), days: -1, low: true},
		"renewed":                 {free: 10_000, fees: fees(day), validFor: 21_600, pace: 6 * time.Second, days: 100},
		"renewed, fast blocks":    {free: 10_000, fees: fees(day), validFor: 21_600, pace: 3 * time.Second, days: 50},
		"renewed, not measured":   {free: 10_000, fees: fees(day), validFor: 21_600, days: 100},
		"could not be paid":       {free: 10_000, poor: true, days: -1, low: true},
		"in the future by clocks": {free: 100_000, fees: fees(-day), days: 30_000},
	} {
		v := view{balance: &chain.Balance{Free: planck(t, c.free), Frozen: planck(t, c.frozen)}, pace: c.pace, poor: c.poor}
		got := balanceStatus(v, token, c.fees, testTime, c.validFor)
		days := -1.0
		if got.DaysLeft != nil {
			days = *got.DaysLeft
		}
		if d := days - c.days; d > 0.01 || d < -0.01 || got.Low != c.low {
			t.Errorf("%s: %v days, low %v; want %v, %v", name, days, got.Low, c.days, c.low)
		}
	}
	got := balanceStatus(view{balance: &chain.Balance{Free: planck(t, 12345)}}, token, nil, testTime, 0)
	if got.Free != "123.45" || got.Token != "T" || got.Planck != "12345" {
		t.Errorf("%+v", got)
	}
	if got := balanceStatus(view{}, nil, nil, testTime, 0); got.Free != "" || got.Low || got.Planck != "" {
		t.Errorf("nothing is known: %+v", got)
	}
}

func TestDifferences(t *testing.T) {
	s := newScene(t)
	relay := overlay.RelayAddr{Host: "a:1", ID: key.NewNodeKey().ID()}
	m := *s.manifest
	if r := differences(&m, &m); len(r.Changes)+len(r.Restart) != 0 {
		t.Fatalf("nothing differs: %+v", r)
	}
	for want, change := range map[string]func(*Manifest){
		"stream cam added": func(m *Manifest) { m.Streams = append(m.Streams, Stream{Name: "cam"}) },
		"stream b removed": func(m *Manifest) { m.Streams = m.Streams[:1] },
		"stream a restarted": func(m *Manifest) {
			m.Streams = slices.Clone(m.Streams)
			m.Streams[0].Target = "127.0.0.1:1"
		},
		"topics a changed": func(m *Manifest) {
			m.Streams = slices.Clone(m.Streams)
			m.Streams[0].Topics = []string{"other"}
		},
		"program p added":                    func(m *Manifest) { m.Programs = []Program{{Name: "p"}} },
		"relay " + relay.String() + " added": func(m *Manifest) { m.Relays = append([]overlay.RelayAddr{relay}, m.Relays...) },
		"endpoints changed":                  func(m *Manifest) { m.RPC = []string{"ws://x"} },
		"lease changed":                      func(m *Manifest) { m.Lease += time.Second },
		"owner changed":                      func(m *Manifest) { m.Owner = &key.AccountID{1} },
		"fleet changed":                      func(m *Manifest) { m.Fleet = "f" },
		"document changed":                   func(m *Manifest) { m.Device.Location = "here" },
	} {
		other := m
		change(&other)
		if r := differences(&m, &other); len(r.Changes) != 1 || r.Changes[0].String() != want {
			t.Errorf("%s: %+v", want, r.Changes)
		}
	}
	other := m
	other.Key, other.State = "other", "other"
	if r := differences(&m, &other); len(r.Changes) != 0 || len(r.Restart) != 2 {
		t.Errorf("%+v", r)
	}
}
