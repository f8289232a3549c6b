package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// payload is a file of 200,000 bytes of which no two parts are the same.
var payload = func() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 200_000; i++ {
		fmt.Fprintf(&b, "%d\n", i)
	}
	return b.Bytes()
}()

// shop serves the payload as a web server should.
func shop(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"one"`)
	http.ServeContent(w, r, "", t0, bytes.NewReader(payload))
}

// place is where one version is fetched to.
type place struct {
	*store
	fetcher
	v           *Version
	done, total int64
}

func newPlace(t *testing.T, h http.HandlerFunc) *place {
	t.Helper()
	p := &place{store: newStore(realDisk{}, filepath.Join(t.TempDir(), "p")), fetcher: fetcher{NewClient(nil), 10 * time.Second},
		v: &Version{Name: "1", Sum: sumOf(string(payload))}}
	if h != nil {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		p.v.URL = s.URL + "/weather"
	}
	return p
}

func (p *place) once(ctx context.Context) error {
	return p.fetch(ctx, p.store, p.v, func(done, total int64) { p.done, p.total = done, total })
}

// wants checks what a fetch came to.
func (p *place) wants(t *testing.T, kind trouble, text string) {
	t.Helper()
	err := p.once(t.Context())
	var known *fetchError
	if !errors.As(err, &known) || known.trouble != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("want trouble %d, %s; got %v", kind, text, err)
	}
	if p.has(p.v.Sum) {
		t.Error("it is a version all the same")
	}
}

func (p *place) isWhole(t *testing.T) {
	t.Helper()
	if err := p.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(p.path(p.v.Sum))
	if err != nil || !bytes.Equal(b, payload) || !p.has(p.v.Sum) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if info, err := os.Stat(p.path(p.v.Sum)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Join(p.dir, "fetch")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if p.done != int64(len(payload)) {
		t.Errorf("%d of %d are done", p.done, p.total)
	}
}

func TestFetch(t *testing.T) {
	p := newPlace(t, shop)
	p.isWhole(t)
	p = newPlace(t, nil)
	p.v.Path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(p.v.Path, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	p.isWhole(t)
}

// TestFetchIsResumed cuts every answer after 30,000 bytes.
func TestFetchIsResumed(t *testing.T) {
	for _, tag := range []bool{true, false} {
		var sent, asked atomic.Int64
		p := newPlace(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if tag {
				w.Header().Set("ETag", `"one"`)
				if r.Header.Get("Range") != "" && r.Header.Get("If-Range") != `"one"` {
					t.Errorf("If-Range is %q", r.Header.Get("If-Range"))
				}
			}
			c := &cutter{ResponseWriter: w, left: 30_000}
			http.ServeContent(c, r, "", time.Time{}, bytes.NewReader(payload))
			sent.Add(30_000 - c.left)
			if c.left == 0 {
				panic(http.ErrAbortHandler)
			}
		})
		for range 6 {
			p.wants(t, again, "")
			if info, err := os.Stat(p.part(p.v.Sum)); err != nil || info.Mode().Perm()&0o111 != 0 {
				t.Errorf("what has come is executable: %v, %v", info.Mode(), err)
			}
		}
		p.isWhole(t)
		if asked.Load() != 7 || sent.Load() > int64(len(payload)) {
			t.Errorf("asked %d times, %d bytes were sent", asked.Load(), sent.Load())
		}
	}
}

// cutter ends an answer after some bytes.
type cutter struct {
	http.ResponseWriter
	left int64
}

func (c *cutter) Write(b []byte) (int, error) {
	if int64(len(b)) > c.left {
		c.ResponseWriter.Write(b[:c.left])
		c.left = 0
		c.ResponseWriter.(http.Flusher).Flush()
		return 0, errors.New("cut")
	}
	c.left -= int64(len(b))
	return c.ResponseWriter.Write(b)
}

// TestFileChangesMeanwhile serves another file when the fetch is resumed.
func TestFileChangesMeanwhile(t *testing.T) {
	first := true
	p := newPlace(t, func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			w.Header().Set("ETag", `"other"`)
			w.Header().Set("Content-Length", "200000")
			w.Write(bytes.Repeat([]byte{'x'}, 50_000))
			panic(http.ErrAbortHandler)
		}
		shop(w, r)
	})
	p.wants(t, again, "")
	p.isWhole(t)
}

// TestHostileServers does all that a server can do wrong. Nothing of it is run, and everything ends.
func TestHostileServers(t *testing.T) {
	for name, c := range map[string]struct {
		kind trouble
		text string
		h    http.HandlerFunc
	}{
		"another file":       {wrong, "is not the version that the manifest names", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("evil")) }},
		"nothing":            {wrong, "is not the version that the manifest names", func(http.ResponseWriter, *http.Request) {}},
		"not found":          {wrong, "404", http.NotFound},
		"forbidden":          {wrong, "403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }},
		"out of order":       {again, "503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }},
		"no content":         {wrong, "204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		"redirects for ever": {wrong, "more than 5 redirects", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }},
		"redirects to files": {wrong, "a redirect leads from http to file", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}},
		"says it is huge": {wrong, "and may have 300000", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999999")
			w.WriteHeader(200)
		}},
		"is endless": {wrong, "more than 300000 bytes", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(payload); err != nil {
					return
				}
			}
		}},
		"stalls": {again, "has stopped sending", func(w http.ResponseWriter, r *http.Request) {
			w.Write(payload[:5000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		"drips": {again, "has stopped sending", func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				<-tick.C
				w.Write([]byte{'x'})
				w.(http.Flusher).Flush()
			}
		}},
		"says more than it has": {again, "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(payload)+10))
			w.Write(payload)
		}},
		"says less than it has": {wrong, "is not the version that the manifest names", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%s", payload)
		}},
		"compresses unasked": {wrong, "answers 200", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(payload)
		}},
		"endless head": {again, "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, c.h)
			p.v.Most, p.stall = 300_000, 100*time.Millisecond
			p.wants(t, c.kind, c.text)
		})
	}
}

// TestHostileRanges answers to a request for the rest.
func TestHostileRanges(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"another range": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-9/200000")
			w.WriteHeader(206)
			w.Write([]byte("evil!"))
		},
		"nonsense": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "lots")
			w.WriteHeader(206)
			w.Write([]byte("evil!"))
		},
		"less than there is": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes */7")
			w.WriteHeader(416)
		},
	} {
		var hostile atomic.Bool
		hostile.Store(true)
		p := newPlace(t, func(w http.ResponseWriter, r *http.Request) {
			if hostile.Load() {
				h(w, r)
				return
			}
			shop(w, r)
		})
		if err := errors.Join(p.disk.Make(p.dir+"/fetch"), os.WriteFile(p.part(p.v.Sum), payload[:70_000], 0o600)); err != nil {
			t.Fatal(err)
		}
		p.wants(t, again, "")
		if info, err := os.Stat(p.part(p.v.Sum)); err != nil || info.Size() != 0 {
			t.Errorf("%s: %d bytes are left", name, info.Size())
		}
		hostile.Store(false)
		p.isWhole(t)
	}
	p := newPlace(t, shop) // all is there already
	if err := errors.Join(p.disk.Make(p.dir+"/fetch"), os.WriteFile(p.part(p.v.Sum), payload, 0o600)); err != nil {
		t.Fatal(err)
	}
	p.done = int64(len(payload))
	p.isWhole(t)
}

func TestDowngrade(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(shop))
	defer plain.Close()
	safe := httptest.NewUnstartedServer(http.RedirectHandler(plain.URL+"/x", http.StatusFound))
	safe.Config.ErrorLog = log.New(io.Discard, "", 0)
	safe.StartTLS()
	defer safe.Close()
	p := newPlace(t, nil)
	p.v.URL = safe.URL + "/?token=s3cret"
	p.wants(t, again, "certificate")
	p.client.Transport.(*http.Transport).TLSClientConfig.RootCAs = safe.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	p.wants(t, wrong, "a redirect leads from https to http")
	if err := p.once(t.Context()); strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	at := t0.AddDate(100, 0, 0) // what the caller says counts, not this machine's clock
	p.client.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return at }
	p.wants(t, again, "expired or is not yet valid")
}

func TestNoSuchPath(t *testing.T) {
	for path, text := range map[string]string{"/nowhere/at/all": "no such file", t.TempDir(): "is not a file", "/dev/zero": "is not a file"} {
		p := newPlace(t, nil)
		p.v.Path = path
		p.wants(t, wrong, text)
	}
}

// TestStopsAtOnce ends a fetch from outside.
func TestStopsAtOnce(t *testing.T) {
	began := make(chan struct{})
	p := newPlace(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(payload[:1000])
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if err := p.once(ctx); err == nil {
		t.Error("it came to an end")
	}
}

func TestTornState(t *testing.T) {
	s := newStore(realDisk{}, filepath.Join(t.TempDir(), "programs/p"))
	one := Ref{"1", sumOf("one")}
	want := State{Current: &one}.Fail(ref("2"), "bad", t0)
	if err := s.save(want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.load(); err != nil || fmt.Sprint(got.Current, got.Failed) != fmt.Sprint(want.Current, want.Failed) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := errors.Join(s.disk.Make(s.dir+"/versions"), os.WriteFile(s.path(one.Sum), []byte("one"), 0o755),
		os.WriteFile(s.path(sumOf("x")), []byte("torn"), 0o755)); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(filepath.Join(s.dir, "state"))
	for _, torn := range [][]byte{nil, b[:len(b)/2], bytes.Replace(b, []byte(`"1"`), []byte(`"7"`), 1), make([]byte, len(b)), []byte("{}\n")} {
		if err := os.WriteFile(filepath.Join(s.dir, "state"), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := newStore(realDisk{}, s.dir).load()
		if err != nil || got.Current == nil || got.Current.Sum != one.Sum || got.Previous != nil {
			t.Errorf("%q: %+v, %v", torn, got, err)
		}
	}
	if _, err := os.Stat(s.path(sumOf("x"))); !errors.Is(err, os.ErrNotExist) {
		t.Error("a torn version is left")
	}
}
