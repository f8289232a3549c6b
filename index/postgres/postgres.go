// Package postgres keeps an index in a PostgreSQL database (14 or newer): one of any number of processes writes, all of them read.
//
// # Who writes
//
// The cursor moves in the transaction that takes the blocks in, and every such transaction locks the one row of progress first: so
// writers come one after another. Which process writes is settled by an advisory lock of a session of its own (Campaign), which
// the server gives up when the process ends or its connection does, and nobody has to wait out a lease. That a writer learns late that
// its session is gone does no harm: whoever gets the lock counts progress.epoch up, having waited for the row, and a transaction
// that finds another epoch than its own there is refused with index.ErrOtherWriter. A pooler in between must keep sessions apart
// (pgbouncer: pool_mode = session).
//
// # How it searches
//
// A search is one statement, whose form this package chooses by a sample of the listings (plan.go) rather than leave it to the planner, which
// knows nothing of the text in a prefix or of types and places that go together, and would take longer to think than to search.
// Connections that read are told to plan every form once and to walk indexes only.
//
// # What is in it
//
// The schema is the files of migrations, applied in order when the database is opened; an advisory lock lets several processes do so
// at once. Texts stand in the order of their bytes.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"iod/index"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many connections answer reads at once, unless the URL says pool_max_conns.
const readers = 8

// tooLong is how long the database may look for the answer to a search.
const tooLong = 2 * time.Second

// The advisory locks, within a database.
const (
	lockMigrate = 0x696f6401 // "iod" 1
	lockWrite   = 0x696f6402
)

// Store is an index in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	config  *pgx.ConnConfig // of single connections
	write   *pgxpool.Pool   // one connection
	read    *pgxpool.Pool
	epoch   atomic.Int64 // of this process's leadership; 0: it has none and needs none
	sample  sampler
	version int64 // of the schema
	choose  func(q *index.Query, words []string, g *guess, need int, unpriced bool) way
	now     func() time.Time
	closed  context.Context
	close   context.CancelFunc
	mu      sync.Mutex     // of adding to busy
	busy    sync.WaitGroup // whatever goes on beside the callers, until closed ends
}

// begin notes that something goes on beside the callers; it is not to when the store is closed. s.busy.Done ends it.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Err() != nil {
		return false
	}
	s.busy.Add(1)
	return true
}

var (
	_ index.Store     = (*Store)(nil)
	_ index.Leader    = (*Store)(nil)
	_ index.Announcer = (*Store)(nil)
)

// Is tells whether a database is named by a URL of PostgreSQL.
func Is(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Open connects to a database by its URL (postgres://…, with what libpq reads from the environment and its files) and brings its schema
// up to date. Its errors do not tell the password.
func Open(ctx context.Context, url string) (*Store, error) {
	s, err := open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", Redact(url), redacted(err, url))
	}
	return s, nil
}

func open(ctx context.Context, url string) (*Store, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "pool_max_conns") {
		c.MaxConns = readers
	}
	c.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "iod"
	}
	version, err := migrate(ctx, c.ConnConfig)
	if err != nil {
		return nil, advised(err)
	}
	s := &Store{config: c.ConnConfig.Copy(), now: time.Now, version: version, choose: choose}
	s.closed, s.close = context.WithCancel(context.WithoutCancel(ctx))
	if s.write, err = pgxpool.NewWithConfig(ctx, writing(c)); err != nil {
		return nil, advised(err)
	}
	if s.read, err = pgxpool.NewWithConfig(ctx, reading(c)); err != nil {
		s.write.Close()
		return nil, advised(err)
	}
	return s, nil
}

// settings make a pool of connections with settings of the server of their own.
func settings(c *pgxpool.Config, all map[string]string) *pgxpool.Config {
	c = c.Copy()
	for name, value := range all {
		c.ConnConfig.RuntimeParams[name] = value
	}
	return c
}

