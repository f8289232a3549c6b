package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"iod/access"
	"iod/chain"
	"iod/clock"
	"iod/document"
	"iod/key"
	"iod/overlay"
	"iod/pallet/did"
)

// remote is a stream of a device as a consumer sees it: found on the chain, asked for over the overlay.
type remote struct {
	chain  *chain.Client
	dialer *overlay.Dialer
	self   *key.Pair
	device key.AccountID
	stream string
	log    *slog.Logger
	clock  *clock.Clock                    // by the chain, since devices go by it
	last   atomic.Pointer[document.Device] // the newest document as of which access was granted
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
	now := clock.New(time.Time{})
	d := overlay.NewDialer(overlay.DialerOptions{Account: self, Via: relays, Log: log, KnockTime: now.Now})
	return &remote{chain: client, dialer: d, self: self, device: device, stream: stream, log: log, clock: now}, nil
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
	if err := r.tick(ctx, b); err != nil {
		return dev, b, err
	}
	if verdict.State != document.Verified {
		return dev, b, hint(fmt.Errorf("document of %s is %s: %s", r.device.DID(), verdict.State, verdict.Reason),
			"a running device publishes its own document again within a block or two; try again shortly")
	}
	return dev, b, nil
}

// tick tells the clock what time it is on the chain: a machine whose own clock is wrong may knock all the same.
func (r *remote) tick(ctx context.Context, b *chain.Block) error {
	m, err := b.Metadata(ctx)
	if err != nil {
		return err
	}
	now, err := b.Time(ctx)
	if err != nil {
		return err
	}
	r.clock.Observe(now, access.Clocked(m))
	return nil
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
	if attr.Expired(b.Number) {
		return document.Device{}, document.Verdict{}, hint(fmt.Errorf("document of %s was valid until block %d, which is past", device.DID(), attr.Validity),
			"a running device renews its document, so it is probably off")
	}
	return document.ReadDevice(device, document.DeviceAttribute, attr.Value)
}

// find returns the stream of the device's document.
func (r *remote) find(ctx context.Context) (document.Device, document.Stream, *chain.Block, error) {
	dev, b, err := r.document(ctx)
	if err != nil {
		return dev, document.Stream{}, b, err
	}
	stream, err := streamOf(dev, r.stream)
	return dev, stream, b, err
}

// streamOf returns the stream of that name.
func streamOf(dev document.Device, name string) (document.Stream, error) {
	for _, s := range dev.Streams {
		if s.Name == name {
			return s, nil
		}
	}
	return document.Stream{}, hint(usage(fmt.Errorf("device %s has no stream %q", dev.Account.DID(), name)),
		"it offers: %s", printable(strings.Join(streamNames(dev), ", ")))
}

func streamNames(dev document.Device) []string {
	names := make([]string, len(dev.Streams))
	for i, s := range dev.Streams {
		names[i] = s.Name
	}
	return names
}

// ownerOf is the account whose entities decide on the device's streams.
func ownerOf(dev document.Device) key.AccountID {
	if dev.Owner != nil {
		return *dev.Owner
	}
	return dev.Account
}

// granted asks the chain whether the device would let this account in: as the device's judge does, it takes a grant from the
// finalised block b, and a revocation already from the best one.
func (r *remote) granted(ctx context.Context, b *chain.Block, dev document.Device) (bool, error) {
	if ok, err := r.grantedAt(ctx, b, dev); err != nil || !ok {
		return false, err
	}
	best, err := r.chain.Best(ctx)
	if err != nil {
		return false, err
	}
	return r.grantedAt(ctx, best, dev)
}

func (r *remote) grantedAt(ctx context.Context, b *chain.Block, dev document.Device) (bool, error) {
	owner := ownerOf(dev)
	return access.Reaches(ctx, b, owner, access.Scopes(owner, r.device, dev.Fleet), r.stream, r.self.Account())
}

// refusal is the error of a consumer without a grant.
func (r *remote) refusal(dev document.Device) error {
	return hint(refused(fmt.Errorf("access to stream %q of %s is not granted to %s", r.stream, r.device.DID(), r.self.Account())),
		"ask the owner %s for it; they run: iod access grant --device %s --stream %s %s; with --wait this command waits for it",
		ownerOf(dev), r.device.DID(), r.stream, r.self.Account())
}

