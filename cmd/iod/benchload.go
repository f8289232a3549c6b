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
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// enquiry is what is asked of an API.
type enquiry struct {
	class  string
	path   string
	values url.Values
}

// enquiries is an endless sequence of them. It is told the answer to the question before.
type enquiries func(answer []byte) enquiry

// load asks an API over several connections.
type load struct {
	base        string
	concurrency int
	sequence    func(seed uint64) enquiries
	item        []byte // stands in an answer once for each of what is found
	http        *http.Client
}

func (l *load) close() {
	if l.http != nil {
		l.http.CloseIdleConnections()
	}
}

// outcome is what the questions came to.
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

// run asks for a while. Each connection has a sequence of questions of its own, by seed.
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
			parts[i], err = l.ask(timed, l.sequence(seed+uint64(i)))
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

func (l *load) ask(ctx context.Context, next enquiries) (samples []sample, err error) {
	var body bytes.Buffer
	for ctx.Err() == nil {
		q := next(body.Bytes())
		began := time.Now()
		status, err := l.get(ctx, q, &body)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{q.class, time.Since(began), bytes.Count(body.Bytes(), l.item), status == http.StatusOK})
	}
	return samples, nil
}

// get asks one question.
func (l *load) get(ctx context.Context, q enquiry, body *bytes.Buffer) (status int, err error) {
	u, err := url.Parse(l.base)
	if err != nil {
		return 0, err
	}
	u = u.JoinPath(q.path)
	u.RawQuery = q.values.Encode()
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