func writing(c *pgxpool.Config) *pgxpool.Config {
	w := settings(c, map[string]string{
		// A transaction whose writer cannot be heard any more must not keep its successor waiting.
		"idle_in_transaction_session_timeout": "20s", "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
		"lock_timeout": "30s", "plan_cache_mode": "force_generic_plan", "jit": "off",
	})
	w.MinConns, w.MinIdleConns, w.MaxConns = 0, 0, 1
	return w
}

func reading(c *pgxpool.Config) *pgxpool.Config {
	r := settings(c, map[string]string{
		"statement_timeout": strconv.FormatInt(tooLong.Milliseconds(), 10), "default_transaction_read_only": "on", "lock_timeout": "5s",
		"plan_cache_mode": "force_generic_plan", "jit": "off", "max_parallel_workers_per_gather": "0",
		"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_material": "off", "enable_sort": "off",
	})
	// A caller that goes away costs its statement, not the connection.
	r.ConnConfig.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: time.Second}
	}
	return r
}

// migrate brings the schema up to date. Of several processes that begin at once one does it.
func migrate(ctx context.Context, c *pgx.ConnConfig) (version int64, err error) {
	lock, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return 0, err
	}
	defer lock.Close(context.WithoutCancel(ctx)) // and so gives up the lock
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock($1)", lockMigrate); err != nil {
		return 0, fmt.Errorf("wait for another process to bring its schema up to date: %w", err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	db := stdlib.OpenDB(*c)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir)
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("read its schema version: %w", err)
	}
	if have > want {
		return 0, newerSchema(have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return 0, fmt.Errorf("bring its schema up to version %d: %w", want, err)
	}
	return want, nil
}

// Close gives up leadership, waits for what is being read and written, and closes the connections.
func (s *Store) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.busy.Wait()
	s.read.Close()
	s.write.Close()
	return nil
}

// resets bounds how often a reset that the server rolled back is tried again.
const resets = 10

// Reset empties the store and notes which chain it is going to follow. It needs every table for itself, and the server may roll it back
// in favour of a search that has some and wants another: then it begins again rather than lose what its writer is.
func (s *Store) Reset(ctx context.Context, o index.Origin) error {
	err := s.reset(ctx, o)
	for n := 1; n < resets && deadlocked(err) && ctx.Err() == nil; n++ {
		err = s.reset(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("reset index: %w", err)
	}
	return nil
}

func (s *Store) reset(ctx context.Context, o index.Origin) error {
	return s.transact(ctx, func(x *tx) error {
		// They are locked in the order in which searches go through them, or else the two might wait for each other.
		if _, err := x.t.Exec(ctx, "TRUNCATE said, offer, combo, listing, document, history, set_aside, link, entity, deed, owner, moment, anchor"); err != nil {
			return err
		}
		_, err := x.t.Exec(ctx, `UPDATE progress SET genesis = $1, start = $2, from_state = $3, committed = $4, number = NULL, hash = NULL,
			head = 0, change = 0, aside = 0, combo = 0, deed = 0, owner = 0, live = 0, verified = 0, ended = 0, set_aside = 0`,
			o.Genesis[:], o.Start, o.FromState, s.now().UnixMilli())
		return err
	})
}

// Update runs f in one transaction: all of it happens, or nothing.
func (s *Store) Update(ctx context.Context, f func(index.Tx) error) error {
	return s.transact(ctx, func(x *tx) error {
		if err := f(x); err != nil {
			return err
		}
		return x.finish(ctx)
	})
}

// transact runs f in a transaction that other writers wait for, and whose writer is the one that was chosen.
func (s *Store) transact(ctx context.Context, f func(*tx) error) error {
	t, err := s.write.Begin(ctx)
	if err != nil {
		return advised(fmt.Errorf("begin: %w", err))
	}
	x := newTx(s, t)
	err = x.begin(ctx)
	if err == nil {
		err = f(x)
	}
	if err == nil {
		if err = t.Commit(ctx); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// The transaction is over in any case: a connection that cannot roll back is closed.
	if back := t.Rollback(context.WithoutCancel(ctx)); back != nil && !errors.Is(back, pgx.ErrTxClosed) && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("roll back: %w", back))
	}
	return advised(err)
}
