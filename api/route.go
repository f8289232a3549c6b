package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"iod/api/transport"
	"iod/index"
)

// Problem is an error as the API tells it (RFC 9457), and as the client returns it.
type Problem = transport.Problem

// The types of problems that say more than their status, as anchors of the page /api.
const (
	typeParameter = "/api#problem-parameter"
	typeTooBroad  = "/api#problem-too-broad"
	typeDatabase  = "/api#problem-database"
	typeLoading   = "/api#problem-loading"
)

// problems says what to do about them.
var problems = []struct{ Type, Title, Doc string }{
	{typeParameter, "A parameter is wrong", "The member parameter names it, and detail says what it may be. Unknown parameters are refused, so that a misspelt filter does not silently widen a search."},
	{typeTooBroad, "The search is too broad", "The combination of filters makes the database look through more than it may take the time for. Add a filter, or choose another sort."},
	{typeDatabase, "The database cannot be read now", "Try again after the seconds in Retry-After; what was asked for is not lost."},
	{typeLoading, "Counts are not ready yet", "After a start the listings are read into memory once. Try again after the seconds in Retry-After."},
}

// fresh says how an answer ages.
type fresh int

const (
	changing  fresh = iota // with everything: no ETag
	byIndex                // when a listing changes: ETag from the newest line of history
	byBlock                // with each block: ETag from the cursor
	byContent              // with what it says: ETag from that
)

// answer is a form of an answer.
type answer struct {
	Media string
	Type  reflect.Type // nil: not JSON
	Doc   string
}

// route is one address of the API: what it takes and answers, for its handler, the API document, the page and the tests alike.
type route struct {
	Path    string // as ServeMux and OpenAPI write it
	ID      string // operationId
	Tag     string
	Title   string
	Doc     string
	Fields  []field
	Loose   bool // it reads its query itself
	Answers []answer
	Errors  []int // beside those that all have
	Fresh   fresh
	Cache   string // Cache-Control; empty: no-cache
	Costly  bool   // it goes through the gate
	Stream  bool   // it writes for as long as it likes
	Serve   func(*server, *call) (reply, error)
}

// call is a request to a route.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	args  args
	query url.Values  // of Loose routes
	state index.State // of routes with an ETag
}

// reply is what a route answers with status 200 unless it says another. Without a media type the route has answered itself.
type reply struct {
	status int
	media  string
	cache  string
	body   []byte
	spent  func() // called when the body has been sent, unless it is nil
}

const jsonType = "application/json"

// asJSON replies with v as JSON.
func asJSON(v any) (reply, error) { return as(jsonType, v) }

func as(media string, v any) (reply, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return reply{}, fmt.Errorf("write the answer: %w", err)
	}
	return reply{media: media, body: append(body, '\n')}, nil
}

// jsonAnswer describes an answer as JSON of a type.
func jsonAnswer[T any](doc string) []answer { return []answer{{jsonType, reflect.TypeFor[T](), doc}} }

// handler serves a route.
func (s *server) handler(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transport.SetRoute(w, rt.Path)
		s.cors(w, r)
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			if err := s.serve(rt, w, r); err != nil {
				s.fail(w, r, err)
			}
		case http.MethodOptions:
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allowed)
			s.fail(w, r, &Problem{Status: http.StatusMethodNotAllowed, Detail: "this API is read only: it knows " + allowed})
		}
	})
}

const allowed = "GET, HEAD, OPTIONS"

func (s *server) serve(rt *route, w http.ResponseWriter, r *http.Request) error {
	c := &call{w: w, r: r}
	var err error
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return &Problem{Status: http.StatusBadRequest, Detail: "the query cannot be read: " + err.Error()}
	}
	if !rt.Loose {
		if c.args, err = parse(rt.Fields, c.query, r.PathValue); err != nil {
			return err
		}
	}
	if rt.Stream {
		_, err = rt.Serve(s, c)
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
	defer cancel()
	c.r = r.WithContext(ctx)
	tag, err := s.tag(rt, c)
	if err != nil {
		return err
	}
	if transport.Matches(r.Header.Get("If-None-Match"), tag) {
		transport.Send(w, r, transport.Answer{Tag: tag, Cache: rt.Cache})
		return nil
	}
	rep, err := s.work(rt, c)
	if err != nil {
		return err
	}
	if rt.Fresh == byContent {
		sum := sha256.Sum256(rep.body)
		tag = `W/"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`
	}
	if rep.spent != nil {
		defer rep.spent()
	}
	if rep.media != "" {
		transport.Send(w, r, transport.Answer{Status: rep.status, Type: rep.media, Tag: tag, Cache: cmp.Or(rep.cache, rt.Cache), Body: rep.body})
	}
	return nil
}

