package provision

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"iod/key"
	"iod/overlay"
)

// manifestLimit bounds the size of a manifest in bytes.
const manifestLimit = 1 << 20

// Manifest is a device's configuration file, checked.
type Manifest struct {
	Path  string   // of the file, absolute; empty when it was not read from one
	Files []string // that it was put together from, this one first: what it extends follows
	Dir   string   // to which relative paths are relative, those in files that it extends too

	RPC      []string
	Key      string         // key file, absolute, or secret URI
	Owner    *key.AccountID // nil: the device's own account
	Devices  string         // the file that lists the fleet's devices, absolute; empty: none is named
	Fleet    string         // of the owner's devices, by whose grants this device goes too; empty: none
	State    string         // directory for state, absolute
	Device   DeviceInfo
	Metrics  string        // host:port of loopback where Prometheus may ask; empty: nowhere
	Lease    time.Duration // how long access outlives the last word from a chain endpoint
	MaxHeals int           // how often in an hour the document is published again after strangers' changes
	Relays   []overlay.RelayAddr
	Streams  []Stream
	Programs []Program
}

// DeviceInfo is what the manifest's [device] says.
type DeviceInfo struct {
	DataType    string
	Location    string
	PricePin    string
	PriceAccess string
	ValidFor    uint32 // blocks that the document is valid for; 0: for ever
	Additional  []Additional
}

// Additional is a further field; Data is JSON.
type Additional struct{ Name, Data string }

// Stream is one [[stream]].
type Stream struct {
	Name        string
	Kind        string
	Target      string
	Topics      []string
	DataType    string
	Unit        string
	Description string
	ContentType string
	Price       string
	Period      string
	User        string // of the broker, for kind mqtt
	PasswordEnv string // the environment variable that holds its password
}

// Problem is one mistake in a manifest.
type Problem struct {
	File    string `json:"file,omitempty"` // when it is in a file that the manifest extends
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// ManifestError lists every mistake found in a manifest, in the order of the text.
type ManifestError struct {
	File     string
	Problems []Problem
}

// Error has one line a mistake: file:line:column: message.
func (e *ManifestError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", cmp.Or(p.File, e.File), p.Line, p.Column, p.Message)
	}
	return strings.Join(lines, "\n")
}

// manifestFile is the TOML as it stands.
type manifestFile struct {
	Extends string        `toml:"extends"` // read before: a file whose settings hold where this one says nothing
	RPC     []string      `toml:"rpc"`
	Key     string        `toml:"key"`
	Owner   string        `toml:"owner"`
	State   string        `toml:"state"`
	Fleet   fleetFile     `toml:"fleet"`
	Device  deviceFile    `toml:"device"`
	Access  accessFile    `toml:"access"`
	Overlay overlayFile   `toml:"overlay"`
	Metrics metricsFile   `toml:"metrics"`
	Stream  []streamFile  `toml:"stream"`
	Program []programFile `toml:"program"`
}

// fleetFile is what a fleet file says of the fleet; only the name concerns a device.
type fleetFile struct {
	Name    string `toml:"name"`
	Devices string `toml:"devices"`
}

type deviceFile struct {
	DataType    string         `toml:"data_type"`
	Location    string         `toml:"location"`
	PricePin    string         `toml:"price_pin"`
	PriceAccess string         `toml:"price_access"`
	ValidFor    uint32         `toml:"valid_for"`
	Heals       *int           `toml:"heals_per_hour"`
	Additional  map[string]any `toml:"additional"`
}

type accessFile struct {
	Lease string `toml:"lease"`
}

type metricsFile struct {
	Listen string `toml:"listen"`
}

type overlayFile struct {
	Relays []string `toml:"relays"`
}

type streamFile struct {
	Name        string   `toml:"name"`
	Kind        string   `toml:"kind"`
	Target      string   `toml:"target"`
	Topics      []string `toml:"topics"`
	DataType    string   `toml:"data_type"`
	Unit        string   `toml:"unit"`
	Description string   `toml:"description"`
	ContentType string   `toml:"content_type"`
	Price       string   `toml:"price"`
	Period      string   `toml:"period"`
	User        string   `toml:"user"`
	PasswordEnv string   `toml:"password_env"`
}

// Load reads and checks a manifest file. Mistakes in it are a *ManifestError.
func Load(path string) (*Manifest, error) {
	b, err := readManifest(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	m, err := parse(path, abs, filepath.Dir(abs), b)
	if err != nil {
		return nil, err
	}
	m.Path = abs
	return m, nil
}

// Parse checks a manifest's text; name stands in its errors, and relative paths are left relative to the working directory. What it
// extends is read.
func Parse(name string, b []byte) (*Manifest, error) { return parse(name, name, ".", b) }

func parse(name, path, dir string, b []byte) (*Manifest, error) {
	l, err := read(name, path, b, nil)
	if err != nil {
		return nil, err
	}
	return l.manifest(dir)
}

// manifest checks the merged tree; relative paths in it are relative to dir.
func (l *layer) manifest(dir string) (*Manifest, error) {
	c := &checker{at: l, dir: dir, told: map[string]bool{}}
	var f manifestFile
	c.fill(reflect.ValueOf(&f).Elem(), l.tree, "")
	m := c.manifest(&f)
	m.Files = l.files
	if len(c.problems) == 0 {
		if _, err := Desired(m, key.AccountID{}, key.NodeID{}, ""); err != nil {
			c.complain("device", "%v", err)
		}
	}
	if len(c.problems) > 0 {
		slices.SortStableFunc(c.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, &ManifestError{l.file, c.problems}
	}
	return m, nil
}

// syntaxProblem says where a text is not TOML.
func syntaxProblem(err error) Problem {
	p := Problem{Line: 1, Column: 1, Message: "not TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		p.Line, p.Column = decode.Position()
	}
	return p
}

// StateOf returns the state directory that a manifest file names, and the usual one beside it when the file cannot be read: a device may
// run by an earlier version of it.
func StateOf(path string) string {
	if m, err := Load(path); err == nil {
		return m.State
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	c := &checker{dir: filepath.Dir(abs)}
	b, err := os.ReadFile(abs)
	if err == nil {
		if l, err := read(path, abs, b[:min(len(b), manifestLimit)], nil); err == nil {
			if s, ok := l.tree["state"].(string); ok && s != "" {
				return c.file(s)
			}
		}
	}
	return c.file(".iod")
}
