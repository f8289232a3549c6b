//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"iod/api"
	"iod/index"
)

const defaultIndex = "http://127.0.0.1:8080"

func (a *app) devicesCommand() *cobra.Command {
	return group("devices", "Search devices through an index, and verify what it says", "",
		a.devicesList(), a.devicesShow(), a.devicesWatch())
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

// filters adds the flags that narrow a search.
func filters(c *cobra.Command, q *api.Query) {
	f := c.Flags()
	f.StringVar(&q.Text, "text", "", "words to look for")
	f.StringArrayVar(&q.DataTypes, "data-type", nil, "type of data, as wind_speed; repeatable: any of them")
	f.StringArrayVar(&q.Kinds, "kind", nil, "kind of stream: mqtt, http, rtsp, tcp, udp; repeatable")
	complete(c, "kind", "mqtt", "http", "rtsp", "tcp", "udp")
	f.StringArrayVar(&q.Units, "unit", nil, "unit, as m/s; repeatable")
	f.StringVar(&q.MinPrice, "min-price", "", "least price in PEAQ")
	f.StringVar(&q.MaxPrice, "max-price", "", "highest price in PEAQ")
	f.StringVar(&q.Owner, "owner", "", "address of the owner")
	f.StringVar(&q.Since, "since", "", "updated then or later: a time such as 2026-11-25T12:00:00Z, or how long ago, such as 24h or 7d")
	f.StringVar(&q.Box, "bbox", "", "WEST,SOUTH,EAST,NORTH in degrees; with west > east across the date line")
	f.StringVar(&q.Near, "near", "", "LAT,LON in degrees")
	f.Float64Var(&q.Within, "within", 0, "kilometres from --near (50; with --sort distance, anywhere)")
	f.Var(optionalBool{&q.Verified}, "verified", "only devices whose document is verified; --verified=false: only the others")
	f.Lookup("verified").NoOptDefVal = "true"
}

// optionalBool is a flag that is true, false or not given.
type optionalBool struct{ to **bool }

func (b optionalBool) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err == nil {
		*b.to = &v
	}
	return err
}

func (b optionalBool) String() string {
	if b.to == nil || *b.to == nil {
		return ""
	}
	return strconv.FormatBool(**b.to)
}

func (optionalBool) Type() string { return "bool" }

func (a *app) devicesList() *cobra.Command {
	var q api.Query
	var most int
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List devices",
		Long: `Searches through an index. The index is not trusted: each device's document comes along and its signature is checked
here; the column VERDICT is what was found, and distances are reckoned here.`,
		Example: "  iod devices list --data-type wind_speed --max-price 50 --sort price\n  iod devices list --near 40.2,44.5 --within 20 --sort distance\n" +
			"  iod devices list --since 24h --all -o json",
		Args: cobra.NoArgs,
	}
	client := a.indexFlag(c)
	filters(c, &q)
	f := c.Flags()
	f.StringVar(&q.Sort, "sort", "", "newest (default), price, -price, or distance from --near")
	complete(c, "sort", "newest", "price", "-price", "distance")
	f.IntVar(&most, "limit", 100, "most devices to list; 0: all")
	f.BoolVar(&all, "all", false, "list all of them, page by page")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if most < 0 {
			return usage(fmt.Errorf("limit %d is negative", most))
		}
		if all {
			if c.Flags().Changed("limit") && most > 0 {
				return usage(errors.New("give --limit or --all, not both"))
			}
			most = 0
		}
		q.Document = true
		return a.listDevices(c, client(), q, most)
	}
	return c
}

// perPage is how many devices are asked for at once, and laid out together.
const perPage = 100

func (a *app) listDevices(c *cobra.Command, client *api.Client, q api.Query, most int) error {
	if q.Limit = perPage; most > 0 {
		q.Limit = min(most, perPage)
	}
	n, table := 0, a.devicesTable(q.Near != "")
	for d, err := range client.All(c.Context(), q) {
		if err != nil {
			if err := table.flush(); err != nil {
				return err
			}
			return a.indexError(err)
		}
		line := listed(d, q.Near)
		n++
		switch {
		case a.json():
			line.Document = ""
			if err := a.encodeLine(line); err != nil {
				return err
			}
		default:
			table.add(a.row(line))
		}
		if n%perPage == 0 {
			if err := table.flush(); err != nil {
				return err
			}
		}
		if n == most {
			break
		}
	}
	if n == 0 {
		a.note("no device matches")
	}
	return table.flush()
}

// listed adds this program's own verdict, and its own distance from near, to what the index says.
func listed(d api.Device, near string) listedDevice {
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
	if lat, lon, ok := parsePlace(near); ok && l.Lat != nil && l.Lon != nil {
		km := math.Round(index.Distance(lat, lon, *l.Lat, *l.Lon)*1000) / 1000
		l.Distance = &km
	}
	return l
}

// parsePlace reads LAT,LON; the index says what is wrong with it.
func parsePlace(s string) (lat, lon float64, ok bool) {
	a, b, ok := strings.Cut(s, ",")
	lat, errLat := strconv.ParseFloat(strings.TrimSpace(a), 64)
	lon, errLon := strconv.ParseFloat(strings.TrimSpace(b), 64)
	return lat, lon, ok && errLat == nil && errLon == nil
}

// indexError adds what to do when the index does not answer.
func (a *app) indexError(err error) error {
	var p *api.Problem
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &p):
	case p.Status == http.StatusTooManyRequests:
		return hint(err, "ask less often, or ask whoever runs the index for a higher --rate")
	case slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}, p.Status):
		return err
	}
	return hint(unreachable(err), "is an index running there? start one with: iod index; name another with --index URL or IOD_INDEX")
}
