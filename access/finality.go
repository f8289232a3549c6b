package access

import (
	"context"
	"fmt"
	"time"
)

// flight is one wait for finality that parties share: nodes limit the subscriptions of a connection, and hundreds may wait at once.
type flight struct {
	done   chan struct{} // closed when view and err are there
	view   View
	err    error
	users  int // guarded by Judge.mu, as the map of flights is
	cancel context.CancelFunc
}

// waitFinalised is Chain.WaitFinalised, asked once for all parties that wait for the same block.
func (j *Judge) waitFinalised(ctx context.Context, number uint32) (View, error) {
	f, err := j.board(number)
	if err != nil {
		return nil, err
	}
	defer j.leave(number, f)
	select {
	case <-f.done:
		return f.view, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (j *Judge) board(number uint32) (*flight, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return nil, ErrStopped
	}
	f := j.flights[number]
	if f == nil {
		ctx, cancel := context.WithCancel(j.ctx)
		f = &flight{done: make(chan struct{}), cancel: cancel}
		j.flights[number] = f
		j.wg.Go(func() {
			f.view, f.err = j.o.Chain.WaitFinalised(ctx, number)
			close(f.done)
		})
	}
	f.users++
	return f, nil
}

// leave ends a flight that nobody needs any more. One that has arrived takes no more passengers, since a later answer is newer.
func (j *Judge) leave(number uint32, f *flight) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f.users--
	if f.users == 0 {
		f.cancel()
	}
	if j.flights[number] == f && (f.users == 0 || arrived(f)) {
		delete(j.flights, number)
	}
}

func arrived(f *flight) bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// reached notes the number of a finalised block, and refuses one below what was seen before.
func (j *Judge) reached(number uint32) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if number < j.final {
		return fmt.Errorf("%w: %d after %d", errBehind, number, j.final)
	}
	j.final = number
	return nil
}

// current refuses a best block below a finalised one that was seen before, and a node that stands still.
func (j *Judge) current(number uint32) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if number < j.final {
		return fmt.Errorf("%w: best block %d, %d was final", errBehind, number, j.final)
	}
	if now := j.o.Now(); j.pace.note(now, number) && j.clocked {
		return fmt.Errorf("%w: best block %d for %v", errStill, number, now.Sub(j.pace.grown.at).Round(time.Second))
	}
	return nil
}
