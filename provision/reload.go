package provision

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"iod/audit"
	"iod/overlay"
)

// ErrRefused says that a new manifest was refused, and the device goes on by the old one.
var ErrRefused = errors.New("the new manifest is refused; the device goes on by the one before")

// Difference is something in which a new manifest differs from the one before.
type Difference struct {
	What string `json:"what"` // stream, topics, program, relay, endpoints, lease, owner, fleet, document, key, state, metrics
	Name string `json:"name,omitempty"`
	How  string `json:"how"` // added, removed, changed, restarted: what was there ended and begins anew
}

func (c Difference) String() string {
	return strings.TrimSpace(c.What+" "+c.Name) + " " + c.How
}

// Reload is what came of a reload.
type Reload struct {
	Changes []Difference `json:"changes"`           // carried out, or on their way: the document follows when the chain has it
	Restart []string     `json:"restart,omitempty"` // what differs too, and counts only after a restart of the device
}

// loaded is what is known of the manifest's files. The times are of the steady clock.
type loaded struct {
	names   []string // of the files that were read last, also in vain
	files   [32]byte // their fingerprint
	at      time.Time
	reload  *Reload // what the last one changed; nil before any
	refused *refused
}

// refused is a manifest that was not taken.
type refused struct {
	at       time.Time
	err      error
	problems []Problem
}

// Reload reads the manifest again and carries out what differs, and only that. What it refuses is an error that wraps ErrRefused, and
// a *ManifestError when there are mistakes in it; then nothing has changed. Before Run it waits.
func (d *Device) Reload(ctx context.Context) (*Reload, error) {
	select {
	case <-d.opened:
	case <-ctx.Done():
		return nil, fmt.Errorf("reload the manifest: the device does not run: %w", ctx.Err())
	}
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.o.Changed(Reloading)
	defer d.o.Changed(Reloaded)
	was := d.manifest.Load()
	if was.Path == "" {
		return nil, errors.New("reload: the manifest was not read from a file")
	}
	names := filesOf(was.Path) // before it is read: what changes meanwhile is read again
	files := fingerprint(names)
	m, err := Load(was.Path)
	if err == nil {
		err = d.check(m)
	}
	if err == nil {
		var r *Reload
		if r, err = d.carryOut(ctx, was, m); err == nil {
			d.took(names, files, r)
			return r, nil
		}
	}
	return nil, d.refuse(names, files, err)
}

func (d *Device) took(names []string, files [32]byte, r *Reload) {
	d.mu.Lock()
	d.loaded = loaded{names: names, files: files, at: d.clock.Steady(), reload: r}
	d.mu.Unlock()
	said := make([]string, len(r.Changes))
	for i, c := range r.Changes {
		said[i] = c.String()
	}
	if len(said) > 0 {
		d.note(audit.Entry{Kind: audit.Reload, Reason: strings.Join(said, ", ")})
	}
	d.log.Info(MsgReloaded, "changes", strings.Join(said, ", "), "restart", strings.Join(r.Restart, ", "))
	if len(r.Restart) > 0 {
		d.log.Warn("the manifest changes what a running device cannot: restart it", "what", strings.Join(r.Restart, ", "))
	}
}

