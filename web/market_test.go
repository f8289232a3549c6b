package web

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"iod/access"
	"iod/document"
	"iod/index"
	"iod/index/atlas"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
	"iod/pallet/rbac"
	"iod/web/earth"
)

// thing is a kind of device of the test's market.
type thing struct {
	dataType, unit, kind, content, topic, description string
	price                                             float64
}

var things = []thing{
	{"wind_speed", "m/s", "mqtt", "application/senml+json", "measurements/wind", "Cup anemometer on a ten-metre mast, one value a second.", 42},
	{"temperature", "Cel", "mqtt", "application/senml+json", "measurements/temperature", "Shaded, ventilated, two metres above grass.", 12},
	{"relative_humidity", "%", "mqtt", "application/senml+json", "measurements/humidity", "", 8},
	{"air_quality", "ug/m3", "mqtt", "application/json", "air/pm25", "PM2.5 and PM10 by laser scattering, calibrated every spring.", 25},
	{"noise", "dB", "mqtt", "application/json", "street/noise", "A-weighted, averaged over ten seconds.", 9},
	{"video", "", "rtsp", "video/h264", "", "Harbour camera, 1080p at 25 frames a second. Path: /live", 900},
	{"traffic", "1/min", "http", "application/json", "", "Vehicles counted by induction loops, as JSON at /counts.", 60},
	{"radiation", "nSv/h", "mqtt", "application/json", "gamma/dose", "", 0},
	{"power", "kW", "mqtt", "application/json", "meter/power", "Feed-in of a rooftop plant.", 3.5},
	{"seismic", "m/s", "tcp", "application/vnd.fdsn.mseed", "", "Three components at 100 Hz, miniSEED records.", 120},
	{"ais", "", "udp", "text/plain", "", "NMEA 0183 sentences as received.", 30},
	{"soil_moisture", "%", "mqtt", "application/json", "field/moisture", "", 5},
}

// hostile is what a device that means ill, or is merely odd, may say and the index takes in.
func hostile(p *key.Pair, seq uint64) document.Device {
	return document.Device{
		Account: p.Account(), Node: p.NodeKey().ID(), DataType: "'; DROP TABLE devices; --", Location: "48.2082,16.3738", Sequence: seq,
		Relays: []string{"tls://relay.example:7777/" + p.NodeKey().ID().String()},
		Streams: []document.Stream{
			{Name: "x", Kind: "mqtt", DataType: "שלום עולם مرحبا", Unit: "$(reboot)", ContentType: "javascript:alert(1)",
				Description: "<script>alert(1)</script><img src=x onerror=alert(1)> </code></pre>\"'`{{.}}", Price: "0.000000000000000001", Period: "1s",
				Topics: []string{"a'b/$(touch /tmp/pwned)/`id`", "zero\u200bwidth/#", "ok/\\\"/#", strings.Repeat("long", 250)}},
			{Name: "z", Kind: "http", DataType: "🌡️ حرارة " + strings.Repeat("W", 200), Unit: "🌡️", ContentType: "text/plain", Price: "0",
				Description: "👩‍🚀 " + strings.Repeat("W", 230)},
			{Name: "y", Kind: "tcp", DataType: "DonaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftDonaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", Price: "123456789012345678.123456789012345678", Period: "30d"},
		},
		Additional: []document.Additional{document.NewAdditional("javascript:alert(2)", "</dd><script>alert(3)</script>"), document.NewAdditional("note", "data:text/html,<b>"),
			document.NewAdditional("hidden\u200bword", strings.Repeat("𝕎", 250))},
	}
}

// market is a store with a chain's worth of devices: n ordinary ones by the world's cities, and some that are not.
type market struct {
	store                                              index.Store
	chain                                              *storetest.Chain
	wind, vouched, named, claimed, legacy, gone, harsh key.AccountID
	aside                                              key.AccountID // without a listing: its records are not believed
}

