// Package sqlite keeps an index in one SQLite file: one writer, any number of readers, in this process and in others
// (write-ahead log).
//
// The cursor moves in the transaction that takes the blocks in. So the log need not be synced at each commit
// (synchronous = NORMAL): after kill -9 nothing committed is missing, and after a power cut the file is as of some commit
// shortly before, cursor and data alike; the blocks since are read again.
//
// # How it searches
//
// A listing's rank is its rowid, and words has the same. What searches filter by is in offer, a narrow row for each stream, and in each of
// its indexes: so a search looks at index entries alone, of which it can see about ten million a second, and reads the rows of its answer
// only, which are rendered already.
//
//	offer                 by rank                     walked for the newest
//	offer_combo           by type+kind+unit and rank  the same within a combination, of which there are few
//	offer_price           by price and rank           walked for the cheapest or dearest
//	offer_combo_price     both
//	offer_cell            by place on a curve         boxes and circles are stretches of it; for the nearest, circles that grow
//	listing_owner, words  by owner, by word, and rank
//
// Beside them stand counts of offers by combination, by square of the globe, by step of price and of time, and of listings by word. From
// these plan reckons what each filter leaves, and chooses among walks in the order of the answer, which end when the page is full, and
// going through all that one filter leaves. A word of a search may begin several words: term has them all, so that each is looked for by
// itself, in the order of ranks; said tells of a listing whether it has them. A search that takes too long all the same is index.ErrTooBroad.
//
// The schema is the files of migrations, wordsByPrefix and byRank, applied in order when the file is opened.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"iod/index"
)

// readers is how many connections answer reads at once.
const readers = 4

// The memory that connections keep pages in, in KiB. Each page takes twice its size, since it is allocated with a few bytes more than a
// power of two; the kernel keeps the file anyhow.
const (
	writerCache = 4096
	readerCache = 1024
)

// Store is an index in a SQLite file. It is safe for concurrent use.
type Store struct {
	write    *sql.DB // one connection
	read     *sql.DB
	readers  chan *reader // those that nobody uses now
	stmts    statements
	now      func() time.Time
	patience time.Duration // of a search
	choose   func(s *stats, o index.Order, need float64) choice

	closing sync.Once
	writing sync.Mutex
	names   names // of the one who is writing
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
	s := &Store{now: time.Now, patience: patience, choose: plan}
	if s.write, err = sql.Open("sqlite", dsn(abs, "_txlock=immediate", fmt.Sprintf("_pragma=cache_size(-%d)", writerCache), "_pragma=wal_autocheckpoint(8192)")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if err := s.stmts.prepare(ctx, s.write); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if s.read, err = sql.Open("sqlite", dsn(abs, "_query_only=1", fmt.Sprintf("_pragma=cache_size(-%d)", readerCache))); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.read.SetMaxOpenConns(2 * readers) // as many for those who want a transaction of their own
	s.read.SetMaxIdleConns(readers)
	s.readers = make(chan *reader, readers)
	for range readers {
		s.readers <- &reader{}
	}
	return s, nil
}

// dsn names the file with the settings of its connections; any character may stand in path. The size of pages holds for new files: in
// larger ones more listings fit without waste.
func dsn(path string, settings ...string) string {
	s := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=page_size(8192)&_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=1"
	for _, x := range settings {
		s += "&" + x
	}
	return s
}

// Close waits for what is being read and written and closes the file.
func (s *Store) Close() error {
	err := errors.Join(s.stmts.close(), s.closeReaders(), s.read.Close(), s.write.Close())
	if err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// closeReaders waits for what is being read.
func (s *Store) closeReaders() (err error) {
	s.closing.Do(func() {
		for range readers {
			err = errors.Join(err, (<-s.readers).close())
		}
		close(s.readers)
	})
	return err
}

// Reset empties the store and notes which chain it is going to follow.
func (s *Store) Reset(ctx context.Context, o index.Origin) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.names.forget()
	err := s.transact(ctx, func(t *sql.Tx) error {
		for _, q := range []string{
			"DELETE FROM offer", "DELETE FROM combo", "DELETE FROM word", "DELETE FROM term", "DELETE FROM said", "DELETE FROM area", "DELETE FROM step", "DELETE FROM legacy", "DELETE FROM listing",
			"DELETE FROM history", "DELETE FROM set_aside", "DELETE FROM document",
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
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.transact(ctx, func(t *sql.Tx) error {
		x := s.begin(t)
		defer func() { x.ahead.Close() }()
		if err := x.check(ctx); err != nil {
			return err
		}
		if err := f(x); err != nil {
			return err
		}
		return x.finish(ctx)
	})
	if err != nil {
		s.names.forget()
	}
	return advised(err)
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
