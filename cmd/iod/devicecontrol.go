package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"iod/audit"
	"iod/control"
	"iod/provision"
)

// maxControl bounds what a running device may answer, in bytes.
const maxControl = 16 << 20

// runningFlags name a device that runs on this machine.
type runningFlags struct{ config, state *string }

func runningFlag(c *cobra.Command) runningFlags {
	return runningFlags{manifestFlag(c), c.Flags().String("state", "", "the device's state directory, in place of the one in the manifest")}
}

// dir is the state directory.
func (f runningFlags) dir() string {
	if *f.state != "" {
		return *f.state
	}
	return provision.StateOf(*f.config)
}

// ask talks to a device that runs.
func (a *app) ask(ctx context.Context, f runningFlags, method, what string, into any) (code int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://device"+what, nil)
	if err != nil {
		return 0, err
	}
	resp, err := control.Client(f.dir()).Do(req)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return 0, hint(unreachable(fmt.Errorf("%w: %s", control.ErrNotRunning, f.dir())), "start it with: iod device run -c %s", *f.config)
	case errors.Is(err, control.ErrStranger), errors.Is(err, fs.ErrPermission):
		return 0, hint(err, "ask as the user who runs the device, or as root")
	case err != nil:
		return 0, unreachable(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxControl)).Decode(into); err != nil {
		return resp.StatusCode, fmt.Errorf("the running device answers what this iod does not understand (is it another version?): %w", err)
	}
	return resp.StatusCode, nil
}

func (a *app) deviceStatus() *cobra.Command {
	var flags runningFlags
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the device that runs on this machine fares",
		Long: `Asks the running device over its local socket; nothing is sent over the network. The exit code is 0 when the device is healthy,
1 when something is wrong with it, and 4 when it does not run.`,
		Example: "  iod device status -c device.toml\n  iod device status -o json | jq .problems",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s provision.Status
			if code, err := a.ask(c.Context(), flags, http.MethodGet, "/status", &s); err != nil {
				return err
			} else if code != http.StatusOK {
				return fmt.Errorf("the running device answers with status %d", code)
			}
			if err := a.print(s, "%s", a.statusText(s)); err != nil {
				return err
			}
			switch n := len(s.Problems); {
			case s.Healthy:
				return nil
			case n == 1:
				return errors.New("the device has a problem")
			default:
				return fmt.Errorf("the device has %d problems", n)
			}
		},
	}
	flags = runningFlag(c)
	return c
}

func (a *app) deviceReload() *cobra.Command {
	var flags runningFlags
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the running device read its manifest again, and tell what came of it",
		Long: `Only what differs begins anew: programs whose description changed, sessions of streams that went or moved. A manifest with mistakes
is refused and the device goes on by the one before; the exit code is 2 then. The device does the same by itself when the file changes, and on SIGHUP.`,
		Example: "  iod device reload -c device.toml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var r provision.Answer
			if _, err := a.ask(c.Context(), flags, http.MethodPost, "/reload", &r); err != nil {
				return err
			}
			if r.Error != "" {
				err := errors.New(r.Error)
				if len(r.Problems) > 0 {
					err = fmt.Errorf("%w\n%w", err, &provision.ManifestError{File: r.File, Problems: r.Problems})
				}
				return hint(usage(err), "mend the manifest, then try it with: iod device check -c %s", *flags.config)
			}
			return a.print(r.Reload, "%s", reloadText(r.Reload))
		},
	}
	flags = runningFlag(c)
	return c
}

func reloadText(r *provision.Reload) string {
	var b strings.Builder
	if len(r.Changes)+len(r.Restart) == 0 {
		return "nothing differs from what the device goes by\n"
	}
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s\n", c)
	}
	for _, what := range r.Restart {
		fmt.Fprintf(&b, "%s: counts only after a restart of the device\n", what)
	}
	return b.String()
}

func (a *app) deviceAudit() *cobra.Command {
	var flags runningFlags
	var since time.Duration
	var kind, account, stream string
	c := &cobra.Command{
		Use:   "audit",
		Short: "Print the record of who was let in and who was not",
		Long: `Reads the files in the device's state directory, whether the device runs or not. Refusals that repeat themselves stand there
once an hour, with their number.`,
		Example: "  iod device audit --since 24h\n  iod device audit --kind refusal -o json | jq .account",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			from := time.Time{}
			if since > 0 {
				from = time.Now().Add(-since)
			}
			for e, err := range audit.Read(flags.dir()) {
				if err != nil {
					return hint(err, "ask as the user who runs the device, or as root")
				}
				if e.Time.Before(from) || kind != "" && string(e.Kind) != kind || account != "" && e.Account != account || stream != "" && e.Stream != stream {
					continue
				}
				if err := a.print(e, "%s", auditText(e)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags = runningFlag(c)
	c.Flags().DurationVar(&since, "since", 0, "only what happened within this time, as in 24h")
	c.Flags().StringVar(&kind, "kind", "", "only entries of a kind: grant, refusal, withdrawn, session, end, cut, published, disturbed, conflict, reload, start, stop")
	c.Flags().StringVar(&account, "account", "", "only entries of an account's address")
	c.Flags().StringVar(&stream, "stream", "", "only entries of a stream")
	complete(c, "kind", "grant", "refusal", "withdrawn", "session", "end", "cut", "published", "disturbed", "conflict", "reload", "start", "stop")
	return c
}

// auditText is an entry for people.
func auditText(e audit.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-9s", e.Time.UTC().Format("2006-01-02 15:04:05"), e.Kind)
	for _, f := range []struct {
		name, value string
	}{{"", e.Account}, {"", e.Stream}, {"block ", number(uint64(e.Block))}, {"in ", number(e.In)}, {"out ", number(e.Out)},
		{"times ", number(uint64(e.Count))}, {"", e.Reason}} {
		if f.value != "" {
			fmt.Fprintf(&b, "  %s%s", f.name, printable(f.value))
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
