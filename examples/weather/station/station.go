// Package station simulates a weather station that publishes its measurements through an MQTT broker of its own.
package station

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Options of a station. Zero values mean the defaults.
type Options struct {
	Listen   string            // address of the broker; default 127.0.0.1:1883
	Interval time.Duration     // between two measurements; default 1 s
	Name     string            // of the station, in its SenML base name; default weather
	Seed     uint64            // of the simulated weather
	Log      *slog.Logger      // nil: slog.Default()
	Ready    func(addr string) // called with the broker's address once it accepts connections; may be nil
}

// Run serves the broker and publishes until ctx ends.
func Run(ctx context.Context, o Options) error { return errors.ErrUnsupported }
