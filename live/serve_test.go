package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Only who has the address, from this machine's browser or none, sees the page, and only reads it.
func TestWhoMaySeeIt(t *testing.T) {
	p := New(Stream{Name: "s"}, Options{})
	p.Take("t", []byte("<b>1</b>"))
	url := serving(t, p)
	host := strings.Split(url, "/")[2]
	_, port, _ := net.SplitHostPort(host)
	for _, x := range []struct {
		method, path, host string
		header             [2]string
		want               int
	}{
		{"GET", "", host, [2]string{}, 200},
		{"HEAD", "", host, [2]string{}, 200},
		{"GET", "", "localhost:" + port, [2]string{}, 200},
		{"GET", "raw/1", host, [2]string{}, 200},
		{"GET", "raw/2", host, [2]string{}, 404},
		{"GET", "raw/-9223372036854775808", host, [2]string{}, 404},
		{"GET", "", host, [2]string{"Origin", "http://" + host}, 200},
		{"GET", "", host, [2]string{"Sec-Fetch-Site", "none"}, 200},
		{"GET", "events", host, [2]string{"Origin", "https://evil.example"}, 403},
		{"GET", "events", host, [2]string{"Origin", "null"}, 403},
		{"GET", "events", host, [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "events", "evil.example:" + port, [2]string{}, 403},
		{"GET", "events", "127.0.0.1", [2]string{}, 403},
		{"POST", "", host, [2]string{}, 405},
		{"GET", "../", host, [2]string{}, 307}, // to where there is nothing without the token
		{"GET", "static/live.html", host, [2]string{}, 404},
	} {
		r, err := http.NewRequestWithContext(t.Context(), x.method, url+x.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Host = x.host; x.header[0] != "" {
			r.Header.Set(x.header[0], x.header[1])
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != x.want {
			t.Errorf("%+v: %s, %v", x, resp.Status, err)
		}
		h := resp.Header
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%+v: %v", x, h)
		}
		if strings.HasPrefix(x.path, "raw") && !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
			t.Errorf("a message is served as %s: %s", h.Get("Content-Type"), body)
		}
	}
	for _, path := range []string{"/", "/events", "/" + strings.Repeat("A", 22) + "/", "//"} {
		resp, err := http.Get("http://" + host + path) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("without the token %s: %s", path, resp.Status)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestLoopbackOnly(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Stream{}, Options{}).Serve(t.Context(), ln); !errors.Is(err, ErrNotLoopback) {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", ln.Addr().String(), time.Second); err == nil {
		t.Error("it listens on")
	}
}

// Nobody who looks, and does not read, holds up the data; and there are only so many.
func TestSlowViewers(t *testing.T) {
	p := New(Stream{}, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var all []*viewer
	for range maxViewers {
		v, hello, err := p.join()
		if err != nil || v == nil || !strings.HasPrefix(string(hello), "event: hello\ndata: {") {
			t.Fatalf("%v %s", err, hello)
		}
		all = append(all, v)
	}
	if v, _, err := p.join(); v != nil || err != nil {
		t.Error("one more than there may be")
	}
	for range cap(all[0].frames) + 1 {
		p.Take("t", []byte("1"))
		p.tell()
		<-all[0].frames
	}
	p.mu.Lock()
	left := len(p.viewers)
	p.mu.Unlock()
	if left != 1 {
		t.Errorf("%d viewers are left, want the one that reads", left)
	}
	stop()
	p.Run(ctx) //nolint:errcheck // always nil
	if _, open := <-all[0].frames; open {
		t.Error("a viewer is not told of the end")
	}
	if v, _, _ := p.join(); v != nil {
		t.Error("somebody joins what has ended")
	}
}

// What is remembered is bounded, whatever comes.
func TestBounds(t *testing.T) {
	p := New(Stream{}, Options{})
	huge := []byte(strings.Repeat("x", 1<<20))
	for i := range 2000 {
		p.Take(strings.Repeat("t", 1+i%300), []byte("1"))
	}
	p.Take("huge", huge)
	if len(p.messages) > 2*keptMessages || len(p.curves) > maxCurves || p.totals.Dropped == 0 {
		t.Errorf("%d messages, %d curves, %d dropped", len(p.messages), len(p.curves), p.totals.Dropped)
	}
	if m := p.messages[len(p.messages)-1]; m.Size != 1<<20 || len(m.raw) != keptRaw || len(m.Text) > 4*previewed {
		t.Errorf("%d bytes are kept of %d", len(m.raw), m.Size)
	}
	for range 3 * keptPoints {
		p.Take("t", []byte("2"))
	}
	if n := len(p.curves[0].Points); n > 2*keptPoints {
		t.Errorf("%d points are kept", n)
	}
}

// The events as the standard has them: one hello with everything, then what is new, each in one frame.
func TestEvents(t *testing.T) {
	p := New(Stream{Name: "s"}, Options{})
	p.Take("a", []byte(`{"v":1,"text":"line\nbreak\r\n\u2028"}`))
	url := serving(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	var transport http.Transport
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(err, resp)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	event := func() (name string, data map[string]any) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch field {
			case "event":
				name = value
			case "data":
				if err := json.Unmarshal([]byte(value), &data); err != nil {
					t.Fatal(err)
				}
				return name, data
			}
		}
	}
	name, data := event()
	if messages, _ := data["messages"].([]any); name != "hello" || len(messages) != 1 || len(data["curves"].([]any)) != 1 {
		t.Errorf("%s %v", name, data)
	}
	p.Take("a", []byte(`{"v":2}`))
	name, data = event()
	if messages, _ := data["messages"].([]any); name != "tick" || len(messages) != 1 || data["totals"].(map[string]any)["messages"] != 2.0 {
		t.Errorf("%s %v", name, data)
	}
}
