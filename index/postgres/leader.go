package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"iod/index"
)

// channel is what changes are announced on.
const channel = "iod_index"

// The pace of sessions that wait.
const (
	askEvery  = time.Second      // whether the session that holds the lock lives
	askWithin = 10 * time.Second // it answers, or is given up
	tryFirst  = 100 * time.Millisecond
	tryLast   = 5 * time.Second
)

// session settings make the server notice within some 15 s that the other end's machine has vanished, and give up its lock.
var session = map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "statement_timeout": "0",
	"idle_session_timeout": "0", "lock_timeout": "0"}

func (s *Store) connect(ctx context.Context) (*pgx.Conn, error) {
	c := s.config.Copy()
	for name, value := range session {
		c.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, c)
}

// Campaign waits for the advisory lock of writers, then makes every other writer's transactions invalid. It goes on waiting while the
// server cannot be reached.
func (s *Store) Campaign(ctx context.Context) (<-chan struct{}, error) {
	ctx, stop := s.until(ctx)
	for pause := tryFirst; ; pause = min(2*pause, tryLast) {
		c, epoch, err := s.elect(ctx)
		if err == nil {
			if !s.begin() {
				stop()
				c.Close(context.Background()) //nolint:errcheck // and with it goes the lock
				return nil, fmt.Errorf("campaign for the index: it is closed")
			}
			s.epoch.Store(epoch)
			lost := make(chan struct{})
			go func() {
				defer s.busy.Done()
				defer stop()
				defer close(lost)
				s.hold(ctx, c)
			}()
			return lost, nil
		}
		if err = advised(err); !errors.Is(err, index.ErrUnavailable) || ctx.Err() != nil {
			stop()
			return nil, fmt.Errorf("campaign for the index: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// until is a context that ends with the store, too.
func (s *Store) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closed, cancel)
	return ctx, func() { stop(); cancel() }
}

// elect gets the lock in a session of its own, and a new epoch once no transaction of the former writer is under way.
func (s *Store) elect(ctx context.Context) (c *pgx.Conn, epoch int64, err error) {
	if c, err = s.connect(ctx); err != nil {
		return nil, 0, err
	}
	if _, err = c.Exec(ctx, "SELECT pg_advisory_lock($1)", lockWrite); err == nil {
		err = s.sameSchema(ctx, c)
	}
	if err == nil {
		err = c.QueryRow(ctx, "UPDATE progress SET epoch = epoch + 1 RETURNING epoch").Scan(&epoch)
	}
	if err != nil {
		c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it failed
		return nil, 0, err
	}
	return c, epoch, nil
}

// sameSchema makes sure that no newer program has changed the schema while this one waited.
func (s *Store) sameSchema(ctx context.Context, c *pgx.Conn) error {
	var have int64
	if err := c.QueryRow(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&have); err != nil {
		return fmt.Errorf("read its schema version: %w", err)
	}
	if have != s.version {
		return newerSchema(have, s.version)
	}
	return nil
}

func newerSchema(have, want int64) error {
	return fmt.Errorf("its schema has version %d and this program knows %d: it was written by a newer iod", have, want)
}

// hold keeps the session that has the lock until ctx ends or it turns out to be lost.
func (s *Store) hold(ctx context.Context, c *pgx.Conn) {
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it may be broken
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ask, cancel := context.WithTimeout(ctx, askWithin)
			err := c.Ping(ask)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

// Announcements listens to what writers say after each transaction. While the server cannot be reached there is nothing to hear; the
// first thing after that is an announcement.
func (s *Store) Announcements(ctx context.Context) (<-chan struct{}, error) {
	c, err := s.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen for changes: %w", advised(err))
	}
	if !s.begin() {
		c.Close(ctx) //nolint:errcheck // it was only listening
		return nil, errors.New("listen for changes: the index is closed")
	}
	heard := make(chan struct{}, 1)
	ctx, stop := s.until(ctx)
	go func() {
		defer s.busy.Done()
		defer stop()
		for ; c != nil; c = s.listenAgain(ctx) {
			hear(ctx, c, heard)
		}
	}()
	return heard, nil
}

func (s *Store) listen(ctx context.Context) (*pgx.Conn, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it failed
		return nil, err
	}
	return c, nil
}

// listenAgain connects until it succeeds; nil when ctx ends.
func (s *Store) listenAgain(ctx context.Context) *pgx.Conn {
	for pause := tryFirst; ; pause = min(2*pause, tryLast) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if c, err := s.listen(ctx); err == nil {
			return c
		}
	}
}

// hear passes on what is announced, at once and after that, until the connection ends.
func hear(ctx context.Context, c *pgx.Conn, heard chan<- struct{}) {
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it may be broken
	for {
		select {
		case heard <- struct{}{}:
		default: // one is waiting to be taken
		}
		if _, err := c.WaitForNotification(ctx); err != nil {
			return
		}
	}
}
