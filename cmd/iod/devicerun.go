package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"iod/key"
	"iod/provision"
	"iod/systemd"
)

// runDevice runs a device until ctx ends: SIGHUP makes it read its manifest again, and a service manager hears how it fares.
func (a *app) runDevice(ctx context.Context, m *provision.Manifest, p *key.Pair) error {
	manager := systemd.FromEnvironment()
	log := a.serviceLog()
	tell := func(err error) {
		if err != nil {
			log.Debug("service manager", "err", err)
		}
	}
	o := provision.Options{Manifest: m, Key: p, RPC: a.override(), Fallback: []string{defaultRPC}, Log: log, Version: buildVersion().String(),
		Changed: func(n provision.Notice) {
			switch n {
			case provision.Ready, provision.Reloaded:
				tell(manager.Ready(""))
			case provision.Reloading:
				tell(manager.Reloading())
			case provision.Stopping:
				tell(manager.Stopping())
			}
		}}
	d, err := provision.NewDevice(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { _ = manager.Watch(ctx, d.Alive) }) // it ends with ctx only
	beside.Go(func() {
		for {
			select {
			case <-hangups:
				_, _ = d.Reload(ctx) // log and status tell what came of it
			case <-ctx.Done():
				return
			}
		}
	})
	return d.Run(ctx)
}

// override returns --rpc or IOD_RPC, which go before the manifest's endpoints, those of later ones too.
func (a *app) override() []string {
	if len(a.rpc) > 0 || a.env("IOD_RPC") != "" {
		return a.endpoints()
	}
	return nil
}
