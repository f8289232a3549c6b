//go:build !device

package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"iod/api"
	"iod/document"
	"iod/key"
)

func (a *app) devicesShow() *cobra.Command {
	var lines int
	c := &cobra.Command{
		Use:   "show DID",
		Short: "Show one device: what its document says, how it was verified, who has access, its history, and the ways in",
		Long: `Asks an index for everything that it holds of a device. The document's signature is checked here; what only the chain knows (access,
history) is as the index says: check access yourself with iod access list.`,
		Example: "  iod devices show did:peaq:5Grw…\n  iod devices show 5Grw… --lines 0 -o json | jq .access",
		Args:    cobra.ExactArgs(1),
	}
	client := a.indexFlag(c)
	c.Flags().IntVar(&lines, "lines", 20, "most lines of history and of access to show; 0: all that come in one answer")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := key.ParseAccount(args[0])
		if err != nil {
			return usage(err)
		}
		if lines < 0 {
			return usage(fmt.Errorf("lines %d is negative", lines))
		}
		v, err := a.viewDevice(c.Context(), client(), id.DID(), lines)
		if err != nil {
			return a.indexError(err)
		}
		if a.json() {
			return a.encodeLine(v)
		}
		return a.showDevice(v)
	}
	return c
}

// deviceView is what `iod devices show -o json` tells.
type deviceView struct {
	listedDevice
	History []api.Entry         `json:"history"`
	Access  *api.Access         `json:"access,omitempty"` // absent when the index could not tell
	Pending []api.PendingChange `json:"pending,omitempty"`
	WaysIn  []wayIn             `json:"ways_in,omitempty"`

	noAccess error
}

// wayIn is a command that leads to a stream.
type wayIn struct {
	Stream  string `json:"stream"`
	Command string `json:"command"`
}

// viewDevice asks for all there is. What an index cannot tell beside the device itself is left out.
func (a *app) viewDevice(ctx context.Context, client *api.Client, did string, lines int) (deviceView, error) {
	var v deviceView
	limit := 500
	if lines > 0 {
		limit = min(lines, limit)
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		d, err := client.Device(inner, did)
		v.listedDevice, v.History = listed(d.Device, ""), d.History
		if lines > 0 {
			v.History = v.History[:min(lines, len(v.History))]
		}
		return err
	})
	group.Go(func() error {
		access, err := client.Access(inner, did, 0, limit)
		if err != nil {
			v.noAccess = err
			return nil
		}
		v.Access = &access
		return nil
	})
	group.Go(func() error {
		if p, err := client.PendingOf(inner, did); err == nil {
			v.Pending = p.Pending
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return v, err
	}
	v.WaysIn = waysIn(v.listedDevice)
	return v, nil
}

// waysIn are commands that work when they are pasted, once the owner has granted access.
func waysIn(d listedDevice) (ways []wayIn) {
	if d.Verdict == string(document.Forged) || d.Node == "" {
		return nil
	}
	for _, s := range d.Streams {
		if !document.ValidStreamName(s.Name) {
			continue
		}
		if s.Kind == "mqtt" {
			ways = append(ways, wayIn{s.Name, fmt.Sprintf("iod subscribe %s %s --key consumer.key", d.DID, s.Name)})
		}
		ways = append(ways, wayIn{s.Name, fmt.Sprintf("iod connect %s %s --key consumer.key", d.DID, s.Name)})
	}
	return ways
}

// documentOf decodes the document that came along.
func documentOf(d api.Device) (document.Device, document.Verdict, error) {
	id, err := key.ParseDID(d.DID)
	if err != nil {
		return document.Device{}, document.Verdict{}, err
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(d.Document, "0x"))
	if err != nil {
		return document.Device{}, document.Verdict{}, fmt.Errorf("document of %s: %w", id.DID(), err)
	}
	return document.ReadDevice(id, document.DeviceAttribute, raw)
}

func (a *app) showDevice(v deviceView) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("did", "%s", v.DID)
	line("verdict", "%s (checked here)", strings.TrimSuffix(v.Verdict+": "+v.Finding, ": "))
	if dev, verdict, err := documentOf(v.Device); err == nil {
		describe(line, dev, verdict.Vouched)
	}
	line("status", "%s; on the chain: %s since block %d", v.Status, v.Chain.Presence, v.Chain.Since.Block)
	for _, p := range v.Pending {
		line("pending", "block %d  %s (not final yet)", p.At.Block, cmp.Or(p.Action, "set aside: "+p.Aside))
	}
	showAccess(line, v)
	for _, h := range v.History {
		text := fmt.Sprintf("block %d  %s  %s", h.At.Block, instant(h.At), h.Action)
		if h.State != "" {
			text += ", " + h.State
		}
		if h.By != "" {
			text += ", by " + h.By
		}
		line("history", "%s", text)
	}
	for _, w := range v.WaysIn {
		line("way in", "%s", w.Command)
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

func showAccess(line func(name, format string, args ...any), v deviceView) {
	switch {
	case v.Access == nil:
		line("access", "the index cannot tell: %v", v.noAccess)
		return
	case v.Access.Total == 0:
		line("access", "nobody, so far as the chain tells")
	}
	for _, g := range v.Access.Grants {
		text := fmt.Sprintf("%s  %s  since block %d  %s", g.Account, g.Stream, g.Since.Block, instant(g.Since))
		if g.Until != nil {
			text += fmt.Sprintf(" until block %d  %s", g.Until.Block, instant(*g.Until))
		}
		for _, via := range g.Via {
			if via.Fleet {
				text += ", by its fleet"
				break
			}
		}
		line("access", "%s", text)
	}
	if more := v.Access.Total - len(v.Access.Grants); more > 0 {
		line("access", "and %d more", more)
	}
}

// instant is when something happened on the chain.
func instant(p api.Point) string {
	if p.Time == nil {
		return "(time not known)"
	}
	return p.Time.UTC().Format(time.RFC3339)
}