// work lets the route answer, behind the gate when that is costly.
func (s *server) work(rt *route, c *call) (reply, error) {
	if rt.Costly {
		leave, ok := s.gate.Enter(c.r.Context())
		if !ok {
			transport.RetryAfter(c.w, 1)
			return reply{}, &Problem{Status: http.StatusServiceUnavailable, Detail: "too many searches are in work; try again"}
		}
		defer leave()
	}
	return rt.Serve(s, c)
}

// tag is the ETag of what a route answers now; empty: it has none.
func (s *server) tag(rt *route, c *call) (string, error) {
	if rt.Fresh == changing || rt.Fresh == byContent {
		return "", nil
	}
	st, err := s.states.get(c.r.Context(), s.reader)
	if err != nil {
		return "", err
	}
	c.state = st
	since, ok := paramSince.get(c.args)
	if st.Origin == nil || ok && since.at.IsZero() { // the same search finds something else as time goes by
		return "", nil
	}
	b := append([]byte(`W/"`), s.build...)
	b = strconv.AppendInt(append(b, '-'), st.Change, 36)
	if rt.Fresh == byBlock || st.Cursor == nil {
		b = strconv.AppendUint(append(b, '-'), uint64(st.Head), 36)
		b = strconv.AppendInt(append(b, '-'), st.Committed.UnixMilli(), 36)
	}
	return string(append(b, '"')), nil
}

// fail answers with a problem. What went wrong inside is logged, not told.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, index.ErrTooBroad):
		p = &Problem{Status: http.StatusUnprocessableEntity, Type: typeTooBroad, Title: "The search is too broad", Detail: index.ErrTooBroad.Error()}
	case errors.Is(err, index.ErrQuery):
		p = &Problem{Status: http.StatusBadRequest, Detail: err.Error()}
	case r.Context().Err() != nil:
		return // nobody waits for it any more
	case errors.Is(err, context.DeadlineExceeded):
		transport.RetryAfter(w, 5)
		p = &Problem{Status: http.StatusServiceUnavailable, Type: typeTooBroad, Title: "The answer takes too long", Detail: "narrow the search, or try again later"}
	default:
		s.log.Error("api: request failed", "path", r.URL.Path, "error", err)
		s.metrics.storeErrors.Inc()
		transport.RetryAfter(w, 5)
		p = &Problem{Status: http.StatusServiceUnavailable, Type: typeDatabase, Title: "The database cannot be read now", Detail: "the index cannot be read now; try again"}
	}
	transport.Fail(w, r, *p)
}

// cors lets pages of other sites read.
func (s *server) cors(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	switch {
	case len(s.Origins) == 1 && s.Origins[0] == "*":
		h.Set("Access-Control-Allow-Origin", "*")
	case len(s.Origins) == 0:
		return
	default:
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		for _, o := range s.Origins {
			if o == origin {
				h.Set("Access-Control-Allow-Origin", origin)
			}
		}
	}
	h.Set("Access-Control-Expose-Headers", "ETag, Link, RateLimit, RateLimit-Policy, Retry-After")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "Accept, If-None-Match, Last-Event-ID")
		h.Set("Access-Control-Max-Age", "86400")
	}
}

// states keeps the index's state for a moment, so that it is not read for each request. An answer's ETag is of a state before what the
// answer holds, never after it.
type states struct {
	keep time.Duration
	now  func() time.Time
	turn chan struct{} // held by who reads or writes the others
	at   time.Time
	st   index.State
}

func (c *states) get(ctx context.Context, r index.Reader) (index.State, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return index.State{}, ctx.Err()
	}
	now := c.now()
	if age := now.Sub(c.at); c.at.IsZero() || age < 0 || age >= c.keep {
		st, err := r.State(ctx)
		if err != nil {
			return st, err
		}
		c.at, c.st = now, st
	}
	return c.st, nil
}
