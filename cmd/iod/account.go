package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"iod/chain"
	"iod/key"
)

func (a *app) accountCommand() *cobra.Command {
	return group("account", "Show balances, transfer tokens, fund accounts of a development chain", "",
		a.accountShow(), a.accountTransfer(), a.accountFaucet())
}

// accountArg reads an address from the arguments, or takes that of the key.
func (a *app) accountArg(args []string) (key.AccountID, error) {
	if len(args) > 0 {
		id, err := key.ParseAccount(args[0])
		if err != nil {
			return id, usage(err)
		}
		return id, nil
	}
	p, err := a.keyPair("")
	if err != nil {
		return key.AccountID{}, err
	}
	return p.Account(), nil
}

func (a *app) accountShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show [ACCOUNT]",
		Short:   "Show the balance of an account, by default that of the key",
		Example: "  iod account show --key device.key\n  iod account show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := a.accountArg(args)
			if err != nil {
				return err
			}
			cl, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer cl.Close()
			return a.showBalance(c.Context(), cl, id)
		},
	}
}

func (a *app) showBalance(ctx context.Context, cl *chain.Client, id key.AccountID) error {
	b, err := cl.Finalised(ctx)
	if err != nil {
		return err
	}
	bal, err := b.Balance(ctx, id)
	if err != nil {
		return err
	}
	p, err := cl.Properties(ctx)
	if err != nil {
		return err
	}
	type view struct {
		Address  string `json:"address"`
		Free     string `json:"free"`
		Reserved string `json:"reserved"`
		Frozen   string `json:"frozen"`
		Symbol   string `json:"symbol"`
		Block    uint32 `json:"block"`
	}
	v := view{id.String(), bal.Free.Format(p.TokenDecimals), bal.Reserved.Format(p.TokenDecimals), bal.Frozen.Format(p.TokenDecimals), p.TokenSymbol, b.Number}
	return a.print(v, "address   %s\nfree      %s %s\nreserved  %s %s\nfrozen    %s %s\n(block %d, finalised)\n",
		v.Address, v.Free, v.Symbol, v.Reserved, v.Symbol, v.Frozen, v.Symbol, v.Block)
}

// txView is what a command tells of a finished transaction.
type txView struct {
	Hash   string `json:"hash"`
	Block  string `json:"block"`
	Number uint32 `json:"number"`
	Fee    string `json:"fee"`
}

func (a *app) accountTransfer() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:     "transfer ACCOUNT AMOUNT",
		Short:   "Transfer tokens from the key's account; the amount is in PEAQ, a decimal",
		Example: "  iod account transfer 5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty 1.5 --key owner.key",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			dest, err := key.ParseAccount(args[0])
			if err != nil {
				return usage(err)
			}
			from, err := a.keyPair("")
			if err != nil {
				return err
			}
			cl, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer cl.Close()
			return a.transfer(c.Context(), cl, from, dest, args[1], dry)
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "show the fee and send nothing")
	return c
}

func (a *app) transfer(ctx context.Context, cl *chain.Client, from *key.Pair, dest key.AccountID, amount string, dry bool) error {
	p, err := cl.Properties(ctx)
	if err != nil {
		return err
	}
	planck, err := chain.ParsePlanck(amount, p.TokenDecimals)
	if err != nil {
		return usage(err)
	}
	call := chain.Transfer(dest, planck)
	fee, err := cl.EstimateFee(ctx, from.Public(), call)
	if err != nil {
		return err
	}
	a.note("%s %s from %s to %s; fee about %s %s", amount, p.TokenSymbol, from.Account(), dest, fee.Format(p.TokenDecimals), p.TokenSymbol)
	if err := affordable(ctx, cl, from.Account(), planck, fee, p); err != nil {
		return err
	}
	if dry {
		return a.print(map[string]any{"dry_run": true, "fee": fee.Format(p.TokenDecimals)}, "")
	}
	tx, err := cl.Submit(ctx, from, call, chain.TxOptions{})
	if err != nil {
		return err
	}
	out, err := tx.Finalised(ctx)
	if err != nil {
		return unsettled(tx, err)
	}
	v := txView{tx.Hash.String(), out.Block.String(), out.Number, out.Fee.Format(p.TokenDecimals)}
	return a.print(v, "finalised in block %d (%s), fee %s %s\n", v.Number, v.Block, v.Fee, p.TokenSymbol)
}

// affordable refuses a transfer that the account's balance does not cover before anything is signed or paid for.
func affordable(ctx context.Context, cl *chain.Client, from key.AccountID, amount, fee chain.Planck, p chain.Properties) error {
	b, err := cl.Best(ctx)
	if err != nil {
		return err
	}
	bal, err := b.Balance(ctx, from)
	if err != nil {
		return err
	}
	if bal.Free.Cmp(amount.Add(fee)) >= 0 {
		return nil
	}
	return fmt.Errorf("%w (it has %s %s and needs %s and the fee of %s)", &chain.ErrCannotPay{Account: from},
		bal.Free.Format(p.TokenDecimals), p.TokenSymbol, amount.Format(p.TokenDecimals), fee.Format(p.TokenDecimals))
}

// unsettled tells of a transaction that was sent and whose end was not seen.
func unsettled(tx *chain.Tx, err error) error {
	if errors.Is(err, context.Canceled) {
		return hint(err, "transaction %s was sent and may still be included: look before you repeat it", tx.Hash)
	}
	return err
}

func (a *app) accountFaucet() *cobra.Command {
	var amount string
	c := &cobra.Command{
		Use:   "faucet [ACCOUNT]",
		Short: "Fund an account on a development chain from the endowed account //Alice",
		Long: `Transfers tokens from the development account //Alice, which only development chains endow. On the real network
buy PEAQ and send it to the address that iod key show prints.`,
		Example: "  iod account faucet --key device.key --rpc ws://127.0.0.1:9944",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dest, err := a.accountArg(args)
			if err != nil {
				return err
			}
			alice, err := key.FromURI(key.Sr25519, "//Alice")
			if err != nil {
				return err
			}
			cl, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer cl.Close()
			err = a.transfer(c.Context(), cl, alice, dest, amount, false)
			if errors.As(err, new(*chain.ErrCannotPay)) {
				return hint(fmt.Errorf("faucet: //Alice has too little on this network, so it hardly is a development chain: %w", err),
					"buy PEAQ and send it to %s", dest)
			}
			return err
		},
	}
	c.Flags().StringVar(&amount, "amount", "100", "how much, in PEAQ")
	return c
}
