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
