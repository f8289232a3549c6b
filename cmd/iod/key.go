package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"iod/key"
)

// keyView is what `iod key show` tells of a key.
type keyView struct {
	Type      string `json:"type"`
	PublicKey string `json:"public_key"`
	Address   string `json:"address"`
	DID       string `json:"did"`
	NodeID    string `json:"node_id"`
	File      string `json:"file,omitempty"`
	Phrase    string `json:"phrase,omitempty"`
}

func viewOf(p *key.Pair) keyView {
	pub := p.Public()
	return keyView{
		Type:      pub.Scheme().String(),
		PublicKey: fmt.Sprintf("0x%x", pub.Bytes()),
		Address:   p.Account().String(),
		DID:       p.Account().DID(),
		NodeID:    p.NodeKey().ID().String(),
	}
}

func (a *app) printKey(v keyView) error {
	text := fmt.Sprintf("address     %s\ndid         %s\ntype        %s\npublic key  %s\nnode id     %s\n", v.Address, v.DID, v.Type, v.PublicKey, v.NodeID)
	if v.File != "" {
		text = fmt.Sprintf("file        %s\n", v.File) + text
	}
	if v.Phrase != "" {
		text += fmt.Sprintf("phrase      %s\n", v.Phrase)
	}
	return a.print(v, "%s", text)
}

func (a *app) keyCommand() *cobra.Command {
	return group("key", "Make, show and import keys", `A key is an account on the chain. Key files have mode 0600 and the JSON format of the polkadot.js wallet,
so that either opens the other's; they are encrypted when a passphrase is given.`,
		a.keyNew(), a.keyShow(), a.keyImport())
}

func (a *app) keyNew() *cobra.Command {
	var out string
	var encrypt, phrase bool
	c := &cobra.Command{
		Use:     "new",
		Short:   "Make a new key and write it to a file",
		Example: "  iod key new --out device.key\n  iod key new --out owner.json --encrypt --phrase",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			scheme, err := a.keyScheme()
			if err != nil {
				return err
			}
			p, words, err := key.Generate(scheme)
			if err != nil {
				return err
			}
			view, err := a.saveKey(p, out, encrypt)
			if err != nil {
				return err
			}
			if phrase {
				view.Phrase = words
			}
			return a.printKey(view)
		},
	}
	c.Flags().StringVar(&out, "out", "iod.key", "file to write; never overwritten")
	c.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt the file with a passphrase (asked for, or IOD_PASSPHRASE)")
	c.Flags().BoolVar(&phrase, "phrase", false, "print the twelve words too; whoever has them has the key")
	return c
}

// saveKey writes p to a file that must not exist yet.
func (a *app) saveKey(p *key.Pair, file string, encrypt bool) (keyView, error) {
	if _, err := os.Lstat(file); err == nil {
		return keyView{}, hint(usage(fmt.Errorf("write key: %s exists already", file)), "choose another --out; a key file is never overwritten")
	}
	passphrase := ""
	if encrypt {
		var err error
		if passphrase, err = a.newPassphrase(); err != nil {
			return keyView{}, err
		}
	}
	if err := key.Save(file, p, passphrase, key.Meta{Created: time.Now().UnixMilli()}); err != nil {
		return keyView{}, err
	}
	view := viewOf(p)
	view.File = file
	return view, nil
}

// newPassphrase asks twice on a terminal.
func (a *app) newPassphrase() (string, error) {
	first, err := a.askPassphrase("new passphrase: ")
	if err != nil {
		return "", err
	}
	if a.env("IOD_PASSPHRASE") == "" {
		second, err := a.askPassphrase("the same again: ")
		if err != nil {
			return "", err
		}
		if first != second {
			return "", usage(errors.New("the two passphrases differ"))
		}
	}
	if first == "" {
		return "", usage(errors.New("an empty passphrase encrypts nothing"))
	}
	return first, nil
}

func (a *app) keyShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the public side of a key",
		Example: "  iod key show --key device.key\n  IOD_KEY=//Alice iod key show -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.keyPair("")
			if err != nil {
				return err
			}
			return a.printKey(viewOf(p))
		},
	}
}

func (a *app) keyImport() *cobra.Command {
	var out, from string
	var encrypt bool
	c := &cobra.Command{
		Use:   "import",
		Short: "Make a key file from a secret URI on standard input, or from a wallet's JSON file",
		Long: `Reads a phrase, 0x-hex seed or secret URI from standard input (so that it stands in no shell history), or with
--from a JSON file that the polkadot.js wallet exported, and writes a key file.`,
		Example: "  iod key import --out owner.key < phrase.txt\n  iod key import --from wallet.json --out owner.key",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.importedPair(from)
			if err != nil {
				return err
			}
			view, err := a.saveKey(p, out, encrypt)
			if err != nil {
				return err
			}
			return a.printKey(view)
		},
	}
	c.Flags().StringVar(&out, "out", "iod.key", "file to write; never overwritten")
	c.Flags().StringVar(&from, "from", "", "JSON file of the polkadot.js wallet")
	c.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt the file with a passphrase (asked for, or IOD_PASSPHRASE)")
	return c
}

func (a *app) importedPair(from string) (*key.Pair, error) {
	scheme, err := a.keyScheme()
	if err != nil {
		return nil, err
	}
	if from != "" {
		return a.loadWallet(from, scheme)
	}
	line, err := bufio.NewReader(io.LimitReader(a.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("import key: read standard input: %w", err)
	}
	uri := strings.TrimSpace(line)
	if uri == "" {
		return nil, hint(usage(errors.New("import key: standard input is empty")), "pipe a phrase or secret URI in, or use --from FILE")
	}
	p, err := key.FromURI(scheme, uri)
	if err != nil {
		return nil, usage(fmt.Errorf("import key: %w", err))
	}
	return p, nil
}

// loadWallet reads a wallet's file. A name that is no file is not taken for a secret.
func (a *app) loadWallet(file string, scheme key.Scheme) (*key.Pair, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, usage(fmt.Errorf("import key: %w", err))
	}
	return a.loadKey(file, scheme)
}
