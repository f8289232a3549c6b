package provision

import (
	"context"
	"runtime/debug"
	"time"
)

// trimAfter is how long nothing must have happened before the device gives back what it does not need while idle.
const trimAfter = 30 * time.Second

// stir says that something happens that takes memory.
func (d *Device) stir() { signal(d.stirred) }

// trimWhenIdle gives memory back after the start, and after whatever stirred the device, once it is idle again. An idle device is not
// woken by it.
func (d *Device) trimWhenIdle(ctx context.Context) error {
	timer := time.NewTimer(trimAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.stirred:
			timer.Reset(trimAfter)
		case <-timer.C:
			debug.FreeOSMemory()
			if err := dropText(); err != nil {
				d.log.Debug("pages of the program are kept", "err", err)
			}
		}
	}
}
