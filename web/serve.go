package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"iod/index"
)

// answer is what a handler has to say.
type answer struct {
	status   int // 0: 200
	kind     string
	body     []byte
	packed   []byte // body gzipped, when that is at hand
	forever  bool   // the URL names the content
	policy   string // Content-Security-Policy, when it is not that of the pages
	redirect string // 303 to there
}

const htmlType = "text/html; charset=utf-8"

// page makes a handler of f: it bounds the request, sets the headers that all answers have, and turns errors and panics into pages.
func (s *site) page(f func(context.Context, *http.Request) (*answer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", s.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "geolocation=(self), camera=(), microphone=()")
		h.Set("Referrer-Policy", "same-origin")
		if s.Tiles.URL != "" { // servers of tiles want to know who shows them
			h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				s.Log.Error("web: panic", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				s.write(w, r, s.trouble(r, errors.New("panic")))
			}
		}()
		var a *answer
		err := errMethod
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			a, err = f(ctx, r)
		} else {
			h.Set("Allow", "GET, HEAD")
		}
		if err != nil {
			if r.Context().Err() != nil {
				return // nobody is there any more
			}
			a = s.trouble(r, err)
		}
		s.write(w, r, a)
	})
}

// write sends an answer: gzipped where that helps, and not at all when the reader has it.
func (s *site) write(w http.ResponseWriter, r *http.Request, a *answer) {
	h := w.Header()
	if a.redirect != "" {
		h.Set("Location", a.redirect)
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if a.policy != "" {
		h.Set("Content-Security-Policy", a.policy)
	}
	status := max(a.status, http.StatusOK)
	sum := sha256.Sum256(a.body)
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`
	h.Set("Content-Type", a.kind)
	h.Set("Vary", "Accept-Encoding")
	switch {
	case a.forever:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	case status == http.StatusOK:
		h.Set("Cache-Control", "no-cache")
	default:
		h.Set("Cache-Control", "no-store")
	}
	if status == http.StatusOK {
		h.Set("ETag", tag)
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	body := a.body
	if len(body) > 1000 && takesGzip(r) {
		if a.packed == nil {
			a.packed = pack(body, gzip.DefaultCompression)
		}
		body = a.packed
		h.Set("Content-Encoding", "gzip")
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // who does not take it has gone
	}
}

// matches reports whether a list of entity tags has this one.
func matches(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == tag || t == "*" {
			return true
		}
	}
	return false
}

func takesGzip(r *http.Request) bool {
	for c := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(c), ";")
		if name == "gzip" && !strings.Contains(q, "q=0,") && strings.TrimSpace(q) != "q=0" {
			return true
		}
	}
	return false
}

var packers = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

func pack(b []byte, level int) []byte {
	var out bytes.Buffer
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	if level != gzip.DefaultCompression {
		z, _ = gzip.NewWriterLevel(&out, level) // the level is one that there is
	} else {
		z.Reset(&out)
	}
	_, _ = z.Write(b) // a buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

// trouble is the page that tells of an error.
func (s *site) trouble(r *http.Request, err error) *answer {
	t := troublePage{Status: http.StatusInternalServerError, Title: "Something went wrong here",
		Text: "The fault is this server's, not yours. It has been noted in the log. Trying again in a moment may help."}
	var wrong *wrongParameter
	switch {
	case errors.Is(err, errNotFound):
		t = troublePage{Status: http.StatusNotFound, Title: "There is nothing here",
			Text: "The address leads to no page. A device may never have published a document that can be believed; ask the chain itself with “iod did show DID”."}
	case errors.Is(err, errMethod):
		t = troublePage{Status: http.StatusMethodNotAllowed, Title: "These pages can only be read", Text: "Use GET or HEAD."}
	case errors.As(err, &wrong):
		t = troublePage{Status: http.StatusBadRequest, Title: "This address is not understood", Text: wrong.Error() + "."}
	case errors.Is(err, index.ErrTooBroad) || errors.Is(err, context.DeadlineExceeded):
		t = troublePage{Status: http.StatusServiceUnavailable, Title: "That search is too broad",
			Text: "It would have to look through too much at once. Choose one more filter, a smaller part of the map, or another order, and try again."}
	case errors.Is(err, index.ErrUnavailable):
		t = troublePage{Status: http.StatusServiceUnavailable, Title: "The index cannot be read now",
			Text: "Its database does not answer. It is asked again and again, and nothing is lost: in a moment this page may be there."}
		s.Log.Warn("web: the database does not answer", "path", r.URL.Path, "error", err)
	default:
		s.Log.Error("web: request", "path", r.URL.Path, "error", err)
	}
	t.Path = r.URL.RequestURI()
	body, renderErr := s.pages.render("trouble", s.frame(t.Title, ""), t)
	if renderErr != nil {
		s.Log.Error("web: error page", "error", renderErr)
		return &answer{status: t.Status, kind: "text/plain; charset=utf-8", body: []byte(t.Title)}
	}
	return &answer{status: t.Status, kind: htmlType, body: body}
}

type troublePage struct {
	Status      int
	Title, Text string
	Path        string
}
