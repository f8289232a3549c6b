// Command weather is an example of a program that a device owner runs: a weather station with an MQTT broker of its own on
// loopback. It knows nothing of who shares it or how.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"iod/examples/weather/station"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv)
	stop()
	if err == flag.ErrHelp {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "weather:", err)
		os.Exit(1)
	}
}

// run is main without the process around it. Flags win over the environment.
func run(ctx context.Context, args []string, env func(string) string) error {
	o := station.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	f := flag.NewFlagSet("weather", flag.ContinueOnError)
	f.StringVar(&o.Listen, "listen", "127.0.0.1:1883", "address of the MQTT broker (WEATHER_LISTEN)")
	f.DurationVar(&o.Interval, "interval", time.Second, "time between two measurements (WEATHER_INTERVAL)")
	f.StringVar(&o.Name, "name", "weather", "name of the station (WEATHER_NAME)")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of the simulated weather (WEATHER_SEED)")
	for flagName, variable := range map[string]string{
		"listen": "WEATHER_LISTEN", "interval": "WEATHER_INTERVAL", "name": "WEATHER_NAME", "seed": "WEATHER_SEED",
	} {
		if v := env(variable); v != "" {
			if err := f.Set(flagName, v); err != nil {
				return fmt.Errorf("%s=%q: %w", variable, v, err)
			}
		}
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return station.Run(ctx, o)
}
