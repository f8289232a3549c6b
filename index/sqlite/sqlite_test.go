package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// temp opens a store in a new file that is closed at the test's end.
func temp(t testing.TB) *sqlite.Store {
	t.Helper()
	// Every character that means something in a URL may stand in a path.
	s := open(t, filepath.Join(t.TempDir(), "index 100%?#&ü.db"))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Suite(t, func(t testing.TB) index.Store { return temp(t) })
}

// shared opens one file as often as it is called.
func shared(t testing.TB) func(testing.TB) storetest.Shared {
	path := filepath.Join(t.TempDir(), "index.db")
	return func(t testing.TB) storetest.Shared {
		s := open(t, path)
		t.Cleanup(func() { s.Close() })
		return s
	}
}

func TestShared(t *testing.T) {
	t.Run("Leaders", func(t *testing.T) { storetest.Leaders(t, shared(t)) })
	t.Run("Succession", func(t *testing.T) { storetest.Succession(t, shared(t)) })
	t.Run("Announcing", func(t *testing.T) { storetest.Announcing(t, shared(t)) })
}
