package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// start is for systems that lack the boot clock.
var start = time.Now()

// sinceBoot is the time since the machine started, in which it was suspended or not. The clock that Go measures by leaves that out.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}
