package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

func (a *app) accessCommand() *cobra.Command {
	return group("access", "Grant and revoke access to a device's streams, and list who has it", `The owner's commands. They work from anywhere: the running device learns of the change from the chain. Granting also
sets up what is missing on the chain and vouches for the device, all in one transaction; repeating it changes nothing.`,
		a.accessSetup(), a.accessChange("grant"), a.accessChange("revoke"), a.accessList())
}

// ownership is a device and its owner's arrangements as of a finalised block.
type ownership struct {
	client  *chain.Client
	block   *chain.Block
	device  document.Device
	fleet   string // its name, when the entities are a fleet's: device.Account is the fleet's then
	streams []string
	owner   key.AccountID
	state   access.State
}

// ownership reads what a change by owner depends on. The device's document tells its streams.
func (a *app) ownership(ctx context.Context, client *chain.Client, device, owner key.AccountID, accounts ...key.AccountID) (*ownership, error) {
	b, err := client.Finalised(ctx)
	if err != nil {
		return nil, err
	}
	dev, verdict, err := readDevice(ctx, b, device)
	if err != nil {
		return nil, err
	}
	if verdict.State != document.Verified {
		return nil, hint(fmt.Errorf("document of %s is %s: %s", device.DID(), verdict.State, verdict.Reason),
			"the running device publishes its own again; then repeat this")
	}
	if claimed := ownerOf(dev); claimed != owner {
		return nil, hint(usage(fmt.Errorf("device %s names %s as its owner, not %s", device.DID(), claimed, owner)),
			"act with the owner's key (--key), or change owner in the device's manifest")
	}
	o := &ownership{client: client, block: b, device: dev, streams: streamNames(dev), owner: owner}
	o.state, err = access.Read(ctx, b, owner, device, o.streams, accounts...)
	return o, err
}

// vouchCalls are the calls that publish the owner's vouch where it is missing. A device that is its own owner needs none.
func (o *ownership) vouchCalls(ctx context.Context, owner *key.Pair) ([]metadata.Call, error) {
	if o.owner == o.device.Account || o.fleet != "" {
		return nil, nil
	}
	current, err := did.Read(ctx, o.block, o.owner, access.VouchAttribute(o.device.Account))
	if err != nil {
		return nil, err
	}
	writer, err := did.IsWriter(ctx, o.block, o.owner, o.owner)
	if err != nil {
		return nil, err
	}
	return access.VouchCalls(owner, o.device.Account, current, writer)
}

// changeView is what a change of access tells.
type changeView struct {
	Changed bool   `json:"changed"`
	Calls   int    `json:"calls"`
	Fee     string `json:"fee,omitempty"`
	Hash    string `json:"hash,omitempty"`
	Block   string `json:"block,omitempty"`
	Number  uint32 `json:"number,omitempty"`
}

// send signs the calls as one transaction, waits until it is final and tells of it.
func (a *app) send(ctx context.Context, client *chain.Client, from *key.Pair, calls []metadata.Call, what string) error {
	if len(calls) == 0 {
		return a.print(changeView{}, "nothing to change: %s already\n", what)
	}
	v, err := a.transact(ctx, client, from, calls)
	if err != nil {
		return err
	}
	return a.changed(ctx, client, v, what)
}

func (a *app) changed(ctx context.Context, client *chain.Client, v changeView, what string) error {
	p, err := client.Properties(ctx)
	if err != nil {
		return err
	}
	return a.print(v, "%s: finalised in block %d, fee %s %s\n", what, v.Number, v.Fee, p.TokenSymbol)
}

// transact signs the calls as one transaction and waits until it is final.
func (a *app) transact(ctx context.Context, client *chain.Client, from *key.Pair, calls []metadata.Call) (changeView, error) {
	p, err := client.Properties(ctx)
	if err != nil {
		return changeView{}, err
	}
	call := calls[0]
	if len(calls) > 1 {
		call = chain.BatchAll(calls...)
	}
	fee, err := client.EstimateFee(ctx, from.Public(), call)
	if err != nil {
		return changeView{}, err
	}
	a.note("one transaction of %s by %s; fee about %s %s", plural(len(calls), "call"), from.Account(), fee.Format(p.TokenDecimals), p.TokenSymbol)
	tx, err := client.Submit(ctx, from, call, chain.TxOptions{})
	if err != nil {
		return changeView{}, err
	}
	out, err := tx.Finalised(ctx)
	if err != nil {
		return changeView{}, unsettled(tx, err)
	}
	return changeView{true, len(calls), out.Fee.Format(p.TokenDecimals), tx.Hash.String(), out.Block.String(), out.Number}, nil
}

