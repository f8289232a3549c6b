package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"iod/index"
	"iod/index/postgres"
	"iod/index/postgres/pgtest"
	"iod/index/storetest"
)

const (
	seed, blocks, devices = 21, 200, 6
	patience              = 60 * time.Second
)

// slow is a chain whose blocks take a few milliseconds.
type slow struct{ *storetest.Chain }

func (s slow) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for b, err := range s.Chain.Follow(ctx, from) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// want is the dump of an index that met with no fault.
func want(t *testing.T) string {
	t.Helper()
	s, first := open(t, pgtest.Database(t)), uint32(0)
	storetest.Fill(t, s, index.Options{Source: storetest.Random(t, seed, blocks, devices), From: &first})
	return storetest.Dump(t, s, storetest.Accounts(t, devices)...)
}

// lead runs an index over the chain until stop is called, which reports how it ended.
func lead(t *testing.T, s *postgres.Store, log *slog.Logger) (stop func()) {
	first := uint32(0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- index.Lead(ctx, s, index.Options{Source: slow{storetest.Random(t, seed, blocks, devices)}, Store: s, From: &first, Log: log}, nil)
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// reach waits until the store has taken a block in.
func reach(t *testing.T, s *postgres.Store, block uint32) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) { // others are at work
		st, err := s.State(t.Context())
		if last = err; err == nil && st.Cursor != nil && st.Cursor.Number >= block {
			return
		}
	}
	t.Fatalf("block %d is not reached within %v (%v)", block, patience, last)
}

func compare(t *testing.T, s *postgres.Store, want string) {
	t.Helper()
	if got := storetest.Dump(t, s, storetest.Accounts(t, devices)...); got != want {
		t.Errorf("after the faults another index: %d bytes of dump in place of %d", len(got), len(want))
	}
}

// A server that goes away and comes back, in order or not, costs nothing but time; meanwhile readers are told.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	want := want(t)
	server := pgtest.New(t)
	s := open(t, server.Database(t))
	defer lead(t, s, nil)()
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var good, away atomic.Int64
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, err := s.Search(ctx, index.Query{DataTypes: []string{"wind_speed"}})
				switch {
				case err == nil:
					good.Add(1)
				case errors.Is(err, index.ErrUnavailable):
					away.Add(1)
				case ctx.Err() == nil:
					t.Errorf("a reader is told: %v", err)
					return
				}
			}
		})
	}
	for i, end := range []func(testing.TB){server.Stop, server.Crash, server.Stop} {
		reach(t, s, uint32(i+1)*40)
		end(t)
		n := away.Load()
		for deadline := time.Now().Add(patience); away.Load() == n; time.Sleep(time.Millisecond) { // readers are at work
			if time.Now().After(deadline) {
				t.Fatal("readers are not told that the server is away")
			}
		}
		server.Start(t)
		n = good.Load()
		reach(t, s, uint32(i+1)*40+10)
		for deadline := time.Now().Add(patience); good.Load() == n; time.Sleep(time.Millisecond) { // readers are at work
			if time.Now().After(deadline) {
				t.Fatal("readers find nothing although the server is back")
			}
		}
	}
	reach(t, s, blocks)
	cancel()
	readers.Wait()
	compare(t, s, want)
}

