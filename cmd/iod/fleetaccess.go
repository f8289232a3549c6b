package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/key"
)

// fleetNameFlag adds the flag that names a fleet in the place of a device.
func fleetNameFlag(c *cobra.Command) *string {
	return c.Flags().String("fleet", "", "name of the owner's fleet, in the place of --device")
}

// either refuses a device and a fleet together.
func either(device, fleet string) error {
	if device != "" && fleet != "" {
		return usage(errors.New("--device and --fleet are given: name one of them"))
	}
	return nil
}

// withFleet loads the owner's key, reads the fleet's state and lets f go on.
func (a *app) withFleet(ctx context.Context, name string, f func(*ownership, *key.Pair) error, accounts ...key.AccountID) error {
	owner, err := a.keyPair("")
	if err != nil {
		return err
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	o, err := a.fleetAccess(ctx, client, name, owner.Account(), accounts...)
	if err != nil {
		return err
	}
	return f(o, owner)
}

// fleetAccess reads what a change of a fleet's access depends on.
func (a *app) fleetAccess(ctx context.Context, client *chain.Client, name string, owner key.AccountID, accounts ...key.AccountID) (*ownership, error) {
	if !document.ValidFleetName(name) {
		return nil, usage(fmt.Errorf("fleet name %.64q: want 1 to 32 of a-z, 0-9, _ and -", name))
	}
	b, err := client.Finalised(ctx)
	if err != nil {
		return nil, err
	}
	o := &ownership{client: client, block: b, owner: owner, fleet: name}
	o.device.Account = access.FleetAccount(owner, name)
	if o.streams, err = access.SetUp(ctx, b, owner, o.device.Account); err != nil {
		return nil, err
	}
	if len(o.streams) == 0 {
		return nil, hint(usage(fmt.Errorf("%s has set up no fleet %s on this chain", owner, name)), "set it up with: iod fleet setup -c fleet.toml")
	}
	o.state, err = access.Read(ctx, b, owner, o.device.Account, o.streams, accounts...)
	return o, err
}