// deviceFlag adds the flag that names the device.
func deviceFlag(c *cobra.Command) *string {
	return c.Flags().String("device", "", "DID or address of the device (required)")
}

// namedDevice reads the flag that names the device.
func namedDevice(s string) (key.AccountID, error) {
	if s == "" {
		return key.AccountID{}, hint(usage(errors.New("no device is named")), "name it with --device DID; find devices with: iod devices list")
	}
	id, err := key.ParseAccount(s)
	if err != nil {
		return id, usage(fmt.Errorf("device: %w", err))
	}
	return id, nil
}

func (a *app) accessSetup() *cobra.Command {
	var device *string
	c := &cobra.Command{
		Use:     "setup",
		Short:   "As owner: set up a device's roles on the chain and vouch for it, in one transaction",
		Example: "  iod access setup --device did:peaq:5Grw… --key owner.key",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asOwner(c.Context(), *device, func(o *ownership, owner *key.Pair) error {
				vouch, err := o.vouchCalls(c.Context(), owner)
				if err != nil {
					return err
				}
				calls := append(access.Setup(o.owner, o.device.Account, o.streams, o.state), vouch...)
				return a.send(c.Context(), o.client, owner, calls, fmt.Sprintf("%s of %s set up, the device vouched for", plural(len(o.streams), "stream"), o.device.Account.DID()))
			})
		},
	}
	device = deviceFlag(c)
	return c
}

// asOwner loads the owner's key, reads the device's state and lets f go on.
func (a *app) asOwner(ctx context.Context, device string, f func(*ownership, *key.Pair) error, accounts ...key.AccountID) error {
	return a.withOwner(ctx, device, func(client *chain.Client, id key.AccountID, owner *key.Pair) error {
		o, err := a.ownership(ctx, client, id, owner.Account(), accounts...)
		if err != nil {
			return err
		}
		return f(o, owner)
	})
}

// withOwner loads the owner's key and connects to the chain.
func (a *app) withOwner(ctx context.Context, device string, f func(*chain.Client, key.AccountID, *key.Pair) error) error {
	id, err := namedDevice(device)
	if err != nil {
		return err
	}
	owner, err := a.keyPair("")
	if err != nil {
		return err
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(client, id, owner)
}

// revocable is the ownership by which to revoke. Strangers can overwrite the device's document, and it may drop streams, but that
// must keep nobody's access alive: what the owner's entities on the chain say counts as well.
func (a *app) revocable(ctx context.Context, client *chain.Client, device, owner key.AccountID) (*ownership, error) {
	o, err := a.ownership(ctx, client, device, owner)
	if errors.As(err, new(*chain.EndpointError)) {
		return nil, err
	}
	b, readErr := client.Finalised(ctx)
	if readErr != nil {
		return nil, readErr
	}
	streams, readErr := access.SetUp(ctx, b, owner, device)
	switch {
	case readErr != nil:
		return nil, readErr
	case err != nil && len(streams) == 0:
		return nil, err
	case err != nil:
		a.note("warning: %v; revoking by what %s set up on the chain", err, owner)
		o = &ownership{client: client, block: b, owner: owner}
		o.device.Account = device
	}
	slices.Sort(streams)
	for _, s := range streams {
		if !slices.Contains(o.streams, s) && len(o.streams) < document.MaxStreams {
			o.streams = append(o.streams, s)
		}
	}
	return o, nil
}

// accessChange is grant or revoke.
func (a *app) accessChange(verb string) *cobra.Command {
	var device, fleet *string
	var stream string
	c := &cobra.Command{
		Use:     verb + " ACCOUNT",
		Short:   strings.ToUpper(verb[:1]) + verb[1:] + " access to one stream of a device, or without --stream to all of them",
		Long:    "With --fleet in the place of --device it concerns every device of the owner's fleet, those added later included (see iod fleet).",
		Example: fmt.Sprintf("  iod access %s --device did:peaq:5Grw… --stream measurements 5FHn… --key owner.key\n  iod access %s --fleet harbour 5FHn… --key owner.key", verb, verb),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			account, err := key.ParseAccount(args[0])
			if err != nil {
				return usage(fmt.Errorf("account: %w", err))
			}
			if err := either(*device, *fleet); err != nil {
				return err
			}
			ctx := c.Context()
			if *fleet != "" {
				return a.withFleet(ctx, *fleet, func(o *ownership, owner *key.Pair) error {
					if verb == "grant" {
						return a.grant(ctx, o, owner, stream, account)
					}
					return a.revoke(ctx, o, owner, stream, account)
				}, account)
			}
			if verb == "grant" {
				return a.asOwner(ctx, *device, func(o *ownership, owner *key.Pair) error {
					return a.grant(ctx, o, owner, stream, account)
				}, account)
			}
			return a.withOwner(ctx, *device, func(client *chain.Client, id key.AccountID, owner *key.Pair) error {
				o, err := a.revocable(ctx, client, id, owner.Account())
				if err != nil {
					return err
				}
				return a.revoke(ctx, o, owner, stream, account)
			})
		},
	}
	device = deviceFlag(c)
	fleet = fleetNameFlag(c)
	c.Flags().StringVar(&stream, "stream", "", "name of the stream; without it, all streams of the device")
	return c
}

