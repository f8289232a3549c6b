package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"iod/document"
	"iod/index"
	"iod/key"
)

// TestMigrateWords: a file of the first schema keeps its listings findable by their words.
func TestMigrateWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(n byte, status index.Status) {
		l := &index.Listing{Account: key.AccountID{n}, Status: status, State: document.Verified, Expires: index.Never}
		l.Device.Account, l.Device.DataType = l.Account, "radiation"
		if err := s.Update(t.Context(), func(tx index.Tx) error { return tx.Put(context.Background(), l) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reset(t.Context(), index.Origin{}); err != nil {
		t.Fatal(err)
	}
	put(1, index.Live)
	put(2, index.Removed)
	backTo(t, s.write, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(3, index.Live)
	for text, want := range map[string]int{"radia": 2, "radiation": 2, "radiations": 0} {
		if page, err := s.Search(t.Context(), index.Query{Text: text}); err != nil || len(page.Found) != want {
			t.Errorf("%s: %d found, %v; want %d", text, len(page.Found), err, want)
		}
	}
	var schema string
	if err := s.read.QueryRow("SELECT sql FROM sqlite_schema WHERE name = 'words'").Scan(&schema); err != nil || len(schema) < 100 {
		t.Errorf("schema of words %q, %v", schema, err)
	}
}

// backTo takes a file back to an older schema, with what was in its words at that time.
func backTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithGoMigrations(wordsByPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}