func (d *Device) refuse(names []string, files [32]byte, err error) error {
	bad := &refused{at: d.clock.Steady(), err: err}
	var mistakes *ManifestError
	if errors.As(err, &mistakes) {
		bad.problems = mistakes.Problems
	}
	d.mu.Lock()
	d.loaded.names, d.loaded.files, d.loaded.refused = names, files, bad
	d.mu.Unlock()
	d.note(audit.Entry{Kind: audit.Reload, Reason: "refused: " + err.Error()})
	d.log.Error(MsgRefused, "err", err)
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// carryOut makes the device go by m. d.reloading is held.
func (d *Device) carryOut(ctx context.Context, was, m *Manifest) (*Reload, error) {
	r := differences(was, m)
	now := *m
	now.State, now.Key = was.State, was.Key
	h := d.newHandlers(&now)
	d.manifest.Store(&now)
	signal(d.metricsMoved)
	d.stir()
	d.handlers.Store(h)
	for name, scope := range h.scopes {
		if err := scope.Set(streamOf(&now, name).Topics); err != nil {
			d.log.Error("stream cannot be served", "stream", name, "err", err) // the manifest was checked
		}
	}
	l := d.running()
	if l != nil { // before programs end: a session ends because its stream went, not because its broker did
		l.node.End(func(q overlay.Request) bool { return moved(streamOf(was, q.Stream), streamOf(&now, q.Stream)) })
	}
	if slices.ContainsFunc(r.Changes, func(c Difference) bool { return c.What == "program" }) {
		if err := d.programs.Apply(ctx, m.managed()); err != nil { // they were checked: the device is about to end
			return nil, err
		}
	}
	if l == nil {
		return r, nil // once the chain is reached all of it counts
	}
	if err := errors.Join(l.client.SetEndpoints(d.endpoints(&now)), l.node.SetRelays(relaysOf(&now))); err != nil {
		return nil, err
	}
	l.court.set()
	l.docs.set(&now, d.ownerOf(&now))
	return r, nil
}

// differences tells what of a manifest differs. It is pure.
func differences(was, is *Manifest) *Reload {
	r := &Reload{Changes: []Difference{}}
	add := func(what, name, how string) { r.Changes = append(r.Changes, Difference{what, name, how}) }
	changed := func(what string, differs bool) {
		if differs {
			add(what, "", "changed")
		}
	}
	for _, c := range []struct {
		what    string
		differs bool
	}{{"key", was.Key != is.Key}, {"state", was.State != is.State}} {
		if c.differs {
			r.Restart = append(r.Restart, c.what)
		}
	}
	byName(was.Streams, is.Streams, func(s Stream) string { return s.Name }, func(name string, a, b *Stream) {
		switch {
		case a == nil:
			add("stream", name, "added")
		case b == nil:
			add("stream", name, "removed")
		case moved(a, b):
			add("stream", name, "restarted")
		case !slices.Equal(a.Topics, b.Topics):
			add("topics", name, "changed")
		case !reflect.DeepEqual(a, b):
			add("stream", name, "changed")
		}
	})
	byName(was.Programs, is.Programs, func(p Program) string { return p.Name }, func(name string, a, b *Program) {
		switch {
		case a == nil:
			add("program", name, "added")
		case b == nil:
			add("program", name, "removed")
		case !reflect.DeepEqual(a, b):
			add("program", name, "changed")
		}
	})
	byName(was.Relays, is.Relays, overlay.RelayAddr.String, func(name string, a, b *overlay.RelayAddr) {
		switch {
		case a == nil:
			add("relay", name, "added")
		case b == nil:
			add("relay", name, "removed")
		}
	})
	changed("endpoints", !slices.Equal(was.RPC, is.RPC))
	changed("lease", was.Lease != is.Lease)
	changed("metrics", was.Metrics != is.Metrics)
	changed("owner", !reflect.DeepEqual(was.Owner, is.Owner))
	changed("fleet", was.Fleet != is.Fleet)
	changed("document", !reflect.DeepEqual(was.Device, is.Device))
	changed("heals_per_hour", was.MaxHeals != is.MaxHeals)
	return r
}

// byName calls f for each item of either list, with those of one name together.
func byName[T any](was, is []T, name func(T) string, f func(name string, was, is *T)) {
	find := func(list []T, n string) *T {
		if i := slices.IndexFunc(list, func(x T) bool { return name(x) == n }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	var names []string
	for _, x := range slices.Concat(was, is) {
		if n := name(x); !slices.Contains(names, n) {
			names = append(names, n)
			f(n, find(was, n), find(is, n))
		}
	}
}

// fingerprint tells versions of files apart. A file that cannot be read has one too.
func fingerprint(files []string) (sum [32]byte) {
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		fmt.Fprintf(h, "%q %t %d\n", f, err == nil || !errors.Is(err, fs.ErrNotExist), len(b))
		h.Write(b)
	}
	return [32]byte(h.Sum(nil))
}

// sinceThen turns a time of the steady clock into one that people understand.
func (d *Device) sinceThen(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return d.clock.Now().Add(t.Sub(d.clock.Steady())).UTC().Round(time.Second)
}
