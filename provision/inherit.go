package provision

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxLayers bounds how many files a manifest may be put together from.
const maxLayers = 8

// layer is a manifest's text and what it extends, put together: what the file says goes before what it extends says. Tables are merged
// key by key, streams and programs by their names, and any other list is taken whole.
type layer struct {
	file string // as it stands in errors
	at   positions
	tree map[string]any
	// from tells where a path of the tree comes from when that is not the same path of this file; the longest that fits counts.
	from  map[string]origin
	files []string // absolute paths of all files read, this one's first
}

// origin is a path in another layer, or another path in the same.
type origin struct {
	in   *layer
	path string
}

// find returns the file and the place of a path of the merged tree, or of the nearest thing around it.
func (l *layer) find(path string) (string, position) {
	for prefix := path; ; {
		if o, ok := l.from[prefix]; ok {
			if rest := path[len(prefix):]; o.in != l {
				return o.in.find(o.path + rest)
			} else {
				return l.file, l.at.find(o.path + rest)
			}
		}
		cut := strings.LastIndexAny(prefix, ".[")
		if cut < 0 {
			return l.file, l.at.find(path)
		}
		prefix = prefix[:cut]
	}
}

// read decodes a text and all that it extends. Mistakes are a *ManifestError.
func read(name, path string, text []byte, above []string) (*layer, error) {
	fail := func(p Problem) error { return &ManifestError{name, []Problem{p}} }
	if len(text) > manifestLimit {
		return nil, fail(Problem{Line: 1, Column: 1, Message: fmt.Sprintf("the manifest is larger than %d bytes", manifestLimit)})
	}
	l := &layer{file: name, from: map[string]origin{}, files: []string{path}}
	if err := toml.Unmarshal(text, &l.tree); err != nil {
		return nil, fail(syntaxProblem(err))
	}
	l.at = locate(text)
	extends, given := l.tree["extends"]
	if !given {
		return l, nil
	}
	delete(l.tree, "extends")
	where := l.at.find("extends")
	wrong := func(format string, args ...any) error {
		return fail(Problem{Line: where.line, Column: where.column, Message: fmt.Sprintf("extends: "+format, args...)})
	}
	base, ok := extends.(string)
	if !ok || base == "" {
		return nil, wrong("it must be the name of a file in quotes, as in \"../fleet.toml\"")
	}
	b, err := l.base(base, append(above, path))
	var bad *ManifestError
	switch {
	case errors.As(err, &bad):
		return nil, err
	case err != nil:
		return nil, wrong("%v", err)
	}
	l.over(b)
	return l, nil
}

// base reads the file that this one extends; a relative name is relative to this file.
func (l *layer) base(name string, above []string) (*layer, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.files[0]), name)
	}
	switch {
	case slices.Contains(above, path):
		return nil, fmt.Errorf("%s extends itself in the end", name)
	case len(above) >= maxLayers:
		return nil, fmt.Errorf("more than %d files extend one another", maxLayers)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	text, err := readManifest(path)
	if err != nil {
		return nil, err
	}
	return read(name, path, text, above)
}

// filesOf returns the absolute paths of all files that a manifest is put together from, whatever else is wrong with them; the last one may
// be missing.
func filesOf(path string) (files []string) {
	for len(files) < maxLayers && !slices.Contains(files, path) {
		files = append(files, path)
		text, err := readManifest(path)
		var f struct {
			Extends string `toml:"extends"`
		}
		if err != nil || toml.Unmarshal(text, &f) != nil || f.Extends == "" {
			break
		}
		if dir := filepath.Dir(path); filepath.IsAbs(f.Extends) {
			path = f.Extends
		} else {
			path = filepath.Join(dir, f.Extends)
		}
	}
	return files
}

// LoadFleet reads a fleet's file: a manifest that devices extend. What only a device has may be missing in it.
func LoadFleet(path string) (*Manifest, error) {
	text, err := readManifest(path)
	if err != nil {
		return nil, fmt.Errorf("read fleet: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read fleet %s: %w", path, err)
	}
	l, err := read(path, abs, text, nil)
	if err != nil {
		return nil, err
	}
	l.over(&layer{file: path, at: positions{}, from: map[string]origin{}, tree: map[string]any{
		"key": "device.key", "device": map[string]any{"data_type": "any"}}})
	m, err := l.manifest(filepath.Dir(abs))
	switch {
	case err != nil:
		return nil, err
	case m.Fleet == "":
		return nil, &ManifestError{path, []Problem{{Line: 1, Column: 1, Message: "the fleet has no name: [fleet] name = \"harbour\""}}}
	}
	m.Path = abs
	return m, nil
}

func readManifest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, manifestLimit+1))
}

// over puts the layer over another.
func (l *layer) over(base *layer) {
	l.files = append(l.files, base.files...)
	m := merger{l, base}
	l.tree = m.tables(base.tree, "", l.tree, "", "")
}

// merger merges a base into a layer. Paths are those in the base, in the layer's own file, and in what comes of them.
type merger struct{ own, base *layer }

func (m merger) tables(base map[string]any, basePath string, own map[string]any, ownPath, path string) map[string]any {
	out := make(map[string]any, len(base)+len(own))
	for name, v := range own {
		out[name] = v
		m.own.from[join(path, name)] = origin{m.own, join(ownPath, name)}
	}
	for name, b := range base {
		at := join(path, name)
		o, both := own[name]
		if !both {
			out[name] = b
			m.own.from[at] = origin{m.base, join(basePath, name)}
			continue
		}
		out[name] = m.values(b, join(basePath, name), o, join(ownPath, name), at)
	}
	return out
}

func (m merger) values(base any, basePath string, own any, ownPath, path string) any {
	switch o := own.(type) {
	case map[string]any:
		if b, ok := base.(map[string]any); ok {
			return m.tables(b, basePath, o, ownPath, path)
		}
	case []any:
		if b, ok := base.([]any); ok && named(b) && named(o) {
			return m.lists(b, basePath, o, ownPath, path)
		}
	}
	return own
}

// named reports whether a list is one of tables that have names.
func named(list []any) bool {
	for _, v := range list {
		if nameOf(v) == "" {
			return false
		}
	}
	return len(list) > 0
}

func nameOf(v any) string {
	t, _ := v.(map[string]any)
	name, _ := t["name"].(string)
	return name
}

// lists merges tables of the same name, in the order of the base; those with new names follow.
func (m merger) lists(base []any, basePath string, own []any, ownPath, path string) []any {
	var out []any
	index := func(list []any, name string) int {
		return slices.IndexFunc(list, func(v any) bool { return nameOf(v) == name })
	}
	for i, b := range base {
		at, from := fmt.Sprintf("%s[%d]", path, len(out)), fmt.Sprintf("%s[%d]", basePath, i)
		k := index(own, nameOf(b))
		if k < 0 {
			out = append(out, b)
			m.own.from[at] = origin{m.base, from}
			continue
		}
		mine := fmt.Sprintf("%s[%d]", ownPath, k)
		m.own.from[at] = origin{m.own, mine}
		out = append(out, m.values(b, from, own[k], mine, at))
	}
	for k, o := range own {
		if i := index(base, nameOf(o)); i >= 0 && index(own, nameOf(o)) == k {
			continue
		}
		m.own.from[fmt.Sprintf("%s[%d]", path, len(out))] = origin{m.own, fmt.Sprintf("%s[%d]", ownPath, k)}
		out = append(out, o)
	}
	return out
}
