package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"iod/access"
	"iod/chain"
	"iod/key"
	"iod/pallet/rbac"
)

// grantView is one line of `iod access list`.
type grantView struct {
	Account string `json:"account"`
	Stream  string `json:"stream"`
	Whole   bool   `json:"whole"`           // as a user of the whole device or fleet: streams added later are included
	Fleet   string `json:"fleet,omitempty"` // granted for the whole fleet
}

// listing is what `iod access list` looks through.
type listing struct {
	owner   key.AccountID
	scopes  []key.AccountID // the device's entities, then those of its fleet
	fleet   string
	streams []string
	only    []key.AccountID // accounts; empty: all that there are
}

func (a *app) accessList() *cobra.Command {
	var device, fleet *string
	var stream, owner string
	var accounts []string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the accounts that have access to a device's or a fleet's streams",
		Long: `Reads the newest finalised block. The chain keeps no list of a group's members, so without --account all assignments on
the chain are gone through, which takes a while on a large one; with --account only those accounts are looked at.`,
		Example: "  iod access list --device did:peaq:5Grw…\n  iod access list --device did:peaq:5Grw… --account 5FHn…\n  iod access list --fleet harbour --owner 5F3s…",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			only := make([]key.AccountID, len(accounts))
			err := either(*device, *fleet)
			if err != nil {
				return err
			}
			for i, s := range accounts {
				if only[i], err = key.ParseAccount(s); err != nil {
					return usage(fmt.Errorf("account: %w", err))
				}
			}
			if *fleet != "" {
				return a.listFleetAccess(c.Context(), *fleet, owner, stream, only)
			}
			id, err := namedDevice(*device)
			if err != nil {
				return err
			}
			client, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			return a.listDeviceAccess(c.Context(), client, id, stream, only)
		},
	}
	device = deviceFlag(c)
	fleet = fleetNameFlag(c)
	c.Flags().StringVar(&owner, "owner", "", "with --fleet: the fleet's owner; default: the account of --key")
	c.Flags().StringVar(&stream, "stream", "", "only this stream")
	c.Flags().StringArrayVar(&accounts, "account", nil, "look at this account only; repeatable")
	return c
}

func (a *app) listFleetAccess(ctx context.Context, fleet, owner, stream string, only []key.AccountID) error {
	id, err := a.accountOr(owner)
	if err != nil {
		return err
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	o, err := a.fleetAccess(ctx, client, fleet, id)
	if err != nil {
		return err
	}
	return a.listAccess(ctx, o.block, listing{id, []key.AccountID{o.device.Account}, fleet, o.streams, only}, stream)
}

// accountOr reads an account, or takes that of the key when there is none.
func (a *app) accountOr(s string) (key.AccountID, error) {
	if s == "" {
		p, err := a.keyPair("")
		if err != nil {
			return key.AccountID{}, err
		}
		return p.Account(), nil
	}
	id, err := key.ParseAccount(s)
	if err != nil {
		return id, usage(fmt.Errorf("account: %w", err))
	}
	return id, nil
}

func (a *app) listDeviceAccess(ctx context.Context, client *chain.Client, device key.AccountID, stream string, only []key.AccountID) error {
	b, err := client.Finalised(ctx)
	if err != nil {
		return err
	}
	dev, _, err := readDevice(ctx, b, device)
	if err != nil {
		return err
	}
	if stream != "" {
		if _, err := streamOf(dev, stream); err != nil {
			return err
		}
	}
	owner := ownerOf(dev)
	return a.listAccess(ctx, b, listing{owner, access.Scopes(owner, device, dev.Fleet), dev.Fleet, streamNames(dev), only}, stream)
}

func (a *app) listAccess(ctx context.Context, b *chain.Block, l listing, stream string) error {
	found := 0
	for _, scope := range l.scopes {
		all, err := l.in(ctx, b, scope)
		if err != nil {
			return err
		}
		for _, x := range all {
			for _, name := range x.Streams {
				if stream != "" && name != stream {
					continue
				}
				found++
				v := grantView{Account: x.Account.String(), Stream: name, Whole: x.Whole}
				text := ""
				if l.fleet != "" && scope == access.FleetAccount(l.owner, l.fleet) {
					v.Fleet, text = l.fleet, "  (fleet "+l.fleet+")"
				}
				if err := a.print(v, "%s  %s%s\n", v.Account, printable(v.Stream), text); err != nil {
					return err
				}
			}
		}
	}
	if found == 0 {
		a.note("nobody has access, as of finalised block %d", b.Number)
	}
	return nil
}

// in looks through the entities of one scope.
func (l listing) in(ctx context.Context, b *chain.Block, scope key.AccountID) ([]access.Access, error) {
	if len(l.only) == 0 {
		return access.List(ctx, b, l.owner, scope, l.streams)
	}
	state, err := access.Read(ctx, b, l.owner, scope, l.streams, l.only...)
	if err != nil {
		return nil, err
	}
	whole := access.EntityID(l.owner, scope, "", rbac.Group)
	var all []access.Access
	for _, id := range l.only {
		x := access.Access{Account: id}
		for _, name := range l.streams {
			permission := access.EntityID(l.owner, scope, name, rbac.Permission)
			if ok, _ := access.Decide(state, id, permission); !ok {
				continue
			}
			x.Streams = append(x.Streams, name)
			for _, path := range access.Paths(state, id, permission) {
				x.Whole = x.Whole || path.Group != nil && *path.Group == whole
			}
		}
		all = append(all, x)
	}
	return all, nil
}
