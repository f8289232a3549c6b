//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"iod/access"
	"iod/chain"
	"iod/fleet"
	"iod/key"
	"iod/metadata"
	"iod/provision"
)

func (a *app) fleetCommand() *cobra.Command {
	return group("fleet", "Set up and look after many devices of one owner", `What a fleet's devices share stands in one file, which the manifest of each device extends; a list names the devices.
Access that is granted with iod access grant --fleet NAME holds on every device of the fleet, those added later included.`,
		a.fleetInit(), a.fleetAdd(), a.fleetSetup(), a.fleetStatus())
}

// fleetFlag adds the flag that names the fleet's file.
func fleetFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "fleet.toml", "the fleet's file, which its devices' manifests extend")
}

// fleetFile loads the fleet's file and list.
func (a *app) fleetFile(path string) (*fleet.Fleet, *provision.Manifest, error) {
	m, err := provision.LoadFleet(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, hint(usage(err), "write one with: iod fleet init NAME --owner ADDRESS")
	}
	if err != nil {
		return nil, nil, usage(err)
	}
	f := &fleet.Fleet{Name: m.Fleet, Owner: *m.Owner}
	for _, s := range m.Streams {
		f.Streams = append(f.Streams, s.Name)
	}
	if m.Devices == "" {
		return f, m, nil
	}
	if f.Members, err = fleet.ReadMembers(m.Devices); errors.Is(err, fleet.ErrList) {
		return nil, nil, hint(usage(err), "a line of the list is a name and a DID, as in: gw-0001 did:peaq:5F…")
	}
	return f, m, err
}

func (a *app) fleetInit() *cobra.Command {
	var path string
	var o provision.InitOptions
	c := &cobra.Command{
		Use:     "init NAME",
		Short:   "Write a commented fleet file",
		Example: "  iod fleet init harbour --owner 5F… --data-type weather --relay tls://relay.example:7777/<node id> --target 127.0.0.1:1883 --topic 'measurements/#'",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !fleet.ValidName(args[0]) {
				return usage(fmt.Errorf("fleet name %.64q: want 1 to 32 of a-z, 0-9, _ and -", args[0]))
			}
			if _, err := key.ParseAccount(o.Owner); err != nil {
				return hint(usage(fmt.Errorf("owner: %w", err)), "name the account that grants access, as iod key show prints it, with --owner")
			}
			o.Fleet, o.RPC = args[0], a.endpoints()
			if err := writeNew(path, provision.InitManifest(o)); err != nil {
				return err
			}
			return a.print(map[string]string{"file": path, "name": o.Fleet},
				"fleet  %s\n\nnext: edit it, make devices with: iod fleet add --count 10 -c %s\n", path, path)
		},
	}
	c.Flags().StringVarP(&path, "config", "c", "fleet.toml", "fleet file to write; never overwritten")
	initFlags(c, &o)
	return c
}

func (a *app) fleetAdd() *cobra.Command {
	var path *string
	var prefix string
	var count int
	c := &cobra.Command{
		Use:   "add [NAME…]",
		Short: "Make keys and manifests of new devices, and put them on the fleet's list",
		Long: `Makes a directory NAME beside the fleet's file, with the device's key and a manifest of a few lines that extends the
fleet's file, and adds the device to the list. Move the directory to the device, with the fleet's file beside it.`,
		Example: "  iod fleet add mole pier-3\n  iod fleet add --count 1000 --prefix gw-",
		RunE: func(_ *cobra.Command, args []string) error {
			f, m, err := a.fleetFile(*path)
			if err != nil {
				return err
			}
			if m.Devices == "" {
				return hint(usage(fmt.Errorf("%s names no list of devices", *path)), "add to [fleet]: devices = \"devices.txt\"")
			}
			names, err := newNames(f, args, prefix, count)
			if err != nil {
				return err
			}
			return a.addDevices(f, m, names)
		},
	}
	path = fleetFlag(c)
	c.Flags().StringVar(&prefix, "prefix", "", "with --count: how the names begin; default: the fleet's name and -")
	c.Flags().IntVar(&count, "count", 0, "how many devices to number, after those that there are")
	return c
}

