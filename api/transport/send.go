package transport

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Answer is what a handler says, whole.
type Answer struct {
	Status int    // 0: 200
	Type   string // media type
	Tag    string // ETag, with its quotes; empty: none
	Cache  string // Cache-Control; empty: no-cache, which is to ask again each time
	Body   []byte
}

// gzipFrom is the size from which compression pays: below, an answer fits into one packet anyway.
const gzipFrom = 1400

// Send writes an answer: 304 when the client has it already, compressed when that pays and the client takes it, without its body for HEAD.
func Send(w http.ResponseWriter, r *http.Request, a Answer) {
	h := w.Header()
	if a.Cache == "" {
		a.Cache = "no-cache"
	}
	h.Set("Cache-Control", a.Cache)
	h.Add("Vary", "Accept-Encoding")
	if a.Tag != "" {
		h.Set("ETag", a.Tag)
		if (a.Status == 0 || a.Status == http.StatusOK) && Matches(r.Header.Get("If-None-Match"), a.Tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Type", a.Type)
	body := a.Body
	if len(body) >= gzipFrom && compressible(a.Type) && takesGzip(r.Header.Get("Accept-Encoding")) {
		z := compress(body)
		defer buffers.Put(z)
		h.Set("Content-Encoding", "gzip")
		body = *z
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}

// Matches reports whether an If-None-Match header names the tag, by weak comparison.
func Matches(header, tag string) bool {
	if header == "" || tag == "" {
		return false
	}
	tag = strings.TrimPrefix(tag, "W/")
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// compressible reports whether a media type is text.
func compressible(media string) bool {
	kind, _, _ := strings.Cut(media, ";")
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "javascript") ||
		strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "did-resolution")
}

// takesGzip reads an Accept-Encoding header: gzip or * with a weight above zero.
func takesGzip(header string) bool {
	star := false
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64)
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return weight > 0
		case "*":
			star = weight > 0
		}
	}
	return star
}

var (
	writers = sync.Pool{New: func() any { // level 1: much faster than the others, and hardly larger for JSON
		z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is a constant
		}
		return z
	}}
	buffers = sync.Pool{New: func() any { return new([]byte) }}
)

type appender struct{ to *[]byte }

func (a appender) Write(p []byte) (int, error) { *a.to = append(*a.to, p...); return len(p), nil }

// compress returns the body as gzip, in a buffer of the pool.
func compress(body []byte) *[]byte {
	out := buffers.Get().(*[]byte)
	*out = (*out)[:0]
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(appender{out})
	_, _ = z.Write(body) // it goes to memory
	_ = z.Close()
	return out
}