// offers begins the list of streams.
func (o *ownership) offers() string {
	if o.fleet != "" {
		return "the fleet has"
	}
	return "the device offers"
}

// what names what a change is about.
func (o *ownership) what(stream string) string {
	whose := o.device.Account.DID()
	if o.fleet != "" {
		whose = "fleet " + o.fleet
	}
	if stream == "" {
		return "all streams of " + whose
	}
	return fmt.Sprintf("stream %q of %s", stream, whose)
}

func (a *app) grant(ctx context.Context, o *ownership, owner *key.Pair, stream string, account key.AccountID) error {
	plan, err := access.Grant(o.owner, o.device.Account, o.streams, stream, account, o.state)
	if err != nil {
		if stream != "" && !slices.Contains(o.streams, stream) {
			return hint(usage(err), "%s: %s", o.offers(), strings.Join(o.streams, ", "))
		}
		return err
	}
	vouch, err := o.vouchCalls(ctx, owner)
	if err != nil {
		return err
	}
	return a.send(ctx, o.client, owner, append(vouch, plan.Calls...), fmt.Sprintf("%s has %s", account, o.what(stream)))
}

// revoke goes on until the account has no access, and tells when that cannot be had.
func (a *app) revoke(ctx context.Context, o *ownership, owner *key.Pair, stream string, account key.AccountID) error {
	if stream != "" && !document.ValidStreamName(stream) {
		return usage(fmt.Errorf("stream name %q: want 1 to 32 of a-z, 0-9, _ and -", stream))
	}
	what := fmt.Sprintf("%s no longer has %s", account, o.what(stream))
	var v changeView
	r := access.Revocation{Owner: o.owner, Device: o.device.Account, Streams: o.streams, Stream: stream, Account: account}
	err := r.Do(ctx, access.OnChain(o.client), func(ctx context.Context, calls []metadata.Call) (uint32, error) {
		sent, err := a.transact(ctx, o.client, owner, calls)
		if err != nil {
			a.note("%v", err)
			return 0, err
		}
		v = sent
		return sent.Number, nil
	})
	switch {
	case errors.Is(err, access.ErrStillHas):
		return hint(err, "take the account out of those groups and roles, or disable them (for good, and for all who are in them), with the tool that made them; then repeat this")
	case err != nil:
		return err
	case !v.Changed:
		return a.print(v, "nothing to change: %s already\n", what)
	}
	return a.changed(ctx, o.client, v, what)
}