// newNames are the names given, and count numbered ones that are free.
func newNames(f *fleet.Fleet, names []string, prefix string, count int) ([]string, error) {
	if count < 0 || count+len(names)+len(f.Members) > fleet.MaxMembers {
		return nil, usage(fmt.Errorf("count = %d: a fleet has at most %d devices", count, fleet.MaxMembers))
	}
	if count+len(names) == 0 {
		return nil, hint(usage(errors.New("no device is named")), "name devices, or number them with --count N")
	}
	taken := map[string]bool{}
	for _, m := range f.Members {
		taken[m.Name] = true
	}
	for _, n := range names {
		if !fleet.ValidName(n) || taken[n] {
			return nil, usage(fmt.Errorf("name %.64q: want 1 to 32 of a-z, 0-9, _ and -, not yet on the list", n))
		}
		taken[n] = true
	}
	if prefix == "" {
		prefix = f.Name + "-"
	}
	for n := 1; count > 0; n++ {
		name := fmt.Sprintf("%s%04d", prefix, n)
		if !fleet.ValidName(name) {
			return nil, usage(fmt.Errorf("name %.64q: want 1 to 32 of a-z, 0-9, _ and -", name))
		}
		if !taken[name] {
			names, count = append(names, name), count-1
		}
	}
	return names, nil
}

func (a *app) addDevices(f *fleet.Fleet, m *provision.Manifest, names []string) error {
	list, err := os.OpenFile(m.Devices, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open list of devices: %w", err)
	}
	defer list.Close()
	for _, name := range names {
		dir := filepath.Join(m.Dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return hint(fmt.Errorf("make device %s: %w", name, err), "remove what stands there, or choose another name")
		}
		p, _, err := key.Generate(key.Sr25519)
		if err != nil {
			return err
		}
		if err := key.Save(filepath.Join(dir, "device.key"), p, "", key.Meta{Created: time.Now().UnixMilli()}); err != nil {
			return err
		}
		if err := writeNew(filepath.Join(dir, "device.toml"), provision.MemberManifest("../"+filepath.Base(m.Path))); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(list, "%-32s %s\n", name, p.Account().DID()); err != nil {
			return fmt.Errorf("add %s to the list of devices: %w", name, err)
		}
		if err := a.print(map[string]string{"name": name, "did": p.Account().DID(), "manifest": filepath.Join(dir, "device.toml")},
			"%s  %s\n", name, p.Account().DID()); err != nil {
			return err
		}
	}
	a.note("%s made; next, as the owner %s: iod fleet setup -c %s --fund 1 --key owner.key", plural(len(names), "device"), f.Owner, m.Path)
	return list.Close()
}

func (a *app) fleetSetup() *cobra.Command {
	var path *string
	var fund string
	var dry bool
	c := &cobra.Command{
		Use:   "setup",
		Short: "As owner: set up the fleet's roles, vouch for its devices and fund them, in as few transactions as fit",
		Long: `Looks at what stands on the chain and sends what is missing, so it can be repeated: after devices were added, or when it
was interrupted. Transactions are as large as the chain's blocks allow.`,
		Example: "  iod fleet setup -c fleet.toml --fund 0.5 --key owner.key",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, m, err := a.fleetFile(*path)
			if err != nil {
				return err
			}
			owner, err := a.keyPair("")
			if err != nil {
				return err
			}
			client, err := a.dial(c.Context(), m.RPC...)
			if err != nil {
				return err
			}
			defer client.Close()
			return a.setUpFleet(c.Context(), client, f, owner, fund, dry)
		},
	}
	path = fleetFlag(c)
	c.Flags().StringVar(&fund, "fund", "0", "give every device that has less this much in all, in PEAQ: it pays for its publications")
	c.Flags().BoolVar(&dry, "dry-run", false, "tell what would be sent, and send nothing")
	return c
}

