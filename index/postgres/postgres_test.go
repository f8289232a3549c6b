package postgres_test

import (
	"testing"

	"go.uber.org/goleak"

	"iod/index"
	"iod/index/postgres"
	"iod/index/postgres/pgtest"
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
