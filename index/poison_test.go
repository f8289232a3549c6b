package index_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
	"iod/pallet/did"
)

// fuzzed is a document of a fuzzer's making.
type fuzzed struct {
	kind, text, price, location, stream, raw string
	count                                    uint16
	sealed, own                              bool
}

func (x fuzzed) bytes(t testing.TB, p *key.Pair) []byte {
	if x.raw != "" {
		return []byte(x.raw)
	}
	did := p.Account().DID()
	var services []document.Service
	add := func(kind, data string) {
		services = append(services, document.Service{ID: did + "#" + kind, Type: kind, Data: data})
	}
	add("data_type", x.text)
	add("location", x.location)
	add("price_access", x.price)
	add(x.kind, x.text)
	for i := range int(x.count) % 400 {
		add("mqtt_topic", fmt.Sprint(x.text, i))
	}
	if x.stream != "" {
		services = append(services, storetest.StreamService(p, "main", x.stream))
	}
	if x.sealed && size(services) < 40<<10 {
		return storetest.SealedDevice(t, p, 1000, services...)
	}
	var v1 [][2]string
	for _, s := range services {
		v1 = append(v1, [2]string{s.Type, s.Data})
	}
	return storetest.Services(p.Account(), append(v1, [2]string{"staex_iod_version", "v1"})...)
}

func size(services []document.Service) (n int) {
	for _, s := range services {
		n += len(s.ID) + len(s.Type) + len(s.Data) + 20
	}
	return n
}

// FuzzPoison pours a document from event to answer: it is believed or set aside with its reason, never both nor neither, what is told of
// it can be shown, and the blocks around it are taken in.
func FuzzPoison(f *testing.F) {
	seeds := 0
	seed := func(x fuzzed) {
		f.Add(x.kind, x.text, x.price, x.location, x.stream, x.raw, x.count, x.sealed, x.own)
		seeds++
	}
	p := storetest.Account(f, "fuzzed")
	for _, x := range storetest.Poison(f, p, 1000) {
		seed(fuzzed{raw: string(x.Raw), own: true})
	}
	for _, text := range []string{"weather", "<b>", "a\u202eb", "a\xff", "", "ü 雨 😀", "\x00", strings.Repeat("x", 300)} {
		for _, sealed := range []bool{true, false} {
			seed(fuzzed{kind: "note", text: text, price: "1.5", location: "52.5,13.4", stream: `{"kind":"mqtt","price":"2","unit":"m/s"}`, count: 3, sealed: sealed, own: sealed})
		}
	}
	for _, location := range []string{"91,0", "NaN,NaN", "1,1e999", "-90,180", "Berlin", "1,2,3", ",", "90,-180"} {
		seed(fuzzed{kind: location, text: "t", price: strings.Repeat("9", len(location)*20), location: location, count: uint16(len(location) * 60), sealed: true, own: true})
	}
	if seeds < 110 {
		f.Fatalf("only %d seeds", seeds)
	}
	s, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "index.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	stranger := storetest.Account(f, "stranger").Account()
	good := storetest.Account(f, "good")
	f.Fuzz(func(t *testing.T, kind, text, price, location, stream, raw string, count uint16, sealed, own bool) {
		x := fuzzed{kind, text, price, location, stream, raw, count, sealed, own}
		a, who := p.Account(), stranger
		if own {
			who = a
		}
		doc := x.bytes(t, p)
		c := storetest.NewChain("fuzz")
		c.Append(storetest.Write(good.Account(), good.Account(), storetest.Sign(t, good, storetest.Weather(good, 1)), nil))
		c.Append(storetest.Write(who, a, doc, nil))
		c.Append(storetest.Write(good.Account(), good.Account(), storetest.Sign(t, good, storetest.Weather(good, 2)), nil))
		zero := uint32(0)
		storetest.Fill(t, s, index.Options{Source: c, From: &zero, Rebuild: true})
		st, err := s.State(t.Context())
		if err != nil || st.Cursor.Number != 3 || st.Live+st.SetAside != 2 {
			t.Fatalf("%+v, %v", st, err)
		}
		if l, err := s.Get(t.Context(), good.Account()); err != nil || l == nil || l.Device.Sequence != 2 {
			t.Fatalf("the good one: %+v, %v", l, err)
		}
		checkTold(t, s, a, doc, own, st.SetAside)
	})
}

