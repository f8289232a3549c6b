package sqlite

import (
	"bytes"
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Packed prices sort as prices do, and come back as they were.
func TestPackPrice(t *testing.T) {
	price := rapid.Custom(func(t *rapid.T) (p index.Price) {
		n := rapid.IntRange(0, len(p)).Draw(t, "size")
		for i := len(p) - n; i < len(p); i++ {
			p[i] = byte(rapid.SampledFrom([]int{0, 0, 1, 127, 128, 255}).Draw(t, "byte"))
		}
		return p
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := price.Draw(t, "a"), price.Draw(t, "b")
		if want, got := bytes.Compare(a[:], b[:]), bytes.Compare(packPrice(a), packPrice(b)); got != want {
			t.Fatalf("%x and %x, packed %x and %x, compare as %d, want %d", a, b, packPrice(a), packPrice(b), got, want)
		}
		if back, err := unpackPrice(packPrice(a)); err != nil || *back != a {
			t.Fatalf("%x comes back as %x, %v", a, back, err)
		}
		if bytes.Compare(packPrice(a), topPrice) >= 0 {
			t.Fatalf("%x is not below the top", a)
		}
		if c := bytes.Compare(a[:], b[:]); c != 0 && c == -cmp.Compare(priceStep(a), priceStep(b)) {
			t.Fatalf("steps of %x and %x: %d and %d", a, b, priceStep(a), priceStep(b))
		}
	})
	for _, bad := range [][]byte{{}, {17, 1}, {1, 2, 3}} {
		if p, err := unpackPrice(bad); err == nil {
			t.Errorf("%x is read as %x", bad, p)
		}
	}
}

func points() *rapid.Generator[index.Point] {
	return rapid.Custom(func(t *rapid.T) index.Point {
		p := index.Point{
			Block: rapid.Uint32().Draw(t, "block"), Extrinsic: rapid.Int32Range(-1, 1<<31-1).Draw(t, "extrinsic"),
			Event: rapid.Uint32().Draw(t, "event"), FromState: rapid.Bool().Draw(t, "state"),
		}
		copy(p.Hash[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		if ms := rapid.Int64Range(0, 1<<50).Draw(t, "time"); ms > 0 {
			p.Time = time.UnixMilli(ms).UTC()
		}
		return p
	})
}

func TestPackPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := points().Draw(t, "point")
		b := packPoint(p)
		if back, err := unpackPoint(b); err != nil || back != p {
			t.Fatalf("%+v comes back as %+v, %v", p, back, err)
		}
		for n := range len(b) - 1 {
			if back, err := unpackPoint(b[:n]); err == nil && !p.FromState {
				t.Fatalf("%d bytes of %d are read as %+v", n, len(b), back)
			}
		}
	})
}

func TestPackNumbers(t *testing.T) {
	numbers := rapid.SliceOfDistinct(rapid.Int64Range(1, 1<<40), rapid.ID)
	rapid.Check(t, func(t *rapid.T) {
		all := numbers.Draw(t, "all")
		var sets [][]int64
		want := true
		for range rapid.IntRange(0, 4).Draw(t, "sets") {
			set := numbers.Draw(t, "set")
			if len(all) > 0 && rapid.Bool().Draw(t, "hit") {
				set = append(set, rapid.SampledFrom(all).Draw(t, "one"))
			}
			slices.Sort(set)
			sets = append(sets, set)
			want = want && slices.ContainsFunc(all, func(n int64) bool { return slices.Contains(set, n) })
		}
		if got := saysAll(packNumbers(slices.Clone(all)), sets); got != want {
			t.Fatalf("%v has one of each of %v: %v, want %v", all, sets, got, want)
		}
	})
}

// A listing comes back as it was, whatever it says.
func TestListingRoundTrip(t *testing.T) {
	text := rapid.String()
	account := rapid.Custom(func(t *rapid.T) (a key.AccountID) {
		copy(a[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "account"))
		return a
	})
	some := func(t *rapid.T, what string) *key.AccountID {
		if !rapid.Bool().Draw(t, what) {
			return nil
		}
		a := account.Draw(t, what)
		return &a
	}
	texts := rapid.SliceOfN(text, 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		l := index.Listing{
			Account: account.Draw(t, "account"), State: document.State(rapid.SampledFrom([]string{"verified", "unverified"}).Draw(t, "state")),
			Reason: text.Draw(t, "reason"), Floor: rapid.Uint64().Draw(t, "floor"), Signer: some(t, "signer"), First: points().Draw(t, "first"),
			Updated: points().Draw(t, "updated"), Expires: rapid.Uint32().Draw(t, "expires"), ByOwn: rapid.Bool().Draw(t, "own"), Status: index.Live,
			EndedBlock: rapid.Uint32().Draw(t, "ended"), Presence: index.Gone, PresenceAt: points().Draw(t, "presence"), PresenceWho: some(t, "who"),
		}
		d := &l.Device
		d.Account, d.DataType, d.Location, d.Fleet = l.Account, text.Draw(t, "type"), text.Draw(t, "location"), text.Draw(t, "fleet")
		d.PriceAccess, d.Sequence, d.Vouch = text.Draw(t, "price"), rapid.Uint64().Draw(t, "sequence"), rapid.SampledFrom([]string{"", "0x", "0x12ab", "0x12AB", "x"}).Draw(t, "vouch")
		if d.Owner = some(t, "owner"); d.Owner != nil {
			l.Vouched = rapid.Bool().Draw(t, "vouched")
		}
		if rapid.Bool().Draw(t, "streams") {
			d.Topics, d.Relays = texts.Draw(t, "topics"), texts.Draw(t, "relays")
			d.Streams = []document.Stream{{Name: text.Draw(t, "name"), Kind: text.Draw(t, "kind"), Topics: texts.Draw(t, "topics")}, {Name: "b", Description: text.Draw(t, "description")}}
			d.Additional = []document.Additional{{Type: "a", Data: text.Draw(t, "data")}, document.NewAdditional("b", text.Draw(t, "quoted")), {Type: "c", Data: "'" + text.Draw(t, "single") + "'"}}
			d.Node = key.NodeID{1}
		}
		shown, rest, vouch, err := encodeListing(&l)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeListing([]byte(shown), []byte(rest), vouch)
		if err != nil || !reflect.DeepEqual(*back, l) {
			t.Fatalf("%+v\ncomes back as\n%+v, %v", l, back, err)
		}
		for i, s := range d.Streams {
			if got := index.ShownStream([]byte(shown), i); got != s.Name {
				t.Fatalf("stream %d is called %q in %s, want %q", i, got, shown, s.Name)
			}
		}
		if got := index.ShownStream([]byte(shown), len(d.Streams)); got != "" {
			t.Fatalf("there is a stream %q too much in %s", got, shown)
		}
	})
}
