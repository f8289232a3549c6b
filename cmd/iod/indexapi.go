//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"iod/api"
	"iod/api/transport"
	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
	"iod/index/growth"
)

// serving is how `iod index` answers over HTTP.
type serving struct {
	listen  string
	public  string
	origins []string
	rate    float64
	burst   int
	all     bool
	proxies []string
	maxLag  uint32
	maxAge  time.Duration
	pages   pageOptions
}

func (s *serving) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address of the pages and the HTTP API; empty: none")
	f.StringVar(&s.public, "public-url", "", "URL at which clients find it, for links; empty: as they ask")
	f.StringSliceVar(&s.origins, "cors", []string{"*"}, "origins whose pages may read the API; *: all; none: none")
	f.Float64Var(&s.rate, "rate", 50, "requests a second that a client (an IPv4 address, or the /64 of an IPv6 one) may make on average; 0: no limit")
	f.IntVar(&s.burst, "burst", 0, "requests that a client may make at once; 0: four seconds' worth")
	f.BoolVar(&s.all, "rate-loopback", false, "limit clients of this machine, too")
	f.StringSliceVar(&s.proxies, "trusted-proxy", nil, "addresses or prefixes of proxies whose X-Forwarded-For is believed")
	f.Uint32Var(&s.maxLag, "ready-lag", 20, "blocks behind from which /readyz says no")
	f.DurationVar(&s.maxAge, "ready-age", 2*time.Minute, "time without a new block from which /readyz says no")
	s.pages.flags(c)
}

func (s *serving) options(log *slog.Logger) (api.Options, error) {
	o := api.Options{
		Log: log, Rate: s.rate, Burst: s.burst, Loopback: s.all, Origins: s.origins, PublicURL: s.public, MaxLag: s.maxLag, MaxAge: s.maxAge,
	}
	if len(s.origins) == 1 && s.origins[0] == "none" {
		o.Origins = []string{}
	}
	for _, origin := range o.Origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Host == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https") {
			return o, usage(fmt.Errorf("origin %q of --cors is neither * nor none nor such as https://pages.example", origin))
		}
	}
	if u, err := url.Parse(s.public); s.public != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "") {
		return o, usage(errors.New("--public-url is no URL such as https://devices.example"))
	}
	if s.rate < 0 || s.burst < 0 {
		return o, usage(errors.New("--rate and --burst cannot be negative"))
	}
	if err := s.pages.check(); err != nil {
		return o, err
	}
	var err error
	if o.Proxies, err = transport.ParseProxies(s.proxies); err != nil {
		return o, usage(err)
	}
	return o, nil
}

// serve answers on ln until ctx ends, with what each process that answers runs for itself: counts in memory, and what is not final yet.
// pages makes the handler of the pages.
func serve(ctx context.Context, group *errgroup.Group, ln net.Listener, store database, tips index.Tips, o api.Options,
	pages func(index.Reader, *atlas.Atlas, *index.Pending, *feed.Server) (http.Handler, error)) (err error) {
	hub := feed.New(store, feed.Options{Log: o.Log})
	counts, pending := atlas.New(store, atlas.Options{Hub: hub, Log: o.Log}), index.NewPending(tips, store, o.Log)
	days := growth.New(store, growth.Options{Log: o.Log})
	o.Atlas, o.Pending, o.Growth, o.Feed = counts, pending, days, feed.NewServer(hub, feed.ServerOptions{Log: o.Log})
	reader := atlas.NewReader(store, counts)
	if o.Pages, err = pages(reader, counts, pending, o.Feed); err != nil {
		return err
	}
	group.Go(func() error { return hub.Run(ctx) })
	group.Go(func() error { return counts.Run(ctx) })
	group.Go(func() error { return days.Run(ctx) })
	group.Go(func() error { return pending.Run(ctx) })
	group.Go(func() error { return api.Serve(ctx, ln, api.New(reader, o), o.Log) })
	return nil
}
