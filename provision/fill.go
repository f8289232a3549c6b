package provision

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"iod/spelling"
)

// fill puts a decoded TOML tree into the structs of a manifest by their toml tags. Unlike the decoder it goes on after an unknown key
// or a value of the wrong type, so that all mistakes are reported at once.
func (c *checker) fill(dst reflect.Value, src any, path string) {
	switch dst.Kind() {
	case reflect.Struct:
		table, ok := src.(map[string]any)
		if !ok {
			c.complain(path, "%s must be a table, not %s", path, kindOf(src))
			return
		}
		c.fillTable(dst, table, path)
	case reflect.Slice:
		list, ok := src.([]any)
		if !ok {
			c.complain(path, "%s must be %s, not %s", path, wanted(dst.Type(), lastKey(path)), kindOf(src))
			return
		}
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
		for i, v := range list {
			c.fill(dst.Index(i), v, fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		table, ok := src.(map[string]any)
		if !ok {
			c.complain(path, "%s must be a table, not %s", path, kindOf(src))
			return
		}
		c.fillMap(dst, table, path)
	case reflect.Pointer:
		v := reflect.New(dst.Type().Elem())
		c.fill(v.Elem(), src, path)
		dst.Set(v)
	default:
		c.fillValue(dst, src, path)
	}
}

// fillTable fills a struct and complains about keys that it does not have.
func (c *checker) fillTable(dst reflect.Value, table map[string]any, path string) {
	fields := map[string]reflect.Value{}
	for i := range dst.NumField() {
		fields[dst.Type().Field(i).Tag.Get("toml")] = dst.Field(i)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := join(path, name)
		field, known := fields[name]
		if !known {
			msg, meant := unknownKey(name, path, slices.Sorted(maps.Keys(fields)))
			c.complain(at, "%s", msg)
			if meant != "" {
				c.told[join(path, meant)] = true // that it is missing goes without saying
			}
			continue
		}
		c.fill(field, table[name], at)
	}
}

func (c *checker) fillMap(dst reflect.Value, table map[string]any, path string) {
	dst.Set(reflect.MakeMap(dst.Type()))
	elem := dst.Type().Elem()
	for _, name := range slices.Sorted(maps.Keys(table)) {
		v := reflect.New(elem).Elem()
		if elem.Kind() == reflect.Interface {
			v.Set(reflect.ValueOf(table[name]))
		} else {
			c.fillValue(v, table[name], join(path, name))
		}
		dst.SetMapIndex(reflect.ValueOf(name), v)
	}
}

// fillValue fills text or a whole number.
func (c *checker) fillValue(dst reflect.Value, src any, path string) {
	switch v := src.(type) {
	case string:
		if dst.Kind() == reflect.String {
			dst.SetString(v)
			return
		}
	case int64:
		switch {
		case dst.CanInt() && !dst.OverflowInt(v):
			dst.SetInt(v)
			return
		case dst.CanUint() && v >= 0 && !dst.OverflowUint(uint64(v)):
			dst.SetUint(uint64(v))
			return
		case dst.Kind() != reflect.String:
			c.complain(path, "%s = %d is out of range", lastKey(path), v)
			return
		}
	}
	c.complain(path, "%s must be %s, not %s", lastKey(path), wanted(dst.Type(), lastKey(path)), kindOf(src))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// wanted says in the words of TOML what belongs into a Go type.
func wanted(t reflect.Type, name string) string {
	switch {
	case t.Kind() == reflect.String && strings.HasPrefix(name, "price"):
		return "text in quotes, as in \"42.5\", so that no digit is lost"
	case t.Kind() == reflect.String:
		return "text in quotes"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "written as [[" + name + "]]"
	case t.Kind() == reflect.Slice:
		return "a list of texts, as in " + name + " = [\"…\"]"
	}
	return "a whole number"
}

// kindOf names a value's kind in the words of TOML.
func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// tables are the manifest's tables and their keys, for suggestions.
var tables = map[string][]string{
	"device": keysOf[deviceFile](), "access": keysOf[accessFile](), "overlay": keysOf[overlayFile](), "metrics": keysOf[metricsFile](), "fleet": keysOf[fleetFile](),
	"stream": keysOf[streamFile](), "program": keysOf[programFile](), "": keysOf[manifestFile](),
	"program.ready": keysOf[readyFile](), "program.alive": keysOf[aliveFile](), "program.stop": keysOf[stopFile](),
	"program.restart": keysOf[restartFile](), "program.limits": keysOf[limitsFile](), "program.log": keysOf[logFile](),
	"program.update": keysOf[updateFile](),
}

func keysOf[T any]() (keys []string) {
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("toml"))
	}
	return keys
}

var indices = regexp.MustCompile(`\[[0-9]+\]`)

// unknownKey says what is wrong with a key of a table, and which key was probably meant.
func unknownKey(name, path string, known []string) (msg, meant string) {
	msg = fmt.Sprintf("unknown key %.64q", name)
	table := indices.ReplaceAllString(path, "")
	if table != "" {
		msg = fmt.Sprintf("unknown key %.64q in [%s]", name, table)
	}
	if meant = spelling.Nearest(name, slices.Values(known)); meant != "" {
		return msg + fmt.Sprintf("; did you mean %q?", meant), meant
	}
	for _, other := range slices.Sorted(maps.Keys(tables)) {
		switch {
		case other == table || !slices.Contains(tables[other], name):
		case other == "":
			return msg + "; it belongs to the top of the file, before any [table]", ""
		case other == "stream" || other == "program":
			return msg + fmt.Sprintf("; it belongs to [[%s]]", other), ""
		default:
			return msg + fmt.Sprintf("; it belongs to [%s]", other), ""
		}
	}
	if table == "device" {
		return msg + "; further fields of a device go below [device.additional]", ""
	}
	return msg + "; known here: " + strings.Join(known, ", "), ""
}
