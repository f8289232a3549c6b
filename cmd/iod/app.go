package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"iod/chain"
	"iod/key"
	"iod/spelling"
)

const defaultRPC = "ws://127.0.0.1:9944"

// app is what every subcommand shares: streams, environment and the global flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string

	rpc     []string
	keyFlag string
	scheme  string
	output  string
	verbose bool
}

// command builds the whole tree of subcommands.
func (a *app) command() *cobra.Command {
	version := false // cobra's own flag takes text/template along, and with it every exported method: 2 MB
	root := &cobra.Command{
		Use:   "iod",
		Short: "Share live data of your devices with people whom you choose, and find and receive theirs",
		Long: `iod is the Internet of Data. A device describes its streams in one file and publishes them under its
DID on the peaq network; anyone can find them; its owner grants and revokes access on the chain from
anywhere; the data travels end to end encrypted between public keys, past relays that see nothing.`,
		Example:       "  iod demo                       the whole story on this machine\n  iod key new --out device.key   then: iod device init",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				return a.print(buildVersion(), "iod %s\n", buildVersion())
			}
			return c.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.checkGlobals()
		},
	}
	f := root.PersistentFlags()
	f.StringArrayVar(&a.rpc, "rpc", nil, "chain endpoint, ws(s):// or http(s)://; repeatable, in order of preference (IOD_RPC; default "+defaultRPC+")")
	f.StringVar(&a.keyFlag, "key", "", "key file or secret URI to act as (IOD_KEY)")
	f.StringVar(&a.scheme, "scheme", "sr25519", "signature scheme of a secret URI: sr25519, ed25519, ecdsa")
	f.StringVarP(&a.output, "output", "o", "text", "text or json (one object per line for lists)")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what happens to standard error")
	complete(root, "output", "text", "json")
	complete(root, "scheme", "sr25519", "ed25519", "ecdsa")
	root.Flags().BoolVar(&version, "version", false, "tell which build this is")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(a.subcommands()...)
	wrapArgs(root)
	return root
}

// complete gives the shell the values of a flag.
func complete(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // it fails for unknown flags only
}

// group makes a command that only holds others.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args:  subcommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// subcommand refuses an argument of a command that only holds others: it is a mistaken name of one of them.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	err := usage(fmt.Errorf("unknown command %q of %s", args[0], c.CommandPath()))
	if near := spelling.Nearest(args[0], slices.Values(names)); near != "" {
		return hint(err, "did you mean: %s %s", c.CommandPath(), near)
	}
	return hint(err, "there are: %s", strings.Join(names, ", "))
}

// wrapArgs makes every complaint about arguments a usage error.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if err == nil || errors.As(err, new(*fault)) {
				return err
			}
			return hint(usage(err), "usage: %s; help: %s --help", c.UseLine(), c.CommandPath())
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

func (a *app) checkGlobals() error {
	if a.output != "text" && a.output != "json" {
		return usage(fmt.Errorf("output %q is neither text nor json", a.output))
	}
	_, err := a.keyScheme()
	return err
}

func (a *app) keyScheme() (key.Scheme, error) {
	s, err := key.ParseScheme(a.scheme)
	if err != nil {
		return 0, usage(err)
	}
	return s, nil
}

// json reports whether machines read the output.
func (a *app) json() bool { return a.output == "json" }

// print writes v as one JSON line for machines, or text for people.
func (a *app) print(v any, text string, args ...any) error {
	if a.json() {
		return json.NewEncoder(a.out).Encode(v)
	}
	_, err := fmt.Fprintf(a.out, text, args...)
	return err
}

// note tells people something beside the result, on standard error.
func (a *app) note(text string, args ...any) {
	if !a.json() {
		fmt.Fprintf(a.err, text+"\n", args...)
	}
}

// log returns the logger of commands that end by themselves: their errors are told once, at the end, so it is silent
// but with -v. JSON lines with -o json.
func (a *app) log() *slog.Logger {
	level := slog.LevelError
	if a.verbose {
		level = slog.LevelDebug
	}
	return a.logAt(level)
}

