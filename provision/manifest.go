package provision

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"iod/key"
	"iod/overlay"
	"iod/spelling"
)

// manifestLimit bounds the size of a manifest in bytes.
const manifestLimit = 1 << 20

// Manifest is a device's configuration file, checked.
type Manifest struct {
	Path string // of the file; empty when it was not read from one
	Dir  string // to which relative paths in it are relative

	RPC      []string
	Key      string         // key file, absolute, or secret URI
	Owner    *key.AccountID // nil: the device's own account
	State    string         // directory for state, absolute
	Device   DeviceInfo
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

// Program is one [[program]].
type Program struct {
	Name    string
	Command []string
	Dir     string
	Env     []string
}

// Problem is one mistake in a manifest.
type Problem struct {
	Line, Column int
	Message      string
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
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.File, p.Line, p.Column, p.Message)
	}
	return strings.Join(lines, "\n")
}

// manifestFile is the TOML as it stands.
type manifestFile struct {
	RPC     []string      `toml:"rpc"`
	Key     string        `toml:"key"`
	Owner   string        `toml:"owner"`
	State   string        `toml:"state"`
	Device  deviceFile    `toml:"device"`
	Access  accessFile    `toml:"access"`
	Overlay overlayFile   `toml:"overlay"`
	Stream  []streamFile  `toml:"stream"`
	Program []programFile `toml:"program"`
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

type programFile struct {
	Name    string            `toml:"name"`
	Command []string          `toml:"command"`
	Dir     string            `toml:"dir"`
	Env     map[string]string `toml:"env"`
}

// knownKeys are the keys of each table, for suggestions.
var knownKeys = map[string][]string{
	"":        {"rpc", "key", "owner", "state", "device", "access", "overlay", "stream", "program"},
	"device":  {"data_type", "location", "price_pin", "price_access", "valid_for", "heals_per_hour", "additional"},
	"access":  {"lease"},
	"overlay": {"relays"},
	"stream":  {"name", "kind", "target", "topics", "data_type", "unit", "description", "content_type", "price", "period", "user", "password_env"},
	"program": {"name", "command", "dir", "env"},
}

// Load reads and checks a manifest file. Mistakes in it are a *ManifestError.
func Load(path string) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, manifestLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	m, err := parse(path, filepath.Dir(abs), b)
	if err != nil {
		return nil, err
	}
	m.Path = abs
	return m, nil
}

// Parse checks a manifest's text; name stands in its errors, and relative paths are left relative to the working directory.
func Parse(name string, b []byte) (*Manifest, error) { return parse(name, ".", b) }

func parse(name, dir string, b []byte) (*Manifest, error) {
	if len(b) > manifestLimit {
		return nil, &ManifestError{name, []Problem{{1, 1, fmt.Sprintf("the manifest is larger than %d bytes", manifestLimit)}}}
	}
	var f manifestFile
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		if e := decodeProblems(name, b, err); e != nil {
			return nil, e
		}
	}
	c := &checker{at: locate(b), dir: dir}
	m := c.manifest(&f)
	if len(c.problems) > 0 {
		slices.SortStableFunc(c.problems, func(a, b Problem) int {
			return (a.Line-b.Line)*1e6 + a.Column - b.Column
		})
		return nil, &ManifestError{name, c.problems}
	}
	return m, nil
}

// decodeProblems turns the decoder's errors into ours.
func decodeProblems(name string, b []byte, err error) *ManifestError {
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	e := &ManifestError{File: name}
	switch {
	case errors.As(err, &strict):
		for _, d := range strict.Errors {
			line, column := d.Position()
			e.Problems = append(e.Problems, Problem{line, column, unknownKey(d.Key())})
		}
	case errors.As(err, &decode):
		line, column := decode.Position()
		e.Problems = []Problem{{line, column, strings.TrimPrefix(decode.Error(), "toml: ")}}
	default:
		e.Problems = []Problem{{1, 1, strings.TrimPrefix(err.Error(), "toml: ")}}
	}
	return e
}

// unknownKey says what is wrong with a key and what was probably meant.
func unknownKey(k toml.Key) string {
	last := k[len(k)-1]
	table := strings.Join(k[:len(k)-1], ".")
	msg := fmt.Sprintf("unknown key %q", last)
	if table != "" {
		msg = fmt.Sprintf("unknown key %q in [%s]", last, table)
	}
	known := knownKeys[table]
	if meant := spelling.Nearest(last, slices.Values(known)); meant != "" {
		return msg + fmt.Sprintf("; did you mean %q?", meant)
	}
	for other, keys := range knownKeys {
		if slices.Contains(keys, last) && other != "" {
			return msg + fmt.Sprintf("; it belongs to [%s]", other)
		}
	}
	if table == "device" {
		return msg + "; further fields of a device go below [device.additional]"
	}
	if len(known) > 0 {
		return msg + "; known here: " + strings.Join(known, ", ")
	}
	return msg
}
