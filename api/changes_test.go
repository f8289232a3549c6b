package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"iod/index"
	"iod/index/feed"
	"iod/index/storetest"
)

// What the document says of a change is what the feed tells.
func TestChangeIsTheFeeds(t *testing.T) {
	ours, theirs := reflect.TypeFor[Change](), reflect.TypeFor[feed.Change]()
	if ours.NumField() != theirs.NumField() {
		t.Fatalf("%d fields, and the feed has %d", ours.NumField(), theirs.NumField())
	}
	for i := range ours.NumField() {
		a, b := ours.Field(i), theirs.Field(i)
		if a.Type != b.Type || a.Tag.Get("json") != b.Tag.Get("json") {
			t.Errorf("field %s %v `%s`, and the feed has %s %v `%s`", a.Name, a.Type, a.Tag.Get("json"), b.Name, b.Type, b.Tag.Get("json"))
		}
	}
}

// A follower is told of everything from its place on, in order, narrowed by its filters, and then of what happens.
func TestChanges(t *testing.T) {
	w, c := newWorld(t), newContract(t)
	client := &Client{Base: w.url}
	defer streaming.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var actions []string
	beats := 0
	for e, err := range client.Changes(ctx, Query{}, "0") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Change == nil {
			beats++
			continue
		}
		c.validate(t, "Change", e.Change)
		if actions = append(actions, e.Change.Action); len(actions) == 5 {
			w.chain.Append(storetest.Write(w.noise, w.noise, storetest.Unsigned(w.noise, "light", "4"), nil))
			storetest.Fill(t, w.store, index.Options{Source: w.chain})
		}
		if len(actions) == 6 {
			if e.Change.DID != w.noise.DID() || len(e.Change.DataTypes) != 1 || e.Change.DataTypes[0] != "light" || !e.Change.Live {
				t.Errorf("the last change is %+v", e.Change)
			}
			break
		}
	}
	if want := []string{"published", "published", "published", "overwritten", "removed", "published"}; !reflect.DeepEqual(actions, want) {
		t.Errorf("told %q, want %q", actions, want)
	}
	for e, err := range client.Changes(ctx, Query{DataTypes: []string{"video"}, MinPrice: "1"}, "0") {
		if err != nil || e.Change == nil || e.Change.DID == w.noise.DID() {
			t.Errorf("filtered: %+v, %v", e, err)
		}
		break
	}
	for e, err := range client.Changes(ctx, Query{Near: "91,0"}, "") {
		var p *Problem
		if !errors.As(err, &p) || p.Parameter != "near" {
			t.Errorf("a wrong filter: %+v, %v", e, err)
		}
	}
	res, body := w.get(t, "/api/v1/changes", "Last-Event-ID", "nonsense")
	if res.StatusCode != 400 || !strings.Contains(body, `"parameter":"Last-Event-ID"`) {
		t.Errorf("a place that is none: %d %s", res.StatusCode, body)
	}
}

// validate checks a value against a schema of the document.
func (c *contract) validate(t *testing.T, name string, v any) {
	t.Helper()
	s, err := c.comp.Compile("mem:///openapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(encode(t, v), &plain); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(plain); err != nil {
		t.Errorf("%v: %v", plain, err)
	}
}

// A follower goes on where it was when the index ends the connection, says nonsense, or comes to be another.
func TestChangesResume(t *testing.T) {
	var asked []string
	var n atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		switch n.Add(1) {
		case 1:
			w.Write([]byte(": comment\nretry: 1\n\nid: 7-a\nevent: change\ndata: {\"id\":7,\ndata: \"did\":\"did:peaq:x\"}\n\nid: 8-a\n\n"))
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.Write([]byte("id: 2-b\nevent: reset\ndata: {\"id\":2}\n\nid: 3-b\nevent: change\ndata: nonsense\n\n"))
		default:
			w.Write([]byte("id: 3-b\nevent: change\ndata: {\"id\":3}\n\n"))
		}
	}))
	defer srv.Close()
	defer streaming.CloseIdleConnections()
	var told []string
	fails := 0
	for e, err := range (&Client{Base: srv.URL}).Changes(t.Context(), Query{}, "") {
		switch {
		case err != nil:
			fails++
			continue
		case e.Reset:
			told = append(told, "reset")
		case e.Change == nil:
			told = append(told, "beat "+e.ID)
		default:
			told = append(told, e.ID)
		}
		if e.Change != nil && e.Change.ID == 3 {
			break
		}
	}
	if want := []string{"7-a", "beat 8-a", "reset", "3-b"}; !reflect.DeepEqual(told, want) || fails != 3 {
		t.Errorf("told %q with %d failures, want %q with 3", told, fails, want)
	}
	if want := []string{"", "8-a", "8-a", "2-b"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked from %q, want %q", asked, want)
	}
}
