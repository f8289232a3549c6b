package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"iod/document"
	"iod/key"
	"iod/pallet/did"
)

func (a *app) didCommand() *cobra.Command {
	return group("did", "Look at documents on the chain", "",
		a.didShow())
}

// documentView is what `iod did show` tells of a document.
type documentView struct {
	DID       string             `json:"did"`
	Attribute string             `json:"attribute"`
	Verdict   string             `json:"verdict"`
	Reason    string             `json:"reason,omitempty"`
	Vouched   bool               `json:"owner_vouched"`
	Block     uint32             `json:"block"`
	Created   time.Time          `json:"created"`
	ValidTo   *uint32            `json:"valid_to_block,omitempty"`
	Device    *document.Device   `json:"device,omitempty"`
	Document  *document.Document `json:"document,omitempty"`
	Raw       string             `json:"raw"`
}

func (a *app) didShow() *cobra.Command {
	var attribute string
	c := &cobra.Command{
		Use:   "show DID",
		Short: "Show the document of a DID, decoded and judged: verified, unverified or forged",
		Long: `Reads the document from the newest finalised block and checks its signature here. The registry lets strangers overwrite
anyone's documents, so only "verified" proves that it is the account's own. What is no document at all is "unreadable" and shown raw.`,
		Example: "  iod did show did:peaq:5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY\n  iod did show 5Grw… -o json | jq .document",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := key.ParseAccount(args[0])
			if err != nil {
				return usage(err)
			}
			client, err := a.dial(c.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			b, err := client.Finalised(c.Context())
			if err != nil {
				return err
			}
			attr, err := did.Read(c.Context(), b, id, attribute)
			if err != nil {
				return err
			}
			if attr == nil {
				return hint(fmt.Errorf("%s has no attribute %q on this chain as of block %d", id.DID(), attribute, b.Number),
					"check the DID, and with --rpc the network; consumers' documents: --attribute "+document.ClientAttribute)
			}
			return a.showDocument(id, attribute, attr, b.Number)
		},
	}
	c.Flags().StringVar(&attribute, "attribute", document.DeviceAttribute, "name of the attribute that holds the document")
	return c
}

func (a *app) showDocument(id key.AccountID, attribute string, attr *did.Attribute, block uint32) error {
	v := documentView{DID: id.DID(), Attribute: attribute, Block: block, Created: attr.Created.UTC(), Raw: fmt.Sprintf("0x%x", attr.Value)}
	if attr.Validity != did.Forever {
		v.ValidTo = &attr.Validity
	}
	if err := v.read(id, attribute, attr.Value); err != nil {
		v.Verdict, v.Reason = "unreadable", err.Error()
	}
	if attr.Expired(block) {
		v.Reason = strings.TrimPrefix(v.Reason+fmt.Sprintf("; its validity ended with block %d", attr.Validity), "; ")
	}
	if a.json() {
		return a.print(v, "")
	}
	_, err := fmt.Fprint(a.out, v.text())
	return err
}

// read decodes and judges the attribute's value. Attributes that are no documents hold what they like.
func (v *documentView) read(id key.AccountID, attribute string, raw []byte) error {
	var verdict document.Verdict
	var err error
	switch attribute {
	case document.DeviceAttribute:
		var dev document.Device
		if dev, verdict, err = document.ReadDevice(id, attribute, raw); err == nil {
			v.Device = &dev
		}
	case document.ClientAttribute:
		_, verdict, err = document.ReadClient(id, attribute, raw)
	default:
		var doc *document.Document
		if doc, err = document.Parse(raw); err == nil {
			verdict = doc.Judge(id, attribute)
		}
	}
	if err != nil {
		return err
	}
	v.Verdict, v.Reason, v.Vouched = string(verdict.State), verdict.Reason, verdict.Vouched
	v.Document, err = document.Parse(raw)
	return err
}

// text is the view for people.
func (v documentView) text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("did", "%s", v.DID)
	line("verdict", "%s", strings.TrimSuffix(v.Verdict+": "+v.Reason, ": "))
	line("created", "%s", v.Created.Format(time.RFC3339))
	if v.ValidTo != nil {
		line("valid to", "block %d", *v.ValidTo)
	}
	if d := v.Device; d != nil {
		describe(line, *d, v.Vouched)
	}
	if v.Document == nil {
		line("raw", "%s", clip(v.Raw, 2000))
	}
	fmt.Fprintf(&b, "%-14s as of finalised block %d\n", "read", v.Block)
	return b.String()
}

// describe writes what a device document says, a line each.
func describe(line func(name, format string, args ...any), d document.Device, vouched bool) {
	for _, f := range []struct{ name, value string }{
		{"data type", d.DataType}, {"location", d.Location}, {"price pin", d.PricePin}, {"price access", d.PriceAccess},
	} {
		if f.value != "" {
			line(f.name, "%s", f.value)
		}
	}
	switch {
	case d.Owner != nil && vouched:
		line("owner", "%s", d.Owner)
	case d.Owner != nil:
		line("owner", "claims %s, who has not vouched for it", d.Owner)
	}
	if d.Fleet != "" {
		line("fleet", "%s", d.Fleet)
	}
	if d.Node != (key.NodeID{}) {
		line("node", "%s", d.Node)
	}
	for _, r := range d.Relays {
		line("relay", "%s", r)
	}
	for _, s := range d.Streams {
		line("stream", "%s: %s", s.Name, streamText(s))
	}
	for _, x := range d.Additional {
		line(x.Type, "%s", x.Text())
	}
	if d.Sequence > 0 {
		line("published", "%s", time.UnixMilli(int64(d.Sequence)).UTC().Format(time.RFC3339))
	}
}

func streamText(s document.Stream) string {
	parts := []string{s.Kind}
	if s.DataType != "" {
		parts = append(parts, s.DataType)
	}
	if s.Unit != "" {
		parts = append(parts, "in "+s.Unit)
	}
	if len(s.Topics) > 0 {
		parts = append(parts, "topics "+strings.Join(s.Topics, " "))
	}
	if s.Price != "" {
		parts = append(parts, fmt.Sprintf("%s PEAQ for %s", s.Price, s.Period))
	}
	return strings.Join(parts, ", ")
}

// printable replaces what a stranger's text could do to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == '\u202e' || r == '\u2066' || r == '\u2067' {
			return '\ufffd'
		}
		return r
	}, s)
}

// encodeLine writes one JSON object a line.
func (a *app) encodeLine(v any) error { return json.NewEncoder(a.out).Encode(v) }

// clip shortens s to n characters.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
