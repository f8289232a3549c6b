//go:build !device

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"iod/chain"
	"iod/devchain"
)

// chainsOfOwn are the commands that run a chain.
func (a *app) chainsOfOwn() []*cobra.Command { return []*cobra.Command{a.chainDev()} }

func (a *app) chainDev() *cobra.Command {
	var listen, dir, genesis, hashes string
	var o devchain.Options
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run the embedded development chain: peaq's pallets, endowed accounts, no setup",
		Long: `Speaks the JSON-RPC of a peaq node over HTTP and WebSocket, so that iod, the polkadot.js API and its apps work with
it. The accounts //Alice to //Ferdie are endowed. Never expose it: anyone can spend from them.`,
		Example: "  iod chain dev\n  iod chain dev --block-time 6s --finality-lag 2 --dir ./chain",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := assume(&o, genesis, hashes); err != nil {
				return usage(err)
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return hint(fmt.Errorf("development chain: %w", err), "choose a free address with --listen HOST:PORT")
			}
			defer ln.Close()
			o.Dir, o.Log = dir, a.serviceLog()
			ch, err := devchain.New(o)
			if err != nil {
				return err
			}
			url := "ws://" + ln.Addr().String()
			if err := a.print(map[string]string{"rpc": url}, "rpc  %s\n", url); err != nil {
				return err
			}
			serveErr := ch.Serve(c.Context(), ln)
			if err := ch.Close(); serveErr == nil {
				serveErr = err
			}
			return stayed(c.Context(), serveErr)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9944", "address to listen on")
	c.Flags().StringVar(&dir, "dir", "", "directory that keeps the chain; empty: memory only")
	c.Flags().DurationVar(&o.BlockTime, "block-time", 0, "time between blocks; 0: a block at once for each transaction")
	c.Flags().Uint32Var(&o.FinalityLag, "finality-lag", 0, "blocks by which finality trails the best block")
	c.Flags().BoolVar(&o.Manual, "manual", false, "make blocks by the RPC dev_newBlock only")
	c.Flags().StringVar(&genesis, "genesis-hash", "", "pass as the network with this genesis hash, 0x-hex (for recorded transactions)")
	c.Flags().StringVar(&hashes, "block-hashes", "", "JSON file {\"number\": \"0x…\"} of hashes that blocks are to have (likewise)")
	c.Flags().Uint32Var(&o.SpecVersion, "spec-version", 0, "runtime's spec version (likewise; 0: the default)")
	c.Flags().Uint32Var(&o.TxVersion, "tx-version", 0, "runtime's transaction version (likewise)")
	return c
}

// assume makes the development chain pass as another one: its transactions sign that network's genesis and block hashes.
func assume(o *devchain.Options, genesis, hashes string) error {
	if genesis != "" {
		h, err := chain.ParseHash(genesis)
		if err != nil {
			return fmt.Errorf("genesis hash: %w", err)
		}
		g := [32]byte(h)
		o.GenesisHash = &g
	}
	if hashes == "" {
		return nil
	}
	b, err := os.ReadFile(hashes)
	if err != nil {
		return fmt.Errorf("block hashes: %w", err)
	}
	var known map[uint32]chain.Hash
	if err := json.Unmarshal(b, &known); err != nil {
		return fmt.Errorf("block hashes in %s: %w", hashes, err)
	}
	o.BlockHash = func(number uint32) ([32]byte, bool) {
		h, ok := known[number]
		return h, ok
	}
	return nil
}
