// Package sqlite keeps an index in one SQLite file: one writer, any number of readers, in this process and in others
// (write-ahead log).
//
// The cursor moves in the transaction that takes the blocks in. So the log need not be synced at each commit
// (synchronous = NORMAL): after kill -9 nothing committed is missing, and after a power cut the file is as of some commit
// shortly before, cursor and data alike; the blocks since are read again.
//
// The schema is the files of migrations and wordsByPrefix, applied in order when the file is opened.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"iod/index"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many connections answer reads at once.
const readers = 4

// Store is an index in a SQLite file. It is safe for concurrent use.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
	stmts statements
	asked asked
	now   func() time.Time
}

var _ index.Store = (*Store)(nil)

// Open opens or makes the file and brings its schema up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, advised(err))
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{now: time.Now}
	if s.write, err = sql.Open("sqlite", dsn(abs, "_txlock=immediate", "_pragma=cache_size(-16384)")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if err := s.stmts.prepare(ctx, s.write); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if s.read, err = sql.Open("sqlite", dsn(abs, "_pragma=query_only(1)", "_pragma=cache_size(-8192)", "_pragma=mmap_size(1073741824)")); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return s, nil
}

// dsn names the file with the settings of its connections; any character may stand in path.
func dsn(path string, settings ...string) string {
	s := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)"
	for _, x := range settings {
		s += "&" + x
	}
	return s
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithGoMigrations(wordsByPrefix))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read its schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("its schema has version %d and this program knows %d: it was written by a newer iod", have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring its schema up to version %d: %w", want, err)
	}
	return nil
}

// Close waits for what is being read and written and closes the file.
func (s *Store) Close() error {
	err := errors.Join(s.stmts.close(), s.asked.close(), s.read.Close(), s.write.Close())
	if err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// Reset empties the store and notes which chain it is going to follow.
func (s *Store) Reset(ctx context.Context, o index.Origin) error {
	err := s.transact(ctx, func(t *sql.Tx) error {
		for _, q := range []string{
			"DELETE FROM offer", "DELETE FROM listing", "DELETE FROM history", "DELETE FROM set_aside", "DELETE FROM document",
			"DELETE FROM link", "DELETE FROM entity", "DELETE FROM deed", "DELETE FROM owner", "DELETE FROM moment",
			"DELETE FROM anchor", "DELETE FROM progress", "INSERT INTO words (words) VALUES ('delete-all')", "UPDATE tally SET n = 0",
		} {
			if _, err := t.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		_, err := t.ExecContext(ctx, "INSERT INTO progress (id, genesis, start, from_state, head, committed) VALUES (1, ?, ?, ?, 0, ?)",
			o.Genesis[:], o.Start, o.FromState, s.now().UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("reset index: %w", advised(err))
	}
	return nil
}

// Update runs f in one transaction: all of it happens, or nothing.
func (s *Store) Update(ctx context.Context, f func(index.Tx) error) error {
	return advised(s.transact(ctx, func(t *sql.Tx) error { return f(&tx{s: s, t: t}) }))
}

func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	t, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(t); err != nil {
		if back := t.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", back))
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
