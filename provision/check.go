package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"iod/document"
	"iod/key"
	"iod/mqtt"
	"iod/overlay"
	"iod/spelling"
)

// Defaults and bounds of the manifest.
const (
	defaultLease = 10 * time.Minute
	maxLease     = 24 * time.Hour
	defaultHeals = 12
	maxPrograms  = 64
	maxEndpoints = 16
	maxText      = 256
	maxProblems  = 100 // that are reported at once
	leastValid   = 100 // blocks: the document is renewed three times within them, at a fee each
	mostValid    = 1e8 // blocks: decades
)

var (
	fieldName   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	coordinates = regexp.MustCompile(`^[-+0-9.eE\s]+,[-+0-9.eE\s]+$`)
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// kinds are the kinds of stream.
var kinds = []string{"mqtt", "http", "rtsp", "tcp", "udp"}

// checker collects the mistakes of a manifest that has the right keys.
type checker struct {
	at       *layer
	dir      string
	problems []Problem
	told     map[string]bool // paths that have a problem already
}

// complain notes a mistake. Only the first one of a path, or of the table that it is in, counts: others mostly follow from it.
func (c *checker) complain(path, format string, args ...any) {
	for p := path; p != ""; p = p[:max(strings.LastIndexAny(p, ".["), 0)] {
		if c.told[p] {
			return
		}
	}
	if len(c.problems) == maxProblems {
		return
	}
	c.told[path] = true
	file, where := c.at.find(path)
	if file == c.at.file {
		file = ""
	}
	c.problems = append(c.problems, Problem{file, where.line, where.column, fmt.Sprintf(format, args...)})
}

func (c *checker) manifest(f *manifestFile) *Manifest {
	m := &Manifest{Dir: c.dir, RPC: f.RPC, Key: c.file(f.Key), State: c.file(f.State)}
	if f.State == "" {
		m.State = c.file(".iod")
	}
	if len(f.RPC) > maxEndpoints {
		c.complain("rpc", "%d endpoints are more than %d", len(f.RPC), maxEndpoints)
	}
	for i, u := range f.RPC {
		c.endpoint(fmt.Sprintf("rpc[%d]", i), u)
	}
	if f.Key == "" {
		c.complain("key", "key is missing: name the device's key file, as made by: iod key new --out device.key")
	}
	if f.Owner != "" {
		id, err := key.ParseAccount(f.Owner)
		if err != nil {
			c.complain("owner", "owner: %v; it is an address as iod key show prints it", err)
		}
		m.Owner = &id
	}
	m.Fleet, m.Devices = c.fleet(&f.Fleet, m.Owner != nil), c.file(f.Fleet.Devices)
	m.Device = c.device(&f.Device)
	m.MaxHeals = defaultHeals
	if f.Device.Heals != nil {
		m.MaxHeals = *f.Device.Heals
		if m.MaxHeals < 0 || m.MaxHeals > 3600 {
			c.complain("device.heals_per_hour", "heals_per_hour = %d is not between 0 and 3600", m.MaxHeals)
		}
	}
	m.Lease = c.lease(f.Access.Lease)
	m.Metrics = c.metrics(f.Metrics.Listen)
	m.Relays = c.relays(f.Overlay.Relays, len(f.Stream) > 0)
	m.Streams = c.streams(f.Stream)
	m.Programs = c.programs(f.Program)
	return m
}

func (c *checker) fleet(f *fleetFile, owned bool) string {
	switch {
	case f.Name == "" && *f == (fleetFile{}):
	case !document.ValidFleetName(f.Name):
		c.complain("fleet.name", "fleet name %.40q: want 1 to 32 of a-z, 0-9, _ and -", f.Name)
	case !owned:
		c.complain("fleet", "a fleet needs an owner: put owner = \"5F…\" at the top, the account that grants access to all of its devices")
	}
	return f.Name
}

// file makes a path absolute; a secret URI stays as it is.
func (c *checker) file(path string) string {
	if path == "" || filepath.IsAbs(path) || strings.HasPrefix(path, "//") || strings.HasPrefix(path, "0x") || strings.Contains(path, " ") {
		return path
	}
	return filepath.Join(c.dir, path)
}

func (c *checker) endpoint(path, s string) {
	u, err := url.Parse(s)
	if err != nil {
		c.complain(path, "rpc: not a URL")
		return
	}
	if !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) || u.Host == "" {
		c.complain(path, "rpc: %q is not of the form wss://host or ws://, https://, http://host:port", u.Redacted())
	}
}

