//go:build !linux

package clock

import "time"

var start = time.Now()

// sinceBoot is the time since the program started, by the clock that Go measures by.
func sinceBoot() time.Duration { return time.Since(start) }
