package postgres

import (
	"testing"
	"time"

	"iod/document"
	"iod/index"
	"iod/index/storetest"
)

func sameShown(t *testing.T, l *index.Listing) {
	t.Helper()
	want, err := index.Show(l)
	if err != nil {
		t.Fatal(err)
	}
	if got := render(l); string(got) != string(want) {
		t.Errorf("shown as\n%s\nwant\n%s", got, want)
	}
}

func TestShown(t *testing.T) {
	sameShown(t, filled())
	for _, l := range storetest.Market(3, 300) {
		sameShown(t, l)
	}
	for _, location := range []string{"1e-9,-0.0000001", "0,0", "-0,180", "1e-7,1e-6", "-90,179.99999999999"} {
		l := filled()
		l.Device.Location = location
		sameShown(t, l)
	}
	for _, when := range []time.Time{{}, time.UnixMilli(1), time.UnixMilli(1795636659931).UTC(), time.UnixMilli(-5).UTC()} {
		l := filled()
		l.Updated.Time, l.First.Extrinsic, l.First.FromState = when.UTC(), -1, false
		sameShown(t, l)
	}
}

func FuzzShown(f *testing.F) {
	for _, s := range append(storetest.Injections, "<b>", "a&b", "\u2028\u2029", "ü雨", "\t\n", "\x7f", "…") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := filled()
		d := &l.Device
		l.Reason, d.DataType, d.Location, d.Fleet, d.PricePin, d.Topics, d.Relays = s, s, s, s, s, []string{s, ""}, []string{s}
		d.Streams = []document.Stream{{Name: s, Description: s}, {Unit: s, Topics: []string{s}}}
		d.Additional = []document.Additional{{Type: s, Data: s}}
		sameShown(t, l)
	})
}
