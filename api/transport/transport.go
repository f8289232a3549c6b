// Package transport is what stands between the network and the handlers of an index: limits on what a client may send and how often,
// compression, problems as RFC 9457 has them, panics that become answers, and a server that does not wait for those who read slowly.
//
//	connection ─▶ Serve: number of connections, time limits
//	             └▶ Guard: client's address, requests in work, rate, size of URL and body, panics
//	                 └▶ handler ─▶ Send: ETag, If-None-Match, gzip, HEAD
//
// It knows nothing of indexes and devices.
package transport

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Problem is an error as the API tells it (RFC 9457), and as clients return it.
type Problem struct {
	Type      string `json:"type,omitempty" format:"uri-reference" doc:"What kind of problem it is; absent: no more than its status says."`
	Title     string `json:"title" doc:"The kind in a few words."`
	Status    int    `json:"status" doc:"HTTP status code."`
	Detail    string `json:"detail,omitempty" doc:"What is wrong this time, and what to do."`
	Parameter string `json:"parameter,omitempty" doc:"Which parameter is wrong."`
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

// ProblemType is the media type of problems.
const ProblemType = "application/problem+json"

// Fail answers with a problem. A title that is missing is the status's.
func Fail(w http.ResponseWriter, r *http.Request, p Problem) {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	body, err := json.Marshal(p)
	if err != nil { // it is made of texts and a number
		body = []byte("{}")
	}
	h := w.Header()
	for _, name := range []string{"ETag", "Content-Encoding", "Last-Modified", "Link"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", ProblemType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}

// RetryAfter tells the client how many seconds to wait.
func RetryAfter(w http.ResponseWriter, seconds int) {
	w.Header().Set("Retry-After", strconv.Itoa(max(seconds, 1)))
}
