package station_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"iod/examples/weather/station"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSimulateIsPureAndPlausible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		at := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "time"))
		m := station.Simulate(seed, at)
		if m != station.Simulate(seed, at) {
			t.Fatal("asked twice, it differs")
		}
		if m.Wind < 0 || m.Wind > 20 || m.Temperature < -5 || m.Temperature > 35 || math.IsNaN(m.Wind+m.Temperature) {
			t.Fatalf("%+v", m)
		}
		if next := station.Simulate(seed, at.Add(time.Second)); math.Abs(next.Temperature-m.Temperature) > 1 {
			t.Fatalf("from %v to %v degrees within a second", m.Temperature, next.Temperature)
		}
	})
	day := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	if night, noon := station.Simulate(1, day.Add(3*time.Hour)), station.Simulate(1, day.Add(15*time.Hour)); noon.Temperature < night.Temperature+5 {
		t.Errorf("%v at night, %v by day", night.Temperature, noon.Temperature)
	}
	if station.Simulate(1, day) == station.Simulate(2, day) {
		t.Error("the seed changes nothing")
	}
}

// start runs a station on a free port and returns its address and a function that stops it.
func start(t *testing.T, o station.Options) (addr string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan string, 1)
	done := make(chan error, 1)
	o.Listen, o.Log, o.Ready = "127.0.0.1:0", slog.New(slog.DiscardHandler), func(a string) { ready <- a }
	go func() { done <- station.Run(ctx, o) }()
	select {
	case addr = <-ready:
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	return addr, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestStationPublishes(t *testing.T) {
	addr, stop := start(t, station.Options{Interval: 20 * time.Millisecond, Name: "roof"})
	defer stop()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *paho.Publish, 1000)
	c := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) { got <- p.Packet; return true, nil }}})
	if _, err := c.Connect(t.Context(), &paho.Connect{ClientID: "c", CleanStart: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#"}}}); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9\-:./_]*$`) // RFC 8428, 4.5.1
	times := map[string]float64{}
	for range 9 { // the retained ones, then two rounds
		p := <-got
		if p.Topic == station.TopicDiagnostics {
			times[p.Topic]++
			continue
		}
		var pack []map[string]any
		if err := json.Unmarshal(p.Payload, &pack); err != nil || len(pack) != 1 || len(pack[0]) != 5 {
			t.Fatalf("%s: %s, %v", p.Topic, p.Payload, err)
		}
		r := pack[0]
		unit := map[string]string{station.TopicWind: "m/s", station.TopicTemperature: "Cel"}[p.Topic]
		full := r["bn"].(string) + r["n"].(string)
		if r["u"] != unit || !name.MatchString(full) || full != "urn:dev:org:32473-roof_"+strings.TrimPrefix(p.Topic, "measurements/") {
			t.Errorf("%s: %s", p.Topic, p.Payload)
		}
		if _, ok := r["v"].(float64); !ok || r["bt"].(float64) < times[p.Topic] || r["bt"].(float64) < 1<<28 {
			t.Errorf("%s: %s after %v", p.Topic, p.Payload, times[p.Topic])
		}
		times[p.Topic] = r["bt"].(float64)
	}
	if len(times) != 3 {
		t.Errorf("topics %v", times)
	}
	if err := c.Disconnect(&paho.Disconnect{}); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

func TestStationEndsWithClientsConnected(t *testing.T) {
	addr, stop := start(t, station.Options{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stop()
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]station.Options{
		"is shorter than 1ms":          {Interval: -1},
		"is not 1 to 64 letters":       {Name: "a/b"},
		"listen for mqtt: listen tcp:": {Listen: "nowhere"},
	} {
		if err := station.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
