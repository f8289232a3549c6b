package provision

import (
	"bytes"
	"fmt"
	"strings"
)

// InitOptions are what `iod device init` knows; empty ones become commented examples.
type InitOptions struct {
	RPC      []string
	Key      string
	State    string // directory; empty: the default
	Owner    string
	Fleet    string // its name: the file is a fleet's, which manifests extend
	DataType string
	Location string
	Relays   []string
	Target   string
	Topics   []string
}

// InitManifest writes a commented manifest.
func InitManifest(o InitOptions) []byte {
	var b bytes.Buffer
	set := func(known bool, comment, format string, args ...any) {
		if !known {
			format = "# " + format
		}
		if comment != "" {
			comment = "  # " + comment
		}
		fmt.Fprintf(&b, format+comment+"\n", args...)
	}
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	if o.Fleet != "" {
		b.WriteString("# What the devices of a fleet share. Their manifests extend this file; what they say themselves goes before it.\n\n")
	} else {
		b.WriteString("# The manifest of a device. Check it: iod device check. See what it would change: iod device plan.\n\n")
	}
	set(true, "chain endpoints in order of preference; IOD_RPC overrides", "rpc = %s", list(o.RPC))
	set(true, "made by iod key new; keep it secret", "key = %s", quote(or(o.Key, "device.key")))
	if o.State != "" {
		set(true, "what the device remembers", "state = %s", quote(o.State))
	}
	set(o.Owner != "", "whose grants decide; absent: the device's own account", "owner = %s", quote(or(o.Owner, "5F…")))
	if o.Fleet != "" {
		fmt.Fprintf(&b, "\n[fleet]\nname = %s  # iod access grant --fleet %s holds on all devices\ndevices = \"devices.txt\"  # their names and DIDs\n", quote(o.Fleet), o.Fleet)
	}
	b.WriteString("\n[device]\n")
	set(true, "what it measures", "data_type = %s", quote(or(o.DataType, "weather")))
	set(o.Location != "", "\"lat,lon\" in degrees, or a name", "location = %s", quote(or(o.Location, "40.19,44.55")))
	b.WriteString("\n# any further fields that people may search for\n[device.additional]\n# microcontroller = \"stm32\"\n")
	b.WriteString("\n[overlay]\n")
	relays := o.Relays
	if len(relays) == 0 {
		relays = []string{"tls://relay.example:7777/" + strings.Repeat("0", 52)}
	}
	set(true, "as iod relay prints them", "relays = %s", list(relays))
	b.WriteString("\n[[stream]]\nname = \"measurements\"\nkind = \"mqtt\"  # mqtt, http, rtsp, tcp, udp\n")
	set(true, "on this machine or beside it", "target = %s", quote(or(o.Target, "127.0.0.1:1883")))
	topics := o.Topics
	if len(topics) == 0 {
		topics = []string{"measurements/#"}
	}
	set(true, "nothing else is let through", "topics = %s", list(topics))
	b.WriteString("# unit = \"m/s\"\n# price = \"42.5\"   # PEAQ for one period\n# period = \"30d\"\n")
	b.WriteString("\n# a program that is kept alive; any number of them\n# [[program]]\n# name = \"weather\"\n# command = [\"./weather\", \"--listen\", \"127.0.0.1:1883\"]\n")
	return b.Bytes()
}

// MemberManifest writes the few lines of a device whose manifest extends a fleet's file.
func MemberManifest(fleet string) []byte {
	return fmt.Appendf(nil, "# A device of a fleet: what it does not say itself stands in the fleet's file.\nextends = %s\nkey = \"device.key\"\n\n[device]\n# location = \"40.19,44.55\"\n", quote(fleet))
}

// list writes strings as a TOML array.
func list(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote writes a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