// setUpView is what setting up tells.
type setUpView struct {
	Devices      int    `json:"devices"`
	Entities     int    `json:"entities"` // calls for the fleet's roles
	Vouched      int    `json:"vouched"`
	Funded       int    `json:"funded"`
	Funds        string `json:"funds"`
	Transactions int    `json:"transactions"`
	Fee          string `json:"fee,omitempty"`
	DryRun       bool   `json:"dry_run,omitempty"`
}

func (a *app) setUpFleet(ctx context.Context, client *chain.Client, f *fleet.Fleet, owner *key.Pair, fund string, dry bool) error {
	p, err := client.Properties(ctx)
	if err != nil {
		return err
	}
	amount, err := chain.ParsePlanck(fund, p.TokenDecimals)
	if err != nil {
		return usage(fmt.Errorf("fund: %w", err))
	}
	b, err := client.Finalised(ctx)
	if err != nil {
		return err
	}
	seen, err := fleet.Observe(ctx, b, f, a.counter("devices read", len(f.Members)))
	if err != nil {
		return err
	}
	plan, err := fleet.MakePlan(f, owner, seen, amount)
	if err != nil {
		return usage(err)
	}
	batches, err := client.Batches(ctx, owner.Public(), plan.Calls)
	if err != nil {
		return err
	}
	v := setUpView{Devices: len(f.Members), Entities: plan.Entities, Vouched: plan.Vouched, Funded: plan.Funded,
		Funds: plan.Funds.Format(p.TokenDecimals), Transactions: len(batches), DryRun: dry}
	if len(batches) == 0 {
		return a.print(v, "nothing to change: fleet %s of %s is set up\n", f.Name, plural(v.Devices, "device"))
	}
	a.note("fleet %s: %s for its roles, %s to vouch for, %d to fund with %s %s in all, in %s",
		f.Name, plural(v.Entities, "call"), plural(v.Vouched, "device"), v.Funded, v.Funds, p.TokenSymbol, plural(v.Transactions, "transaction"))
	if dry {
		return a.print(v, "dry run: nothing was sent\n")
	}
	fee, err := a.sendAll(ctx, client, owner, batches)
	if err != nil {
		return hint(err, "what is final stays; repeat this for the rest")
	}
	v.Fee = fee.Format(p.TokenDecimals)
	return a.print(v, "fleet %s is set up: %s vouched for, %d funded; fee %s %s\n", f.Name, plural(v.Vouched, "device"), v.Funded, v.Fee, p.TokenSymbol)
}

// counter tells progress on a terminal, at most every half a second.
func (a *app) counter(what string, total int) func(int) {
	if a.json() || !isTerminal(a.err) {
		return nil
	}
	var last time.Time
	return func(done int) {
		if now := time.Now(); now.Sub(last) > 500*time.Millisecond || done == total {
			last = now
			fmt.Fprintf(a.err, "\r%s: %d of %d", what, done, total)
			if done == total {
				fmt.Fprintln(a.err)
			}
		}
	}
}

// sendAll sends batches one behind the other and waits until all are final.
func (a *app) sendAll(ctx context.Context, client *chain.Client, from *key.Pair, batches [][]metadata.Call) (fee chain.Planck, err error) {
	sent := make([]*chain.Tx, 0, len(batches))
	for _, calls := range batches {
		tx, err := client.Submit(ctx, from, chain.BatchAll(calls...), chain.TxOptions{})
		if err != nil {
			return fee, errors.Join(err, a.awaited(ctx, sent))
		}
		sent = append(sent, tx)
	}
	told := a.counter("transactions final", len(sent))
	for i, tx := range sent {
		out, err := tx.Finalised(ctx)
		if err != nil {
			return fee, unsettled(tx, err)
		}
		fee = fee.Add(out.Fee)
		if told != nil {
			told(i + 1)
		}
	}
	return fee, nil
}

