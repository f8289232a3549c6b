package provision

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"

	"iod/supervise"
	"iod/update"
)

var rewrite = flag.Bool("update", false, "write what the bad manifests' messages are now")

// TestBadManifests compares the message for each testdata/*.bad.toml with the *.bad.txt beside it.
func TestBadManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 60 {
		t.Fatalf("only %d bad manifests are left", len(files))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse("device.toml", text)
		var bad *ManifestError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", f, err)
			continue
		}
		want := strings.TrimSuffix(f, ".toml") + ".txt"
		if *rewrite {
			if err := os.WriteFile(want, []byte(err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		expected, rerr := os.ReadFile(want)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if got := err.Error() + "\n"; got != string(expected) {
			t.Errorf("%s:\n%swant:\n%s", f, got, expected)
		}
	}
}

// designManifest is the example of the design, word for word.
const designManifest = `rpc = ["wss://peaq.example", "wss://other.example"]   # in order of preference; IOD_RPC overrides
key = "device.key"                    # made by ` + "`iod key new`" + `; IOD_KEY overrides
owner = "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX"   # absent: the device's own account

[device]
data_type = "weather"
location = "40.1949288,44.5517725"    # or a name
price_pin = "445.12222"
[device.additional]                   # any further fields
microcontroller = "stm32"

[overlay]
relays = ["tls://relay.example:7777/g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg"]

[[stream]]
name = "measurements"
kind = "mqtt"                         # mqtt, http, rtsp, tcp, udp
target = "127.0.0.1:1883"             # on this machine or beside it
topics = ["measurements/#"]
data_type = "wind_speed"
unit = "m/s"
price = "42.03995"                    # PEAQ for one period
period = "30d"

[[program]]
name = "weather"
command = ["./weather", "--listen", "127.0.0.1:1883"]
`

func TestManifestOfTheDesign(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "device.toml")
	if err := os.WriteFile(path, []byte(designManifest), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	owner, relays := m.Owner, m.Relays
	if owner == nil || owner.String() != "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX" || len(relays) != 1 || relays[0].Host != "relay.example:7777" {
		t.Errorf("owner %v, relays %v", owner, relays)
	}
	m.Owner, m.Relays = nil, nil
	want := &Manifest{
		Path: path, Files: []string{path}, Dir: dir, RPC: []string{"wss://peaq.example", "wss://other.example"}, Key: filepath.Join(dir, "device.key"),
		State: filepath.Join(dir, ".iod"), Lease: defaultLease, MaxHeals: defaultHeals,
		Device: DeviceInfo{DataType: "weather", Location: "40.1949288,44.5517725", PricePin: "445.12222",
			Additional: []Additional{{"microcontroller", `"stm32"`}}},
		Streams: []Stream{{Name: "measurements", Kind: "mqtt", Target: "127.0.0.1:1883", Topics: []string{"measurements/#"},
			DataType: "wind_speed", Unit: "m/s", Price: "42.03995", Period: "30d"}},
		Programs: []Program{{Name: "weather", Command: []string{filepath.Join(dir, "weather"), "--listen", "127.0.0.1:1883"}, Dir: dir}},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestInitManifestParses(t *testing.T) {
	for name, o := range map[string]InitOptions{
		"nothing known": {},
		"all known": {RPC: []string{"ws://127.0.0.1:9944"}, Key: "my \"own\".key", Owner: "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX",
			DataType: "wind \\ rain", Location: "40.19,44.55", Target: "[::1]:1883", Topics: []string{"a/#", "b/+/c", "\u2028\x7f"},
			Relays: []string{"tls://relay.example:7777/g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg"}},
	} {
		m, err := Parse(name, InitManifest(o))
		if err != nil {
			t.Errorf("%v\n%s", err, InitManifest(o))
			continue
		}
		if o.DataType != "" && (m.Device.DataType != o.DataType || !reflect.DeepEqual(m.Streams[0].Topics, o.Topics) || m.Key != o.Key) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		var got struct{ V string }
		if err := toml.Unmarshal([]byte("v = "+quote(s)), &got); err != nil || got.V != s {
			t.Fatalf("%q became %q: %v", s, got.V, err)
		}
	})
}

func TestManifestFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	var bad *ManifestError
	if _, err := Parse("x", make([]byte, manifestLimit+1)); !errors.As(err, &bad) {
		t.Errorf("a huge one: %v", err)
	}
	if _, err := Parse("x", []byte(strings.Repeat("[[stream]]\n", 100_000))); !errors.As(err, &bad) || len(bad.Problems) > maxProblems {
		t.Errorf("many mistakes: %d", len(bad.Problems))
	}
}

// FuzzParse looks for texts that make the parser panic, or report a place outside of the text.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.bad.toml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(designManifest))
	f.Add(InitManifest(InitOptions{}))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse("fuzz", text)
		if err == nil {
			if again, err := Parse("fuzz", text); err != nil || !reflect.DeepEqual(m, again) {
				t.Errorf("read differently a second time: %v", err)
			}
			return
		}
		var bad *ManifestError
		if !errors.As(err, &bad) || len(bad.Problems) == 0 {
			t.Fatalf("%v is no list of problems", err)
		}
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range bad.Problems {
			if p.Line < 1 || p.Column < 1 || p.Line > lines || p.Message == "" {
				t.Errorf("%+v of %d lines", p, lines)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(designManifest)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("device.toml", text); err != nil {
			b.Fatal(err)
		}
	}
}

// TestProgram reads a [[program]] that says everything.
func TestProgram(t *testing.T) {
	m, err := Parse("device.toml", []byte(`key = "k"
[device]
data_type = "weather"

[[program]]
name = "db"
command = ["db"]

[[program]]
name = "weather"
command = ["./weather", "--listen", "127.0.0.1:1883"]
dir = "data"
env = {A = "1"}
env_file = "weather.env"
secrets = {TOKEN = "token.txt"}
user = "nobody"
after = ["db"]
ready = {topic = "mqtt://127.0.0.1:1883/measurements/#", within = "90s"}
alive = {http = "http://127.0.0.1:8080/health", every = "10s", timeout = "2s", failures = 5}
stop = {signal = "SIGINT", grace = "20s"}
restart = {min = "1s", max = "10m", healthy = "2m"}
limits = {memory = "64MiB", cpu = "150%", files = 256, processes = 32}
log = {size = "256KiB", files = 3}

[program.update]
version = "1.2.0"
url = "https://example.com/weather-1.2.0"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
max_size = "20MB"
strategy = "beside"
within = "5m"
`))
	if err != nil {
		t.Fatal(err)
	}
	sum, _ := update.ParseSum("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
	want := Program{Name: "weather", Command: []string{"weather", "--listen", "127.0.0.1:1883"}, Dir: "data", Env: []string{"A=1"}, EnvFile: "weather.env",
		Secrets: []supervise.Secret{{Name: "TOKEN", File: "token.txt"}}, User: "nobody", After: []string{"db"},
		Ready: &supervise.Ready{Probe: supervise.Probe{Topic: "mqtt://127.0.0.1:1883/measurements/#"}, Within: 90 * time.Second},
		Alive: &supervise.Alive{Probe: supervise.Probe{HTTP: "http://127.0.0.1:8080/health"}, Every: 10 * time.Second, Timeout: 2 * time.Second, Failures: 5},
		Stop:  supervise.Stop{Signal: syscall.SIGINT, Grace: 20 * time.Second}, Restart: supervise.Policy{Min: time.Second, Max: 10 * time.Minute, Healthy: 2 * time.Minute},
		Limits: supervise.Limits{Memory: 64 << 20, CPU: 1.5, Files: 256, Processes: 32}, Log: supervise.LogLimits{Size: 256 << 10, Files: 3},
		Update: &update.Version{Name: "1.2.0", Sum: sum, URL: "https://example.com/weather-1.2.0", Most: 20e6, Beside: true, Within: 5 * time.Minute}}
	if got := m.Programs[1]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if managed := m.managed(); managed[1].User != "nobody" || managed[1].Want != m.Programs[1].Update || managed[1].Policy.Max != 10*time.Minute {
		t.Errorf("%+v", managed)
	}
}
