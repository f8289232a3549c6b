//go:build !device

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"iod/api"
	"iod/document"
	"iod/index"
	"iod/index/market"
)

// searching is how `iod bench search` searches.
type searching struct {
	benchFlags
	api         string
	pid         int
	concurrency int
	duration    time.Duration
	warm        time.Duration
}

func (a *app) benchSearch() *cobra.Command {
	var s searching
	c := &cobra.Command{
		Use:   "search",
		Short: "Search a made-up marketplace as people would, and tell how fast the answers come",
		Long: `Asks the HTTP API of an index of a market that iod bench market made for what people would ask it for, in a reproducible
mix, over several connections that are kept open. With --database it starts a server of its own, in another process, and tells how much
memory that needed.`,
		Example: "  iod bench search --database market.db --duration 30s\n  iod bench search --api http://127.0.0.1:8080 --pid $(pidof iod) -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.loadMarket(c.Context(), s, []byte(`{"did":`), searchesOf)
		},
	}
	s.flags(c)
	return c
}

func (s *searching) flags(c *cobra.Command) {
	s.add(c, "")
	f := c.Flags()
	f.StringVar(&s.api, "api", "", "URL of an index's API")
	f.IntVar(&s.pid, "pid", 0, "process of the server, whose memory is told")
	f.IntVar(&s.concurrency, "concurrency", 8, "searches at once")
	f.DurationVar(&s.duration, "duration", 20*time.Second, "how long to search")
	f.DurationVar(&s.warm, "warm", 3*time.Second, "how long to search before that, without counting")
}

func (s *searching) check() error {
	switch {
	case (s.api == "") == (s.database == ""):
		return usage(errors.New("name one of --api and --database"))
	case s.concurrency < 1 || s.concurrency > 1000 || s.duration <= 0 || s.warm < 0:
		return usage(errors.New("--concurrency must be 1 to 1000, --duration above 0 and --warm not below"))
	}
	return nil
}

// loadMarket asks the questions of a sequence and tells what came of it; item stands in an answer once for each of what is found.
func (a *app) loadMarket(ctx context.Context, s searching, item []byte, sequence func(*market.Searches) enquiries) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.database != "" {
		end, err := s.start(ctx)
		if err != nil {
			return err
		}
		defer end()
	}
	st, err := (&api.Client{Base: s.api}).Status(ctx)
	if err != nil {
		return a.indexError(err)
	}
	m, err := market.New(s.seed, int(st.Devices.Live))
	if err != nil {
		return err
	}
	if st.Genesis != m.Genesis().String() {
		return hint(usage(fmt.Errorf("the index does not hold the market with seed %d", s.seed)), "fill one with: iod bench market")
	}
	l := &load{base: s.api, concurrency: s.concurrency, item: item, sequence: func(seed uint64) enquiries { return sequence(m.Searches(seed)) }}
	defer l.close()
	if _, err := l.run(ctx, s.warm, 1000, s.pid); err != nil {
		return err
	}
	r, err := l.run(ctx, s.duration, 1, s.pid)
	if err != nil {
		return err
	}
	return a.tellSearches(r)
}

// nextPage is the class of searches for the page after one that was found, which is what one of nextEvery does.
const (
	nextPage  = "next page"
	nextEvery = 10
)

func searchesOf(searches *market.Searches) enquiries {
	var last api.Query
	n := 0
	return func(answer []byte) enquiry {
		s := searches.Next()
		class, q := s.Class, asked(s.Query)
		if mark := markIn(answer); n%nextEvery == nextEvery-1 && mark != "" {
			class, q = nextPage, last
			q.After = mark
		}
		last = q
		n++
		return enquiry{class, "/api/v1/devices", q.Values()}
	}
}

// markIn is the place of the next page in an answer; empty: there is none.
func markIn(body []byte) string {
	const begin = `],"next":"`
	i := bytes.LastIndex(body, []byte(begin))
	if i < 0 {
		return ""
	}
	mark, _, _ := bytes.Cut(body[i+len(begin):], []byte{'"'})
	return string(mark)
}

// asked is a search as the API's client asks it.
func asked(q index.Query) api.Query {
	float := func(f float64) string { return strconv.FormatFloat(f, 'f', 5, 64) }
	out := api.Query{Text: q.Text, DataTypes: q.DataTypes, Kinds: q.Kinds, Units: q.Units, Sort: string(q.Order), Limit: q.Limit}
	if q.MinPrice != nil {
		out.MinPrice = q.MinPrice.String()
	}
	if q.MaxPrice != nil {
		out.MaxPrice = q.MaxPrice.String()
	}
	if q.Owner != nil {
		out.Owner = q.Owner.String()
	}
	if q.State != "" {
		verified := q.State == document.Verified
		out.Verified = &verified
	}
	if !q.Since.IsZero() {
		out.Since = q.Since.Format(time.RFC3339)
	}
	if b := q.Box; b != nil {
		out.Box = strings.Join([]string{float(b.West), float(b.South), float(b.East), float(b.North)}, ",")
	}
	if n := q.Near; n != nil {
		out.Near, out.Within = float(n.Lat)+","+float(n.Lon), n.Km
	}
	return out
}

// start starts a server of the database in another process, which end ends.
func (s *searching) start(ctx context.Context) (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := exec.CommandContext(ctx, self, "bench", "serve", "--database", s.database, "--seed", strconv.FormatUint(s.seed, 10),
		"--listen", "127.0.0.1:0", "--rate", "0", "-o", "json")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start a server of %s: %w", s.database, err)
	}
	end = func() {
		cancel()
		c.Wait() //nolint:errcheck // it was told to end
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var at struct {
		API string `json:"api"`
	}
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("start a server of %s: %w", s.database, err)
	}
	s.api, s.pid = at.API, c.Process.Pid
	return end, nil
}

// toldClass is a line of `iod bench search -o json`; the last one is of all searches, without a class.
type toldClass struct {
	Class  string  `json:"class,omitempty"`
	Count  int     `json:"searches"`
	Rate   float64 `json:"per_second,omitempty"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Most   float64 `json:"max_ms"`
	Found  float64 `json:"found"` // listings in an answer, on average
	Failed int     `json:"failed"`
	Memory float64 `json:"server_mib,omitempty"`    // resident, at most
	CPU    float64 `json:"server_cpu_ms,omitempty"` // of a search
}

func (a *app) tellSearches(r *outcome) error {
	lines := append(r.classes(), r.all())
	if a.json() {
		for _, l := range lines {
			if err := a.encodeLine(l); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "searches\tp50 ms\tp99 ms\tmax ms\tfound\tfailed\t  class\t")
	for _, l := range lines {
		name := l.Class
		if name == "" {
			name = "all"
		}
		fmt.Fprintf(t, "%d\t%.2f\t%.2f\t%.2f\t%.1f\t%d\t  %s\t\n", l.Count, l.P50, l.P99, l.Most, l.Found, l.Failed, name)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	last := lines[len(lines)-1]
	text := fmt.Sprintf("%.0f answers a second", last.Rate)
	if last.Memory > 0 {
		text += fmt.Sprintf("; the server needed %.0f MiB, and %.2f ms of a processor for each", last.Memory, last.CPU)
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}
