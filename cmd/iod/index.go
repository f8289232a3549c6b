//go:build !device

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
)

func (a *app) indexCommand() *cobra.Command {
	var database string
	var http serving
	var from int64
	var rebuild bool
	c := &cobra.Command{
		Use:   "index",
		Short: "Index all devices of the chain, and serve pages and an HTTP API to search them",
		Long: `Follows the finalised chain into a database and answers searches. A new index reads the registry's current state
first; with --from it walks the history from that block instead. It continues where it was after any end. It never
believes a document that does not prove itself; those are set aside and shown at /operator and /api/v1/set-aside.
Pages for people are at /, the API's description at /api.

The database is a SQLite file, or PostgreSQL by a URL: postgres://USER@HOST:PORT/NAME, or postgres:///NAME?host=/var/run/postgresql
for a Unix socket. Its password is better in the file that PGPASSFILE names (~/.pgpass), in PGPASSWORD or in IOD_DATABASE than in an
argument, which other users of the machine may see. Any number of processes may share a database: one of them follows the chain, all
answer searches, and when the one that writes ends another goes on.`,
		Example: "  iod index --rpc ws://127.0.0.1:9944\n  IOD_DATABASE=postgres:///iod iod index\n  curl -s 'http://127.0.0.1:8080/api/v1/devices?data_type=weather'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("database") {
				database = cmp.Or(a.env("IOD_DATABASE"), database)
			}
			o := index.Options{Rebuild: rebuild, Log: a.serviceLog()}
			if from >= 0 {
				if from > 1<<32-1 {
					return usage(fmt.Errorf("block %d is out of range", from))
				}
				first := uint32(from)
				o.From = &first
			}
			return stayed(c.Context(), a.index(c.Context(), o, database, &http))
		},
	}
	c.Flags().StringVar(&database, "database", "iod.db", "SQLite file, or URL of a PostgreSQL database (IOD_DATABASE)")
	http.flags(c)
	c.Flags().Int64Var(&from, "from", -1, "walk the history from this block instead of reading the current state (new index only)")
	c.Flags().BoolVar(&rebuild, "rebuild", false, "throw the index away and build it anew from the chain, once this process is the one that writes")
	return c
}

func (a *app) index(ctx context.Context, o index.Options, database string, http *serving) error {
	boundMemory(database)
	answers, err := http.options(o.Log)
	if err != nil {
		return err
	}
	store, err := openDatabase(ctx, database)
	if err != nil {
		return err
	}
	defer store.Close()
	var ln net.Listener
	if http.listen != "" {
		if ln, err = net.Listen("tcp", http.listen); err != nil {
			return hint(fmt.Errorf("index: %w", err), "choose a free address with --listen HOST:PORT")
		}
		defer ln.Close()
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	o.Store, o.Source = store, index.ChainSource(client)
	o.Notify = http.pages.note(a.progress())
	group, ctx := errgroup.WithContext(ctx)
	if ln != nil {
		at := "http://" + ln.Addr().String()
		if err := a.print(map[string]string{"api": at, "pages": at + "/"}, "pages  %s/\napi    %[1]s/api/v1/devices\n", at); err != nil {
			return err
		}
		pages := func(reader index.Reader, counts *atlas.Atlas, pending *index.Pending, feeds *feed.Server) (nethttp.Handler, error) {
			return http.pages.handler(a.endpoints(), reader, counts, pending, feeds, database, o.Log)
		}
		if err := serve(ctx, group, ln, store, index.ChainTips(client), answers, pages); err != nil {
			return err
		}
	}
	group.Go(func() error {
		err := index.Lead(ctx, store, o, nil)
		if errors.Is(err, index.ErrOtherChain) || errors.Is(err, index.ErrChainReset) {
			return hint(usage(err), "check --rpc; to index this chain instead, name another --database, or give --rebuild")
		}
		return err
	})
	return group.Wait()
}
