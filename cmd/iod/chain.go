package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"iod/chain"
	"iod/metadata"
)

func (a *app) chainCommand() *cobra.Command {
	return group("chain", "Run a development chain, or look at the events of any chain", "",
		append(a.chainsOfOwn(), a.chainEvents())...)
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
