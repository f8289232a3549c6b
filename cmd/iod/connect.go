package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"iod/overlay"
)

func (a *app) connectCommand() *cobra.Command {
	var listen string
	var via []string
	var wait bool
	var view viewing
	c := &cobra.Command{
		Use:   "connect DID STREAM",
		Short: "Give a stream of a device a port on this machine",
		Long: `Listens on a local port; whatever connects to it talks to the stream on the device: an MQTT client, a browser,
ffplay. The port stays while relays and devices come and go; it ends with exit code 3 when access is withdrawn,
unless --wait. A stream of kind udp gets a UDP port.` + viewingHelp,
		Example: "  iod connect did:peaq:5Grw… measurements --listen 127.0.0.1:1883 --key me.key\n  mosquitto_sub -p 1883 -t 'measurements/#'" + viewingExample,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := view.check(); err != nil {
				return err
			}
			r, err := a.remote(c.Context(), args[0], args[1], via)
			if err != nil {
				return err
			}
			defer r.close()
			return stayed(c.Context(), a.connect(c.Context(), r, listen, wait, &view))
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "local address")
	c.Flags().StringArrayVar(&via, "via", nil, "relay of your own to go through, tls://host:port/<node id>, so that no relay knows both ends; repeatable")
	c.Flags().BoolVar(&wait, "wait", false, "wait for a grant instead of being refused")
	view.flags(c)
	return c
}

func (a *app) connect(ctx context.Context, r *remote, listen string, wait bool, view *viewing) error {
	dev, stream, err := r.admissible(ctx, wait)
	if err != nil {
		return err
	}
	door, err := openDoor(stream.Kind, listen)
	if err != nil {
		return hint(fmt.Errorf("connect: %w", err), "choose a free address with --listen HOST:PORT")
	}
	defer door.close()
	if err := view.open(r, stream, door); err != nil {
		return err
	}
	defer view.close()
	said, text := map[string]string{"listen": door.address, "kind": stream.Kind, "stream": r.stream}, ""
	if view.url != "" {
		said["ui"], text = view.url, "see what arrives at "+view.url+"\n"
	}
	if err := a.print(said, "%s stream %q is at %s\n%s", stream.Kind, r.stream, door.address, text); err != nil {
		return err
	}
	return view.beside(ctx, func(ctx context.Context) error {
		return r.whileGranted(ctx, dev, wait, func(ctx context.Context, end context.CancelCauseFunc) error {
			return view.show(ctx, dev, wait, func(ctx context.Context) error {
				return door.forward(ctx, func(ctx context.Context) (net.Conn, error) {
					conn, err := r.dial(ctx, wait, true)
					if final(err) {
						end(err)
					}
					return conn, err
				}, r.log)
			})
		})
	})
}

// door is the local end of a stream: one of listener and packets.
type door struct {
	address  string
	listener net.Listener
	packets  net.PacketConn
}

func (d *door) close() {
	if d.packets != nil {
		d.packets.Close()
	} else {
		d.listener.Close()
	}
}

// forward joins what comes to the door with streams from dial, until ctx ends.
func (d *door) forward(ctx context.Context, dial func(context.Context) (net.Conn, error), log *slog.Logger) error {
	if d.packets != nil {
		return overlay.ForwardUDP(ctx, d.packets, dial, log)
	}
	return overlay.Forward(ctx, d.listener, dial, log)
}

// openDoor listens for what a stream of the kind carries: datagrams, or connections.
func openDoor(kind, listen string) (*door, error) {
	if kind == "udp" {
		pc, err := net.ListenPacket("udp", listen)
		if err != nil {
			return nil, err
		}
		return &door{address: pc.LocalAddr().String(), packets: pc}, nil
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	return &door{address: ln.Addr().String(), listener: ln}, nil
}