// admissible finds the stream and checks that the chain grants it, unless the caller waits for a grant.
func (r *remote) admissible(ctx context.Context, wait bool) (document.Device, document.Stream, error) {
	dev, stream, b, err := r.find(ctx)
	if err != nil {
		return dev, stream, err
	}
	ok, err := r.granted(ctx, b, dev)
	if err == nil && !ok && !wait {
		err = r.refusal(dev)
	}
	return dev, stream, err
}

// whileGranted runs f. Its context ends, and with it f, when the chain takes the grant back; that refusal is then the error.
// f may end it too, with a cause of its own. Who waits for grants waits for the next one instead.
func (r *remote) whileGranted(ctx context.Context, dev document.Device, wait bool, f func(context.Context, context.CancelCauseFunc) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	if !wait {
		owner := ownerOf(dev)
		judge := access.NewJudges(access.JudgeOptions{Chain: access.OnChain(r.chain), Owner: owner}, access.Scopes(owner, r.device, dev.Fleet))
		watch.Go(func() { _ = judge.Run(ctx) }) // it ends with ctx only
		watch.Go(func() {
			if r.withdrawn(ctx, judge, dev) {
				cancel(r.refusal(dev))
			}
		})
	}
	err := f(ctx, cancel)
	if cause := context.Cause(ctx); final(cause) {
		return cause
	}
	return err
}

// withdrawn waits until the grant is taken back, or ctx ends. That no chain endpoint answers says nothing: the device decides.
func (r *remote) withdrawn(ctx context.Context, judge access.Judges, dev document.Device) bool {
	for {
		pass, err := judge.Admit(ctx, r.self.Account(), r.stream)
		if err != nil {
			return false
		}
		select {
		case <-pass.Done():
			if errors.Is(pass.Err(), access.ErrRevoked) && !r.otherwise(ctx, dev) {
				return true
			}
		case <-ctx.Done():
		}
		pass.Release()
		if ctx.Err() != nil {
			return false
		}
	}
}

// otherwise reports whether access that one scope withdrew (the device's, or its fleet's) is still given by the other.
func (r *remote) otherwise(ctx context.Context, dev document.Device) bool {
	if dev.Fleet == "" {
		return false
	}
	b, err := r.chain.Best(ctx)
	if err != nil {
		return false
	}
	ok, err := r.grantedAt(ctx, b, dev)
	return err == nil && ok
}

// ask reads the device's document and whether access is granted. While no endpoint of the chain answers, what it said last holds:
// the device decides anyway, and may let in whom it knows.
func (r *remote) ask(ctx context.Context) (document.Device, bool, error) {
	dev, _, b, err := r.find(ctx)
	ok := false
	if err == nil {
		ok, err = r.granted(ctx, b, dev)
	}
	switch last := r.last.Load(); {
	case err == nil && ok:
		r.last.Store(&dev)
	case err == nil:
		r.last.Store(nil)
	case last != nil && errors.As(err, new(*chain.EndpointError)):
		r.log.Info("the chain does not answer; going by what it said before", "err", err)
		return *last, true, nil
	}
	return dev, ok, err
}

// answerTime is how long a device that was never heard of may take to answer.
const answerTime = 30 * time.Second

// dial reads the document anew, so that a device that moved to other relays is found, and joins the stream. Without
// wait a missing grant is a refusal at once, and silence of a device that never answered before ends the call after
// answerTime; with it the knock stays until the owner grants.
func (r *remote) dial(ctx context.Context, wait, known bool) (net.Conn, error) {
	dev, ok, err := r.ask(ctx)
	switch {
	case err != nil:
		return nil, err
	case !ok && !wait:
		return nil, r.refusal(dev)
	case !ok:
		r.log.Info("waiting", "for", "a grant by "+ownerOf(dev).String(), "stream", r.stream)
	}
	relays, err := parseRelays(dev.Relays)
	if err != nil {
		return nil, fmt.Errorf("document of %s: %w", r.device.DID(), err)
	}
	if !wait && !known {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	conn, err := r.dialer.Dial(ctx, overlay.Target{Node: dev.Node, Relays: relays}, r.stream)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, overlay.ErrSilent) && ok:
		err = hint(unreachable(fmt.Errorf("stream %q of %s: %w", r.stream, r.device.DID(), overlay.ErrSilent)),
			"the chain grants access, so the device is probably off or has lost its network; with --wait this command waits for it")
	}
	return nil, err
}