// awaited waits for what was sent before something failed.
func (a *app) awaited(ctx context.Context, sent []*chain.Tx) error {
	for _, tx := range sent {
		if _, err := tx.Finalised(ctx); err != nil {
			return unsettled(tx, err)
		}
	}
	return nil
}

// memberView is one line of `iod fleet status`.
type memberView struct {
	Name      string     `json:"name"`
	DID       string     `json:"did"`
	InOrder   bool       `json:"in_order"`
	Document  string     `json:"document"` // verified, or what is wrong
	Published *time.Time `json:"published,omitempty"`
	Vouched   bool       `json:"vouched"` // the owner's vouch stands on the chain
	Fleet     string     `json:"fleet,omitempty"`
	Balance   string     `json:"balance"`
}

func (a *app) fleetStatus() *cobra.Command {
	var path *string
	var wrong bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show how each device of the fleet stands on the chain",
		Example: "  iod fleet status -c fleet.toml\n  iod fleet status --wrong -o json | jq -r .name",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, m, err := a.fleetFile(*path)
			if err != nil {
				return err
			}
			client, err := a.dial(c.Context(), m.RPC...)
			if err != nil {
				return err
			}
			defer client.Close()
			return a.showFleet(c.Context(), client, f, wrong)
		},
	}
	path = fleetFlag(c)
	c.Flags().BoolVar(&wrong, "wrong", false, "only devices that are not in order")
	return c
}

func (a *app) showFleet(ctx context.Context, client *chain.Client, f *fleet.Fleet, wrong bool) error {
	p, err := client.Properties(ctx)
	if err != nil {
		return err
	}
	b, err := client.Finalised(ctx)
	if err != nil {
		return err
	}
	now, err := b.Time(ctx)
	if err != nil {
		return err
	}
	seen, err := fleet.Observe(ctx, b, f, a.counter("devices read", len(f.Members)))
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	inOrder, shown := 0, 0
	for i := range seen.Members {
		s := &seen.Members[i]
		v := viewOfMember(f, s, p)
		if v.InOrder {
			inOrder++
		}
		if wrong && v.InOrder {
			continue
		}
		if shown++; a.json() {
			if err := a.encodeLine(v); err != nil {
				return err
			}
			continue
		}
		if shown == 1 {
			fmt.Fprintln(table, "NAME\tDEVICE\tDOCUMENT\tPUBLISHED\tVOUCHED\tBALANCE")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s %s\n", v.Name, s.Account, printable(clip(v.Document, 60)), ago(now, s.Published()), yesNo(v.Vouched), v.Balance, p.TokenSymbol)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	set := "its roles are set up"
	if len(access.Setup(f.Owner, f.Account(), f.Streams, seen.State)) > 0 {
		set = "its roles are not set up: iod fleet setup"
	}
	a.note("fleet %s: %d of %d devices in order as of finalised block %d; %s", f.Name, inOrder, len(seen.Members), b.Number, set)
	return nil
}

func viewOfMember(f *fleet.Fleet, s *fleet.Standing, p chain.Properties) memberView {
	v := memberView{Name: s.Name, DID: s.Account.DID(), InOrder: s.InOrder(f), Document: "verified", Vouched: s.Vouched, Balance: s.Balance.Format(p.TokenDecimals)}
	if at := s.Published(); !at.IsZero() {
		v.Published = &at
	}
	if s.Document != nil {
		v.Fleet = s.Document.Fleet
	}
	switch {
	case s.Problem != "":
		v.Document = s.Problem
	case s.Document.Fleet != f.Name && s.Document.Fleet == "":
		v.Document = "verified, but it names no fleet"
	case s.Document.Fleet != f.Name:
		v.Document = "verified, but of fleet " + s.Document.Fleet
	case s.Vouched && !s.Verdict.Vouched:
		v.Document = "verified, without the owner's vouch yet"
	}
	return v
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// ago says how long before now something was, roughly; "-" for never.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= unit.size {
			return fmt.Sprintf("%d %s ago", d/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d s ago", d/time.Second)
}
