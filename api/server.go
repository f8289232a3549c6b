package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"iod/index"
	"iod/key"
)

// Options tune the server. The zero value is right for most.
type Options struct {
	Log     *slog.Logger  // nil: silent
	Timeout time.Duration // of a request; 0: 10 seconds
	// MaxInFlight is how many requests are worked on at once; more are told to come back. 0: 64.
	MaxInFlight int
}

// maxQuery bounds the query of a request, in bytes.
const maxQuery = 8 << 10

// historyLines is how much history comes with a device.
const historyLines = 100

type server struct {
	reader index.Reader
	log    *slog.Logger
	slots  chan struct{}
	Options
}

// New returns the handler of the API over an index.
func New(r index.Reader, o Options) http.Handler {
	s := &server{reader: r, log: o.Log, Options: o}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.Timeout == 0 {
		s.Timeout = 10 * time.Second
	}
	if s.MaxInFlight == 0 {
		s.MaxInFlight = 64
	}
	s.slots = make(chan struct{}, s.MaxInFlight)
	mux := http.NewServeMux()
	for path, f := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/devices": s.legacy, "/api/v1/devices": s.devices, "/api/v1/devices/{did}": s.device,
		"/api/v1/set-aside": s.asides, "/api/v1/status": s.status, "/healthz": s.health, "/": notFound,
	} {
		mux.Handle(path, s.guard(f))
	}
	return mux
}

// Serve answers on ln until ctx ends, then lets the requests in work end and returns nil. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	if log != nil {
		srv.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil { // someone reads slowly
		err = srv.Close()
	}
	<-done
	if err != nil {
		return fmt.Errorf("stop the API: %w", err)
	}
	return nil
}

// guard bounds a request, answers preflights, and turns errors and panics into problems.
func (s *server) guard(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "ETag")
		h.Set("X-Content-Type-Options", "nosniff")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "If-None-Match")
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			s.fail(w, r, &Problem{Status: http.StatusMethodNotAllowed, Detail: "this API is read only"})
			return
		}
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			h.Set("Retry-After", "1")
			s.fail(w, r, &Problem{Status: http.StatusServiceUnavailable, Detail: "too many requests are in work; try again"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("api: panic", "path", r.URL.Path, "panic", p)
				s.fail(w, r, &Problem{Status: http.StatusInternalServerError, Detail: "the index cannot be read now"})
			}
		}()
		r = r.WithContext(ctx)
		if err := f(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// Problem is an error as the API tells it (RFC 9457), and as the client returns it.
type Problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Parameter string `json:"parameter,omitempty"` // which one is wrong
}

// Error tells the detail and the parameter.
func (p *Problem) Error() string {
	switch {
	case p.Parameter != "":
		return fmt.Sprintf("parameter %s: %s", p.Parameter, p.Detail)
	case p.Detail != "":
		return p.Detail
	}
	return fmt.Sprintf("the index answers %d %s", p.Status, http.StatusText(p.Status))
}

// fail answers with a problem. What went wrong inside is logged, not told.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var problem *Problem
	var param *parameter
	switch {
	case errors.As(err, &problem):
	case errors.As(err, &param):
		problem = &Problem{Status: http.StatusBadRequest, Detail: param.detail, Parameter: param.name}
	case errors.Is(err, index.ErrTooBroad):
		problem = &Problem{Status: http.StatusUnprocessableEntity, Detail: index.ErrTooBroad.Error()}
	case errors.Is(err, index.ErrQuery):
		problem = &Problem{Status: http.StatusBadRequest, Detail: err.Error()}
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(r.Context().Err(), context.DeadlineExceeded):
		problem = &Problem{Status: http.StatusServiceUnavailable, Detail: "the search takes too long; narrow it"}
	case r.Context().Err() != nil:
		return // nobody waits for it any more
	default:
		s.log.Error("api: request failed", "path", r.URL.Path, "error", err)
		problem = &Problem{Status: http.StatusInternalServerError, Detail: "the index cannot be read now"}
	}
	problem.Title = http.StatusText(problem.Status)
	body, err := json.Marshal(problem)
	if err != nil {
		s.log.Error("api: write problem", "error", err)
		return
	}
	w.Header().Del("ETag")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	w.Write(body) //nolint:errcheck // the client is gone
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is nothing at %.100q", r.URL.Path)}
}

