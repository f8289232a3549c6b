package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"iod/chain"
	"iod/devchain"
	"iod/metadata"
)

func (a *app) chainCommand() *cobra.Command {
	return group("chain", "Run a development chain, or look at the events of any chain", "",
		a.chainDev(), a.chainEvents())
}

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

func (a *app) chainEvents() *cobra.Command {
	var from, to int64
	c := &cobra.Command{
		Use:   "events",
		Short: "Print every event of finalised blocks, decoded from metadata, one JSON object a line",
		Long: `Follows the finalised chain from block --from; ends after --to, or goes on as blocks are finalised. Byte strings are
0x-hex, integers beyond 53 bits are decimal strings.`,
		Example: "  iod chain events --from 0 | jq 'select(.pallet==\"PeaqDid\")'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if from < 0 || from > 1<<32-1 || to > 1<<32-1 || (to >= 0 && to < from) {
				return usage(fmt.Errorf("block range %d to %d is empty or out of range", from, to))
			}
			cl, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer cl.Close()
			err = a.printEvents(c.Context(), cl, uint32(from), to)
			if to < 0 {
				err = stayed(c.Context(), err)
			}
			return err
		},
	}
	c.Flags().Int64Var(&from, "from", 0, "first block")
	c.Flags().Int64Var(&to, "to", -1, "last block; without it, go on for ever")
	return c
}

func (a *app) printEvents(ctx context.Context, cl *chain.Client, from uint32, to int64) error {
	enc := json.NewEncoder(a.out)
	for b, err := range cl.FollowFinalised(ctx, from) {
		if err != nil {
			return err
		}
		if to >= 0 && int64(b.Number) > to {
			return nil
		}
		events, err := b.Events(ctx)
		if err != nil {
			return fmt.Errorf("events of block %d: %w", b.Number, err)
		}
		for _, e := range events {
			if err := enc.Encode(eventView(b.Number, e)); err != nil {
				return err
			}
		}
		if int64(b.Number) == to {
			return nil
		}
	}
	return ctx.Err()
}

// event is one line of `iod chain events`.
type event struct {
	Block  uint32 `json:"block"`
	Phase  any    `json:"phase"`
	Pallet string `json:"pallet"`
	Name   string `json:"name"`
	Fields any    `json:"fields"`
}

func eventView(block uint32, e metadata.Event) event {
	v := event{Block: block, Pallet: e.Pallet, Name: e.Name, Fields: jsonFields(e.Fields)}
	switch e.Phase.Kind {
	case metadata.ApplyExtrinsic:
		v.Phase = map[string]uint32{"extrinsic": e.Phase.Extrinsic}
	case metadata.Finalization:
		v.Phase = "finalization"
	default:
		v.Phase = "initialization"
	}
	return v
}
