package index_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/index"
	"iod/index/postgres"
	"iod/index/postgres/pgtest"
	"iod/index/sqlite"
)

// The environment of a process that follows a chain into a database: from block 0, until a block is taken in, or for ever (0).
const (
	envChain    = "IOD_TEST_FOLLOW_CHAIN"
	envDatabase = "IOD_TEST_FOLLOW_DATABASE"
	envUntil    = "IOD_TEST_FOLLOW_UNTIL"
)

// TestFollowChild is the process that TestRebuildIsTheSame starts and kills.
func TestFollowChild(t *testing.T) {
	url, database := os.Getenv(envChain), os.Getenv(envDatabase)
	if url == "" {
		t.Skip("not a child")
	}
	until, err := strconv.ParseUint(os.Getenv(envUntil), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	zero := uint32(0)
	c, err := chain.Dial(ctx, chain.Options{Endpoints: []string{url}})
	for errors.As(err, new(*chain.UnreachableError)) { // cut off while it begins
		c, err = chain.Dial(ctx, chain.Options{Endpoints: []string{url}})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := index.Options{Source: index.ChainSource(c), From: &zero, Notify: func(p index.Progress) {
		fmt.Println("at", p.Block)
		if until > 0 && p.Block >= uint32(until) {
			cancel()
		}
	}}
	if postgres.Is(database) {
		s, err := postgres.Open(ctx, database)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		o.Store = s
		err = index.Lead(ctx, s, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	s, err := sqlite.Open(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o.Store = s
	if err := index.Run(ctx, o); err != nil {
		t.Fatal(err)
	}
}

// follow starts the child; it is killed once it has told of so many steps (0: never). It returns when it is no more.
func follow(t *testing.T, url, database string, until uint32, steps int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFollowChild$")
	c.Env = append(os.Environ(), envChain+"="+url, envDatabase+"="+database, fmt.Sprint(envUntil, "=", until))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for told := bufio.NewScanner(out); told.Scan(); {
		if said = append(said, told.Text()); len(said) == steps {
			if err := c.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := c.Wait(); err != nil && (steps == 0 || c.ProcessState.Exited()) {
		t.Errorf("the child ended with %v: %s", err, strings.Join(said, "\n"))
	}
}

// leastRounds is how many rounds of what may happen on a chain make enough rows to compare.
const leastRounds = 150

// TestRebuildIsTheSame: an index that followed a random chain as it grew, killed with -9 again and again and started anew, and one
// built from the finished chain at once hold the same rows in every table, but for the clock.
func TestRebuildIsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel()
	for name, x := range map[string]struct {
		database func(t *testing.T) string
		dump     func(t *testing.T, database string) []string
	}{
		"SQLite":     {func(t *testing.T) string { return filepath.Join(t.TempDir(), "index.db") }, dumpSQLite},
		"PostgreSQL": {nil, dumpPostgres},
	} {
		t.Run(name, func(t *testing.T) {
			if x.database == nil {
				server := pgtest.New(t)
				x.database = func(t *testing.T) string { return server.Database(t) }
			}
			url, dev := devchaintest.Start(t, devchain.Options{})
			s, between := newStorm(t, 21, url, dev), newProxy(t, url)
			live := x.database(t)
			const kills = 6
			n := uint64(0)
			for range kills {
				steps, dead := 1+s.r.IntN(12), make(chan struct{})
				go func() {
					defer close(dead)
					follow(t, between.URL, live, 0, steps)
				}()
				s.cut = sync.OnceFunc(between.cut)
				grow(s, dead, &n)
			}
			for n < leastRounds { // children that die early leave little to compare
				n++
				s.round(n)
				s.weather()
			}
			head, _ := dev.Finalised()
			follow(t, url, live, head, 0)
			again := x.database(t)
			follow(t, url, again, head, 0)

			want, got := x.dump(t, again), x.dump(t, live)
			if len(want) < 500 {
				t.Errorf("only %d rows were compared", len(want))
			}
			t.Logf("%d rows after %d rounds, %d blocks", len(want), n, head)
			compareRows(t, got, want)
		})
	}
}

// grow has the chain grow until a child is dead: fast at first, and then as fast as a slow child needs it.
func grow(s *storm, dead <-chan struct{}, n *uint64) {
	for more := 40; ; more-- {
		if more > 0 {
			*n++
			s.round(*n)
			s.weather()
			select {
			case <-dead:
				return
			default:
			}
			continue
		}
		select {
		case <-dead:
			return
		case <-time.After(50 * time.Millisecond):
			s.blocks(1)
		}
	}
}

func compareRows(t *testing.T, got, want []string) {
	t.Helper()
	shown := 0
	for side, x := range map[string][2][]string{"only in the one that followed": {got, want}, "only in the rebuilt one": {want, got}} {
		other := map[string]bool{}
		for _, row := range x[1] {
			other[row] = true
		}
		for _, row := range x[0] {
			if !other[row] && shown < 20 {
				t.Errorf("%s: %s", side, row)
				shown++
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

// dumpSQLite lists the rows of every table. What a full-text table keeps for itself follows from its transactions; what it answers does
// not: so its words are listed.
func dumpSQLite(t *testing.T, path string) (rows []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list := func(q string) []string {
		t.Helper()
		found := queryAll(t, db, q)
		for i := range found {
			found[i] = strings.TrimPrefix(found[i], "name=")
		}
		return found
	}
	virtual := list("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING fts5%' ORDER BY name")
	if len(virtual) == 0 {
		t.Error("no table of words")
	}
	for _, table := range list("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name") {
		switch {
		case slices.Contains(virtual, table):
			if _, err := db.Exec("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, " + table + ", 'instance')"); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, prefixed(table, queryAll(t, db, "SELECT * FROM temp.vocabulary"))...)
			if _, err := db.Exec("DROP TABLE temp.vocabulary"); err != nil {
				t.Fatal(err)
			}
		case slices.ContainsFunc(virtual, func(v string) bool { return strings.HasPrefix(table, v+"_") }):
		default:
			rows = append(rows, prefixed(table, queryAll(t, db, "SELECT * FROM "+table))...)
		}
	}
	return rows
}

func prefixed(table string, rows []string) []string {
	for i := range rows {
		rows[i] = table + ": " + rows[i]
	}
	return rows
}

// clocks are the columns that tell of this machine's time and processes rather than of the chain.
var clocks = []string{"committed", "tstamp", "epoch"}

func queryAll(t *testing.T, db *sql.DB, q string) (all []string) {
	t.Helper()
	rows, err := db.Query(q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, dst := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			dst[i] = &values[i]
		}
		if err := rows.Scan(dst...); err != nil {
			t.Fatal(err)
		}
		all = append(all, line(names, values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func line(names []string, values []any) string {
	var b strings.Builder
	for i, v := range values {
		if slices.Contains(clocks, names[i]) {
			continue
		}
		if raw, ok := v.([]byte); ok {
			v = fmt.Sprintf("%x", raw)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%v", names[i], v)
	}
	return b.String()
}

// dumpPostgres lists the rows of every table.
func dumpPostgres(t *testing.T, url string) (all []string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	query := func(q string) (names []string, found [][]any) {
		t.Helper()
		rows, err := c.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for _, f := range rows.FieldDescriptions() {
			names = append(names, f.Name)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, values)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return names, found
	}
	_, tables := query("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1")
	for _, table := range tables {
		name := table[0].(string)
		names, found := query("SELECT * FROM " + name)
		for _, values := range found {
			all = append(all, name+": "+line(names, values))
		}
	}
	return all
}
