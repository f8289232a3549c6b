package live

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving serves a page until the test ends, and returns its address.
func serving(t *testing.T, p *Page) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	running.Go(func() {
		if err := p.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return p.URL(ln)
}

// weather sends five minutes of what a weather station measures, and a few messages of other kinds.
func weather(p *Page, at *time.Time) {
	begin := at.Add(-5 * time.Minute)
	for i := range 300 {
		*at = begin.Add(time.Duration(i+1) * time.Second)
		s := float64(i)
		p.Take("measurements/wind_speed", fmt.Appendf(nil, `[{"bn":"urn:dev:weather:7:","bt":%d,"n":"wind_speed","u":"m/s","v":%.2f}]`, at.Unix(), 6+3*math.Sin(s/23)+math.Sin(s*1.7)))
		if i < 150 || i > 190 {
			p.Take("measurements/indoor", fmt.Appendf(nil, `{"temperature":%.2f,"humidity":{"value":%.1f,"unit":"%%RH"},"door_open":%t}`, 21+math.Sin(s/60), 44-5*math.Cos(s/80), i/40%3 == 1))
		}
		if i%20 == 0 {
			p.Take("measurements/pressure", fmt.Appendf(nil, "%.1f", 1013+s/100))
		}
	}
	p.Take("status/note", []byte("<img src=x onerror=alert(1)> “all well”\n"))
	p.Take("camera/frame", []byte{0xff, 0xd8, 0xff, 0xe0, 0, 1, 2, 3})
}

const did = "did:peaq:5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"

func newWeather(t *testing.T) (*Page, string) {
	at := time.Now()
	p := New(Stream{Name: "measurements", DID: did, Kind: "mqtt", DataType: "weather", Local: "127.0.0.1:1883"}, Options{Now: func() time.Time { return at }})
	p.Say("ok", "receiving measurements/#")
	weather(p, &at)
	return p, serving(t, p)
}

func TestPageInABrowser(t *testing.T) {
	for _, size := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"desktop", 1280, 900, false}, {"phone", 390, 844, true}} {
		t.Run(size.name, func(t *testing.T) {
			p, url := newWeather(t)
			b := newTab(t, url, size.width, size.height, size.dark)
			b.open()
			b.await(`document.querySelectorAll("#rows tr").length > 20`)
			b.await(`document.querySelectorAll(".curve").length === 5`)
			b.keep("live-" + size.name)
			for selector, want := range map[string]string{"h1": "measurements", "#did": did, "#state": "receiving measurements/#", ".curve .title": "urn:dev:weather:7:wind_speed", ".curve .now": "m/s"} {
				if got := b.text(selector); !strings.Contains(got, want) {
					t.Errorf("%s: %q, want %q in it", selector, got, want)
				}
			}
			if wide := eval[int](b, "document.documentElement.scrollWidth"); wide > int(size.width) {
				t.Errorf("the page is %d wide", wide)
			}
			if n := eval[int](b, `document.querySelectorAll("img").length`); n != 0 {
				t.Error("a message has become markup")
			}
			look(t, b, p)
			b.keep("live-" + size.name + "-paused")
		})
	}
}

// look uses what there is to use.
func look(t *testing.T, b *tab, p *Page) {
	painted := `[...document.querySelectorAll("canvas")].map(c => new Set(new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size)`
	for i, n := range eval[[]int](b, "scrollTo(0, 0), "+painted) {
		if i == 0 && n < 8 {
			t.Errorf("curve %d has %d colours", i, n)
		}
	}
	// A message as it came.
	eval[bool](b, `[...document.querySelectorAll("td button")].find(x => x.innerText.includes("all well")).click() || true`)
	b.await(`document.querySelector("tr.raw pre")?.textContent.startsWith("<img src=x")`)
	// The keyboard walks along a curve.
	eval[bool](b, `document.querySelector("canvas").focus() || true`)
	b.press("ArrowLeft", 37)
	b.press("ArrowLeft", 37)
	b.await(`/wind_speed: [\d.]+ m\/s at \d\d:\d\d:\d\d/.test(document.querySelector("#said").textContent)`)
	b.press("Escape", 27)
	// Held, it shows nothing new; then all that waited.
	b.press("p", 80)
	b.await(`document.querySelector("#pause").getAttribute("aria-pressed") === "true"`)
	rows := eval[int](b, `document.querySelectorAll("#rows tr:not(.raw)").length`)
	before := b.text("#rows tr:first-child")
	for range 3 {
		p.Take("measurements/pressure", []byte("1020.25"))
	}
	b.await(`document.querySelector("#totals").textContent === "held; 3 newer messages wait"`)
	if got := b.text("#rows tr:first-child"); got != before || rows == 0 {
		t.Errorf("while it is held: %q, before %q", got, before)
	}
	b.press("p", 80)
	b.await(`document.querySelector("#rows tr").innerText.includes("1020.25")`)
	b.await(`document.querySelector("#curves").innerText.includes("1,020.25")`)
	eval[bool](b, `document.querySelector("[name=span][value='60']").click() || true`)
	// The end is told.
	p.Say("end", "ended: access was taken back")
	b.await(`document.querySelector("#state.end").innerText.includes("access was taken back")`)
}

func TestBytesInABrowser(t *testing.T) {
	p := New(Stream{Name: "camera", DID: did, Kind: "rtsp", DataType: "video", Local: "127.0.0.1:8554"}, Options{})
	p.Say("ok", "waiting for programs of this machine; what passes is counted here")
	url := serving(t, p)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := p.Listener(inner)
	defer ln.Close()
	b := newTab(t, url, 1280, 800, true)
	b.open()
	there, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	fmt.Fprint(there, "OPTIONS rtsp://127.0.0.1:8554/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	here.Read(make([]byte, 100))
	fmt.Fprint(here, "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, PLAY\r\n\r\n")
	there.Read(make([]byte, 100))
	here.Write(make([]byte, 200_000))
	b.await(`document.querySelector("#head").textContent.includes("RTSP/1.0 200 OK")`)
	b.await(`document.querySelector("#sent").textContent.includes("OPTIONS rtsp")`)
	b.await(`document.querySelector("#c-from").textContent === "200 kB" && document.querySelector("#c-open").textContent === "1 open, 1 in all"`)
	b.await(`document.querySelectorAll(".curve").length === 2`)
	b.keep("live-bytes")
	here.Close()
	b.await(`document.querySelector("#c-open").textContent === "0 open, 1 in all"`)
}
