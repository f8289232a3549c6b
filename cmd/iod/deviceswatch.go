//go:build !device

package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"iod/api"
)

func (a *app) devicesWatch() *cobra.Command {
	var q api.Query
	var from string
	var count int
	c := &cobra.Command{
		Use:   "watch",
		Short: "Tell what changes: devices that are published, updated, removed, expired or overwritten",
		Long: `Follows an index's change feed, a line for each change of a finalised block, until it is interrupted. When the index is away it waits
and goes on where it was: nothing is lost and nothing told twice. What is told is what the index says; iod devices show verifies.`,
		Example: "  iod devices watch --near 40.2,44.5 --within 20\n  iod devices watch --from 0 -o json | jq .did",
		Args:    cobra.NoArgs,
	}
	client := a.indexFlag(c)
	filters(c, &q)
	c.Flags().StringVar(&from, "from", "", "where to begin: 0 for the beginning, or the id of a change; default: what happens from now on")
	c.Flags().IntVar(&count, "count", 0, "end after so many changes; 0: never")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if count < 0 {
			return usage(fmt.Errorf("count %d is negative", count))
		}
		return stayed(c.Context(), a.watchDevices(c, client(), q, from, count))
	}
	return c
}

func (a *app) watchDevices(c *cobra.Command, client *api.Client, q api.Query, from string, count int) error {
	told := 0
	away := false
	for e, err := range client.Changes(c.Context(), q, from) {
		var p *api.Problem
		switch {
		case errors.As(err, &p) && p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests:
			return a.indexError(err)
		case err != nil && told == 0 && !away && from == "": // nothing was ever heard: the address may be wrong
			return a.indexError(err)
		case err != nil:
			if !away {
				a.note("%v; waiting for it", err)
			}
			away = true
			continue
		}
		away = false
		switch {
		case e.Reset:
			if err := a.print(map[string]any{"reset": true, "id": e.ID}, "the index was built anew: what was told before may not be true any more\n"); err != nil {
				return err
			}
		case e.Change != nil:
			if err := a.tellChange(e.Change); err != nil {
				return err
			}
			if told++; told == count {
				return nil
			}
		}
		from = e.ID
	}
	return c.Context().Err()
}

// tellChange writes a line.
func (a *app) tellChange(ch *api.Change) error {
	if a.json() {
		return a.encodeLine(ch)
	}
	when := fmt.Sprintf("block %d", ch.Block)
	if ch.Time != nil {
		when = ch.Time.UTC().Format(time.RFC3339)
	}
	text := fmt.Sprintf("%s  %-16s  %s  %s", when, ch.Action, ch.DID, strings.Join(ch.DataTypes, ", "))
	if ch.State != "" {
		text += "  " + ch.State
	}
	_, err := fmt.Fprintln(a.out, printable(text))
	return err
}
