//go:build !device

package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"

	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
	"iod/web"
)

// pageOptions are the flags of the pages that `iod index` serves beside its API, and what it tells them.
type pageOptions struct {
	tiles, credit, rpc string
	last               atomic.Pointer[index.Progress]
}

func (p *pageOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.tiles, "tiles", "", "raster map under the pages' own, as https://tiles.example/{z}/{x}/{y}.png (default: none, and nothing is loaded from elsewhere)")
	f.StringVar(&p.credit, "tiles-credit", "", "attribution that the raster map's licence asks for")
	f.StringVar(&p.rpc, "public-rpc", "", "chain endpoint that commands on the pages name (default: --rpc, when it is on this machine)")
}

// raster is the raster map that the flags name.
func (p *pageOptions) raster() web.Tiles { return web.Tiles{URL: p.tiles, Attribution: p.credit} }

func (p *pageOptions) check() error {
	if err := p.raster().Check(); err != nil {
		return hint(usage(err), "give --tiles https://HOST/{z}/{x}/{y}.png together with --tiles-credit TEXT")
	}
	return nil
}

// note keeps the newest progress and passes it on to next, which may be nil.
func (p *pageOptions) note(next func(index.Progress)) func(index.Progress) {
	return func(now index.Progress) {
		p.last.Store(&now)
		if next != nil {
			next(now)
		}
	}
}

func (p *pageOptions) progress() index.Progress {
	if last := p.last.Load(); last != nil {
		return *last
	}
	return index.Progress{}
}

// handler makes the pages of an index. database is what it is kept in.
func (p *pageOptions) handler(endpoints []string, store index.Reader, counts *atlas.Atlas, pending *index.Pending,
	feeds *feed.Server, database string, log *slog.Logger) (http.Handler, error) {
	return web.New(web.Options{
		Reader: store, Atlas: counts, Pending: pending.Changes, Feeds: func() int64 { return feeds.Stats().Open }, Progress: p.progress, Version: buildVersion().String(),
		Database: described(database), RPC: p.publicRPC(endpoints), Tiles: p.raster(), Log: log,
	})
}

// described names a database without its place on this machine and without secrets.
func described(database string) string {
	if u, err := url.Parse(database); err == nil && u.Host != "" {
		return u.Scheme + " at " + u.Host + u.Path
	}
	return "SQLite, " + filepath.Base(database)
}

// publicRPC is the endpoint that may be shown: one that was meant to be, or one on this machine, which holds no secret.
func (p *pageOptions) publicRPC(endpoints []string) string {
	if p.rpc != "" {
		return p.rpc
	}
	for _, e := range endpoints {
		u, err := url.Parse(e)
		if err != nil || u.User != nil || u.RawQuery != "" {
			continue
		}
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return e
		}
	}
	return ""
}
