package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"iod/key"
	"iod/overlay"
)

func (a *app) relayCommand() *cobra.Command {
	var listen, advertise, keyFile, forward string
	c := &cobra.Command{
		Use:   "relay",
		Short: "Run a relay: join devices and consumers that both dial out",
		Long: `A relay is a node with a public address. Devices keep one connection to it; consumers ask it for a device by its
public key; it splices the two and sees ciphertext only. It prints the address that devices put into their
manifest: tls://host:port/<node id>.`,
		Example: "  iod relay --listen 0.0.0.0:7777 --advertise relay.example:7777",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			policy, err := forwardPolicy(forward)
			if err != nil {
				return err
			}
			nk, err := a.relayKey(keyFile)
			if err != nil {
				return err
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return hint(fmt.Errorf("relay: %w", err), "choose a free address with --listen HOST:PORT")
			}
			defer ln.Close()
			addr, err := relayAddr(advertise, ln.Addr().String(), nk.ID())
			if err != nil {
				return err
			}
			r, err := overlay.NewRelay(overlay.RelayOptions{Key: nk, Advertise: addr.Host, Forward: policy, Log: a.serviceLog()})
			if err != nil {
				return err
			}
			if err := a.print(map[string]string{"relay": addr.String(), "listen": ln.Addr().String()}, "relay   %s\nlisten  %s\n", addr, ln.Addr()); err != nil {
				return err
			}
			return stayed(c.Context(), r.Serve(c.Context(), ln))
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:7777", "address to listen on; beyond loopback only if you say so, as 0.0.0.0:7777")
	c.Flags().StringVar(&advertise, "advertise", "", "host:port under which others reach it; by default the address it listens on")
	c.Flags().StringVar(&keyFile, "node-key", "relay.key", "file of the relay's key, made when absent; its public half is part of the address")
	c.Flags().StringVar(&forward, "forward", "public", "other relays that this one reaches for consumers who go --via it: public (those with a public address), any (private networks too), off")
	complete(c, "forward", "public", "any", "off")
	return c
}

// forwardPolicy reads the value of --forward.
func forwardPolicy(name string) (overlay.ForwardPolicy, error) {
	switch name {
	case "public":
		return overlay.ForwardPublic, nil
	case "any":
		return overlay.ForwardAny, nil
	case "off":
		return overlay.ForwardOff, nil
	}
	return 0, usage(fmt.Errorf("forward %q is none of public, any, off", name))
}

// relayAddr is the address that devices put into their manifest. One that nobody can dial is refused.
func relayAddr(advertise, listen string, id key.NodeID) (overlay.RelayAddr, error) {
	if advertise == "" {
		if at, err := netip.ParseAddrPort(listen); err == nil && at.Addr().IsUnspecified() {
			return overlay.RelayAddr{}, hint(usage(fmt.Errorf("relay: nobody can dial %s, on which it listens", listen)),
				"say under which address others reach it with --advertise HOST:PORT")
		}
		advertise = listen
	}
	addr, err := overlay.ParseRelayAddr("tls://" + advertise + "/" + id.String())
	if err != nil {
		return addr, usage(fmt.Errorf("relay: advertise %q: %w", advertise, err))
	}
	return addr, nil
}

// relayKey loads or makes the relay's key: an account key of which only the node key is used.
func (a *app) relayKey(file string) (key.NodeKey, error) {
	p, err := a.loadOrMakeKey(file)
	if err != nil {
		return key.NodeKey{}, err
	}
	return p.NodeKey(), nil
}
