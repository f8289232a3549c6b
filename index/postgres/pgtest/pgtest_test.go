package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"iod/index/postgres/pgtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Main(m))
}

func value(t *testing.T, url, q string) (s string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), q).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDatabasesAreApart(t *testing.T) {
	one, two := pgtest.Database(t), pgtest.Database(t)
	const name = "SELECT current_database()"
	if a, b := value(t, one, name), value(t, two, name); a == b {
		t.Errorf("both are called %s", a)
	}
}

func TestStopAndStart(t *testing.T) {
	s := pgtest.New(t, "work_mem=3MB")
	url := s.Database(t)
	if got := value(t, url, "SHOW work_mem"); got != "3MB" {
		t.Errorf("work_mem %s, want 3MB", got)
	}
	for _, end := range []func(testing.TB){s.Stop, s.Crash} {
		end(t)
		if _, err := pgx.Connect(t.Context(), url); err == nil {
			t.Fatal("a stopped server answers")
		}
		s.Start(t)
		if got := value(t, s.TCP("test_1"), "SELECT current_database()"); got != "test_1" {
			t.Errorf("connected to %s", got)
		}
	}
}
