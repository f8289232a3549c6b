//go:build !device

package main

import (
	"strings"
	"testing"

	"iod/api"
)

// Whatever the width, no line is wider, what is most telling stays, and what is left is in columns.
func TestTableFits(t *testing.T) {
	near := 1.5
	rows := []listedDevice{
		{Device: api.Device{Address: "5DRy1qLQCKRGrTwgkHba8eMuGMdymkuhHR1u4CiRvpb41W2W", DataType: "wind_speed", Location: "40.1949288,44.5517725", Distance: &near,
			Streams: []api.Stream{{Name: "measurements", Kind: "mqtt", Price: "42.03995", Period: "30d"}, {Name: "camera", Kind: "rtsp"}}, Offer: "camera"}, Verdict: "verified"},
		{Device: api.Device{Address: "5D9RQj4KHrSGKp3VdmDW1WP6fCmQnDoVsU9uwqNZH2fRrbUR", DataType: "日本語の長い名前です、とても長い", Location: "\x1b[31mred\u202e"}, Verdict: "forged"},
	}
	for width := 20; width <= 220; width++ {
		for _, withNear := range []bool{false, true} {
			var out strings.Builder
			a := &app{out: &out, env: func(string) string { return "" }}
			tab := a.devicesTable(withNear)
			tab.width = width
			for _, r := range rows {
				if !withNear {
					r.Distance = nil
				}
				tab.add(a.row(r))
			}
			if err := tab.flush(); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != 3 {
				t.Fatalf("width %d: %q", width, lines)
			}
			for _, l := range lines {
				if wide(l) > max(width, 48) {
					t.Errorf("width %d: %d cells: %s", width, wide(l), l)
				}
				if strings.ContainsAny(l, "\x1b\u202e") {
					t.Errorf("a stranger's text reaches the terminal: %q", l)
				}
			}
			if !strings.HasPrefix(lines[0], "DEVICE") || !strings.HasSuffix(lines[0], "VERDICT") || !strings.HasPrefix(lines[1], "5DRy1qLQ") || !strings.HasSuffix(lines[1], "verified") {
				t.Errorf("width %d:\n%s", width, out.String())
			}
			if withNear && (!strings.Contains(lines[0], "DISTANCE") || !strings.Contains(lines[1], "1.5 km")) {
				t.Errorf("width %d: no distance:\n%s", width, out.String())
			}
			if width >= 150 && !strings.Contains(lines[1], "camera (rtsp)") {
				t.Errorf("width %d: no streams:\n%s", width, out.String())
			}
		}
	}
}

func TestCut(t *testing.T) {
	for _, x := range []struct {
		s    string
		n    int
		want string
	}{{"hello", 5, "hello"}, {"hello", 4, "hel…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"}, {"", 3, ""}} {
		if got := cut(x.s, x.n); got != x.want || wide(got) > x.n {
			t.Errorf("%q cut to %d: %q, want %q", x.s, x.n, got, x.want)
		}
	}
	if got := briefAddress("5DRy1qLQCKRGrTwgkHba8eMuGMdymkuhHR1u4CiRvpb41W2W"); got != "5DRy1qLQ…41W2W" {
		t.Errorf("brief address %s", got)
	}
}
