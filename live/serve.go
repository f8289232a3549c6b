package live

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// newToken is 128 random bits as a path.
func newToken() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ErrNotLoopback is returned for a listener that others could reach.
var ErrNotLoopback = errors.New("the page is for this machine only: its address must be on loopback")

// URL is where the page is on a listener.
func (p *Page) URL(ln net.Listener) string {
	return "http://" + ln.Addr().String() + "/" + p.token + "/"
}

// Serve answers on ln, which must be on loopback, until ctx ends; then it returns nil. It closes ln. Run must run as long.
func (p *Page) Serve(ctx context.Context, ln net.Listener) error {
	at, ok := ln.Addr().(*net.TCPAddr)
	if !ok || !at.IP.IsLoopback() {
		ln.Close()
		return ErrNotLoopback
	}
	srv := &http.Server{
		Handler: p.guard(at), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the page: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil { // the pages that are open
		srv.Close()
	}
	<-done
	return nil
}

// policy lets the page load from itself alone, and nobody frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard lets only requests through that mean this page: of this host, from this page or from nowhere, with the token.
func (p *Page) guard(at *net.TCPAddr) http.Handler {
	port := strconv.Itoa(at.Port)
	hosts := map[string]bool{at.String(): true, net.JoinHostPort("localhost", port): true}
	pages := p.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			h.Set(name, value)
		}
		origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		token, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case !hosts[r.Host], origin != "" && origin != "http://"+r.Host, site != "" && site != "same-origin" && site != "none":
			http.Error(w, "this page is for the machine that it runs on", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the page can be read only", http.StatusMethodNotAllowed)
		case subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) != 1 || !ok:
			http.Error(w, "not found: open the address that iod connect --ui printed, with all that it ends in", http.StatusNotFound)
		default:
			r.URL.Path, r.URL.RawPath = "/"+rest, ""
			pages.ServeHTTP(w, r)
		}
	})
}

func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	for path, file := range map[string][2]string{
		"/{$}": {"static/live.html", "text/html; charset=utf-8"}, "/live.js": {"static/live.js", "text/javascript; charset=utf-8"},
		"/icon.svg": {"static/icon.svg", "image/svg+xml"}, "/live.css": {"static/live.css", "text/css; charset=utf-8"},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			body, err := static.ReadFile(file[0])
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", file[1])
			w.Write(body) //nolint:errcheck // the browser is gone
		})
	}
	mux.HandleFunc("/events", p.events)
	mux.HandleFunc("/raw/{id}", p.raw)
	return mux
}

// beat is how often a page that is open hears something.
const beat = 15 * time.Second

// events sends what there is, and then what is new.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	v, first, err := p.join()
	switch {
	case err != nil:
		p.Log.Error("page: encode what there is", "error", err)
		http.Error(w, "what there is cannot be told", http.StatusInternalServerError)
		return
	case v == nil:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "as many pages are open as there may be", http.StatusServiceUnavailable)
		return
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leave(v)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	write := func(frame []byte) bool {
		if control.SetWriteDeadline(time.Now().Add(10*time.Second)) != nil {
			return false
		}
		_, err := w.Write(frame)
		return err == nil && control.Flush() == nil
	}
	if !write(append([]byte("retry: 1000\n\n"), first...)) {
		return
	}
	silence := time.NewTicker(beat)
	defer silence.Stop()
	for {
		select {
		case frame, ok := <-v.frames:
			if !ok || !write(frame) {
				return
			}
		case <-silence.C:
			if !write([]byte(": still here\n\n")) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// raw answers with a message as text and bytes, as far as it is kept. It is never anything but plain text.
func (p *Page) raw(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	p.mu.Lock()
	var m *message
	if n := len(p.messages); n > 0 {
		if i := id - p.messages[0].ID; i >= 0 && i < int64(n) {
			m = new(p.messages[i])
		}
	}
	p.mu.Unlock()
	if m == nil {
		http.Error(w, "this message is not kept any more", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if m.Size > len(m.raw) {
		fmt.Fprintf(w, "the first %d of %d bytes\n\n", len(m.raw), m.Size)
	}
	if m.Text != "" || m.Size == 0 {
		w.Write(m.raw) //nolint:errcheck // the browser is gone
		return
	}
	fmt.Fprint(w, hex.Dump(m.raw))
}
