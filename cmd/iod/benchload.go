//go:build !device

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"iod/api"
	"iod/document"
	"iod/index"
	"iod/index/market"
)

// load searches an API over several connections.
type load struct {
	base        string
	market      *market.Market
	concurrency int
	http        *http.Client
}

func (l *load) close() {
	if l.http != nil {
		l.http.CloseIdleConnections()
	}
}

// nextPage is the class of searches for the page after one that was found, which is what one of nextEvery does.
const (
	nextPage  = "next page"
	nextEvery = 10
)

// outcome is what searches came to.
type outcome struct {
	took    time.Duration
	samples []sample
	server  used
}

type sample struct {
	class string
	took  time.Duration
	found int
	ok    bool
}

// run searches for a while. Each connection has a sequence of searches of its own, by seed.
func (l *load) run(ctx context.Context, d time.Duration, seed uint64, pid int) (*outcome, error) {
	if l.http == nil {
		l.http = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: l.concurrency, DisableCompression: true}}
	}
	parts := make([][]sample, l.concurrency)
	began := time.Now()
	timed, end := context.WithTimeout(ctx, d)
	defer end()
	group, _ := errgroup.WithContext(timed)
	for i := range l.concurrency {
		group.Go(func() (err error) {
			parts[i], err = l.searches(timed, l.market.Searches(seed+uint64(i)))
			return err
		})
	}
	var server used
	group.Go(func() (err error) {
		server, err = watch(timed, pid)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return &outcome{time.Since(began), slices.Concat(parts...), server}, ctx.Err()
}

func (l *load) searches(ctx context.Context, searches *market.Searches) (samples []sample, err error) {
	var body bytes.Buffer
	var last api.Query
	next := ""
	for n := 0; ctx.Err() == nil; n++ {
		s := searches.Next()
		class, q := s.Class, asked(s.Query)
		if n%nextEvery == nextEvery-1 && next != "" {
			class, q = nextPage, last
			q.After = next
		}
		began := time.Now()
		status, err := l.get(ctx, q, &body)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{class, time.Since(began), bytes.Count(body.Bytes(), []byte(`{"did":`)), status == http.StatusOK})
		last, next = q, markIn(body.Bytes())
	}
	return samples, nil
}

// get asks for a page of a search.
func (l *load) get(ctx context.Context, q api.Query, body *bytes.Buffer) (status int, err error) {
	u, err := url.Parse(l.base)
	if err != nil {
		return 0, err
	}
	u = u.JoinPath("/api/v1/devices")
	u.RawQuery = q.Values().Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, err
	}
	res, err := l.http.Do(req)
	if err != nil {
		return 0, unreachable(err)
	}
	defer res.Body.Close()
	body.Reset()
	if _, err := io.Copy(body, res.Body); err != nil {
		return 0, err
	}
	if s := res.StatusCode; s == http.StatusBadRequest || s == http.StatusNotFound || s == http.StatusTooManyRequests {
		return 0, hint(fmt.Errorf("%s is answered by %s: %s", u, res.Status, strings.TrimSpace(body.String())), "is this the API of an index, and without a limit (--rate 0)?")
	}
	return res.StatusCode, nil
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

// classes are the figures of each class, in the order of their names.
func (o *outcome) classes() (all []toldClass) {
	parts := map[string][]sample{}
	for _, s := range o.samples {
		parts[s.class] = append(parts[s.class], s)
	}
	for class, samples := range parts {
		t := told(samples)
		t.Class = class
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b toldClass) int { return cmp.Compare(a.Class, b.Class) })
	return all
}

// all is the figures of all searches together.
func (o *outcome) all() toldClass {
	t := told(o.samples)
	t.Rate, t.Memory = float64(t.Count)/o.took.Seconds(), float64(o.server.resident)/(1<<20)
	t.CPU = o.server.cpu.Seconds() * 1000 / float64(max(t.Count, 1))
	return t
}

func told(samples []sample) (t toldClass) {
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.took, b.took) })
	for _, s := range samples {
		if t.Found += float64(s.found); !s.ok {
			t.Failed++
		}
	}
	if t.Count = len(samples); t.Count == 0 {
		return t
	}
	t.Found /= float64(t.Count)
	at := func(part float64) float64 {
		return float64(samples[int(part*float64(t.Count-1))].took.Microseconds()) / 1000
	}
	t.P50, t.P99, t.Most = at(0.5), at(0.99), at(1)
	return t
}
