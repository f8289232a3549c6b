package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"iod/document"
	"iod/index"
	"iod/key"
)

func priceOf(t testing.TB, s string) *index.Price {
	t.Helper()
	p, err := index.ParsePrice(s)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// firsts are the first bytes of the accounts found, in order.
func firsts(found []index.Found) []byte {
	out := []byte{}
	for _, l := range found {
		out = append(out, l.Account[0])
	}
	return out
}

// firstsOf is the same of listings.
func firstsOf(listings []*index.Listing) []byte {
	out := []byte{}
	for _, l := range listings {
		out = append(out, l.Account[0])
	}
	return out
}

// find is the first page of a search, asked for in both forms.
func find(t testing.TB, s index.Reader, q index.Query) []index.Found {
	t.Helper()
	page := must(s.Search(t.Context(), q))(t)
	q.Shown = true
	shown := must(s.Search(t.Context(), q))(t)
	if len(shown.Found) != len(page.Found) || !reflect.DeepEqual(shown.Next, page.Next) {
		t.Fatalf("%+v finds %d and then %+v, without Shown %d and then %+v", q, len(shown.Found), shown.Next, len(page.Found), page.Next)
	}
	for i, f := range page.Found {
		if f.Stream != f.Offers()[f.Offer].Name || f.Shown != nil {
			t.Fatalf("%+v finds by offer %d the stream %q, and shows %s", q, f.Offer, f.Stream, f.Shown)
		}
		want := f
		want.Shown = must(index.Show(f.Listing))(t)
		want.Listing = &index.Listing{Rank: f.Rank, Account: f.Account, Raw: f.Raw}
		if got := shown.Found[i]; !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v shows\n%+v %s, want\n%+v %s", q, got, got.Shown, want, want.Shown)
		}
	}
	return page.Found
}

func search(t *testing.T, s index.Store) {
	owner := key.AccountID{200}
	stream := func(streams ...document.Stream) func(*index.Listing) {
		return func(l *index.Listing) { l.Device.Streams = streams }
	}
	begin(t, s,
		listing(1, func(l *index.Listing) { l.State = document.Unverified }),
		listing(2, stream(document.Stream{Name: "wind", Kind: "mqtt", DataType: "wind_speed", Unit: "m/s", Price: "5", Description: "on the Ärmelkanal roof"},
			document.Stream{Name: "cam", Kind: "rtsp", DataType: "video", Price: "900"})),
		listing(3, stream(document.Stream{Name: "wind", Kind: "mqtt", DataType: "wind_speed", Unit: "km/h", Price: "10.5"})),
		listing(4, func(l *index.Listing) { l.Device.Owner, l.Vouched = &owner, true; l.Device.Topics = []string{"a"} }),
		listing(5, func(l *index.Listing) { l.Device.Owner = &owner; l.Device.PriceAccess = "" }),
		listing(6, stream(document.Stream{Name: "s", Kind: "http", Price: "0.000000000000000001"})),
	)
	for _, x := range []struct {
		q    index.Query
		want []byte
	}{
		{index.Query{}, []byte{6, 5, 4, 3, 2, 1}},
		{index.Query{Limit: 2}, []byte{6, 5}},
		{index.Query{State: document.Unverified}, []byte{1}},
		{index.Query{State: document.Verified, Limit: 1}, []byte{6}},
		{index.Query{DataTypes: []string{"wind_speed"}}, []byte{3, 2}},
		{index.Query{DataTypes: []string{"weather"}}, []byte{6, 5, 4, 1}}, // of version 1, and of a stream without a type of its own
		{index.Query{Kinds: []string{"mqtt"}}, []byte{4, 3, 2}},
		{index.Query{Units: []string{"m/s"}}, []byte{2}},
		{index.Query{DataTypes: []string{"wind_speed"}, Units: []string{"m/s"}, Kinds: []string{"mqtt"}}, []byte{2}},
		{index.Query{DataTypes: []string{"wind_speed"}, Kinds: []string{"rtsp"}}, []byte{}}, // of two streams of one device
		{index.Query{DataTypes: []string{"wind_speed"}, MaxPrice: priceOf(t, "10")}, []byte{2}},
		{index.Query{MinPrice: priceOf(t, "10.1")}, []byte{3, 2}},
		{index.Query{MinPrice: priceOf(t, "10"), MaxPrice: priceOf(t, "10.5")}, []byte{4, 3, 1}},
		{index.Query{MaxPrice: priceOf(t, "0")}, []byte{}},
		{index.Query{MaxPrice: priceOf(t, "0.000000000000000001")}, []byte{6}},
		{index.Query{Owner: &owner}, []byte{4}},
		{index.Query{Owner: &key.AccountID{5}}, []byte{}}, // claims an owner who did not sign
		{index.Query{Owner: &key.AccountID{6}}, []byte{6}},
		{index.Query{Text: "berlin"}, []byte{6, 5, 4, 3, 2, 1}},
		{index.Query{Text: "wind speed"}, []byte{3, 2}},
		{index.Query{Text: "WIND ärmel"}, []byte{2}},
		{index.Query{Text: "armelkanal"}, []byte{2}},
		{index.Query{Text: "kanal"}, []byte{}},
		{index.Query{Text: "wind nothing"}, []byte{}},
		{index.Query{Text: "!!!"}, []byte{}},
		{index.Query{Text: " "}, []byte{6, 5, 4, 3, 2, 1}},
		{index.Query{Text: "wind", MaxPrice: priceOf(t, "5"), State: document.Verified}, []byte{2}},
	} {
		if got := firsts(find(t, s, x.q)); !slices.Equal(got, x.want) {
			t.Errorf("%+v finds %v, want %v", x.q, got, x.want)
		}
	}
}

