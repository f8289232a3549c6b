package provision

import (
	"context"
	"fmt"
	"sync"
)

// pulse is a look at every part of the device that is under way.
type pulse struct {
	mu   sync.Mutex
	done chan struct{} // nil: none is
}

// Alive returns nil when every part of the device answers before ctx ends: none of them holds its lock for good. A device that is about to
// start lives; it may be asked before Run, and beside it.
func (d *Device) Alive(ctx context.Context) error {
	select {
	case <-d.opened:
	default:
		return nil
	}
	d.pulse.mu.Lock()
	done := d.pulse.done
	if done == nil {
		done = make(chan struct{})
		d.pulse.done = done
		go func() { // hangs only when the device does, and then there is one of it
			d.touch()
			d.pulse.mu.Lock()
			d.pulse.done = nil
			d.pulse.mu.Unlock()
			close(done)
		}()
	}
	d.pulse.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a part of the device does not answer: %w", ctx.Err())
	}
}

// touch takes each part's lock for a moment.
func (d *Device) touch() {
	d.programs.Status()
	d.audit.Err() //nolint:errcheck // that it answers is what matters
	d.clock.Read()
	d.manifestStatus(d.manifest.Load())
	l := d.running()
	if l == nil {
		return
	}
	l.client.Endpoints()
	l.node.Status()
	l.docs.look()
	judges, _ := l.court.sitting()
	judges.Status()
}
