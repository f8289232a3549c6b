// Package station simulates a weather station that publishes its measurements through an MQTT broker of its own.
//
//	measurements/wind          [{"bn":"urn:dev:org:32473-roof_","bt":1700000000.25,"n":"wind","u":"m/s","v":5.31}]
//	measurements/temperature   [{"bn":"urn:dev:org:32473-roof_","bt":1700000000.25,"n":"temperature","u":"Cel","v":17.02}]
//	internal/diagnostics       {"goroutines":14,"uptime":12.5}
//
// Payloads are SenML (RFC 8428) in JSON; the last ones are retained. The diagnostics are the owner's own affair: they are
// there to show that a stream of measurements/# does not let them out. The broker lets everyone in who reaches it, as
// brokers on loopback do: it takes any client, subscription and publication. Whoever shares it puts a guard before it.
package station

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"runtime"
	"time"
)

// The topics of a station.
const (
	TopicWind        = "measurements/wind"
	TopicTemperature = "measurements/temperature"
	TopicDiagnostics = "internal/diagnostics"
)

// Options of a station. Zero values mean the defaults.
type Options struct {
	Listen   string            // address of the broker; default 127.0.0.1:1883
	Interval time.Duration     // between two measurements; default 1 s
	Name     string            // of the station, in its SenML base name: letters, digits, dots, dashes; default weather
	Seed     uint64            // of the simulated weather
	Log      *slog.Logger      // nil: slog.Default()
	Ready    func(addr string) // called with the broker's address once it accepts connections; may be nil
}

// Run serves the broker and publishes at once and then at every interval, until ctx ends; then it returns nil.
func Run(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for mqtt: %w", err)
	}
	b, err := newBroker(ln, quiet(o.Log))
	if err != nil {
		ln.Close()
		return fmt.Errorf("serve mqtt: %w", err)
	}
	defer b.close()
	addr := ln.Addr().String()
	o.Log.Info("weather station is up", "name", o.Name, "mqtt", addr, "interval", o.Interval)
	if o.Ready != nil {
		o.Ready(addr)
	}
	ticker := time.NewTicker(o.Interval)
	defer ticker.Stop()
	for start, now := time.Now(), time.Now(); ; {
		if err := o.publish(b, start, now); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case now = <-ticker.C:
		}
	}
}

// publish sends the weather of now and the diagnostics.
func (o *Options) publish(b *broker, start, now time.Time) error {
	m := Simulate(o.Seed, now)
	wind, err := pack(o.Name, now, "wind", "m/s", m.Wind)
	if err != nil {
		return fmt.Errorf("encode wind: %w", err)
	}
	temperature, err := pack(o.Name, now, "temperature", "Cel", m.Temperature)
	if err != nil {
		return fmt.Errorf("encode temperature: %w", err)
	}
	diagnostics, err := json.Marshal(map[string]any{
		"uptime": now.Sub(start).Round(time.Millisecond).Seconds(), "goroutines": runtime.NumGoroutine(),
	})
	if err != nil {
		return fmt.Errorf("encode diagnostics: %w", err)
	}
	for _, p := range []struct {
		topic   string
		payload []byte
	}{{TopicWind, wind}, {TopicTemperature, temperature}, {TopicDiagnostics, diagnostics}} {
		if err := b.publish(p.topic, p.payload); err != nil {
			return fmt.Errorf("publish %s: %w", p.topic, err)
		}
	}
	return nil
}

var stationName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

func (o Options) withDefaults() (Options, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:1883"
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Name == "" {
		o.Name = "weather"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	switch {
	case o.Interval < time.Millisecond:
		return o, fmt.Errorf("interval %s is shorter than 1ms", o.Interval)
	case !stationName.MatchString(o.Name):
		return o, fmt.Errorf("name %q of the station is not 1 to 64 letters, digits, dots or dashes", o.Name)
	}
	return o, nil
}

// quiet keeps the broker's own talk to warnings.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(levelHandler{log.Handler()}) }

type levelHandler struct{ slog.Handler }

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(a)}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name)}
}
