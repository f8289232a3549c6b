package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"
)

// Limits are those of a Guard.
type Limits struct {
	Rate     *Rate          // nil: none
	Proxies  []netip.Prefix // whose X-Forwarded-For is believed
	Loopback bool           // loopback clients are limited too
	InFlight int            // requests in work at once; 0: 4096
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// Observe is told of each request that was answered; nil: nobody. The handler gives the route by SetRoute.
	Observe func(route, method string, status int, took time.Duration)
}

// The most that a client may send, in bytes.
const (
	MaxURL    = 8 << 10
	maxBody   = 4 << 10 // nothing reads it: no request needs one
	maxHeader = 32 << 10
)

type guard struct {
	Limits
	next  http.Handler
	slots chan struct{}
}

// Guard puts limits before a handler, and turns its panics into problems.
func Guard(next http.Handler, l Limits) http.Handler {
	if l.InFlight == 0 {
		l.InFlight = 4096
	}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	if l.Now == nil {
		l.Now = time.Now
	}
	return &guard{Limits: l, next: next, slots: make(chan struct{}, l.InFlight)}
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	route  string
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetRoute names the route that answers, for Limits.Observe: a pattern of the code, never what a client wrote.
func SetRoute(w http.ResponseWriter, route string) {
	if rec, ok := w.(*recorder); ok {
		rec.route = route
	}
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := g.Now()
	rec := &recorder{ResponseWriter: w, route: "other"}
	defer func() {
		if p := recover(); p != nil {
			g.panicked(rec, r, p)
		}
		if g.Observe != nil {
			status := rec.status
			if status == 0 {
				status = http.StatusOK
			}
			g.Observe(rec.route, method(r.Method), status, g.Now().Sub(began))
		}
	}()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !g.admit(rec, r, began) {
		return
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	default:
		RetryAfter(rec, 1)
		Fail(rec, r, Problem{Status: http.StatusServiceUnavailable, Detail: "too many requests are in work; try again"})
		return
	}
	g.next.ServeHTTP(rec, r)
}

// admit checks what the client sent and how often it asks.
func (g *guard) admit(w http.ResponseWriter, r *http.Request, now time.Time) bool {
	if len(r.RequestURI) > MaxURL || len(r.URL.RawQuery) > MaxURL {
		Fail(w, r, Problem{Status: http.StatusRequestURITooLong, Detail: fmt.Sprintf("a URL has at most %d bytes", MaxURL)})
		return false
	}
	if r.ContentLength > maxBody || r.ContentLength < 0 {
		w.Header().Set("Connection", "close") // rather than reading it
		Fail(w, r, Problem{Status: http.StatusRequestEntityTooLarge, Detail: "no request here takes a body"})
		return false
	}
	if g.Rate == nil {
		return true
	}
	client := Client(r, g.Proxies)
	if client.IsLoopback() && !g.Loopback {
		return true
	}
	ok, left, wait := g.Rate.Take(client, now)
	h := w.Header()
	h.Set("RateLimit-Policy", fmt.Sprintf(`"client";q=%d;w=%d`, g.Rate.burst, seconds(g.Rate.interval*time.Duration(g.Rate.burst))))
	h.Set("RateLimit", `"client";r=`+strconv.Itoa(left)+";t="+strconv.Itoa(seconds(wait)))
	if !ok {
		RetryAfter(w, seconds(wait))
		Fail(w, r, Problem{
			Status: http.StatusTooManyRequests, Detail: fmt.Sprintf("%d requests at once and one each %v from there on are the limit", g.Rate.burst, g.Rate.interval),
		})
	}
	return ok
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// method keeps what clients may write out of metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch:
		return m
	}
	return "other"
}

func (g *guard) panicked(w *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // the server ends the connection
	}
	g.Log.Error("http: panic", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if w.status == 0 {
		Fail(w, r, Problem{Status: http.StatusInternalServerError, Detail: "the server made a mistake; it is in its log"})
		return
	}
	panic(http.ErrAbortHandler) // a half answer must not look whole
}

// Gate lets a number of costly requests work at once; some more wait for a while.
type Gate struct {
	slots    chan struct{}
	queue    chan struct{}
	patience time.Duration
}

// NewGate returns a gate for work requests at once, waiting more of which wait for at most patience.
func NewGate(work, waiting int, patience time.Duration) *Gate {
	return &Gate{slots: make(chan struct{}, max(work, 1)), queue: make(chan struct{}, waiting), patience: patience}
}

// Enter waits for its turn. When ok, leave must be called.
func (g *Gate) Enter(ctx context.Context) (leave func(), ok bool) {
	leave = func() { <-g.slots }
	select {
	case g.slots <- struct{}{}:
		return leave, true
	default:
	}
	select {
	case g.queue <- struct{}{}:
		defer func() { <-g.queue }()
	default:
		return nil, false
	}
	t := time.NewTimer(g.patience)
	defer t.Stop()
	select {
	case g.slots <- struct{}{}:
		return leave, true
	case <-t.C:
	case <-ctx.Done():
	}
	return nil, false
}
