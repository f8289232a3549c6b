package provision

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is a place in the manifest's text, both from 1; column counts bytes.
type position struct{ line, column int }

// positions maps the path of each key and table, such as stream[0].topics, to where it stands.
type positions map[string]position

// locate finds every key of a TOML text. What it cannot parse it leaves out: the decoder reports that.
func locate(b []byte) positions {
	at := positions{}
	counts := map[string]int{}
	var p unstable.Parser
	p.Reset(b)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		path, where := keyPath(&p, e.Key(), tableOf(e, table), counts)
		switch e.Kind {
		case unstable.Table:
			table = path
		case unstable.ArrayTable:
			n := counts[path]
			counts[path]++
			table = path + "[" + strconv.Itoa(n) + "]"
			at[table] = where
		case unstable.KeyValue:
			at.value(&p, path, e.Value(), counts)
		}
		if _, known := at[path]; !known {
			at[path] = where
		}
	}
	return at
}

// tableOf is the table that an expression's key is relative to.
func tableOf(e *unstable.Node, table string) string {
	if e.Kind == unstable.KeyValue {
		return table
	}
	return ""
}

// keyPath joins a dotted key to the table that it stands in; a name that is an array of tables means its last one.
func keyPath(p *unstable.Parser, it unstable.Iterator, table string, counts map[string]int) (string, position) {
	parts := []string{}
	if table != "" {
		parts = append(parts, table)
	}
	where := position{1, 1}
	for it.Next() {
		if n := it.Node(); len(parts) == 0 || where == (position{1, 1}) {
			start := p.Shape(n.Raw).Start
			where = position{start.Line, start.Column}
		}
		parts = append(parts, string(it.Node().Data))
		prefix := strings.Join(parts, ".")
		if n := counts[prefix]; n > 0 && !it.IsLast() {
			parts = []string{fmt.Sprintf("%s[%d]", prefix, n-1)}
		}
	}
	return strings.Join(parts, "."), where
}

// value locates what is inside inline tables and arrays.
func (at positions) value(p *unstable.Parser, path string, v *unstable.Node, counts map[string]int) {
	if v == nil {
		return
	}
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			kv := it.Node()
			inner, where := keyPath(p, kv.Key(), path, counts)
			at[inner] = where
			at.value(p, inner, kv.Value(), counts)
		}
	case unstable.Array:
		n := 0
		for it := v.Children(); it.Next(); n++ {
			inner := path + "[" + strconv.Itoa(n) + "]"
			if raw := it.Node().Raw; raw.Length > 0 {
				start := p.Shape(raw).Start
				at[inner] = position{start.Line, start.Column}
			}
			at.value(p, inner, it.Node(), counts)
		}
	}
}

// find returns the place of a path, or of the nearest thing around it.
func (at positions) find(path string) position {
	for path != "" {
		if where, ok := at[path]; ok {
			return where
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return position{1, 1}
}
