package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"iod/document"
	"iod/key"
	"iod/overlay"
	"iod/provision"
)

// Where the package for Debian keeps a device.
const (
	systemManifest = "/etc/iod/device.toml"
	systemHome     = "/var/lib/iod"
	systemUser     = "iod"
)

// initCommand is what `iod device init` is told.
type initCommand struct {
	path, keyFile string
	system        bool // for the packaged service
	qr            bool
	o             provision.InitOptions
}

func (a *app) deviceInit() *cobra.Command {
	var n initCommand
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented manifest, and make the device's key if there is none",
		Long: `On a terminal and without flags it asks; flags answer in advance. The address that it prints needs a little PEAQ, from
which the device pays for its publications. With --system it writes what the packaged service reads: ` + systemManifest + `
and a key in ` + systemHome + ` that only the service's account can read.`,
		Example: "  iod device init\n  iod device init --data-type weather --target 127.0.0.1:1883 --topic 'measurements/#' --relay tls://relay.example:7777/<node id>\n  sudo iod device init --system",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if n.system {
				if c.Flags().Changed("config") || c.Flags().Changed("key-file") {
					return usage(errors.New("--system says where the files go: leave out -c and --key-file"))
				}
				n.path, n.keyFile, n.o.State = systemManifest, filepath.Join(systemHome, "device.key"), filepath.Join(systemHome, "state")
			}
			if _, err := os.Lstat(n.path); err == nil {
				return hint(usage(fmt.Errorf("write manifest: %s exists already", n.path)), "choose another file with -c, or edit it")
			}
			if !a.json() && isTerminal(a.in) && untold(c) {
				if err := a.interview(&n.o); err != nil {
					return err
				}
			}
			if !c.Flags().Changed("qr") {
				n.qr = isTerminal(a.out)
			}
			return a.initDevice(&n)
		},
	}
	c.Flags().StringVarP(&n.path, "config", "c", "device.toml", "manifest to write; never overwritten")
	c.Flags().StringVar(&n.keyFile, "key-file", "device.key", "the device's key file beside the manifest; made when absent")
	c.Flags().BoolVar(&n.system, "system", false, "write for the packaged service; needs root")
	c.Flags().BoolVar(&n.qr, "qr", false, "show the address as a QR code, too; default: on a terminal")
	initFlags(c, &n.o)
	return c
}

// untold reports whether no flag says what the manifest is to hold.
func untold(c *cobra.Command) bool {
	for _, name := range []string{"owner", "data-type", "location", "relay", "target", "topic"} {
		if c.Flags().Changed(name) {
			return false
		}
	}
	return true
}

// initFlags adds the flags that say what is in a new manifest.
func initFlags(c *cobra.Command, o *provision.InitOptions) {
	c.Flags().StringVar(&o.Owner, "owner", "", "address of the owner, whose key stays elsewhere")
	c.Flags().StringVar(&o.DataType, "data-type", "", "what the device measures")
	c.Flags().StringVar(&o.Location, "location", "", "\"lat,lon\" or a name")
	c.Flags().StringArrayVar(&o.Relays, "relay", nil, "relay address; repeatable")
	c.Flags().StringVar(&o.Target, "target", "", "host:port of the MQTT broker to share")
	c.Flags().StringArrayVar(&o.Topics, "topic", nil, "MQTT topic filter to share; repeatable")
}

func (a *app) initDevice(n *initCommand) error {
	file := n.keyFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(n.path), file)
	}
	p, err := a.loadOrMakeKey(file)
	if err != nil {
		return err
	}
	if n.o.Key = n.keyFile; len(n.o.RPC) == 0 {
		n.o.RPC = a.endpoints()
	}
	if err := writeNew(n.path, provision.InitManifest(n.o)); err != nil {
		return err
	}
	run := fmt.Sprintf("iod device check -c %s && iod device run -c %s", n.path, n.path)
	if n.system {
		if err := handOver(n.path, file); err != nil {
			return err
		}
		run = "systemctl start iod; systemctl status iod"
	}
	view := viewOf(p)
	err = a.print(map[string]string{"manifest": n.path, "key": file, "address": view.Address, "did": view.DID},
		"manifest  %s\nkey       %s\naddress   %s\ndid       %s\n", n.path, file, view.Address, view.DID)
	if err != nil || a.json() {
		return err
	}
	if n.qr {
		code, err := qrText(view.Address)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "\n%s", code)
	}
	_, err = fmt.Fprintf(a.out, "\nnext: send a little PEAQ to the address (development chain: iod account faucet %s),\nedit the manifest, then: %s\n", view.Address, run)
	return err
}

