//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"iod/document"
	"iod/live"
)

const (
	viewingHelp = `

With --ui it also shows what arrives on a page of this machine alone: of MQTT streams each message and the numbers in it as curves (SenML,
JSON, plain numbers), of others how many bytes pass and how they begin.`
	viewingExample = "\n  iod connect did:peaq:5Grw… measurements --ui"
)

// viewing shows on a page what arrives, when the user wants it.
type viewing struct {
	wanted bool
	listen string

	url    string // empty: nobody wants it
	ln     net.Listener
	page   *live.Page
	stream document.Stream
	remote *remote
}

func (v *viewing) flags(c *cobra.Command) {
	c.Flags().BoolVar(&v.wanted, "ui", false, "show what arrives on a page of this machine")
	c.Flags().StringVar(&v.listen, "ui-listen", "127.0.0.1:0", "address of that page; loopback only")
}

func (v *viewing) check() error {
	host, _, err := net.SplitHostPort(v.listen)
	if err != nil {
		return usage(fmt.Errorf("--ui-listen: %w", err))
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return usage(fmt.Errorf("--ui-listen %s: %w, such as 127.0.0.1:0", v.listen, live.ErrNotLoopback))
	}
	return nil
}

// open makes the page, and lets it count what passes the door unless it reads the messages themselves.
func (v *viewing) open(r *remote, s document.Stream, d *door) (err error) {
	if !v.wanted {
		return nil
	}
	if v.ln, err = net.Listen("tcp", v.listen); err != nil {
		return hint(fmt.Errorf("connect --ui: %w", err), "choose a free address with --ui-listen")
	}
	v.page = live.New(live.Stream{Name: s.Name, DID: r.device.DID(), Kind: s.Kind, DataType: s.DataType, Unit: s.Unit, Local: d.address}, live.Options{Log: r.log})
	v.url, v.stream, v.remote = v.page.URL(v.ln), s, r
	switch {
	case s.Kind == "mqtt":
	case d.packets != nil:
		d.packets = v.page.PacketConn(d.packets)
	default:
		d.listener = v.page.Listener(d.listener)
	}
	return nil
}

func (v *viewing) close() {
	if v.ln != nil {
		v.ln.Close()
	}
}

// beside runs f and serves the page until f has ended, and a moment longer, so that the page can say why.
func (v *viewing) beside(ctx context.Context, f func(context.Context) error) error {
	if v.page == nil {
		return f(ctx)
	}
	pages, stop := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	serving.Go(func() { _ = v.page.Run(pages) }) // it ends with the context only
	serving.Go(func() {
		if err := v.page.Serve(pages, v.ln); err != nil {
			v.remote.log.Error("the page with what arrives has ended", "error", err)
		}
	})
	err := f(ctx)
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		v.page.Say("end", "ended: "+err.Error())
	default:
		v.page.Say("end", "iod connect has ended")
	}
	return err
}

// show takes in the messages of a stream beside f, which forwards it.
func (v *viewing) show(ctx context.Context, dev document.Device, wait bool, f func(context.Context) error) error {
	if v.page == nil {
		return f(ctx)
	}
	if v.stream.Kind != "mqtt" {
		v.page.Say("ok", "waiting for programs of this machine; what passes is counted here")
		return f(ctx)
	}
	s := subscription{r: v.remote, wait: wait, level: 5, joined: true, say: v.page.Say, take: func(p publication) error {
		v.page.Take(p.topic, p.payload)
		return nil
	}}
	if err := s.choose(dev, v.stream); err != nil {
		return err
	}
	v.page.Say("wait", "asking the device")
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return f(ctx) })
	both.Go(func() error { return s.keep(ctx) })
	return both.Wait()
}
