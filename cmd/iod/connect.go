package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"iod/overlay"
)

func (a *app) connectCommand() *cobra.Command {
	var listen string
	var via []string
	var wait bool
	c := &cobra.Command{
		Use:   "connect DID STREAM",
		Short: "Give a stream of a device a port on this machine",
		Long: `Listens on a local port; whatever connects to it talks to the stream on the device: an MQTT client, a browser,
ffplay. The port stays while relays and devices come and go; it ends when access is withdrawn, unless --wait.`,
		Example: "  iod connect did:peaq:5Grw… measurements --listen 127.0.0.1:1883 --key me.key\n  mosquitto_sub -p 1883 -t 'measurements/#'",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := a.remote(c.Context(), args[0], args[1], via)
			if err != nil {
				return err
			}
			defer r.close()
			return a.connect(c.Context(), r, listen, wait)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "local address")
	c.Flags().StringArrayVar(&via, "via", nil, "relay of your own to go through, tls://host:port/<node id>, so that no relay knows both ends; repeatable")
	c.Flags().BoolVar(&wait, "wait", false, "wait for a grant instead of being refused")
	return c
}

func (a *app) connect(ctx context.Context, r *remote, listen string, wait bool) error {
	dev, stream, b, err := r.find(ctx)
	if err != nil {
		return err
	}
	ok, err := r.granted(ctx, b, dev)
	if err != nil {
		return err
	}
	if !ok && !wait {
		return r.refusal(dev)
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return hint(fmt.Errorf("connect: %w", err), "choose a free address with --listen HOST:PORT")
	}
	defer ln.Close()
	if err := a.print(map[string]string{"listen": ln.Addr().String(), "kind": stream.Kind, "stream": r.stream},
		"%s stream %q is at %s\n", stream.Kind, r.stream, ln.Addr()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dial := func(ctx context.Context) (net.Conn, error) {
		conn, err := r.dial(ctx, wait)
		if final(err) {
			cancel(err)
		}
		return conn, err
	}
	err = overlay.Forward(ctx, ln, dial, r.log)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
