package sqlite

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"iod/index"
)

// TestAdviceOnOpening: what cannot be opened is told with what to do.
func TestAdviceOnOpening(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent", "index.db"): "its directory must exist",
		dir:                                      "its directory must exist",
		garbage:                                  "the file is something else",
	} {
		s, err := Open(t.Context(), path)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestAdviceOnWriting: what keeps an open store from writing is told with what to do, and once it is over writing goes on.
func TestAdviceOnWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Reset(t.Context(), index.Origin{}); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	do := func(db *sql.DB, q string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	do(s.write, "PRAGMA busy_timeout = 0")
	write := func() error {
		return s.Update(t.Context(), func(tx index.Tx) error {
			return tx.SetAside(context.Background(), index.Aside{Raw: make([]byte, 1<<20), Reason: "x"})
		})
	}
	other.SetMaxOpenConns(1)
	for _, x := range []struct {
		db          *sql.DB
		begin, want string
		end         string
	}{
		{s.write, "PRAGMA max_page_count = 10", "make room on the disk", "PRAGMA max_page_count = 1073741823"},
		{s.write, "PRAGMA query_only = 1", "let this user write", "PRAGMA query_only = 0"},
		{other, "BEGIN IMMEDIATE", "another program holds the file", "ROLLBACK"},
	} {
		do(x.db, x.begin)
		if err := write(); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.begin, err, x.want)
		}
		do(x.db, x.end)
		if err := write(); err != nil {
			t.Errorf("after %s: %v", x.end, err)
		}
	}
	if st, err := s.State(t.Context()); err != nil || st.SetAside != 3 {
		t.Errorf("%d writes are kept, %v", st.SetAside, err)
	}
}