// serviceLog is log for commands that stay: they tell what happens without -v.
func (a *app) serviceLog() *slog.Logger {
	if a.verbose {
		return a.logAt(slog.LevelDebug)
	}
	return a.logAt(slog.LevelInfo)
}

func (a *app) logAt(level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if a.json() {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}

// endpoints returns --rpc, else IOD_RPC (comma separated), else those given, else the local default.
func (a *app) endpoints(others ...string) []string {
	if len(a.rpc) > 0 {
		return a.rpc
	}
	if env := a.env("IOD_RPC"); env != "" {
		return strings.FieldsFunc(env, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if len(others) > 0 {
		return others
	}
	return []string{defaultRPC}
}

// dial connects to the chain.
func (a *app) dial(ctx context.Context, others ...string) (*chain.Client, error) {
	endpoints := a.endpoints(others...)
	for _, e := range endpoints {
		if err := checkEndpoint(e); err != nil {
			return nil, err
		}
	}
	return chain.Dial(ctx, chain.Options{Endpoints: endpoints, Cache: cacheDir(), Log: a.log()})
}

// checkEndpoint refuses what can never be dialled. It does not repeat it, since a URL may hold a password.
func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err == nil && u.Host != "" && slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) {
		return nil
	}
	return hint(usage(errors.New("chain endpoint: not a URL of ws, wss, http or https with a host")), "write --rpc (or IOD_RPC) as wss://node.example")
}

// cacheDir is where metadata of chains is kept between runs; empty when the system names no such place.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "iod")
}

// keyPair loads the key that the command acts as: --key, else IOD_KEY, else the one given.
func (a *app) keyPair(other string) (*key.Pair, error) {
	scheme, err := a.keyScheme()
	if err != nil {
		return nil, err
	}
	source := a.keyFlag
	if source == "" {
		source = a.env("IOD_KEY")
	} else if strings.Contains(source, " ") || strings.HasPrefix(source, "0x") {
		a.note("warning: a secret in the arguments is seen by everyone on this machine; put it in a file of mode 0600, or in IOD_KEY")
	}
	if source == "" {
		source = other
	}
	if source == "" {
		return nil, hint(usage(errors.New("no key is given to act as")),
			"give --key FILE or set IOD_KEY; make a key with: iod key new --out my.key")
	}
	return a.loadKey(source, scheme)
}

// loadKey loads a key and tells what to do when it cannot be had: that is always the caller's to mend.
func (a *app) loadKey(source string, scheme key.Scheme) (*key.Pair, error) {
	p, err := key.Load(source, scheme, a.passphrase)
	switch {
	case errors.Is(err, os.ErrNotExist) && strings.Contains(err.Error(), source):
		return nil, hint(usage(err), "make a key with: iod key new --out %s", source)
	case errors.Is(err, os.ErrNotExist): // the error does not repeat what may be a mistyped secret, nor do we
		return nil, hint(usage(err), "make a key with: iod key new --out FILE")
	case err != nil:
		return nil, usage(err)
	}
	return p, nil
}

// passphrase takes the passphrase of an encrypted key file from IOD_PASSPHRASE, else from the terminal.
func (a *app) passphrase() (string, error) { return a.askPassphrase("passphrase of the key: ") }

func (a *app) askPassphrase(prompt string) (string, error) {
	if p := a.env("IOD_PASSPHRASE"); p != "" {
		return p, nil
	}
	f, ok := a.in.(*os.File)
	if !ok || !isTerminal(f) {
		return "", hint(errors.New("the key file is encrypted and there is no terminal to ask for its passphrase"),
			"set IOD_PASSPHRASE")
	}
	fmt.Fprint(a.err, prompt)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	return string(b), nil
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) subcommands() []*cobra.Command {
	return append(a.beyondDevices(), a.chainCommand(), a.keyCommand(), a.accountCommand(), a.deviceCommand(), a.didCommand(),
		a.relayCommand(), a.accessCommand(), a.connectCommand(), a.subscribeCommand(), a.versionCommand())
}
