//go:build !device

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"iod/index"
	"iod/index/market"
)

// feeding are the options of bench feed.
type feeding struct {
	benchFlags
	feeds    int
	updates  int
	duration time.Duration
	force    bool
}

func (a *app) benchFeed() *cobra.Command {
	var b feeding
	c := &cobra.Command{
		Use:   "feed",
		Short: "Follow the changes of a made-up marketplace by many clients, and tell how late they hear",
		Long: `An index takes in a marketplace, so many publications a second, while a server in another process tells each of many clients of
every change, over HTTP as server-sent events. Tells whether all heard of all, once, and how long after the index was given the block.`,
		Example: "  iod bench feed\n  iod bench feed --database postgres:///feed --feeds 500 --updates 1000 -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if b.feeds < 1 || b.feeds > 1000 || b.updates < 1 || b.updates > 100_000 || b.duration < time.Second || b.duration > time.Hour {
				return usage(errors.New("--feeds must be 1 to 1000, --updates 1 to 100000, --duration 1s to 1h"))
			}
			return a.feedMarket(c.Context(), b)
		},
	}
	b.add(c, "")
	c.Flags().Lookup("database").Usage = "SQLite file, or URL of a PostgreSQL database (default: a file for the time being)"
	f := c.Flags()
	f.IntVar(&b.feeds, "feeds", 500, "clients")
	f.IntVar(&b.updates, "updates", 1000, "publications a second")
	f.DurationVar(&b.duration, "duration", 20*time.Second, "how long publications go on")
	f.BoolVar(&b.force, "force", false, "throw away what the database holds")
	return c
}

// toldFeeds is what `iod bench feed -o json` says.
type toldFeeds struct {
	Feeds    int     `json:"feeds"`
	Updates  int64   `json:"updates"`
	Rate     float64 `json:"updates_per_second"`
	Received int64   `json:"received"` // by all clients
	Lost     int64   `json:"lost"`
	Repeated int64   `json:"repeated"`
	P50      float64 `json:"p50_ms"` // from the block's being given to the index until a client has read the change
	P99      float64 `json:"p99_ms"`
	Most     float64 `json:"max_ms"`
	Memory   float64 `json:"server_mib"`
	CPU      float64 `json:"server_processors"`
}

