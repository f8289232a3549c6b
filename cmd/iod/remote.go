package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/overlay"
	"iod/pallet/did"
	"iod/pallet/rbac"
)

// remote is a stream of a device as a consumer sees it: found on the chain, asked for over the overlay.
type remote struct {
	chain  *chain.Client
	dialer *overlay.Dialer
	self   *key.Pair
	device key.AccountID
	stream string
	log    *slog.Logger
}

// remote prepares to use a stream as the account of the key.
func (a *app) remote(ctx context.Context, deviceArg, stream string, via []string) (*remote, error) {
	device, err := key.ParseAccount(deviceArg)
	if err != nil {
		return nil, usage(fmt.Errorf("device: %w", err))
	}
	self, err := a.keyPair("")
	if err != nil {
		return nil, err
	}
	relays, err := parseRelays(via)
	if err != nil {
		return nil, usage(err)
	}
	client, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	log := a.serviceLog()
	d := overlay.NewDialer(overlay.DialerOptions{Account: self, Via: relays, Log: log})
	return &remote{chain: client, dialer: d, self: self, device: device, stream: stream, log: log}, nil
}

func (r *remote) close() {
	r.dialer.Close()
	r.chain.Close()
}

func parseRelays(addrs []string) ([]overlay.RelayAddr, error) {
	var out []overlay.RelayAddr
	for _, s := range addrs {
		addr, err := overlay.ParseRelayAddr(s)
		if err != nil {
			return nil, err
		}
		out = append(out, addr)
	}
	return out, nil
}

// document reads the device's document as of the newest finalised block and believes it only when it proves itself.
func (r *remote) document(ctx context.Context) (document.Device, *chain.Block, error) {
	b, err := r.chain.Finalised(ctx)
	if err != nil {
		return document.Device{}, nil, err
	}
	dev, verdict, err := readDevice(ctx, b, r.device)
	if err != nil {
		return dev, b, err
	}
	if verdict.State != document.Verified {
		return dev, b, hint(fmt.Errorf("document of %s is %s: %s", r.device.DID(), verdict.State, verdict.Reason),
			"a running device publishes its own document again within a block or two; try again shortly")
	}
	return dev, b, nil
}

// readDevice reads and judges the device document at a block.
func readDevice(ctx context.Context, b *chain.Block, device key.AccountID) (document.Device, document.Verdict, error) {
	attr, err := did.Read(ctx, b, device, document.DeviceAttribute)
	if err != nil {
		return document.Device{}, document.Verdict{}, err
	}
	if attr == nil {
		return document.Device{}, document.Verdict{}, hint(fmt.Errorf("unknown device %s: it has no device document on this chain", device.DID()),
			"check the DID, and with --rpc the network; find devices with: iod devices list")
	}
	return document.ReadDevice(device, document.DeviceAttribute, attr.Value)
}

// find returns the stream of the device's document.
func (r *remote) find(ctx context.Context) (document.Device, document.Stream, *chain.Block, error) {
	dev, b, err := r.document(ctx)
	if err != nil {
		return dev, document.Stream{}, b, err
	}
	i := slices.IndexFunc(dev.Streams, func(s document.Stream) bool { return s.Name == r.stream })
	if i < 0 {
		names := make([]string, len(dev.Streams))
		for j, s := range dev.Streams {
			names[j] = s.Name
		}
		return dev, document.Stream{}, b, usage(fmt.Errorf("device %s has no stream %q; it offers: %q", r.device.DID(), r.stream, names))
	}
	return dev, dev.Streams[i], b, nil
}

// ownerOf is the account whose entities decide on the device's streams.
func ownerOf(dev document.Device) key.AccountID {
	if dev.Owner != nil {
		return *dev.Owner
	}
	return dev.Account
}

// granted asks the chain whether the device would let this account in.
func (r *remote) granted(ctx context.Context, b *chain.Block, dev document.Device) (bool, error) {
	owner := ownerOf(dev)
	state, err := access.Read(ctx, b, owner, r.device, []string{r.stream}, r.self.Account())
	if err != nil {
		return false, err
	}
	ok, _ := access.Decide(state, r.self.Account(), access.EntityID(owner, r.device, r.stream, rbac.Permission))
	return ok, nil
}

// refusal is the error of a consumer without a grant.
func (r *remote) refusal(dev document.Device) error {
	return hint(refused(fmt.Errorf("access to stream %q of %s is not granted to %s", r.stream, r.device.DID(), r.self.Account())),
		"ask the owner %s for it; they run: iod access grant --device %s --stream %s %s; with --wait this command waits for it",
		ownerOf(dev), r.device.DID(), r.stream, r.self.Account())
}

// dial reads the document anew, so that a device that moved to other relays is found, and joins the stream. Without
// wait a missing grant is a refusal at once; with it the knock stays until the owner grants.
func (r *remote) dial(ctx context.Context, wait bool) (net.Conn, error) {
	dev, _, b, err := r.find(ctx)
	if err != nil {
		return nil, err
	}
	ok, err := r.granted(ctx, b, dev)
	if err != nil {
		return nil, err
	}
	if !ok && !wait {
		return nil, r.refusal(dev)
	}
	if !ok {
		r.log.Info("waiting", "for", "a grant by "+ownerOf(dev).String(), "stream", r.stream)
	}
	relays, err := parseRelays(dev.Relays)
	if err != nil {
		return nil, fmt.Errorf("document of %s: %w", r.device.DID(), err)
	}
	conn, err := r.dialer.Dial(ctx, overlay.Target{Node: dev.Node, Relays: relays}, r.stream)
	if errors.Is(err, overlay.ErrSilent) {
		return nil, hint(unreachable(fmt.Errorf("stream %q of %s: %w", r.stream, r.device.DID(), err)),
			"the chain grants access, so the device is probably off or has lost its network")
	}
	return conn, err
}
