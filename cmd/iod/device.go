package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"iod/chain"
	"iod/key"
	"iod/provision"
)

func (a *app) deviceCommand() *cobra.Command {
	return group("device", "Publish and run a device by its manifest", `The manifest (device.toml) says what the device is and shares. init writes one; check reads it; plan shows what would
change on the chain; run publishes, keeps the owner's programs alive and lets in whom the owner granted access. status, reload
and audit talk to a device that runs on this machine.`,
		a.deviceInit(), a.deviceCheck(), a.devicePlan(), a.deviceRun(), a.deviceStatus(), a.deviceReload(), a.deviceLogs(), a.deviceAudit(), a.deviceRemove())
}

// manifestFlag adds the flag that names the manifest.
func manifestFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "device.toml", "the device's manifest")
}

// manifest loads the manifest and tells what to do about mistakes.
func (a *app) manifest(path string) (*provision.Manifest, error) {
	m, err := provision.Load(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, hint(usage(err), "write one with: iod device init")
	}
	if err != nil {
		return nil, hint(usage(err), "mend the manifest, then try it with: iod device check -c %s", path)
	}
	return m, nil
}

// deviceKey loads the manifest's key; --key and IOD_KEY go before it.
func (a *app) deviceKey(m *provision.Manifest) (*key.Pair, error) {
	p, err := a.keyPair(m.Key)
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	return p, nil
}

func (a *app) deviceCheck() *cobra.Command {
	var path *string
	c := &cobra.Command{
		Use:     "check",
		Short:   "Check the manifest and the key, without the chain",
		Example: "  iod device check -c device.toml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, err := a.manifest(*path)
			if err != nil {
				return err
			}
			p, err := a.deviceKey(m)
			if err != nil {
				return err
			}
			if _, err := provision.Desired(m, p.Account(), p.NodeKey().ID(), ""); err != nil {
				return usage(err)
			}
			return a.print(map[string]any{"manifest": *path, "did": p.Account().DID(), "streams": len(m.Streams), "programs": len(m.Programs)},
				"%s is right: %s, %s, %s\n", *path, p.Account().DID(), plural(len(m.Streams), "stream"), plural(len(m.Programs), "program"))
		},
	}
	path = manifestFlag(c)
	return c
}

// withDevice loads manifest and key and connects to the chain.
func (a *app) withDevice(ctx context.Context, path string, f func(*provision.Manifest, *key.Pair, *chain.Client) error) error {
	m, err := a.manifest(path)
	if err != nil {
		return err
	}
	p, err := a.deviceKey(m)
	if err != nil {
		return err
	}
	client, err := a.dial(ctx, m.RPC...)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(m, p, client)
}

func (a *app) devicePlan() *cobra.Command {
	var path *string
	c := &cobra.Command{
		Use:     "plan",
		Short:   "Show what would change on the chain, as a diff",
		Example: "  iod device plan -c device.toml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withDevice(c.Context(), *path, func(m *provision.Manifest, p *key.Pair, client *chain.Client) error {
				b, err := client.Finalised(c.Context())
				if err != nil {
					return err
				}
				actual, err := provision.Observe(c.Context(), b, m, p.Account())
				if err != nil {
					return err
				}
				plan, err := provision.MakePlan(m, p.Account(), p.NodeKey().ID(), actual)
				if err != nil {
					return err
				}
				return a.print(plan, "%s", plan.Diff())
			})
		},
	}
	path = manifestFlag(c)
	return c
}

func (a *app) deviceRun() *cobra.Command {
	var path *string
	c := &cobra.Command{
		Use:   "run",
		Short: "Publish the device, keep its programs alive, and let in whom the owner granted access",
		Long: `Runs until it is stopped. The programs start at once and are never restarted because the chain, a relay or the
network is away. Nothing listens on this machine but a socket for commands of the same user; the device dials its relays.

When the manifest changes, or on SIGHUP, the device goes by the new one: only what differs begins anew, and a manifest with mistakes
is refused. A service manager is told by sd_notify (Type=notify-reload, WatchdogSec=).`,
		Example: "  iod device run -c device.toml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := a.manifest(*path)
			if err != nil {
				return err
			}
			p, err := a.deviceKey(m)
			if err != nil {
				return err
			}
			err = a.runDevice(c.Context(), m, p)
			if errors.Is(err, provision.ErrRunning) {
				return hint(err, "stop the other one, or give this one a state directory of its own (state = \"…\" in the manifest)")
			}
			return stayed(c.Context(), err)
		},
	}
	path = manifestFlag(c)
	return c
}

func (a *app) deviceRemove() *cobra.Command {
	var path *string
	c := &cobra.Command{
		Use:   "remove",
		Short: "Take the device's document off the chain",
		Long: `Stop the device first: one that still runs (iod device run) finds its document gone and publishes it again. Grants stay
on the chain; the owner takes them back with iod access revoke.`,
		Example: "  iod device remove -c device.toml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withDevice(c.Context(), *path, func(_ *provision.Manifest, p *key.Pair, client *chain.Client) error {
				done, err := provision.Remove(c.Context(), client, p)
				if errors.Is(err, provision.ErrNothing) {
					return a.print(map[string]any{"removed": false}, "nothing to remove: the device has no document on the chain\n")
				}
				if err != nil {
					return err
				}
				a.note("if the device still runs somewhere it publishes itself again: stop iod device run there")
				return a.print(map[string]any{"removed": true, "number": done.Outcome.Number, "block": done.Outcome.Block},
					"removed: finalised in block %d\n", done.Outcome.Number)
			})
		},
	}
	path = manifestFlag(c)
	return c
}
