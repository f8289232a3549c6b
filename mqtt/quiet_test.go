package mqtt

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestBusyWithRefusals: the broker must not take a consumer for dead whose packets all end at the filter.
func TestBusyWithRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connected(t, level5, Filter{}) // keep-alive 60 s
		for range 3 {
			r.play([]step{{"c>", "\x32\x06\x00\x01m\x00\x05\x00"}, {"c<", "\x40\x03\x00\x05\x87"}})
			time.Sleep(31 * time.Second) // the bubble's time
			r.send(r.client, []byte("\x30\x04\x00\x01m\x00"))
			r.expect(r.broker, []byte("\xc0\x00"))
		}
		r.play([]step{
			{"c>", "\xc0\x00"}, {"b<", "\xc0\x00"},
			{"b>", "\xd0\x00\xd0\x00\xd0\x00\xd0\x00"}, {"c<", "\xd0\x00"}, // of four answers one is the consumer's
			{"c>", "\xe0\x00"}, {"b<", "\xe0\x00"}, {"c.", ""},
		})
		if err := r.result(); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkIdle measures what an idle connection of a consumer costs the device.
func BenchmarkIdle(b *testing.B) {
	var rigs []*rig
	t := new(testing.T)
	before := memory()
	for range b.N {
		rigs = append(rigs, connected(t, level5, Filter{}))
	}
	b.ReportMetric(float64(memory()-before)/float64(b.N), "B/conn")
	for _, r := range rigs {
		r.cancel(nil)
		<-r.done
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
