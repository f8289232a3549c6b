package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"iod/index"
)

// serving serves a hub as the API does.
func serving(t *testing.T, h *Hub, o ServerOptions) (*Server, *httptest.Server) {
	s := NewServer(h, o)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := index.Query{}
		if v := r.URL.Query().Get("data_type"); v != "" {
			q.DataTypes = []string{v}
		}
		if err := s.Serve(w, r, q); errors.Is(err, ErrFull) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		c.(*net.TCPConn).SetWriteBuffer(32 << 10) // so that a reader who does not read is soon noticed
		return ctx
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return s, srv
}

// event is one server-sent event as the standard reads it.
type event struct{ id, name, data string }

// events reads a stream by the rules of the HTML standard.
type events struct {
	body  io.ReadCloser
	in    *bufio.Scanner
	last  string // last event ID, of whole events
	id    string
	retry string
}

func open(t *testing.T, url, last string) *events {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %s, %v", url, resp.Status, resp.Header)
	}
	return &events{body: resp.Body, in: bufio.NewScanner(resp.Body)}
}

// next is the next event that is dispatched.
func (e *events) next() (ev event, err error) {
	var data []string
	for e.in.Scan() {
		line := e.in.Text()
		if line == "" {
			e.last = e.id
			if data == nil {
				ev.name = ""
				continue
			}
			ev.id, ev.data = e.last, strings.Join(data, "\n")
			return ev, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			ev.name = value
		case "data":
			data = append(data, value)
		case "retry":
			e.retry = value
		}
	}
	return ev, errors.Join(e.in.Err(), io.EOF)
}

// changes reads so many changes and returns their IDs.
func (e *events) changes(n int) (ids []int64, err error) {
	for len(ids) < n {
		ev, err := e.next()
		if err != nil {
			return ids, err
		}
		var c Change
		if err := json.Unmarshal([]byte(ev.data), &c); err != nil || ev.name != "change" || !strings.HasPrefix(ev.id, fmt.Sprintf("%d-", c.ID)) {
			return ids, fmt.Errorf("event %+v: %w", ev, err)
		}
		ids = append(ids, c.ID)
	}
	return ids, nil
}

func TestServerSentEvents(t *testing.T) {
	f := &fake{}
	f.add(20)
	h := running(t, f, Options{Pace: time.Millisecond})
	_, srv := serving(t, h, ServerOptions{})
	e := open(t, srv.URL, "")
	f.add(1)
	ev, err := e.next()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":` + fmt.Sprint(f.ids) + `,"did":"` + account(20).DID() + `","action":"published","block":20,"extrinsic":1,"time":"1970-01-01T00:00:20Z","sequence":` +
		fmt.Sprint(f.ids<<8) + `,"live":true,"state":"verified","data_types":["type2"],"lat":10,"lon":20}`
	got := strings.Replace(ev.data, time.Unix(20, 0).Format(time.RFC3339), "1970-01-01T00:00:20Z", 1)
	if ev.name != "change" || got != want {
		t.Errorf("event %q: %s\nwant %s", ev.name, got, want)
	}
	if ms, err := strconv.Atoi(e.retry); err != nil || ms < 1000 || ms >= 3000 {
		t.Errorf("retry %q", e.retry)
	}
	e.body.Close()
	f.add(700) // while away
	e = open(t, srv.URL+"?after=0", e.last)
	if ids, err := e.changes(700); err != nil || !slices.Equal(ids, f.all()[21:]) {
		t.Errorf("after coming back: %d changes, %v", len(ids), err)
	}
	e = open(t, srv.URL+"?after=0&data_type=type1", "")
	if ids, err := e.changes(230); err != nil || ids[0] != f.all()[1] {
		t.Errorf("from the beginning: %v, %v", ids, err)
	}
	f.reset(3)
	f.add(3)
	for ev, err = e.next(); err == nil && ev.name == "change"; ev, err = e.next() {
	}
	if err != nil || ev.name != "reset" {
		t.Errorf("after a reset: %+v, %v", ev, err)
	}
}