func near(t *testing.T, s index.Store) {
	places := []string{"Berlin", "52.52,13.40", "52.39,13.06" /* 27 km west */, "0,179.99", "0,-179.99", "89.99,0", "89.99,180", "-90,12", "0,0"}
	for i, p := range places {
		l := listing(byte(i+1), func(l *index.Listing) { l.Device.Location = p })
		if i == 0 {
			begin(t, s)
		}
		put(t, s, l)
	}
	for _, x := range []struct {
		near index.Near
		want []byte
	}{
		{index.Near{Lat: 52.52, Lon: 13.40, Km: 1}, []byte{2}},
		{index.Near{Lat: 52.52, Lon: 13.40, Km: 0.000001}, []byte{2}},
		{index.Near{Lat: 52.52, Lon: 13.40, Km: 26}, []byte{2}},
		{index.Near{Lat: 52.52, Lon: 13.40, Km: 28}, []byte{3, 2}},
		{index.Near{Lat: 0, Lon: 180, Km: 2}, []byte{5, 4}},
		{index.Near{Lat: 0, Lon: -180, Km: 2}, []byte{5, 4}},
		{index.Near{Lat: 0, Lon: 179.98, Km: 2}, []byte{4}},
		{index.Near{Lat: 90, Lon: 77, Km: 2}, []byte{7, 6}},
		{index.Near{Lat: 89.99, Lon: 0, Km: 3}, []byte{7, 6}},
		{index.Near{Lat: 89.99, Lon: 0, Km: 1}, []byte{6}},
		{index.Near{Lat: -89.999, Lon: 0, Km: 1}, []byte{8}},
		{index.Near{Lat: 1, Lon: 1, Km: 100}, []byte{}},
		{index.Near{Lat: 1, Lon: 1, Km: 20040}, []byte{9, 8, 7, 6, 5, 4, 3, 2}},
	} {
		if got := firsts(find(t, s, index.Query{Near: &x.near})); !slices.Equal(got, x.want) {
			t.Errorf("near %+v: %v, want %v", x.near, got, x.want)
		}
	}
}

func pages(t *testing.T, s index.Store) {
	const all = 201
	begin(t, s)
	for i := range all {
		put(t, s, listing(byte(i+1), func(l *index.Listing) { l.Updated.Time = Epoch.AddDate(0, 0, i/17) }))
	}
	for _, size := range []int{1, 7, 17, 200, 500} {
		seen := map[byte]bool{}
		q := index.Query{Limit: size}
		for rounds := 0; ; rounds++ {
			page := must(s.Search(t.Context(), q))(t)
			for _, b := range firsts(page.Found) {
				if seen[b] {
					t.Fatalf("pages of %d: %d is there twice", size, b)
				}
				seen[b] = true
			}
			if page.Next == nil {
				break
			}
			if len(page.Found) != size {
				t.Fatalf("pages of %d: one has %d and is not the last", size, len(page.Found))
			}
			q.After = page.Next
			if rounds > all {
				t.Fatalf("pages of %d don't end", size)
			}
		}
		if len(seen) != all {
			t.Errorf("pages of %d show %d, want %d", size, len(seen), all)
		}
	}
	if got := len(find(t, s, index.Query{Limit: 100000})); got != all {
		t.Errorf("%d found, want %d", got, all)
	}
}