// admin is a connection beside the store.
func admin(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// Connections that are cut at any moment, in the middle of transactions too, lose and repeat nothing.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	want := want(t)
	url := pgtest.Database(t)
	s, other := open(t, url), admin(t, url)
	stop := lead(t, s, nil)
	cut, inside := 0, 0
	for deadline := time.Now().Add(patience); ; {
		st, err := s.State(t.Context())
		if err == nil && st.Cursor != nil && st.Cursor.Number >= blocks {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the index stays at %+v, %v", st.Cursor, err)
		}
		var all, within int
		err = other.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE xact) FROM (SELECT pg_terminate_backend(pid), xact_start IS NOT NULL AS xact
			FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) x`).Scan(&all, &within)
		if err != nil {
			t.Fatal(err)
		}
		cut, inside = cut+all, inside+within
		reachFurther(t, s, st.Cursor)
	}
	stop()
	if cut < 10 || inside == 0 {
		t.Errorf("%d connections were cut, %d within a transaction: the test shows less than it should", cut, inside)
	}
	compare(t, s, want)
}

// reachFurther waits until at least one more block is in.
func reachFurther(t *testing.T, s *postgres.Store, than *index.Cursor) {
	t.Helper()
	next := uint32(1)
	if than != nil {
		next = than.Number + 1
	}
	reach(t, s, min(next, blocks))
}

// Transactions that the server rolls back are tried again.
func TestSerializationFailures(t *testing.T) {
	t.Parallel()
	want := want(t)
	url := pgtest.Database(t)
	s, other := open(t, url), admin(t, url)
	for _, q := range []string{
		"CREATE SEQUENCE attempts", // which a rollback does not take back
		`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('attempts') % 3 = 0 THEN RAISE EXCEPTION 'could not serialize' USING ERRCODE = CASE WHEN lastval() % 2 = 0 THEN '40001' ELSE '40P01' END; END IF;
			RETURN NULL; END $$`,
		"CREATE CONSTRAINT TRIGGER fail AFTER UPDATE OF number ON progress DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()", // at the commit
	} {
		if _, err := other.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	defer lead(t, s, nil)()
	reach(t, s, blocks)
	compare(t, s, want)
	var attempts int
	if err := other.QueryRow(t.Context(), "SELECT last_value FROM attempts").Scan(&attempts); err != nil || attempts < 6 {
		t.Errorf("%d transactions, %v: none failed", attempts, err)
	}
}

// A reset that the server rolls back in favour of a search is tried again.
func TestResetDeadlock(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, watch, other := open(t, url), admin(t, url), admin(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := s.Campaign(ctx); err != nil {
		t.Fatal(err)
	}
	// The reader is in no hurry to find out who waits for whom: it is the reset that is rolled back.
	if _, err := other.Exec(ctx, "SET deadlock_timeout = '1min'; BEGIN; LOCK TABLE listing IN ACCESS SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Reset(ctx, index.Origin{Start: 7}) }()
	for waits := false; !waits; {
		if err := watch.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'listing'::regclass AND NOT granted").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Exec(ctx, "LOCK TABLE said IN ACCESS SHARE MODE; COMMIT"); err != nil {
		t.Errorf("the reader: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for deadlocks := 0; deadlocks == 0; { // the server counts a little later
		if err := watch.QueryRow(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks); err != nil {
			t.Fatal(err)
		}
	}
	var start int64
	if err := watch.QueryRow(ctx, "SELECT start FROM progress").Scan(&start); err != nil || start != 7 {
		t.Errorf("begins at %d, %v", start, err)
	}
}

// A full disk stops the index, and says so; when there is room it goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	want := want(t)
	server := pgtest.New(t)
	disk := filepath.Join(server.Dir(), "small")
	if err := server.Mkdir(disk); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be had: mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	space := filepath.Join(disk, "space")
	if err := server.Mkdir(space); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, fmt.Sprintf("CREATE TABLESPACE small LOCATION '%s'", space), "CREATE DATABASE full_disk TABLESPACE small")
	s := open(t, server.URL("full_disk"))
	ballast := filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1<<12); err == nil; {
		_, err = f.Write(b)
	}
	f.Close()
	told := &listener{heard: make(chan string, 100)}
	defer lead(t, s, slog.New(told))()
	for text := ""; !strings.Contains(text, "make room"); {
		select {
		case text = <-told.heard:
		case <-time.After(patience):
			t.Fatal("nothing says that the disk is full")
		}
	}
	if _, err := s.Search(t.Context(), index.Query{}); err != nil {
		t.Errorf("a search with a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	reach(t, s, blocks)
	compare(t, s, want)
}

// listener passes on what is logged.
type listener struct{ heard chan string }

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }
func (l *listener) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *listener) WithGroup(string) slog.Handler            { return l }
func (l *listener) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	select {
	case l.heard <- text:
	default:
	}
	return nil
}

// Several processes may make a new database's schema at once; a newer schema is left alone.
func TestSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			s, err := postgres.Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
	s, other := open(t, url), admin(t, url)
	if _, err := other.Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), url); err == nil || !strings.Contains(err.Error(), "written by a newer iod") {
		t.Errorf("a newer schema: %v", err)
	}
	if _, err := s.Campaign(t.Context()); err == nil || !strings.Contains(err.Error(), "written by a newer iod") {
		t.Errorf("to write into a newer schema: %v", err)
	}
}

// A writer whose session was cut, and that does not know it, cannot write once another was chosen; what it was about to commit comes
// before.
func TestDeposed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, two, other := open(t, url), open(t, url), admin(t, url)
	lost, err := one.Campaign(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Reset(t.Context(), index.Origin{Genesis: index.Hash{1}}); err != nil {
		t.Fatal(err)
	}
	elected := make(chan error, 1)
	err = one.Update(t.Context(), func(tx index.Tx) error {
		var cut int
		if err := other.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&cut); err != nil || cut != 1 {
			return fmt.Errorf("%d sessions hold the lock, %w", cut, err)
		}
		go func() {
			_, err := two.Campaign(t.Context())
			elected <- err
		}()
		for waiting := 0; waiting == 0; { // for the row, behind this transaction
			if err := other.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE progress SET epoch%'
				AND datname = current_database()`).Scan(&waiting); err != nil {
				return err
			}
		}
		select {
		case err := <-elected:
			return fmt.Errorf("another was chosen while a transaction was under way: %v", err)
		default:
		}
		return tx.Advance(t.Context(), nil, []index.Cursor{{Number: 1}}, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-elected; err != nil {
		t.Fatal(err)
	}
	nothing := func(index.Tx) error { return nil } // not even what does not move the cursor
	if err := one.Update(t.Context(), nothing); !errors.Is(err, index.ErrOtherWriter) {
		t.Errorf("the deposed writer writes: %v", err)
	}
	if err := one.Reset(t.Context(), index.Origin{}); !errors.Is(err, index.ErrOtherWriter) {
		t.Errorf("the deposed writer empties the index: %v", err)
	}
	if err := two.Update(t.Context(), nothing); err != nil {
		t.Errorf("its successor: %v", err)
	}
	if st, err := two.State(t.Context()); err != nil || st.Cursor == nil || st.Cursor.Number != 1 {
		t.Errorf("what was committed before is lost: %+v, %v", st, err)
	}
	select {
	case <-lost:
	case <-time.After(patience):
		t.Error("the deposed writer never hears of it")
	}
}
