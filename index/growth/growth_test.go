package growth_test

import (
	"context"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"iod/index"
	"iod/index/growth"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a reader of nothing but changes.
type ledger struct {
	index.Reader
	mu      sync.Mutex
	entries []index.Entry
}

func (l *ledger) Changes(_ context.Context, after int64, limit int) ([]index.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := min(int(after), len(l.entries))
	return l.entries[from:min(from+limit, len(l.entries))], nil
}

func (l *ledger) add(day, account int, a index.Action) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := index.Point{Block: uint32(len(l.entries))}
	if day >= 0 {
		at.Time = storetest.Epoch.AddDate(0, 0, day).Add(time.Hour)
	}
	l.entries = append(l.entries, index.Entry{ID: int64(len(l.entries) + 1), Account: key.AccountID{byte(account), byte(account >> 8)}, Action: a, At: at})
}

func day(n, fresh, updated, back, ended, live int) growth.Day {
	return growth.Day{Date: storetest.Epoch.AddDate(0, 0, n), New: fresh, Updated: updated, Back: back, Ended: ended, Live: live}
}

func TestDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		for i := range 1200 { // more than two pages
			l.add(i/400, i, index.Published)
		}
		l.add(3, 0, index.Published)
		l.add(3, 1, index.Republished) // healed: nothing new
		l.add(3, 2, index.Overwrote)
		l.add(3, 3, index.RemovedByElse)
		l.add(3, 4, index.RemovedOwn)
		l.add(-1, 5, index.ActionExpired) // of the day before it
		l.add(5, 4, index.Republished)
		l.add(5, 5, index.Published)
		l.add(5, 6, index.RemovedOwn)
		g := growth.New(l, growth.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		go g.Run(ctx)
		synctest.Wait()
		want := []growth.Day{day(5, 0, 0, 2, 1, 1199), day(3, 0, 1, 0, 2, 1198), day(2, 400, 0, 0, 0, 1200), day(1, 400, 0, 0, 0, 800), day(0, 400, 0, 0, 0, 400)}
		if got := g.Days(10); !g.Ready() || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		l.add(6, 7000, index.Published)
		time.Sleep(2 * time.Second)
		if got := g.Days(1); !reflect.DeepEqual(got, []growth.Day{day(6, 1, 0, 0, 0, 1200)}) {
			t.Errorf("a day later: %+v", got)
		}
		l.mu.Lock()
		l.entries = nil // built anew
		l.mu.Unlock()
		l.add(1, 1, index.Published)
		time.Sleep(2 * time.Second)
		if got := g.Days(10); !reflect.DeepEqual(got, []growth.Day{day(1, 1, 0, 0, 0, 1)}) {
			t.Errorf("after a rebuild: %+v", got)
		}
	})
}

// Whatever happens on a chain: at its end as many are offered as the store counts, and each is new once.
func TestAgreesWithTheStore(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := storetest.NewChain("growth")
	for i := range 40 {
		p := storetest.Account(t, storetest.Name(i%12))
		a := p.Account()
		switch life := uint32(i % 5); i % 4 {
		case 0:
			c.Append(storetest.Erase(a, a))
		case 1:
			c.Append(storetest.Write(a, a, storetest.Sign(t, p, storetest.Weather(p, uint64(i+1))), &life))
		default:
			c.Append(storetest.Write(a, a, storetest.Sign(t, p, storetest.Weather(p, uint64(i+1))), nil))
		}
	}
	first := uint32(0)
	storetest.Fill(t, s, index.Options{Source: c, From: &first})
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := growth.New(s, growth.Options{Poll: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for tick := time.NewTicker(time.Millisecond); !g.Ready(); <-tick.C {
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	days, fresh := g.Days(10), 0
	for _, d := range days {
		fresh += d.New
	}
	if len(days) == 0 || uint64(days[0].Live) != st.Live || uint64(fresh) != st.Live+st.Ended || st.Live == 0 || st.Ended == 0 {
		t.Errorf("%+v, and the store has %d live and %d ended", days, st.Live, st.Ended)
	}
}