func (a *app) feedMarket(ctx context.Context, b feeding) error {
	if b.database == "" {
		dir, err := os.MkdirTemp("", "iod-bench-feed-")
		if err != nil {
			return fmt.Errorf("bench feed: %w", err)
		}
		defer os.RemoveAll(dir)
		b.database = filepath.Join(dir, "feed.db")
	}
	store, err := openDatabase(ctx, b.database)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := vacant(ctx, store, b.force); err != nil {
		return err
	}
	if _, err := store.Campaign(ctx); err != nil {
		return err
	}
	p, err := newPaced(ctx, b)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	group, inner := errgroup.WithContext(ctx)
	first := uint32(0)
	begun := make(chan struct{})
	group.Go(func() error {
		return index.Run(inner, index.Options{Source: p, Store: store, From: &first, Rebuild: true, Log: a.log(), Notify: func(x index.Progress) {
			if x.Block >= p.first {
				p.once.Do(func() { close(begun) })
			}
		}})
	})
	group.Go(func() error {
		defer end()
		select {
		case <-begun:
		case <-inner.Done():
			return inner.Err()
		}
		return a.tellFeeds(inner, b, p, store)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tellFeeds starts the server and the clients, lets the market go on, and tells what came of it.
func (a *app) tellFeeds(ctx context.Context, b feeding, p *paced, store index.Reader) error {
	s := searching{benchFlags: b.benchFlags}
	stop, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	before, err := store.State(ctx)
	if err != nil {
		return err
	}
	readers := make([]*feedReader, b.feeds)
	transport := &http.Transport{MaxIdleConnsPerHost: b.feeds, DisableCompression: true}
	defer transport.CloseIdleConnections()
	reading, enough := context.WithCancel(ctx)
	defer enough()
	group, _ := errgroup.WithContext(reading)
	for i := range readers {
		r := &feedReader{paced: p, late: make([]uint32, mostLate+1)}
		if err := r.open(reading, transport, s.api); err != nil {
			return err
		}
		readers[i] = r
		group.Go(func() error { return r.read(reading) })
	}
	var server used
	watching, watched := context.WithCancel(ctx)
	group.Go(func() (err error) {
		server, err = watch(watching, s.pid)
		return err
	})
	began := time.Now()
	close(p.start)
	want, err := p.finish(ctx, before, store)
	took := time.Since(began)
	watched()
	if err == nil {
		err = waitFor(ctx, readers, want)
	}
	enough()
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	t := sumFeeds(readers, want)
	t.Rate, t.Memory, t.CPU = float64(len(want))/took.Seconds(), float64(server.resident)/(1<<20), server.cpu.Seconds()/took.Seconds()
	return a.print(t, "%d feeds heard of %d changes, %.0f a second: %d lost, %d repeated; after %.0f ms (half), %.0f ms (99 of 100), %.0f ms at most; the server needed %.0f MiB and %.2f processors\n",
		t.Feeds, t.Updates, t.Rate, t.Lost, t.Repeated, t.P50, t.P99, t.Most, t.Memory, t.CPU)
}

// paced is a market whose blocks come at their time, but for the first ones.
type paced struct {
	*market.Market
	blocks []index.Block
	first  uint32 // up to here they come at once
	each   time.Duration
	start  chan struct{}
	once   sync.Once

	mu sync.Mutex
	at []time.Time // when a block was given to the index
}

// pacedBefore is how many devices there are before any is watched.
const pacedBefore = 1000

func newPaced(ctx context.Context, b feeding) (*paced, error) {
	n := pacedBefore + int(float64(b.updates)*b.duration.Seconds())
	m, err := market.New(b.seed, n)
	if err != nil {
		return nil, err
	}
	p := &paced{Market: m, start: make(chan struct{}), at: make([]time.Time, m.Blocks()+1)}
	for x, err := range m.Follow(ctx, 0) { // made beforehand: signing takes its time
		if err != nil {
			return nil, err
		}
		if p.blocks = append(p.blocks, x); x.Number == m.Blocks() {
			break
		}
	}
	if len(p.blocks) != int(m.Blocks())+1 {
		return nil, context.Cause(ctx)
	}
	per := max(len(p.blocks[1].Events), 1)
	p.first = uint32(min(pacedBefore/per+1, len(p.blocks)-2))
	p.each = time.Duration(float64(per) / float64(b.updates) * float64(time.Second))
	return p, nil
}

// Finalised is the block from which on they come at their time.
func (p *paced) Finalised(context.Context) (index.Cursor, error) {
	return p.blocks[p.first].Cursor, nil
}

// Follow yields the blocks, those after the first ones each at its time.
func (p *paced) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		var begin time.Time
		for n := from; int(n) < len(p.blocks); n++ {
			if n > p.first {
				select {
				case <-p.start:
				case <-ctx.Done():
					return
				}
				if begin.IsZero() {
					begin = time.Now()
				}
				if rest(ctx, time.Until(begin.Add(time.Duration(n-p.first)*p.each))) != nil {
					return
				}
			}
			p.mu.Lock()
			p.at[n] = time.Now()
			p.mu.Unlock()
			if !yield(p.blocks[n], nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

// rest waits for exactly so long, or until ctx ends, which is the error.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// given is when the index was given a block.
func (p *paced) given(n uint32) (at time.Time, ok bool) {
	if int(n) >= len(p.at) {
		return at, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[n], !p.at[n].IsZero()
}

// finish waits until the store has the last block, and returns the numbers of the changes since then.
func (p *paced) finish(ctx context.Context, before index.State, store index.Reader) (ids []int64, err error) {
	for {
		st, err := store.State(ctx)
		if err != nil {
			return nil, err
		}
		if st.Cursor != nil && st.Cursor.Number >= p.Blocks() {
			break
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
	after := before.Change
	for {
		entries, err := store.Changes(ctx, after, 1000)
		if err != nil || len(entries) == 0 {
			return ids, err
		}
		for i := range entries {
			ids = append(ids, entries[i].ID)
		}
		after = ids[len(ids)-1]
	}
}

// mostLate is what counts as very late, in milliseconds.
const mostLate = 10_000

// feedReader is one client. Its numbers are read when it has ended, or under mu.
type feedReader struct {
	paced *paced
	body  *http.Response

	mu       sync.Mutex
	ids      []int64
	repeated int64
	late     []uint32 // how many came after so many milliseconds
}

func (r *feedReader) open(ctx context.Context, transport http.RoundTripper, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/changes", nil)
	if err != nil {
		return fmt.Errorf("follow the changes: %w", err)
	}
	if r.body, err = transport.RoundTrip(req); err != nil {
		return fmt.Errorf("follow the changes: %w", err)
	}
	if r.body.StatusCode != http.StatusOK {
		r.body.Body.Close()
		return fmt.Errorf("follow the changes: %s", r.body.Status)
	}
	return nil
}

// read reads until ctx ends.
func (r *feedReader) read(ctx context.Context) error {
	defer r.body.Body.Close()
	lines := bufio.NewReaderSize(r.body.Body, 32<<10)
	var id int64
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("a feed ended: %w", err)
		case bytes.HasPrefix(line, []byte("id: ")):
			if id, err = strconv.ParseInt(string(numberIn(line[4:])), 10, 64); err != nil {
				return fmt.Errorf("the feed's %.80q: %w", line, err)
			}
		case bytes.HasPrefix(line, []byte("event: reset")):
			return errors.New("a feed was reset")
		case bytes.HasPrefix(line, []byte("data: ")):
			if err := r.take(id, line); err != nil {
				return err
			}
		}
	}
}

func numberIn(b []byte) []byte {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return b[:n]
}

func (r *feedReader) take(id int64, data []byte) error {
	_, rest, _ := bytes.Cut(data, []byte(`"block":`))
	block, err := strconv.ParseUint(string(numberIn(rest)), 10, 32)
	if err != nil {
		return fmt.Errorf("the feed's %.80q names no block", data)
	}
	at, ok := r.paced.given(uint32(block))
	if !ok {
		return fmt.Errorf("the feed tells of block %d before it was there", block)
	}
	late := min(time.Since(at).Milliseconds(), mostLate)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.ids); n > 0 && id <= r.ids[n-1] {
		r.repeated++
		return nil
	}
	r.ids = append(r.ids, id)
	r.late[late]++
	return nil
}

// waitFor waits until all have heard of the last change, or a while longer than anybody would.
func waitFor(ctx context.Context, readers []*feedReader, want []int64) error {
	deadline := time.Now().Add(mostLate * time.Millisecond)
	for _, r := range readers {
		for {
			r.mu.Lock()
			there := len(r.ids) >= len(want)
			r.mu.Unlock()
			if there || time.Now().After(deadline) {
				break
			}
			if err := rest(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// sumFeeds compares what was heard with what there was to hear.
func sumFeeds(readers []*feedReader, want []int64) toldFeeds {
	t := toldFeeds{Feeds: len(readers), Updates: int64(len(want))}
	late := make([]uint64, mostLate+1)
	for _, r := range readers {
		heard := 0
		for _, id := range r.ids {
			if _, there := slices.BinarySearch(want, id); there {
				heard++
			}
		}
		t.Received += int64(heard)
		t.Lost += int64(len(want) - heard)
		t.Repeated += r.repeated
		for ms, n := range r.late {
			late[ms] += uint64(n)
		}
	}
	t.P50, t.P99, t.Most = latest(late, 0.5), latest(late, 0.99), latest(late, 1)
	return t
}

// latest is the time in milliseconds within which a part of all came.
func latest(late []uint64, part float64) float64 {
	all := uint64(0)
	for _, n := range late {
		all += n
	}
	sum, last := uint64(0), 0
	for ms, n := range late {
		if n > 0 {
			last = ms
		}
		if sum += n; n > 0 && float64(sum) >= part*float64(all) {
			return float64(ms)
		}
	}
	return float64(last)
}