func legacy(t *testing.T, s index.Store) {
	set := func(dataType, location, access, pin string) func(*index.Listing) {
		return func(l *index.Listing) {
			d := &l.Device
			d.DataType, d.Location, d.PriceAccess, d.PricePin = dataType, location, access, pin
		}
	}
	begin(t, s, listing(1, set("wind", "Berlin", "9", "100")), listing(2, set("wind", "Yerevan", "10", "")), listing(3, set("noise", "Berlin", "", "3.5")))
	text := func(field, op, value string) index.LegacyFilter {
		return index.LegacyFilter{Field: field, Op: op, Text: value}
	}
	price := func(field, op, value string) index.LegacyFilter {
		return index.LegacyFilter{Field: field, Op: op, Price: *priceOf(t, value)}
	}
	for _, x := range []struct {
		filters []index.LegacyFilter
		want    []byte
	}{
		{nil, []byte{3, 2, 1}},
		{[]index.LegacyFilter{text("data_type", "=", "wind")}, []byte{2, 1}},
		{[]index.LegacyFilter{text("data_type", "<", "wind")}, []byte{3}},
		{[]index.LegacyFilter{text("data_type", ">", "noise")}, []byte{2, 1}},
		{[]index.LegacyFilter{text("data_type", "=", "wind"), text("location", "=", "Berlin")}, []byte{1}},
		{[]index.LegacyFilter{price("price_access", ">", "9")}, []byte{2}},
		{[]index.LegacyFilter{price("price_access", "<", "10")}, []byte{3, 1}}, // as numbers, none being zero
		{[]index.LegacyFilter{price("price_access", "=", "0")}, []byte{3}},
		{[]index.LegacyFilter{price("price_pin", "=", "3.50")}, []byte{3}},
	} {
		got := firstsOf(must(s.Legacy(t.Context(), index.LegacyQuery{Filters: x.filters, Limit: 10}))(t))
		if !slices.Equal(got, x.want) {
			t.Errorf("%+v finds %v, want %v", x.filters, got, x.want)
		}
	}
	for _, x := range []struct {
		limit, offset int
		want          []byte
	}{{0, 0, []byte{}}, {2, 0, []byte{3, 2}}, {2, 2, []byte{1}}, {2, 9, []byte{}}} {
		if got := firstsOf(must(s.Legacy(t.Context(), index.LegacyQuery{Limit: x.limit, Offset: x.offset}))(t)); !slices.Equal(got, x.want) {
			t.Errorf("limit %d, offset %d: %v, want %v", x.limit, x.offset, got, x.want)
		}
	}
	if got := firstsOf(must(s.Legacy(t.Context(), index.LegacyQuery{Account: &key.AccountID{2}}))(t)); !slices.Equal(got, []byte{2}) {
		t.Errorf("by address: %v", got)
	}
	for _, f := range []index.LegacyFilter{text("account", "=", "x"), text("data_type", "OR 1=1 OR", "x"), text("", "", "")} {
		if found, err := s.Legacy(t.Context(), index.LegacyQuery{Filters: []index.LegacyFilter{f}, Limit: 10}); err == nil {
			t.Errorf("%+v finds %v", f, firstsOf(found))
		}
	}
}

// Injections are strings that mean something to SQL, to full-text queries or to terminals.
var Injections = []string{
	"'", `"`, "';--", `" OR "1"="1`, "' OR '1'='1", "x'); DROP TABLE listing; --", "%", "_", "*", "NEAR(", "NOT", "a AND b", "a OR b", "said:x", "^x",
	"\x00", "\\", "{x}", "-x", "+", "(", ")", `"*`, "$1", "?", ":a", "@a", "0x00", "NULL", "\xff\xfe", "1e999", "\u202e", "weather' UNION SELECT 1 --",
}

func injection(t *testing.T, s index.Store) {
	begin(t, s, listing(1, nil))
	for _, evil := range Injections {
		for _, q := range []index.Query{{DataTypes: []string{evil}}, {Kinds: []string{evil}}, {Units: []string{evil}}, {State: document.State(evil)}, {Text: evil}, {Text: "weather " + evil}} {
			page, err := s.Search(t.Context(), q)
			if err != nil {
				t.Errorf("%q: %v", evil, err)
			}
			if found := page.Found; len(found) > 0 && q.Text == "" {
				t.Errorf("%q finds %d", evil, len(found))
			}
		}
		for _, field := range []string{"data_type", "location"} {
			found, err := s.Legacy(t.Context(), index.LegacyQuery{Limit: 10, Filters: []index.LegacyFilter{{Field: field, Op: "=", Text: evil}}})
			if err != nil || len(found) > 0 {
				t.Errorf("%s = %q: %d found, %v", field, evil, len(found), err)
			}
		}
		l := listing(2, func(l *index.Listing) {
			l.Device.DataType, l.Device.Location, l.Reason = evil, evil, evil
			l.Device.Streams = []document.Stream{{Name: evil, Kind: evil, DataType: evil, Unit: evil, Description: evil}}
		})
		if index.Check(&l.Device) != nil {
			continue // no listing says so
		}
		put(t, s, l)
		if found := find(t, s, index.Query{DataTypes: []string{evil}}); len(found) != 1 || found[0].Device.DataType != evil {
			t.Errorf("%q is not kept: %v", evil, found)
		}
	}
	if st := must(s.State(t.Context()))(t); st.Live != 2 {
		t.Error(fmt.Sprint("listings are lost: ", st))
	}
}