func newMarket(t testing.TB, store index.Store, n int) *market {
	t.Helper()
	m := &market{store: store, chain: storetest.NewChain("market")}
	r := rand.New(rand.NewPCG(7, 7))
	cities := earth.Cities()
	pairs, documents, signed := make([]*key.Pair, n), make([]document.Device, n), make([][]byte, n)
	for i := range n {
		pairs[i] = storetest.Account(t, storetest.Name(i))
		c := cities[int(float64(len(cities))*math.Pow(r.Float64(), 1.6))]
		documents[i] = ordinary(r, pairs[i], c, uint64(i+1))
	}
	var wait sync.WaitGroup
	for part := range runtime.NumCPU() { // with the race detector signatures take their time
		wait.Go(func() {
			for i := part; i < n; i += runtime.NumCPU() {
				signed[i] = storetest.Sign(t, pairs[i], documents[i])
			}
		})
	}
	wait.Wait()
	for i, p := range pairs {
		m.chain.Append(storetest.Write(p.Account(), p.Account(), signed[i], nil))
	}
	m.special(t)
	m.run(t)
	return m
}

func (m *market) publish(t testing.TB, p *key.Pair, d document.Device) {
	m.chain.Append(storetest.Write(p.Account(), p.Account(), storetest.Sign(t, p, d), nil))
}

func ordinary(r *rand.Rand, p *key.Pair, c earth.Place, seq uint64) document.Device {
	lat, lon := c.Lat+r.NormFloat64()*0.12, c.Lon+r.NormFloat64()*0.12
	d := document.Device{Account: p.Account(), Node: p.NodeKey().ID(), Sequence: uint64(storetest.Epoch.UnixMilli()) + seq,
		Relays: []string{"tls://relay.example:7777/" + p.NodeKey().ID().String()}}
	switch r.IntN(8) {
	case 0:
		d.Location = fmt.Sprintf("%.1f,%.1f", lat, lon)
	case 1:
		d.Location = c.Name
	case 2:
	default:
		d.Location = fmt.Sprintf("%.5f,%.5f", lat, lon)
	}
	for k := range 1 + r.IntN(3)*r.IntN(2) {
		th := things[int(float64(len(things))*math.Pow(r.Float64(), 1.5))]
		s := document.Stream{Name: []string{"main", "second", "third"}[k], Kind: th.kind, DataType: th.dataType, Unit: th.unit, Description: th.description, ContentType: th.content}
		if th.topic != "" {
			s.Topics = []string{th.topic}
		}
		if r.IntN(9) > 0 {
			s.Price, s.Period = fmt.Sprintf("%.5g", th.price*math.Exp(r.NormFloat64()*0.7)), []string{"30d", "30d", "1d", "7d"}[r.IntN(4)]
		}
		if th.price == 0 {
			s.Price = "0"
		}
		d.Streams = append(d.Streams, s)
	}
	return d
}

// special adds the devices that single tests look at.
func (m *market) special(t testing.TB) {
	owner, stranger := storetest.Account(t, "owner"), storetest.Account(t, "stranger")
	add := func(name string, change func(*document.Device)) key.AccountID {
		p := storetest.Account(t, name)
		d := storetest.Weather(p, uint64(storetest.Epoch.UnixMilli())+99_000)
		d.Relays = []string{"tls://relay.example:7777/" + p.NodeKey().ID().String()}
		d.Streams[0].Description = "Cup anemometer on a ten-metre mast, one value a second."
		d.Streams[0].ContentType = "application/senml+json"
		change(&d)
		m.publish(t, p, d)
		return p.Account()
	}
	m.wind = add("wind", func(*document.Device) {})
	m.vouched = add("vouched", func(d *document.Device) {
		o := owner.Account()
		vouch, err := document.SignVouch(owner, d.Account)
		if err != nil {
			t.Fatal(err)
		}
		d.Owner, d.Vouch = &o, vouch
	})
	m.claimed = add("claimed", func(d *document.Device) { o := owner.Account(); d.Owner = &o })
	m.named = add("named", func(d *document.Device) { d.Location = "Lyon" })
	m.gone = add("gone", func(d *document.Device) { d.Location = "45.8,4.9" })
	m.chain.Append(storetest.Write(stranger.Account(), m.vouched, []byte("nonsense"), nil))
	m.chain.Append(storetest.Erase(m.gone, m.gone))
	m.grants(t)
	legacy := storetest.Account(t, "legacy").Account()
	m.legacy = legacy
	m.chain.Append(storetest.Write(legacy, legacy, storetest.Unsigned(legacy, "noise", "3"), nil))
	h := storetest.Account(t, "harsh")
	m.harsh = h.Account()
	m.publish(t, h, hostile(h, 5))
	m.aside = storetest.Account(t, "aside").Account()
	for i := range 40 {
		m.chain.Append(storetest.Write(stranger.Account(), storetest.Account(t, storetest.Name(i)).Account(), []byte{0xde, 0xad, byte(i)}, nil))
	}
	m.chain.Append(storetest.Write(m.aside, m.aside, []byte("\x0a\x02<b>"), nil))
	turner := storetest.Account(t, "aside")
	d := storetest.Weather(turner, uint64(storetest.Epoch.UnixMilli()))
	d.Streams[0].Description = "safe \u202e//:sptth"
	m.publish(t, turner, d)
}

