package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/document"
	"iod/index"
	"iod/key"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a store of changes. Device n measures "type n%3"; it has ended when its last change is a removal.
type fake struct {
	index.Reader
	mu      sync.Mutex
	origin  index.Origin
	history []index.Entry
	ids     int64
	away    bool
	reads   int // calls of Changes
}

var errAway = errors.New("the database is away")

func account(n int) (a key.AccountID) {
	copy(a[:], fmt.Sprintf("device %d", n))
	return a
}

// add appends changes of devices in turn.
func (f *fake) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.ids += 1 + int64(len(f.history)%3) // IDs may have gaps
		f.history = append(f.history, index.Entry{ID: f.ids, Account: account(len(f.history) % 100), Action: index.Published, Sequence: uint64(f.ids)<<8 + uint64(f.origin.Start),
			At: index.Point{Block: uint32(len(f.history)), Time: time.Unix(int64(len(f.history)), 0), Extrinsic: 1}})
	}
}

func (f *fake) remove(device int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	f.history = append(f.history, index.Entry{ID: f.ids, Account: account(device), Action: index.RemovedOwn, At: index.Point{Extrinsic: 1}})
}

func (f *fake) reset(start uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history, f.ids, f.origin = nil, 0, index.Origin{Start: start}
}

func (f *fake) alter(line int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history[line].Sequence++
}

func (f *fake) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *fake) all() (ids []int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.history {
		ids = append(ids, e.ID)
	}
	return ids
}

func (f *fake) State(context.Context) (index.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return index.State{}, errAway
	}
	return index.State{Origin: &f.origin, Change: f.ids}, nil
}

func (f *fake) Changes(_ context.Context, after int64, limit int) ([]index.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.away {
		return nil, errAway
	}
	i, _ := slices.BinarySearchFunc(f.history, after+1, func(e index.Entry, id int64) int { return cmp.Compare(e.ID, id) })
	return slices.Clone(f.history[i:min(len(f.history), i+limit)]), nil
}

func (f *fake) Rows(_ context.Context, accounts []key.AccountID) (rows []index.Row, _ error) {
	listings, err := f.Listings(context.Background(), accounts, false)
	for _, l := range listings {
		r := index.Row{Account: l.Account, Live: l.Status == index.Live, State: l.State, Placed: true, Lat: 10, Lon: 20}
		if r.Live {
			r.Offers = l.Offers()
		}
		rows = append(rows, r)
	}
	return rows, err
}

func (f *fake) Listings(_ context.Context, accounts []key.AccountID, _ bool) (all []*index.Listing, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errAway
	}
	for _, a := range accounts {
		var n int
		if _, err := fmt.Sscanf(string(a[:]), "device %d", &n); err != nil {
			return nil, err
		}
		l := &index.Listing{Account: a, State: document.Verified, Status: index.Live, Device: document.Device{Account: a, DataType: fmt.Sprintf("type%d", n%3)}}
		for _, e := range slices.Backward(f.history) {
			if e.Account == a {
				if e.Action == index.RemovedOwn {
					l.Status = index.Removed
				}
				break
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// running runs a hub until the test ends.
func running(t *testing.T, f *fake, o Options) *Hub {
	h := New(f, o)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}
