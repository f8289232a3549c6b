package provision

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"
)

// A device's few lines go before what its fleet's file says; streams and programs of the same name are one.
func TestManifestExtends(t *testing.T) {
	dir := t.TempDir()
	fleet, err := os.ReadFile("testdata/inherit/fleet.toml")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "gw-1")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"fleet.toml": string(fleet), "gw-1/device.toml": `extends = "../fleet.toml"

[device]
location = "53.54,9.98"
[device.additional]
serial = "0001"

[[stream]]
name = "camera"
target = "192.168.1.7:554"

[[stream]]
name = "door"
kind = "tcp"
target = "127.0.0.1:9000"
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Load(filepath.Join(own, "device.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Fleet != "harbour" || m.Device.Location != "53.54,9.98" || m.Device.DataType != "weather" || m.Key != filepath.Join(own, "device.key") {
		t.Errorf("manifest %+v", m)
	}
	if want := []Additional{{"maker", `"Example"`}, {"serial", `"0001"`}}; !slices.Equal(m.Device.Additional, want) {
		t.Errorf("additional %v", m.Device.Additional)
	}
	var streams []string
	for _, s := range m.Streams {
		streams = append(streams, s.Name+" "+s.Kind+" "+s.Target)
	}
	if want := []string{"wind mqtt 127.0.0.1:1883", "camera rtsp 192.168.1.7:554", "door tcp 127.0.0.1:9000"}; !slices.Equal(streams, want) {
		t.Errorf("streams %q", streams)
	}
	if len(m.Programs) != 1 || m.Programs[0].Command[0] != filepath.Join(own, "weather") || len(m.Files) != 2 || m.Files[1] != filepath.Join(dir, "fleet.toml") {
		t.Errorf("programs %+v, files %q", m.Programs, m.Files)
	}
}

// Wherever a manifest is cut in two, the parts say what the whole says.
func TestPropertyExtendsIsWhole(t *testing.T) {
	dir := t.TempDir()
	var whole map[string]any
	if err := toml.Unmarshal([]byte(designManifest), &whole); err != nil {
		t.Fatal(err)
	}
	want, err := Parse("device.toml", []byte(designManifest))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		base, own := split(t, whole, "")
		write := func(name string, tree map[string]any) string {
			b, err := toml.Marshal(tree)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		write("base.toml", base)
		own["extends"] = filepath.Join(dir, "base.toml")
		text := write("own.toml", own)
		got, err := Parse("device.toml", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		got.Files, got.Path = want.Files, want.Path
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nwant %+v\n%s", got, want, text)
		}
	})
}

// split puts each part of a tree into the base, into what extends it, or into both, where the base says something else.
func split(t *rapid.T, tree map[string]any, path string) (base, own map[string]any) {
	base, own = map[string]any{}, map[string]any{}
	for name, v := range tree {
		at := join(path, name)
		switch rapid.IntRange(0, 3).Draw(t, at) {
		case 0:
			base[name] = v
		case 1:
			own[name] = v
		case 2:
			own[name] = v
			if s, ok := v.(string); ok {
				base[name] = "another " + s
			}
		case 3:
			switch x := v.(type) {
			case map[string]any:
				base[name], own[name] = split(t, x, at)
			case []any:
				if !named(x) {
					own[name] = v
					continue
				}
				var b, o []any
				for _, e := range x {
					eb, eo := split(t, e.(map[string]any), at)
					eb["name"], eo["name"] = nameOf(e), nameOf(e)
					b, o = append(b, eb), append(o, eo)
				}
				base[name], own[name] = b, o
			default:
				own[name] = v
			}
		}
	}
	return base, own
}
