package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"iod/access"
	"iod/document"
	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
	"iod/index/growth"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
	"iod/pallet/rbac"
)

// world is a server over an index of a small chain.
type world struct {
	store *sqlite.Store
	chain *storetest.Chain
	url   string
	weather,
	noise,
	gone,
	stranger key.AccountID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{store: s, chain: storetest.NewChain("api")}
	weather, noise, gone := storetest.Account(t, "weather"), storetest.Account(t, "noise"), storetest.Account(t, "gone")
	stranger := storetest.Account(t, "stranger").Account()
	owner := storetest.Account(t, "owner")
	w.weather, w.noise, w.gone, w.stranger = weather.Account(), noise.Account(), gone.Account(), stranger
	d := storetest.Weather(weather, 1000)
	ownerID := owner.Account()
	d.Owner = &ownerID
	if d.Vouch, err = document.SignVouch(owner, weather.Account()); err != nil {
		t.Fatal(err)
	}
	c := w.chain
	grant, revoke := link(rbac.Assigned, ownerID, w.weather, "consumer"), link(rbac.Unassigned, ownerID, w.weather, "consumer")
	c.Append(storetest.Write(w.noise, w.noise, storetest.Unsigned(w.noise, "noise", "3"), nil))
	c.Append()
	c.Extend([]index.Event{storetest.Write(w.weather, w.weather, storetest.Sign(t, weather, d), nil), storetest.Write(gone.Account(), gone.Account(), storetest.Sign(t, gone, storetest.Weather(gone, 1)), nil)},
		append(setUp(ownerID, w.weather, "wind"), grant, link(rbac.Assigned, ownerID, w.weather, "friend")))
	c.Extend([]index.Event{storetest.Write(stranger, w.weather, []byte{0xde, 0xad}, nil), storetest.Erase(gone.Account(), gone.Account())}, []index.Deed{revoke})
	first := uint32(0)
	storetest.Fill(t, s, index.Options{Source: c, From: &first})
	w.serve(t)
	return w
}

// serve starts a server, with all that it needs beside the store.
func (w *world) serve(t testing.TB) {
	t.Helper()
	s := w.store
	hub := feed.New(s, feed.Options{Pace: time.Millisecond})
	counts := atlas.New(s, atlas.Options{Hub: hub, Now: func() time.Time { return storetest.Epoch.Add(10 * time.Minute) }})
	ctx, cancel := context.WithCancel(t.Context())
	days := growth.New(s, growth.Options{})
	ran := make(chan error, 3)
	go func() { ran <- hub.Run(ctx) }()
	go func() { ran <- counts.Run(ctx) }()
	go func() { ran <- days.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ran, <-ran, <-ran); err != nil {
			t.Error(err)
		}
	})
	for !counts.Ready() || !days.Ready() {
		runtime.Gosched()
	}
	srv := httptest.NewServer(New(s, Options{Stale: -1, Atlas: counts, Growth: days, Feed: feed.NewServer(hub, feed.ServerOptions{Beat: 50 * time.Millisecond}), Pending: pendingOf{w.weather}, MaxAge: 100 * 365 * 24 * time.Hour}))
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	w.url = srv.URL
}

// setUp is what an owner does to share a stream.
func setUp(owner, device key.AccountID, stream string) (deeds []index.Deed) {
	id := func(s string, k rbac.Kind) rbac.ID { return access.EntityID(owner, device, s, k) }
	for _, e := range []access.Ref{{Kind: rbac.Permission, ID: id(stream, rbac.Permission)}, {Kind: rbac.Role, ID: id(stream, rbac.Role)}, {Kind: rbac.Group, ID: id(stream, rbac.Group)}} {
		deeds = append(deeds, index.Deed{Owner: owner, Verb: rbac.EntityAdded, Ref: e, Name: "iod " + stream})
	}
	for _, a := range []rbac.Assignment{
		{Relation: rbac.RolePermission, Holder: id(stream, rbac.Role), Held: id(stream, rbac.Permission)},
		{Relation: rbac.GroupRole, Holder: id(stream, rbac.Group), Held: id(stream, rbac.Role)},
	} {
		deeds = append(deeds, index.Deed{Owner: owner, Verb: rbac.Assigned, Assignment: a})
	}
	return deeds
}

// link makes a user one of the group of the device's stream "wind", or takes them out.
func link(v rbac.Verb, owner, device key.AccountID, user string) index.Deed {
	var a key.AccountID
	copy(a[:], user)
	return index.Deed{Owner: owner, Verb: v, Assignment: rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(a), Held: access.EntityID(owner, device, "wind", rbac.Group)}}
}

// pendingOf is a block that is not final yet, with one change.
type pendingOf struct{ device key.AccountID }

func (p pendingOf) Changes() []index.PendingChange {
	at := index.Point{Block: 5, Hash: index.Hash{5}, Time: storetest.Epoch.Add(time.Minute), Extrinsic: 2}
	return []index.PendingChange{
		{Account: &p.device, At: at, Who: &p.device, Action: index.Published, Verdict: document.Verdict{State: document.Verified, Vouched: true}, Sequence: 2000},
		{At: at, Aside: "unreadable"},
	}
}

func (w *world) get(t testing.TB, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}
