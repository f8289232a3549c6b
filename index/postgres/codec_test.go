package postgres

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// fill gives every field something of its own, so that one which is forgotten shows.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(int64(1e12 + *n)).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

func filled() *index.Listing {
	var l index.Listing
	n := 0
	fill(reflect.ValueOf(&l).Elem(), &n)
	l.Device.Account, l.Status, l.State, l.Presence = l.Account, index.Expired, document.Unverified, index.Gone
	return &l
}

// A body and its columns have all that a listing has.
func TestBodyIsWhole(t *testing.T) {
	whole := filled()
	for name, change := range map[string]func(*index.Listing){
		"all": func(*index.Listing) {},
		"empty": func(l *index.Listing) {
			*l = index.Listing{Account: l.Account, Status: index.Live, State: document.Verified, Presence: index.Present}
			l.Device.Account = l.Account
		},
		"all of one account": func(l *index.Listing) {
			a := l.Account
			l.Signer, l.PresenceWho, l.Device.Owner = &a, &a, &a
		},
		"a vouch in hex":             func(l *index.Listing) { l.Device.Vouch = "0x00ff12" },
		"a vouch in upper case":      func(l *index.Listing) { l.Device.Vouch = "0xFF" },
		"a vouch without its prefix": func(l *index.Listing) { l.Device.Vouch = "ff" },
		"one point": func(l *index.Listing) {
			l.First, l.PresenceAt = l.Updated, l.Updated
		},
		"extremes": func(l *index.Listing) {
			l.Floor, l.Device.Sequence, l.Expires, l.EndedBlock = 1<<64-1, 1<<63, index.Never, index.Never
			l.Updated.Extrinsic, l.Updated.Time = -1, time.Time{}
		},
		"texts": func(l *index.Listing) { l.Device.DataType, l.Device.Location = "\x00\xff", "\uFFFFab" },
	} {
		l := *whole
		change(&l)
		body, err := encodeBody(&l)
		if err != nil {
			t.Fatal(err)
		}
		r := listingRow{rank: l.Rank, account: l.Account[:], dataType: column(l.Device.DataType), location: column(l.Device.Location), body: body}
		got, err := r.listing()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got.Raw = l.Raw
		if !reflect.DeepEqual(got, &l) {
			t.Errorf("%s: got\n%+v, want\n%+v", name, got, &l)
		}
	}
	if _, err := encodeBody(&index.Listing{Status: "mended"}); err == nil {
		t.Error("a status that there is not is kept")
	}
}

// A body that is damaged is an error, whatever is wrong with it.
func FuzzBody(f *testing.F) {
	body, err := encodeBody(filled())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	for i := range 20 {
		f.Add(body[:len(body)*i/20])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := index.Listing{Account: key.AccountID{1}}
		if decodeBody(b, &l) != nil {
			return
		}
		again, err := encodeBody(&l)
		if err != nil {
			t.Fatal(err)
		}
		var m index.Listing
		m.Account = l.Account
		if err := decodeBody(again, &m); err != nil || !reflect.DeepEqual(l, m) {
			t.Errorf("%x comes back as %x: %v", b, again, err)
		}
	})
}

func TestColumnsOfText(t *testing.T) {
	seen := map[string]string{}
	for _, s := range []string{"", "a", "ü雨", "\x00", "a\x00b", "\xff", "\uFFFF", "\uFFFF00", "\uFFFFff", "a\uFFFF", strings.Repeat("x", 300)} {
		c := column(s)
		if uncolumn(c) != s || strings.ContainsRune(c, 0) || !bytes.Equal([]byte(c), bytes.ToValidUTF8([]byte(c), nil)) {
			t.Errorf("%q is kept as %q, which is %q", s, c, uncolumn(c))
		}
		if other, ok := seen[c]; ok {
			t.Errorf("%q and %q are kept alike", s, other)
		}
		seen[c] = s
	}
}
