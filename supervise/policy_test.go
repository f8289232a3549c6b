package supervise

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Unix(1_700_000_000, 0)

func TestNext(t *testing.T) {
	p := Policy{First: 50 * time.Millisecond, Min: time.Second, Max: 10 * time.Second, Factor: 2, Jitter: 0.1,
		Healthy: time.Minute, Looping: 4}
	h := History{}
	for i, want := range []time.Duration{50 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		10 * time.Second, 10 * time.Second} {
		h.Ready, h.Until = t0, t0.Add(time.Second)
		d := Next(p, h, 0.5)
		if d.Wait != want || d.Crashes != i+1 || d.Looping != (i >= 3) {
			t.Errorf("crash %d: %+v, want a wait of %v", i+1, d, want)
		}
		h.Crashes = d.Crashes
	}
	h.Until = t0.Add(time.Minute)
	if d := Next(p, h, 0.5); d.Wait != p.First || d.Crashes != 1 || d.Looping {
		t.Errorf("after a healthy run: %+v", d)
	}
	h = History{Crashes: 1, Until: t0.Add(time.Hour)} // it was never ready
	if d := Next(p, h, 0); d.Wait != 900*time.Millisecond {
		t.Errorf("lowest dice: %+v", d)
	}
}

func TestNextNeverSpins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.Int64Range(-1, int64(time.Hour))
		p := Policy{
			First:   time.Duration(durations.Draw(t, "first")),
			Min:     time.Duration(durations.Draw(t, "min")),
			Max:     time.Duration(durations.Draw(t, "max")),
			Factor:  rapid.Float64().Draw(t, "factor"),
			Jitter:  rapid.Float64().Draw(t, "jitter"),
			Healthy: time.Duration(durations.Draw(t, "healthy")),
		}
		full := p.withDefaults()
		h := History{Ready: t0, Until: t0, Crashes: rapid.IntRange(0, 1<<40).Draw(t, "crashes")}
		d := Next(p, h, rapid.Float64Range(0, 0.999).Draw(t, "dice"))
		if d.Wait < 0 || d.Wait > max(full.First, 2*full.Max) {
			t.Fatalf("%+v waits %v", p, d.Wait)
		}
		if d.Crashes > 1 && d.Wait < time.Duration(float64(full.Min)*(1-full.Jitter))-1 {
			t.Fatalf("%+v waits only %v after crash %d", p, d.Wait, d.Crashes)
		}
	})
}

func TestFirstRestartIsAtOnce(t *testing.T) {
	if d := Next(Policy{}, History{Ready: t0, Until: t0}, 0.999); d.Wait > 100*time.Millisecond {
		t.Errorf("%v", d.Wait)
	}
}
