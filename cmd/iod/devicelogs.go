package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"iod/provision"
	"iod/spelling"
	"iod/supervise"
)

// defaultLines is how many lines are shown when nothing says which.
const defaultLines = 100

func (a *app) deviceLogs() *cobra.Command {
	var path *string
	var q supervise.LogQuery
	var since string
	c := &cobra.Command{
		Use:   "logs",
		Short: "Show what the device's programs printed, and when they started and ended",
		Long: `Reads the captured output in the device's state directory; the device may run or not. Output is bounded (log in [[program]]):
old lines are gone. Times are UTC.`,
		Example: "  iod device logs -f\n  iod device logs --program weather --since 2h\n  iod device logs -n 20 -o json",
		Args:    cobra.NoArgs,
	}
	path = manifestFlag(c)
	f := c.Flags()
	f.BoolVarP(&q.Follow, "follow", "f", false, "go on with what is printed from now on")
	f.StringVar(&q.Program, "program", "", "only this program's")
	f.StringVar(&since, "since", "", "only lines from then on: a time (RFC 3339) or a duration such as 2h")
	f.IntVarP(&q.Last, "lines", "n", defaultLines, "only the last so many; -1: all, as with --since alone")
	c.RunE = func(c *cobra.Command, _ []string) error {
		m, err := a.manifest(*path)
		if err != nil {
			return err
		}
		if q.Since, err = moment(since, time.Now()); err != nil {
			return err
		}
		if since != "" && !f.Changed("lines") {
			q.Last = -1
		}
		if err := knownProgram(m, q.Program); err != nil {
			return err
		}
		err = supervise.ReadLogs(c.Context(), m.State, q, a.logLine)
		if errors.Is(err, supervise.ErrNoLog) {
			return hint(err, "programs are captured when iod device run -c %s starts them; nothing is on disk before the first line", *path)
		}
		return err
	}
	return c
}

// knownProgram refuses a name that the manifest does not have.
func knownProgram(m *provision.Manifest, name string) error {
	var names []string
	for _, p := range m.Programs {
		names = append(names, p.Name)
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	err := usage(fmt.Errorf("the manifest has no program %q", name))
	if near := spelling.Nearest(name, slices.Values(names)); near != "" {
		return hint(err, "did you mean: --program %s", near)
	}
	return hint(err, "it has: %s", strings.Join(names, ", "))
}

// moment reads a time, or a duration before now.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, hint(usage(fmt.Errorf("since %q is neither a time nor a duration", s)), "write --since 2h, or --since 2026-11-25T19:00:00Z")
}

// logLine prints one captured line.
func (a *app) logLine(l supervise.Line) error {
	if a.json() {
		return a.encodeLine(l)
	}
	_, err := fmt.Fprintf(a.out, "%s %-8s %-6s %s\n", l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.Program, l.Stream, printable(strings.ReplaceAll(l.Text, "\t", "    ")))
	return err
}
