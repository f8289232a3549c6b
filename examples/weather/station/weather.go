package station

import (
	"math"
	"math/rand/v2"
	"time"
)

// Measurement is the weather at a moment.
type Measurement struct {
	Time        time.Time
	Wind        float64 // m/s
	Temperature float64 // degrees Celsius
}

// Simulate returns the weather at t in the world of a seed, the same whenever it is asked: a day's swing around 15 °C with
// the warmest hour at 15:00 UTC, wind around 6 m/s, both with slow waves and a gust or a tremor of their second on top.
// Temperature stays within −5 … 35 °C, wind within 0 … 20 m/s; both come in hundredths.
func Simulate(seed uint64, t time.Time) Measurement {
	seconds := float64(t.UnixMilli()) / 1000
	world := rand.New(rand.NewPCG(seed, 0))
	phase := func() float64 { return 2 * math.Pi * world.Float64() }
	wave := func(period time.Duration) float64 {
		return math.Sin(2*math.Pi*math.Mod(seconds, period.Seconds())/period.Seconds() + phase())
	}
	day := math.Sin(2 * math.Pi * (math.Mod(seconds, 86400)/86400 - 9.0/24))
	temperature := 15 + 8*day + 2*wave(5*time.Hour) + 0.3*wave(7*time.Minute)
	wind := 6 + 2.5*wave(3*time.Hour) + 1.5*wave(11*time.Minute) + 0.5*wave(47*time.Second)
	moment := rand.New(rand.NewPCG(seed, uint64(t.Unix())))
	temperature += 0.05 * moment.NormFloat64()
	wind += 0.3 * moment.NormFloat64()
	return Measurement{
		Time:        t,
		Wind:        hundredths(min(max(wind, 0), 20)),
		Temperature: hundredths(min(max(temperature, -5), 35)),
	}
}

func hundredths(v float64) float64 { return math.Round(v*100) / 100 }