func (c *checker) device(f *deviceFile) DeviceInfo {
	d := DeviceInfo{DataType: f.DataType, Location: f.Location, PricePin: f.PricePin, PriceAccess: f.PriceAccess, ValidFor: f.ValidFor}
	c.text("device.data_type", "data_type", f.DataType)
	c.text("device.location", "location", f.Location)
	if f.DataType == "" {
		c.complain("device.data_type", "data_type is missing in [device]: say what the device measures, as in \"weather\"")
	}
	c.location(f.Location)
	if f.ValidFor != 0 && (f.ValidFor < leastValid || f.ValidFor > mostValid) {
		c.complain("device.valid_for", "valid_for = %d blocks is not between %d and %d; without it the document is valid for ever", f.ValidFor, leastValid, uint32(mostValid))
	}
	c.price("device.price_pin", "price_pin", f.PricePin)
	c.price("device.price_access", "price_access", f.PriceAccess)
	d.Additional = c.additional(f.Additional)
	return d
}

func (c *checker) additional(fields map[string]any) (out []Additional) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		path := "device.additional." + name
		if !fieldName.MatchString(name) || reserved(name) {
			c.complain(path, "additional field %q: names are 1 to 64 letters, digits, dots, hyphens or underscores, and none of iod's own", name)
		}
		data, err := jsonText(fields[name])
		if err != nil || len(data) > 4096 {
			c.complain(path, "additional field %q: the value must be text, a number, a boolean or a list or table of these, at most 4096 bytes as JSON", name)
		}
		out = append(out, Additional{name, data})
	}
	return out
}

// jsonText is the form in which the existing marketplace writes values, without the escapes that are for web pages.
func jsonText(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// reserved reports whether a field name has a meaning of its own in a document.
func reserved(name string) bool {
	switch name {
	case "data_type", "location", "price_access", "price_pin", "mqtt_topic":
		return true
	}
	return strings.HasPrefix(name, "iod_") || strings.HasPrefix(name, "staex_")
}

// location refuses what looks like coordinates and is none.
func (c *checker) location(s string) {
	if _, _, ok := document.ParseLocation(s); !ok && coordinates.MatchString(s) {
		c.complain("device.location", "location %q: latitude is -90 to 90, longitude -180 to 180, in that order, as in \"40.19,44.55\"", s)
	}
}

func (c *checker) price(path, name, s string) {
	if s == "" {
		return
	}
	if _, err := document.NormalPrice(s); err != nil {
		c.complain(path, "%s: %v", name, err)
	}
}

func (c *checker) text(path, name, s string) {
	if len(s) > maxText || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.complain(path, "%s must be one line of at most %d bytes", name, maxText)
	}
}

