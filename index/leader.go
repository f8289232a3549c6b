package index

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// Leader chooses among the processes that share a store the one that writes it.
type Leader interface {
	// Campaign waits until this process is the one that writes, and remains so until ctx ends or lost is closed. From then on
	// the store refuses what the process still tries to write (ErrOtherWriter). While the store cannot be reached it waits, too; it
	// fails only when ctx has ended, or for what waiting does not mend.
	Campaign(ctx context.Context) (lost <-chan struct{}, err error)
}

// Announcer tells of changes at once. Stores may be one.
type Announcer interface {
	// Announcements returns a channel that has a value whenever the store may have changed since the last one was taken, by this process
	// or by another: several changes may be one value, and some may turn out to be none. It is never closed. It ends with ctx.
	Announcements(ctx context.Context) (<-chan struct{}, error)
}

// ErrUnavailable is wrapped by errors of a store that cannot be reached, or cannot work, at present. Trying again may help: Run does so
// without end, and servers answer 503.
var ErrUnavailable = errors.New("the index's database is not available")

// Lead runs an index whenever this process is the one that writes, until ctx ends or the run fails otherwise than by losing the
// store to another process. standby, when not nil, is told when the process begins to wait and when it begins to write.
func Lead(ctx context.Context, l Leader, o Options, standby func(bool)) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var begun atomic.Bool
	o.Store = noting{o.Store, &begun}
	for first := true; ; first = false {
		if standby != nil {
			standby(true)
		}
		term, end := context.WithCancel(ctx)
		err := lead(term, l, o, standby, first)
		end()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, errDeposed) && !errors.Is(err, ErrOtherWriter) && !errors.Is(err, ErrUnavailable):
			return err
		}
		if err == nil {
			return errors.New("the index ended by itself")
		}
		o.Rebuild = o.Rebuild && !begun.Load() // once is enough
		o.Log.Warn("index does not write any more; another process may", "reason", err)
		select { // a campaign that is won at once must not be lost at once, without end
		case <-ctx.Done():
			return nil
		case <-time.After(tryAgain):
		}
	}
}

// noting is a store that notes that it was emptied.
type noting struct {
	Store
	begun *atomic.Bool
}

func (n noting) Reset(ctx context.Context, o Origin) error {
	err := n.Store.Reset(ctx, o)
	if err == nil {
		n.begun.Store(true)
	}
	return err
}

// tryAgain is the least time between two terms of office.
const tryAgain = 250 * time.Millisecond

var errDeposed = errors.New("another process may write the index now")

// lead runs the index for one term of office.
func lead(ctx context.Context, l Leader, o Options, standby func(bool), first bool) error {
	waiting := time.AfterFunc(time.Second, func() {
		o.Log.Info("index stands by: another process writes it, or its database cannot be reached")
	})
	lost, err := l.Campaign(ctx)
	waiting.Stop()
	if err != nil {
		return err
	}
	if standby != nil {
		standby(false)
	}
	if !first {
		o.Log.Info("index writes again")
	}
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-lost:
			stop(errDeposed)
		case <-run.Done():
		}
	}()
	err = Run(run, o)
	if err == nil {
		err = context.Cause(run)
	}
	stop(nil)
	<-watched
	return err
}