func TestServerRefuses(t *testing.T) {
	f := &fake{}
	h := running(t, f, Options{Pace: time.Millisecond})
	s, srv := serving(t, h, ServerOptions{MaxFeeds: 2})
	get := func(method, query, last string) *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), method, srv.URL+query, nil)
		req.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	for _, place := range []string{"x", "-1", "1-x"} {
		if r := get(http.MethodGet, "?after="+place, ""); r.StatusCode != http.StatusBadRequest {
			t.Errorf("after=%s: %s", place, r.Status)
		}
		if r := get(http.MethodGet, "", place); r.StatusCode != http.StatusBadRequest {
			t.Errorf("Last-Event-ID %s: %s", place, r.Status)
		}
	}
	if r := get(http.MethodHead, "", ""); r.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %s", r.Status)
	}
	first, second := open(t, srv.URL, ""), open(t, srv.URL, "")
	r := get(http.MethodGet, "", "")
	if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); r.StatusCode != http.StatusServiceUnavailable || err != nil || seconds < 1 {
		t.Errorf("too many: %s, %v", r.Status, r.Header)
	}
	first.body.Close()
	for s.Stats().Open > 1 {
		time.Sleep(time.Millisecond)
	}
	third := open(t, srv.URL, "")
	f.add(1)
	for _, e := range []*events{second, third} {
		if _, err := e.changes(1); err != nil {
			t.Error(err)
		}
	}
}

// A client that hears nothing hears that, and how far it is.
func TestBeat(t *testing.T) {
	f := &fake{}
	h := running(t, f, Options{Pace: time.Millisecond})
	_, srv := serving(t, h, ServerOptions{Beat: 5 * time.Millisecond})
	e := open(t, srv.URL+"?data_type=none", "")
	f.add(100)
	for e.in.Scan() {
		if id, ok := strings.CutPrefix(e.in.Text(), "id: "); ok && strings.HasPrefix(id, fmt.Sprintf("%d-", f.ids)) {
			return
		}
	}
	t.Error("no beat came: ", e.in.Err())
}

// Who reads too slowly is cut and loses nothing when it comes back; others don't notice.
func TestSlowReader(t *testing.T) {
	f := &fake{}
	f.add(1)
	h := running(t, f, Options{Pace: time.Millisecond})
	s, srv := serving(t, h, ServerOptions{Patience: 500 * time.Millisecond})
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprintf(conn, "GET /?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
	quick := open(t, srv.URL+"?after=0", "")
	var reading sync.WaitGroup
	const n = 8000 // more than the kernel keeps for a connection
	reading.Go(func() {
		if ids, err := quick.changes(n + 1); err != nil || !slices.Equal(ids, f.all()) {
			t.Errorf("the quick reader: %d changes, %v", len(ids), err)
		}
	})
	for range n / 400 {
		f.add(400)
		time.Sleep(time.Millisecond)
	}
	reading.Wait()
	for s.Stats().Cut == 0 {
		time.Sleep(time.Millisecond)
	}
	body, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	slow := &events{body: body.Body, in: bufio.NewScanner(body.Body)}
	ids, _ := slow.changes(n + 1)
	if len(ids) == 0 || len(ids) > n {
		t.Fatalf("the slow reader had %d changes", len(ids))
	}
	again := open(t, srv.URL, slow.last)
	rest, err := again.changes(n + 1 - len(ids))
	if err != nil || !slices.Equal(append(ids, rest...), f.all()) {
		t.Errorf("the slow reader had %d changes and then %d, %v", len(ids), len(rest), err)
	}
}

// When the hub ends, so do the feeds.
func TestServerEnds(t *testing.T) {
	f := &fake{}
	h := New(f, Options{Pace: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	_, srv := serving(t, h, ServerOptions{})
	e := open(t, srv.URL, "")
	stop()
	if _, err := e.next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	<-done
	if _, err := h.Follow(t.Context(), index.Query{}, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
