package mqtt

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidFilter(t *testing.T) {
	for _, good := range []string{"#", "+", "/", "a", "a/#", "+/b/#", "/+", "a//b", "$SYS/#", "température/+", "a b"} {
		if err := ValidFilter(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a#", "#/a", "a/#/b", "a+/b", "+a", "a/b#", "\x00", "a\xff", "$share/g/a", "$share",
		strings.Repeat("a", 65536), strings.Repeat("/", 128)} {
		if ValidFilter(bad) == nil {
			t.Errorf("%.20q is valid", bad)
		}
	}
	if ValidTopic("a/+") == nil || ValidTopic("#") == nil || ValidTopic("") == nil || ValidTopic("a/b") != nil {
		t.Error("topics are judged wrongly")
	}
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		filter, allowed string
		want            bool
	}{
		{"a/b", "a/#", true}, {"a", "a/#", true}, {"a/#", "a/#", true}, {"a/+/c", "a/#", true}, {"#", "a/#", false},
		{"+/b", "a/#", false}, {"ab", "a/#", false}, {"a/b", "a/+", true}, {"a/+", "a/+", true}, {"a/#", "a/+", false},
		{"a", "a/+", false}, {"a/b/c", "a/+", false}, {"a/#", "a/+/#", false}, {"a/+/#", "a/#", true}, {"a/b/#", "a/+/#", true},
		{"a/b", "a/b", true}, {"a/b/", "a/b", false}, {"/a", "a", false}, {"a/b", "a/b/#", true}, {"#", "#", true},
		{"#", "+/#", true}, {"+/#", "#", true}, {"$SYS/x", "#", false}, {"$SYS/#", "#", false}, {"$SYS/x", "+/x", false},
		{"$SYS/x", "$SYS/#", true}, {"a/$b", "a/+", true}, {"+/x", "$SYS/x", false}, {"$share/g/a/b", "a/#", false},
		{"$share/g/a/b", "#", false}, {"", "#", false}, {"a/#/b", "#", false}, {"+", "#", true}, {"/", "+/+", true},
		{"a/", "a/+", true}, {"A", "a", false},
	} {
		if got := Allowed(c.filter, []string{"zzz", c.allowed}); got != c.want {
			t.Errorf("Allowed(%q, %q) = %v", c.filter, c.allowed, got)
		}
	}
	if Allowed("a", nil) || Allowed("a", []string{"a/#/b", "$share/g/a"}) {
		t.Error("allowed by nothing")
	}
}

// matches is the rule of matching as the specification tells it, level by level.
func matches(topic, filter string) bool {
	if strings.HasPrefix(topic, "$") && strings.ContainsAny(filter[:1], "+#") {
		return false
	}
	ts, fs := strings.Split(topic, "/"), strings.Split(filter, "/")
	for i, f := range fs {
		if f == "#" {
			return true // also when the topic ended at the level before
		}
		if i >= len(ts) || f != "+" && f != ts[i] {
			return false
		}
	}
	return len(ts) == len(fs)
}

// universe is every topic of up to four of these levels: those that filters name, and strangers.
func universe() (all []string) {
	levels := []string{"a", "b", "", "$x", "new"}
	last := levels
	for range 3 {
		all = append(all, last...)
		var next []string
		for _, t := range last {
			for _, l := range levels {
				next = append(next, t+"/"+l)
			}
		}
		last = next
	}
	all = append(all, last...)
	return slices.DeleteFunc(all, func(t string) bool { return t == "" })
}

func drawFilter() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$x", "+"}), 1, 3).Draw(t, "levels")
		if rapid.Bool().Draw(t, "hash") {
			levels = append(levels, "#")
			if rapid.IntRange(0, 9).Draw(t, "alone") == 0 {
				levels = levels[len(levels)-1:]
			}
		}
		return strings.Join(levels, "/")
	}).Filter(func(s string) bool { return s != "" })
}

// TestAllowedIsSubset holds the test of subsets against every topic of a small universe: at most four levels tell any two
// filters of at most three levels and a # apart.
func TestAllowedIsSubset(t *testing.T) {
	topics := universe()
	rapid.Check(t, func(t *rapid.T) {
		f, a := drawFilter().Draw(t, "filter"), drawFilter().Draw(t, "allowed")
		want := true
		for _, topic := range topics {
			if got := Match(topic, f); got != matches(topic, f) {
				t.Fatalf("Match(%q, %q) = %v", topic, f, got)
			}
			want = want && (!matches(topic, f) || matches(topic, a))
		}
		if got := Allowed(f, []string{a}); got != want {
			t.Fatalf("Allowed(%q, %q) = %v", f, a, got)
		}
	})
}

func FuzzAllowed(f *testing.F) {
	for _, s := range [][3]string{{"a/b", "a/+", "a/#"}, {"$SYS/x", "#", "+/x"}, {"/", "+/+", "#"}, {"a", "a/#", "a"}, {"/", "/#", "/+/#"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, topic, filter, allowed string) {
		if ValidTopic(topic) != nil || ValidFilter(filter) != nil || ValidFilter(allowed) != nil {
			return
		}
		if Match(topic, filter) != matches(topic, filter) {
			t.Fatalf("Match(%q, %q)", topic, filter)
		}
		if Allowed(filter, []string{allowed}) && matches(topic, filter) && !matches(topic, allowed) {
			t.Fatalf("%q lets %q through beyond %q", filter, topic, allowed)
		}
		if !Allowed(filter, []string{filter}) {
			t.Fatalf("%q is not within itself", filter)
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Match("measurements/wind/north", "measurements/+/#") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
