package postgres_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"iod/index"
	"iod/index/postgres"
	"iod/index/postgres/pgtest"
	"iod/index/sqlite"
	"iod/index/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Main(m))
}

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Suite(t, func(t testing.TB) index.Store { return open(t, pgtest.Database(t)) })
}

// shared opens one database as often as it is called.
func shared(t testing.TB) func(testing.TB) storetest.Shared {
	url := pgtest.Database(t)
	return func(t testing.TB) storetest.Shared { return open(t, url) }
}

func TestShared(t *testing.T) {
	t.Parallel()
	t.Run("Leaders", func(t *testing.T) { storetest.Leaders(t, shared(t)) })
	t.Run("Succession", func(t *testing.T) { storetest.Succession(t, shared(t)) })
	t.Run("Announcing", func(t *testing.T) { storetest.Announcing(t, shared(t)) })
}

// The two stores tell the same of one chain, to the last id, rank and order.
func TestSameAsSQLite(t *testing.T) {
	t.Parallel()
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	first, source := uint32(0), storetest.Random(t, 31, 300, 9)
	var dumps []string
	for _, s := range []index.Store{file, open(t, pgtest.Database(t))} {
		storetest.Fill(t, s, index.Options{Source: source, From: &first})
		dumps = append(dumps, storetest.Dump(t, s, storetest.Accounts(t, 9)...))
	}
	if dumps[0] != dumps[1] || len(dumps[0]) < 10_000 {
		t.Errorf("SQLite's dump has %d bytes, PostgreSQL's %d, and they differ", len(dumps[0]), len(dumps[1]))
	}
}
