//go:build !device

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"iod/demo"
	"iod/examples/weather/station"
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	var dir string
	c := &cobra.Command{
		Use:   "demo",
		Short: "The whole story on this machine: publish, find, grant, receive, revoke",
		Long: `Runs a development chain, a relay, an index, a device with its weather program, and a consumer as separate processes,
and tells what happens with measured times. Then it stays and says what to try; Ctrl-C ends everything.`,
		Example: "  iod demo\n  iod demo --once --dir ./story",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("demo: find the iod binary: %w", err)
			}
			if dir == "" {
				dir, err = os.MkdirTemp("", "iod-demo-")
			} else {
				dir, err = filepath.Abs(dir)
			}
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			err = demo.Run(c.Context(), demo.Options{Self: self, Dir: dir, Once: once, Color: isTerminal(a.out) && a.env("NO_COLOR") == "", Out: a.out})
			var failed *demo.StepError
			if errors.As(err, &failed) {
				return hint(err, "read the logs in %s", failed.Logs)
			}
			return err
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the story: exit code 0, or 1 with the step that failed")
	c.Flags().StringVar(&dir, "dir", "", "directory for keys, state and logs; by default a new one")
	c.AddCommand(a.demoWeather())
	return c
}

// demoWeather is the program of examples/weather, so that the demo needs no second binary.
func (a *app) demoWeather() *cobra.Command {
	var o station.Options
	c := &cobra.Command{
		Use:    "weather",
		Short:  "The owner's broadcasting program of the demo (examples/weather)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log = a.serviceLog()
			return station.Run(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:1883", "address of the MQTT broker")
	c.Flags().DurationVar(&o.Interval, "interval", time.Second, "time between measurements")
	return c
}
