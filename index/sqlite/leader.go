package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"iod/index"
)

var (
	_ index.Leader    = (*Store)(nil)
	_ index.Announcer = (*Store)(nil)
)

// How often what cannot be waited for is looked at.
const (
	lockEvery   = 200 * time.Millisecond
	changeEvery = 50 * time.Millisecond
)

// Campaign waits for a lock on the file beside the database that has -writer after its name. The lock ends with ctx or with the
// process; it is not lost otherwise.
func (s *Store) Campaign(ctx context.Context) (<-chan struct{}, error) {
	path, err := s.path(ctx)
	if err != nil {
		return nil, fmt.Errorf("campaign for the index: %w", err)
	}
	f, err := os.OpenFile(path+"-writer", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("campaign for the index: %w", err)
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for {
		taken, err := lockFile(f)
		if err != nil {
			return nil, fmt.Errorf("campaign for the index: lock %s: %w", f.Name(), errors.Join(err, f.Close()))
		}
		if taken {
			lost := make(chan struct{})
			context.AfterFunc(ctx, func() {
				f.Close() //nolint:errcheck // nothing was written to it; and with it goes the lock
				close(lost)
			})
			return lost, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("campaign for the index: %w", errors.Join(ctx.Err(), f.Close()))
		}
	}
}

// path is that of the database's file.
func (s *Store) path(ctx context.Context) (path string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	return path, err
}

// Announcements looks at the file's data version, which any other connection's commit changes, many times a second, by a connection
// of its own.
func (s *Store) Announcements(ctx context.Context) (<-chan struct{}, error) {
	path, err := s.path(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen for changes: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, fmt.Errorf("listen for changes: %w", err)
	}
	db.SetMaxOpenConns(1) // the version is of a connection
	version, err := dataVersion(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("listen for changes: %w", errors.Join(err, db.Close()))
	}
	heard := make(chan struct{}, 1)
	go func() {
		defer db.Close()
		tick := time.NewTicker(changeEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := dataVersion(ctx, db)
			if err == nil && now == version {
				continue
			}
			version = now // of an error: there may have been a change
			select {
			case heard <- struct{}{}:
			default: // one is waiting to be taken
			}
		}
	}()
	return heard, nil
}

func dataVersion(ctx context.Context, db *sql.DB) (v int64, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, err
}