// values reads the query of a request.
func values(r *http.Request) (url.Values, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, &Problem{Status: http.StatusRequestURITooLong, Detail: fmt.Sprintf("a query has at most %d bytes", maxQuery)}
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Problem{Status: http.StatusBadRequest, Detail: "the query cannot be read: " + err.Error()}
	}
	return v, nil
}

// answer writes v as JSON. It is encoded whole before the first byte is sent.
func answer(w http.ResponseWriter, r *http.Request, v any) error {
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	if r.Method != http.MethodHead {
		w.Write(buf.Bytes()) //nolint:errcheck // the client is gone
	}
	return nil
}

// fresh sets the answer's ETag, by the index's cursor, and answers 304 when the client has it already.
func (s *server) fresh(w http.ResponseWriter, r *http.Request) (bool, error) {
	st, err := s.reader.State(r.Context())
	if err != nil || st.Cursor == nil {
		return false, err
	}
	tag := fmt.Sprintf(`W/"%d-%x"`, st.Cursor.Number, st.Cursor.Hash[:8])
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") != tag {
		return false, nil
	}
	w.WriteHeader(http.StatusNotModified)
	return true, nil
}

func (s *server) devices(w http.ResponseWriter, r *http.Request) error {
	v, err := values(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(v)
	if err != nil {
		return err
	}
	if fresh, err := s.fresh(w, r); fresh || err != nil {
		return err
	}
	found, err := s.reader.Search(r.Context(), q)
	if err != nil {
		return err
	}
	page := Page{Devices: make([]Device, len(found.Found))}
	for i, f := range found.Found {
		page.Devices[i] = deviceOf(f.Listing)
	}
	if found.Next != nil {
		page.Next = formatMark(*found.Next, q.Order)
	}
	return answer(w, r, page)
}

func (s *server) device(w http.ResponseWriter, r *http.Request) error {
	if v, err := values(r); err != nil {
		return err
	} else if err := single(v); err != nil {
		return err
	}
	a, err := key.ParseAccount(r.PathValue("did"))
	if err != nil {
		return wrong("did", "%v", err)
	}
	if fresh, err := s.fresh(w, r); fresh || err != nil {
		return err
	}
	l, err := s.reader.Get(r.Context(), a)
	if err != nil {
		return err
	}
	if l == nil {
		return &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("no device %s is known", a.DID())}
	}
	history, err := s.reader.History(r.Context(), a, 0, historyLines)
	if err != nil {
		return err
	}
	d := Detail{Device: deviceOf(l), History: make([]Entry, len(history))}
	for i, e := range history {
		d.History[i] = Entry{string(e.Action), pointOf(e.At), address(e.Who), string(e.State), e.Sequence}
	}
	return answer(w, r, d)
}

func (s *server) asides(w http.ResponseWriter, r *http.Request) error {
	v, err := values(r)
	if err != nil {
		return err
	}
	if err := single(v, "before", "limit"); err != nil {
		return err
	}
	limit, before := index.DefaultLimit, int64(0)
	if v.Has("limit") {
		if limit, err = parseLimit(v.Get("limit")); err != nil {
			return wrong("limit", "%v", err)
		}
	}
	if v.Has("before") {
		if before, err = strconv.ParseInt(v.Get("before"), 10, 64); err != nil || before < 1 {
			return wrong("before", "%q is not an id", v.Get("before"))
		}
	}
	found, err := s.reader.Asides(r.Context(), before, limit)
	if err != nil {
		return err
	}
	page := Asides{SetAside: make([]Aside, len(found))}
	for i, a := range found {
		page.SetAside[i] = Aside{ID: a.ID, By: address(a.Who), Reason: a.Reason, Size: a.Size, Value: "0x" + hex.EncodeToString(a.Raw), At: pointOf(a.At)}
		if a.Account != nil {
			page.SetAside[i].DID = a.Account.DID()
		}
	}
	if len(found) == limit {
		page.Next = found[len(found)-1].ID
	}
	return answer(w, r, page)
}

func (s *server) status(w http.ResponseWriter, r *http.Request) error {
	st, err := s.reader.State(r.Context())
	if err != nil {
		return err
	}
	return answer(w, r, statusOf(st))
}

func (s *server) health(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.reader.State(r.Context()); err != nil {
		s.log.Error("api: health", "error", err)
		return &Problem{Status: http.StatusServiceUnavailable, Detail: "the index cannot be read now"}
	}
	return answer(w, r, map[string]string{"status": "ok"})
}
