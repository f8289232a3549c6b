package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of topics. The protocol allows 65,535 bytes and as many levels; brokers have fallen over depth.
const (
	maxTopic  = 65535
	maxLevels = 128
)

// sharePrefix begins a shared subscription, $share/group/filter. A stream lists no such filters, and a consumer gets none:
// by joining a group it would take messages away from the group's other members.
const sharePrefix = "$share/"

// ValidTopic checks the name of a topic as publications carry it: not empty, UTF-8 without NUL, no wildcards.
func ValidTopic(topic string) error {
	if err := validName("topic", topic); err != nil {
		return err
	}
	if i := strings.IndexAny(topic, "+#"); i >= 0 {
		return fmt.Errorf("topic %.80q has the wildcard %q", topic, topic[i])
	}
	return nil
}

// ValidFilter checks a topic filter as manifests list it: + stands alone in its level, # alone in the last one, no more
// than 128 levels, and not a shared subscription ($share/…).
func ValidFilter(filter string) error {
	if err := validName("topic filter", filter); err != nil {
		return err
	}
	if filter == "$share" || strings.HasPrefix(filter, sharePrefix) {
		return fmt.Errorf("topic filter %.80q is a shared subscription", filter)
	}
	for level, rest, more := "", filter, true; more; {
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#" && more:
			return fmt.Errorf("topic filter %.80q has # before its last level", filter)
		case len(level) > 1 && strings.ContainsAny(level, "+#"):
			return fmt.Errorf("topic filter %.80q has a wildcard beside other characters of its level %.80q", filter, level)
		}
	}
	return nil
}

func validName(what, s string) error {
	switch {
	case s == "":
		return errors.New(what + " is empty")
	case len(s) > maxTopic:
		return fmt.Errorf("%s of %d bytes is longer than %d", what, len(s), maxTopic)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%s %.80q is not UTF-8 without NUL", what, s)
	case strings.Count(s, "/") >= maxLevels:
		return fmt.Errorf("%s %.40q… has more than %d levels", what, s, maxLevels)
	}
	return nil
}

// Match reports whether a valid topic matches a valid filter.
func Match(topic, filter string) bool { return subset(topic, filter) }

// Allowed reports whether every topic that the filter matches is matched by one of the allowed filters. A filter that only
// several of them together would cover is not allowed. Invalid filters and shared subscriptions never are.
func Allowed(filter string, allowed []string) bool {
	if ValidFilter(filter) != nil {
		return false
	}
	for _, a := range allowed {
		if ValidFilter(a) == nil && subset(filter, a) {
			return true
		}
	}
	return false
}

// subset reports whether the topics of filter f are among those of filter a. Both are valid; a topic is the filter that
// matches itself only. It allocates nothing.
func subset(f, a string) bool {
	if f[0] == '$' && (a[0] == '+' || a[0] == '#') {
		return false // a wildcard in front does not reach the broker's own topics
	}
	switch f { // no topic is empty: what stands before the last level is one that has more
	case "#":
		f = "+/#"
	case "/#":
		f = "/+/#"
	}
	for {
		fl, fRest, fMore := strings.Cut(f, "/")
		al, aRest, aMore := strings.Cut(a, "/")
		switch {
		case al == "#":
			return true
		case fl == "#", fl != al && al != "+":
			return false
		case !fMore && !aMore:
			return true
		case !fMore:
			return aRest == "#" // x/# matches x too
		case !aMore:
			return false
		}
		f, a = fRest, aRest
	}
}