// checkTold looks at what became of the fuzzed document.
func checkTold(t *testing.T, s index.Reader, a key.AccountID, doc []byte, own bool, setAside uint64) {
	t.Helper()
	l, err := s.Get(t.Context(), a)
	if err != nil || (l == nil) != (setAside == 1) {
		t.Fatalf("%+v, %v, %d set aside", l, err, setAside)
	}
	asides, err := s.Asides(t.Context(), 0, 10)
	if err != nil || uint64(len(asides)) != setAside {
		t.Fatalf("%d told, %v", len(asides), err)
	}
	for _, x := range asides {
		if x.Reason == "" || len(x.Reason) > 600 || !utf8.ValidString(x.Reason) || x.Size != len(doc) || !bytes.HasPrefix(doc, x.Raw) {
			t.Fatalf("set aside: %+v", x)
		}
	}
	if l == nil {
		return
	}
	if !bytes.Equal(l.Raw, doc) || l.State != document.Verified && !own {
		t.Fatalf("believed wrongly: %+v", l)
	}
	page, err := s.Search(t.Context(), index.Query{Text: a.String()})
	if err != nil || len(page.Found) != 1 {
		t.Fatalf("it is not found by its address: %d, %v", len(page.Found), err)
	}
	shown, err := index.Show(l)
	if err != nil || !json.Valid(shown) || !utf8.Valid(shown) {
		t.Fatalf("shown as %s, %v", shown, err)
	}
	if bad := strings.IndexFunc(string(shown), func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }); bad >= 0 {
		t.Fatalf("shown with a direction character: %s", shown)
	}
	if lat, lon, ok := l.Place(); ok && !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180) {
		t.Fatalf("placed at %v, %v", lat, lon)
	}
}

// TestPoisonOnChain: a real chain takes nearly all poison; an index that walks it and one that starts from its state count it, with
// reasons, and list what is good.
func TestPoisonOnChain(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	o := &onChain{t: t, client: dial(t, url), store: openStore(t)}
	pair := func(uri string) *key.Pair {
		p, err := key.FromURI(key.Sr25519, uri)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	alice, bob := pair("//Alice"), pair("//Bob")
	a, b := alice.Account(), bob.Account()
	o.send(alice, did.AddAttribute(a, document.DeviceAttribute, storetest.Sign(t, alice, storetest.Weather(alice, 1)), nil))
	o.send(bob, did.AddAttribute(b, document.DeviceAttribute, storetest.Unsigned(b, "noise", "3"), nil))
	n := uint64(0)
	var last *chain.Outcome
	for _, x := range storetest.Poison(t, bob, 1000) {
		if len(x.Raw) > 100<<10 {
			continue // no block has room for it
		}
		last = o.send(bob, did.UpdateAttribute(b, document.DeviceAttribute, x.Raw, nil))
		if last.Failed != nil {
			t.Fatalf("%s: %v", x.Name, last.Failed)
		}
		n++
	}
	zero := uint32(0)
	st := o.index(last.Number, index.Options{From: &zero})
	if st.Live != 2 || st.SetAside != n || n < 90 {
		t.Errorf("walked: %+v, want %d set aside", st, n)
	}
	if l := o.get(b); l.Device.DataType != "noise" || l.Presence != index.Overwritten {
		t.Errorf("overwritten: %+v", l)
	}
	o.store = openStore(t)
	if st := o.index(last.Number, index.Options{}); st.Live != 1 || st.SetAside != 1 {
		t.Errorf("from the state: %+v", st)
	}
	// Good documents are taken in again.
	last = o.send(bob, did.UpdateAttribute(b, document.DeviceAttribute, storetest.Sign(t, bob, storetest.Weather(bob, uint64(time.Now().UnixMilli()))), nil))
	if st := o.index(last.Number, index.Options{}); st.Live != 2 || st.Verified != 2 {
		t.Errorf("and then: %+v", st)
	}
}