// grants has the owner set up the vouched device's stream, let two accounts in and one out again.
func (m *market) grants(t testing.TB) {
	owner := storetest.Account(t, "owner").Account()
	id := func(k rbac.Kind) rbac.ID { return access.EntityID(owner, m.vouched, "wind", k) }
	var setup []index.Deed
	for _, k := range []rbac.Kind{rbac.Permission, rbac.Role, rbac.Group} {
		setup = append(setup, index.Deed{Owner: owner, Verb: rbac.EntityAdded, Ref: access.Ref{Kind: k, ID: id(k)}, Name: "wind"})
	}
	deed := func(v rbac.Verb, r rbac.Relation, holder, held rbac.ID) index.Deed {
		return index.Deed{Owner: owner, Verb: v, Assignment: rbac.Assignment{Relation: r, Holder: holder, Held: held}}
	}
	setup = append(setup, deed(rbac.Assigned, rbac.RolePermission, id(rbac.Role), id(rbac.Permission)), deed(rbac.Assigned, rbac.GroupRole, id(rbac.Group), id(rbac.Role)))
	m.chain.Extend(nil, setup)
	for _, name := range []string{"reader", "former"} {
		m.chain.Extend(nil, []index.Deed{deed(rbac.Assigned, rbac.UserGroup, rbac.ID(storetest.Account(t, name).Account()), id(rbac.Group))})
	}
	m.chain.Extend(nil, []index.Deed{deed(rbac.Unassigned, rbac.UserGroup, rbac.ID(storetest.Account(t, "former").Account()), id(rbac.Group))})
}

// run takes the chain into the store.
func (m *market) run(t testing.TB) {
	head, err := m.chain.Finalised(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := uint32(0)
	err = index.Run(ctx, index.Options{Source: m.chain, Store: m.store, From: &first, Notify: func(p index.Progress) {
		if p.Block >= head.Number {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// shop is the market that the tests share: nothing writes to it.
var shop struct {
	sync.Once
	*market
	dir  string
	rows *atlas.Atlas
	stop func()
}

const devices = 240

// shared returns the shared market with its atlas, made at the first use.
func shared(t testing.TB) (*market, *atlas.Atlas) {
	t.Helper()
	shop.Do(func() {
		dir, err := os.MkdirTemp("", "iod-web-")
		if err != nil {
			t.Fatal(err)
		}
		shop.dir = dir
		shop.market = newMarket(t, newStore(t, dir), devices)
		shop.rows = atlas.New(shop.store, atlas.Options{Now: clock})
		ctx, cancel := context.WithCancel(context.Background())
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := shop.rows.Run(ctx); err != nil && ctx.Err() == nil {
				panic(err)
			}
		})
		shop.stop = func() { cancel(); wait.Wait(); shop.store.Close(); os.RemoveAll(dir) }
		for !shop.rows.Ready() {
			runtime.Gosched()
		}
	})
	if shop.rows == nil {
		t.Fatal("the market could not be made")
	}
	return shop.market, shop.rows
}

func newStore(t testing.TB, dir string) index.Store {
	t.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(dir, "market.db"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}