// handOver gives the service's account what it reads.
func handOver(manifest, keyFile string) error {
	u, err := user.Lookup(systemUser)
	if err != nil {
		return hint(fmt.Errorf("find the service's account: %w", err), "the package makes it; without the package leave out --system")
	}
	uid, _ := strconv.Atoi(u.Uid) // they are numbers where there is systemd
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(keyFile, uid, gid); err != nil {
		return fmt.Errorf("hand the key to %s: %w", systemUser, err)
	}
	if err := os.Chown(manifest, 0, gid); err != nil {
		return fmt.Errorf("hand the manifest to %s: %w", systemUser, err)
	}
	return os.Chmod(manifest, 0o640)
}

// question is one of the interview. An empty answer is the proposal.
type question struct {
	text, proposal string
	check          func(string) error
	take           func(string)
}

// interview asks what the manifest is to hold, each question until the answer is right.
func (a *app) interview(o *provision.InitOptions) error {
	fmt.Fprintln(a.err, "A few questions; Enter takes what stands in brackets. All of it can be changed in the file later.")
	in := bufio.NewReader(io.LimitReader(a.in, 1<<20))
	for _, q := range questions(o, a.endpoints()[0]) {
		for {
			fmt.Fprintf(a.err, "%s [%s]: ", q.text, q.proposal)
			line, err := in.ReadString('\n')
			if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
				fmt.Fprintln(a.err)
				return hint(usage(fmt.Errorf("read answer: %w", err)), "answer in advance with flags; see: iod device init --help")
			}
			answer := cmp.Or(strings.TrimSpace(line), q.proposal)
			if err := q.check(answer); err != nil {
				fmt.Fprintf(a.err, "  %v\n", err)
				continue
			}
			q.take(answer)
			break
		}
	}
	return nil
}

func questions(o *provision.InitOptions, endpoint string) []question {
	optional := func(check func(string) error) func(string) error {
		return func(s string) error {
			if s == "" {
				return nil
			}
			return check(s)
		}
	}
	return []question{
		{"What does the device measure, in a word", "weather", oneLine, func(s string) { o.DataType = s }},
		{"Endpoint of the chain", endpoint, checkEndpoint, func(s string) { o.RPC = []string{s} }},
		{"Where is it: latitude,longitude in degrees, or a place's name", "", optional(checkLocation), func(s string) { o.Location = s }},
		{"Address of the owner, who grants access (empty: the device itself)", "",
			optional(func(s string) error { _, err := key.ParseAccount(s); return err }), func(s string) { o.Owner = s }},
		{"Address of a relay, as iod relay prints it (empty: fill it in later)", "",
			optional(func(s string) error { _, err := overlay.ParseRelayAddr(s); return err }), func(s string) {
				if s != "" {
					o.Relays = []string{s}
				}
			}},
		{"host:port of the MQTT broker to share", "127.0.0.1:1883", checkTarget, func(s string) { o.Target = s }},
		{"MQTT topics to share, separated by spaces", "measurements/#", checkFilters, func(s string) { o.Topics = strings.Fields(s) }},
	}
}

func oneLine(s string) error {
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("want a word or two")
	}
	return nil
}

func checkLocation(s string) error {
	if _, _, ok := document.ParseLocation(s); !ok && strings.Trim(s, "0123456789.,-+ ") == "" {
		return errors.New("latitude is -90 to 90, longitude -180 to 180, in that order, as in 40.19,44.55")
	}
	return oneLine(s)
}

func checkTarget(s string) error {
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || perr != nil || n == 0 {
		return errors.New("want host:port, as in 127.0.0.1:1883")
	}
	return nil
}

func checkFilters(s string) error {
	for _, f := range strings.Fields(s) {
		if !document.ValidTopicFilter(f) {
			return fmt.Errorf("%q is no MQTT topic filter", f)
		}
	}
	return nil
}

// writeNew writes a file that does not exist yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return hint(usage(fmt.Errorf("write %s: it exists already", path)), "choose another file with -c")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
	}
	return f.Close()
}

// loadOrMakeKey loads a key file, or makes it when there is none.
func (a *app) loadOrMakeKey(file string) (*key.Pair, error) {
	if _, err := os.Lstat(file); err == nil {
		return a.loadKey(file, key.Sr25519)
	}
	p, _, err := key.Generate(key.Sr25519)
	if err != nil {
		return nil, err
	}
	return p, key.Save(file, p, "", key.Meta{Created: time.Now().UnixMilli()})
}