func (c *checker) lease(s string) time.Duration {
	if s == "" {
		return defaultLease
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 10*time.Second || d > maxLease {
		c.complain("access.lease", "lease = %q is not a duration from \"10s\" to \"24h\"", s)
	}
	return d
}

// metrics are for programs of this machine: a device listens nowhere else.
func (c *checker) metrics(s string) string {
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	ip, iperr := netip.ParseAddr(host)
	if err != nil || perr != nil || n == 0 || host != "localhost" && (iperr != nil || !ip.IsLoopback()) {
		c.complain("metrics.listen", "listen = %q is not a port of loopback, as in \"127.0.0.1:9464\": metrics are for programs of this machine", s)
	}
	return s
}

func (c *checker) relays(addrs []string, needed bool) []overlay.RelayAddr {
	if len(addrs) > document.MaxRelays {
		c.complain("overlay.relays", "%d relays are more than %d", len(addrs), document.MaxRelays)
		return nil
	}
	var out []overlay.RelayAddr
	for i, s := range addrs {
		addr, err := overlay.ParseRelayAddr(s)
		if err != nil {
			c.complain(fmt.Sprintf("overlay.relays[%d]", i), "relays: %v", err)
			continue
		}
		if slices.Contains(out, addr) {
			c.complain("overlay.relays", "relays: %s stands twice", s)
		}
		out = append(out, addr)
	}
	if needed && len(addrs) == 0 {
		c.complain("overlay.relays", "a device with streams needs a relay: [overlay] relays = [\"tls://host:port/<node id>\"], as iod relay prints it")
	}
	return out
}

func (c *checker) streams(files []streamFile) []Stream {
	if len(files) > document.MaxStreams {
		c.complain("stream", "%d streams are more than %d", len(files), document.MaxStreams)
		return nil
	}
	var out []Stream
	for i := range files {
		f := &files[i]
		path := fmt.Sprintf("stream[%d]", i)
		if !document.ValidStreamName(f.Name) {
			c.name(path, "stream", f.Name)
		} else if slices.ContainsFunc(out, func(s Stream) bool { return s.Name == f.Name }) {
			c.complain(path+".name", "stream name %q stands twice", f.Name)
		}
		out = append(out, Stream(*f))
		c.stream(path, f)
	}
	return out
}

// name complains about a name that is none.
func (c *checker) name(path, what, name string) {
	if name == "" {
		c.complain(path+".name", "a %s has no name: give it one, as in name = \"weather\"", what)
		return
	}
	c.complain(path+".name", "%s name %.64q: 1 to 32 lower-case letters, digits, hyphens or underscores", what, name)
}

func (c *checker) stream(path string, f *streamFile) {
	switch {
	case f.Kind == "":
		c.complain(path+".kind", "stream %q has no kind; it is one of %s", f.Name, strings.Join(kinds, ", "))
	case !slices.Contains(kinds, f.Kind):
		meant := ""
		if near := spelling.Nearest(f.Kind, slices.Values(kinds)); near != "" {
			meant = fmt.Sprintf("; did you mean %q?", near)
		}
		c.complain(path+".kind", "stream %q: kind %q is none of %s%s", f.Name, f.Kind, strings.Join(kinds, ", "), meant)
	}
	c.target(path+".target", f)
	c.topics(path, f)
	c.price(path+".price", "price", f.Price)
	if f.Price != "" && f.Period == "" {
		c.complain(path+".price", "stream %q has a price and no period: say for how long it is paid, as in period = \"30d\"", f.Name)
	}
	if f.Period != "" {
		if _, err := document.ParsePeriod(f.Period); err != nil {
			c.complain(path+".period", "%v", err)
		}
	}
	for name, s := range map[string]string{"data_type": f.DataType, "unit": f.Unit, "description": f.Description, "content_type": f.ContentType} {
		c.text(path+"."+name, name, s)
	}
	if (f.User != "" || f.PasswordEnv != "") && f.Kind != "mqtt" {
		c.complain(path+".user", "user and password_env are for streams of kind mqtt")
	}
	if f.PasswordEnv != "" && !envName.MatchString(f.PasswordEnv) {
		c.complain(path+".password_env", "password_env = %q is not the name of an environment variable", "…")
	}
}

func (c *checker) target(path string, f *streamFile) {
	if f.Target == "" {
		c.complain(path, "stream %q has no target: the host:port where it is served", f.Name)
		return
	}
	host, port, err := net.SplitHostPort(f.Target)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || perr != nil || n == 0 {
		c.complain(path, "target = %q is not host:port, as in \"127.0.0.1:1883\"", f.Target)
	}
}

func (c *checker) topics(path string, f *streamFile) {
	if f.Kind == "mqtt" && len(f.Topics) == 0 {
		c.complain(path+".topics", "stream %q shares no topics: name them, as in topics = [\"measurements/#\"]", f.Name)
	}
	if f.Kind != "mqtt" && slices.Contains(kinds, f.Kind) && len(f.Topics) > 0 {
		c.complain(path+".topics", "topics are for streams of kind mqtt")
	}
	if len(f.Topics) > document.MaxTopics {
		c.complain(path+".topics", "%d topic filters are more than %d", len(f.Topics), document.MaxTopics)
		return
	}
	for i, t := range f.Topics {
		if err := mqtt.ValidFilter(t); err != nil {
			c.complain(fmt.Sprintf("%s.topics[%d]", path, i), "topics: %v", err)
		}
	}
}

// documentStream is the part of a stream that is published.
func (s Stream) documentStream() document.Stream {
	return document.Stream{Name: s.Name, Kind: s.Kind, DataType: s.DataType, Unit: s.Unit, Description: s.Description,
		ContentType: s.ContentType, Topics: s.Topics, Price: s.Price, Period: s.Period}
}
