package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/pallet/rbac"
)

// grantView is one line of `iod access list`.
type grantView struct {
	Account string `json:"account"`
	Stream  string `json:"stream"`
	Whole   bool   `json:"whole"` // as a user of the whole device: streams added later are included
}

func (a *app) accessList() *cobra.Command {
	var device *string
	var stream string
	var accounts []string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the accounts that have access to a device's streams",
		Long: `Reads the newest finalised block. The chain keeps no list of a group's members, so without --account all assignments on
the chain are gone through, which takes a while on a large one; with --account only those accounts are looked at.`,
		Example: "  iod access list --device did:peaq:5Grw…\n  iod access list --device did:peaq:5Grw… --account 5FHn…",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			id, err := namedDevice(*device)
			if err != nil {
				return err
			}
			only := make([]key.AccountID, len(accounts))
			for i, s := range accounts {
				if only[i], err = key.ParseAccount(s); err != nil {
					return usage(fmt.Errorf("account: %w", err))
				}
			}
			client, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			return a.listAccess(c.Context(), client, id, stream, only)
		},
	}
	device = deviceFlag(c)
	c.Flags().StringVar(&stream, "stream", "", "only this stream")
	c.Flags().StringArrayVar(&accounts, "account", nil, "look at this account only; repeatable")
	return c
}

func (a *app) listAccess(ctx context.Context, client *chain.Client, device key.AccountID, stream string, only []key.AccountID) error {
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
	var all []access.Access
	if len(only) > 0 {
		all, err = accessOf(ctx, b, dev, only)
	} else {
		all, err = access.List(ctx, b, ownerOf(dev), device, streamNames(dev))
	}
	if err != nil {
		return err
	}
	found := 0
	for _, x := range all {
		for _, name := range x.Streams {
			if stream != "" && name != stream {
				continue
			}
			found++
			v := grantView{x.Account.String(), name, x.Whole}
			if err := a.print(v, "%s  %s\n", v.Account, printable(v.Stream)); err != nil {
				return err
			}
		}
	}
	if found == 0 {
		a.note("nobody has access, as of finalised block %d", b.Number)
	}
	return nil
}

// accessOf looks at some accounts only.
func accessOf(ctx context.Context, b *chain.Block, dev document.Device, accounts []key.AccountID) ([]access.Access, error) {
	owner, streams := ownerOf(dev), streamNames(dev)
	state, err := access.Read(ctx, b, owner, dev.Account, streams, accounts...)
	if err != nil {
		return nil, err
	}
	whole := access.EntityID(owner, dev.Account, "", rbac.Group)
	var all []access.Access
	for _, id := range accounts {
		x := access.Access{Account: id}
		for _, name := range streams {
			permission := access.EntityID(owner, dev.Account, name, rbac.Permission)
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
