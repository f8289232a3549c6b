//go:build !device

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"iod/api"
	"iod/document"
	"iod/key"
)

const defaultIndex = "http://127.0.0.1:8080"

func (a *app) devicesCommand() *cobra.Command {
	return group("devices", "Search devices through an index, and verify what it says", "",
		a.devicesList(), a.devicesShow())
}

// indexFlag adds the flag that names the index.
func (a *app) indexFlag(c *cobra.Command) func() *api.Client {
	base := c.Flags().String("index", "", "URL of an index's API (IOD_INDEX; default "+defaultIndex+")")
	return func() *api.Client {
		url := *base
		if url == "" {
			url = a.env("IOD_INDEX")
		}
		if url == "" {
			url = defaultIndex
		}
		return &api.Client{Base: url}
	}
}

// listedDevice is one line of `iod devices list -o json`.
type listedDevice struct {
	api.Device
	Verdict string `json:"verdict"` // what this program found of the document, whatever the index says
	Finding string `json:"finding,omitempty"`
}

func (a *app) devicesList() *cobra.Command {
	var q api.Query
	var verified bool
	var most int
	c := &cobra.Command{
		Use:   "list",
		Short: "List devices",
		Long: `Searches through an index. The index is not trusted: each device's document comes along and its signature is checked
here; the column "verdict" is what was found.`,
		Example: "  iod devices list --data-type wind_speed --max-price 50\n  iod devices list --near 40.2,44.5 --within 20 -o json",
		Args:    cobra.NoArgs,
	}
	client := a.indexFlag(c)
	f := c.Flags()
	f.StringVar(&q.Text, "text", "", "words to look for")
	f.StringArrayVar(&q.DataTypes, "data-type", nil, "type of data, as wind_speed; repeatable: any of them")
	f.StringArrayVar(&q.Kinds, "kind", nil, "kind of stream: mqtt, http, rtsp, tcp, udp; repeatable")
	complete(c, "kind", "mqtt", "http", "rtsp", "tcp", "udp")
	f.StringArrayVar(&q.Units, "unit", nil, "unit, as m/s; repeatable")
	f.StringVar(&q.MinPrice, "min-price", "", "least price in PEAQ")
	f.StringVar(&q.MaxPrice, "max-price", "", "highest price in PEAQ")
	f.StringVar(&q.Owner, "owner", "", "address of the owner")
	f.StringVar(&q.Near, "near", "", "LAT,LON in degrees")
	f.Float64Var(&q.Within, "within", 0, "kilometres from --near")
	f.BoolVar(&verified, "verified", false, "only devices whose document is verified")
	f.IntVar(&most, "limit", 100, "most devices to list; 0: all")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if most < 0 {
			return usage(fmt.Errorf("limit %d is negative", most))
		}
		if verified {
			q.Verified = &verified
		}
		q.Document = true
		return a.listDevices(c, client(), q, most)
	}
	return c
}

func (a *app) listDevices(c *cobra.Command, client *api.Client, q api.Query, most int) error {
	if q.Limit = 100; most > 0 {
		q.Limit = min(most, 100)
	}
	table := tabwriter.NewWriter(a.out, 2, 8, 2, ' ', 0)
	n := 0
	for d, err := range client.All(c.Context(), q) {
		if err != nil {
			return a.indexError(err)
		}
		line := listed(d)
		if n++; a.json() {
			line.Document = ""
			if err := a.encodeLine(line); err != nil {
				return err
			}
		} else {
			if n == 1 {
				fmt.Fprintln(table, "DEVICE\tDATA\tLOCATION\tSTREAMS\tVERDICT")
			}
			fmt.Fprintln(table, a.row(line))
		}
		if n == most {
			break
		}
	}
	if n == 0 {
		a.note("no device matches")
	}
	return table.Flush()
}

// listed adds this program's own verdict to what the index says.
func listed(d api.Device) listedDevice {
	l := listedDevice{Device: d}
	f, err := d.Verify()
	switch {
	case err != nil:
		l.Verdict, l.Finding = "forged", err.Error()
	case len(f.Differs) > 0:
		l.Verdict, l.Finding = string(f.Verdict.State), "the index says something else than the document: "+strings.Join(f.Differs, ", ")
		l.Device = f.Device
	default:
		l.Verdict, l.Finding = string(f.Verdict.State), f.Verdict.Reason
	}
	return l
}

// row is a line of the table: what fits in the terminal.
func (a *app) row(d listedDevice) string {
	var streams []string
	for _, s := range d.Streams {
		text := s.Name + " (" + s.Kind
		if s.Price != "" {
			text += ", " + s.Price + " PEAQ/" + s.Period
		}
		streams = append(streams, text+")")
	}
	cells := []string{d.Address, d.DataType, d.Location, strings.Join(streams, " "), d.Verdict}
	for i, c := range cells {
		cells[i] = printable(clip(c, 48))
	}
	return strings.Join(cells, "\t")
}

// indexError adds what to do when the index does not answer.
func (a *app) indexError(err error) error {
	var p *api.Problem
	if errors.As(err, &p) && (p.Status == http.StatusBadRequest || p.Status == http.StatusNotFound) || errors.Is(err, context.Canceled) {
		return err
	}
	return hint(unreachable(err), "is an index running there? start one with: iod index; name another with --index URL or IOD_INDEX")
}

func (a *app) devicesShow() *cobra.Command {
	c := &cobra.Command{
		Use:     "show DID",
		Short:   "Show one device: what its document says, how it was verified, and its history",
		Example: "  iod devices show did:peaq:5Grw…",
		Args:    cobra.ExactArgs(1),
	}
	client := a.indexFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := key.ParseAccount(args[0])
		if err != nil {
			return usage(err)
		}
		d, err := client().Device(c.Context(), id.DID())
		if err != nil {
			return a.indexError(err)
		}
		if a.json() {
			return a.encodeLine(struct {
				listedDevice
				History []api.Entry `json:"history"`
			}{listed(d.Device), d.History})
		}
		return a.showDevice(d)
	}
	return c
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

func (a *app) showDevice(d api.Detail) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("did", "%s", d.DID)
	found := listed(d.Device)
	line("verdict", "%s (checked here)", strings.TrimSuffix(found.Verdict+": "+found.Finding, ": "))
	if dev, verdict, err := documentOf(d.Device); err == nil {
		describe(line, dev, verdict.Vouched)
	}
	line("status", "%s; on the chain: %s since block %d", d.Status, d.Chain.Presence, d.Chain.Since.Block)
	for _, h := range d.History {
		line("history", "block %s  %s %s", strconv.FormatUint(uint64(h.At.Block), 10), h.Action, h.By)
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}
