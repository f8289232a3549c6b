package mqtt

import (
	"errors"
	"testing"
)

func scoped(t *testing.T, topics ...string) (*Scope, Filter) {
	t.Helper()
	c, err := NewScope(topics)
	if err != nil {
		t.Fatal(err)
	}
	return c, Filter{Scope: c}
}

func (c *Scope) must(t *testing.T, topics ...string) {
	t.Helper()
	if err := c.Set(topics); err != nil {
		t.Fatal(err)
	}
}

// subscribe subscribes to m/a.
var subscribeA = []step{{"c>", "\x82\x08\x00\x07\x00\x03m/a\x01"}, {"b<", "\x82\x08\x00\x07\x00\x03m/a\x01"},
	{"b>", "\x90\x03\x00\x07\x01"}, {"c<", "\x90\x03\x00\x07\x01"}}

// subscribeN subscribes to n/a.
var subscribeN = []step{{"c>", "\x82\x08\x00\x08\x00\x03n/a\x01"}, {"b<", "\x82\x08\x00\x08\x00\x03n/a\x01"},
	{"b>", "\x90\x03\x00\x08\x01"}, {"c<", "\x90\x03\x00\x08\x01"}}

func TestScopeWidens(t *testing.T) {
	c, f := scoped(t, "m/#")
	r := connected(t, level4, f)
	r.play(subscribeA)
	r.play([]step{{"c>", "\x82\x08\x00\x08\x00\x03n/a\x01"}, {"c<", "\x90\x03\x00\x08\x80"}}) // not yet
	c.must(t, "m/#", "n/#")
	r.play(subscribeN)
	r.play([]step{{"b>", "\x30\x06\x00\x03n/ay"}, {"c<", "\x30\x06\x00\x03n/ay"}})
}

func TestScopeNarrows(t *testing.T) {
	c, f := scoped(t, "m/#", "n/#")
	keeps, loses, gave := connected(t, level4, f), connected(t, level5, f), connected(t, level4, f)
	keeps.play(subscribeA)
	keeps.play([]step{{"b>", "\x30\x06\x00\x03n/ax"}, {"c<", "\x30\x06\x00\x03n/ax"}}) // as a broker may that was asked by others
	loses.play([]step{{"c>", "\x82\x09\x00\x08\x00\x00\x03n/a\x01"}, {"b<", "\x82\x09\x00\x08\x00\x00\x03n/a\x01"},
		{"b>", "\x90\x04\x00\x08\x00\x01"}, {"c<", "\x90\x04\x00\x08\x00\x01"}})
	gave.play(subscribeN)
	gave.play([]step{{"c>", "\xa2\x07\x00\x09\x00\x03n/a"}, {"b<", "\xa2\x07\x00\x09\x00\x03n/a"}, {"b>", "\xb0\x02\x00\x09"}, {"c<", "\xb0\x02\x00\x09"}})
	c.must(t, "m/#")
	loses.play([]step{{"c<", "\xe0\x01\x98"}, {"c.", ""}, {"b.", ""}})
	if err := loses.result(); !errors.Is(err, errNarrowed) {
		t.Errorf("it ended with %v", err)
	}
	for _, r := range []*rig{keeps, gave} { // what is shared no more is dropped, whatever was remembered of the topic
		r.play([]step{{"b>", "\x30\x06\x00\x03n/ax"}, {"b>", "\x30\x06\x00\x03m/ay"}, {"c<", "\x30\x06\x00\x03m/ay"}})
	}
	keeps.play([]step{{"c>", "\x82\x08\x00\x08\x00\x03n/a\x01"}, {"c<", "\x90\x03\x00\x08\x80"}})
	if err := c.Set([]string{"#/"}); err == nil {
		t.Error("an invalid filter")
	}
	keeps.play([]step{{"b>", "\x30\x06\x00\x03m/az"}, {"c<", "\x30\x06\x00\x03m/az"}})
}

// A connection that goes on with earlier subscriptions may get what nobody here knows of.
func TestScopeNarrowsResumed(t *testing.T) {
	c, f := scoped(t, "m/#", "n/#")
	r := newRig(t, f)
	r.send(r.client, encode(connect, 0, []byte("\x00\x04MQTT\x05\x00\x00\x3c\x05\x11\x00\x00\x00\x3c\x00\x01c")))
	r.accept()
	r.expect(r.broker, encode(connect, 0, []byte("\x00\x04MQTT\x05\x00\x00\x3c\x0a\x11\x00\x00\x00\x3c\x27\x00\x10\x00\x00\x00\x01c")))
	r.send(r.broker, []byte("\x20\x03\x01\x00\x00"))
	r.expect(r.client, []byte("\x20\x0a\x01\x00\x07\x27\x00\x01\x00\x00\x2a\x00"))
	c.must(t, "m/#", "n/#", "o")
	r.play([]step{{"b>", "\x30\x07\x00\x03n/a\x00x"}, {"c<", "\x30\x07\x00\x03n/a\x00x"}})
	c.must(t, "m/#", "o")
	if err := r.result(); !errors.Is(err, errNarrowed) {
		t.Errorf("it ended with %v", err)
	}
	if _, err := NewScope([]string{""}); err == nil {
		t.Error("an empty filter")
	}
}
