//go:build !device

package main

import (
	"context"
	"fmt"
	"iter"
	"net"
	nethttp "net/http"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
)

func (a *app) benchServe() *cobra.Command {
	var b benchFlags
	var http serving
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve pages and HTTP API of a made-up marketplace, without a chain",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return stayed(c.Context(), a.serveMarket(c.Context(), b, &http))
		},
	}
	b.add(c, "market.db")
	http.flags(c)
	return c
}

func (a *app) serveMarket(ctx context.Context, b benchFlags, http *serving) error {
	boundMemory(b.database)
	answers, err := http.options(a.serviceLog())
	if err != nil {
		return err
	}
	store, err := openDatabase(ctx, b.database)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := marketOf(ctx, store, b.seed); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", http.listen)
	if err != nil {
		return hint(fmt.Errorf("serve a market: %w", err), "choose a free address with --listen HOST:PORT")
	}
	defer ln.Close()
	group, ctx := errgroup.WithContext(ctx)
	pages := func(reader index.Reader, counts *atlas.Atlas, pending *index.Pending, feeds *feed.Server) (nethttp.Handler, error) {
		return http.pages.handler(nil, reader, counts, pending, feeds, b.database, answers.Log)
	}
	if err := serve(ctx, group, ln, store, noTips{}, answers, pages); err != nil {
		return err
	}
	at := "http://" + ln.Addr().String()
	if err := a.print(map[string]any{"api": at, "pid": os.Getpid()}, "pages  %s/\napi    %[1]s/api/v1/devices\n", at); err != nil {
		return err
	}
	return group.Wait()
}

// noTips is a chain of which nothing comes any more.
type noTips struct{}

func (noTips) Tips(ctx context.Context) iter.Seq2[index.Tip, error] {
	return func(func(index.Tip, error) bool) { <-ctx.Done() }
}

func (noTips) BlockAt(context.Context, index.Hash) (index.Block, error) {
	return index.Block{}, fmt.Errorf("a market has no such block")
}
