package overlay

import (
	"log/slog"
	"sync"
	"time"
)

// How often what others cause is logged as a warning, of each kind; a log may be on flash.
const (
	warningsPerSecond = 1.0 / 60
	warningBurst      = 5
)

// seldom logs warnings that others can cause at will: the first ones, then one a minute with the number of those left out. Those are logged
// for debugging only.
type seldom struct {
	mu   sync.Mutex
	rate bucket
	out  int
}

func (s *seldom) warn(log *slog.Logger, text string, args ...any) {
	s.mu.Lock()
	ok := s.rate.take(time.Now(), warningsPerSecond, warningBurst)
	out := s.out
	if s.out = 0; !ok {
		s.out = out + 1
	}
	s.mu.Unlock()
	switch {
	case !ok:
		log.Debug(text, args...)
	case out > 0:
		log.Warn(text, append(args, "left_out", out)...)
	default:
		log.Warn(text, args...)
	}
}
