// Package pgtest gives tests PostgreSQL databases: a server of this machine's own binaries, in a temporary directory, started once
// for a test binary or for one test, and a fresh database for each caller.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m).Run()) }
//
//	func TestX(t *testing.T) { store, err := postgres.Open(ctx, pgtest.Database(t)) … }
//
// Tests that need it are skipped, with the reason, where there is no PostgreSQL.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// shared is the server of this test binary.
var shared struct {
	mu     sync.Mutex
	server *Server
	err    error // why there is none
}

// Runner is what TestMain is given.
type Runner interface{ Run() int }

// Main returns m with a stop of the shared server after it, however the tests went. It is what TestMain runs.
func Main(m Runner) Runner { return stopping{m} }

type stopping struct{ Runner }

func (s stopping) Run() int {
	defer func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.server != nil {
			shared.server.remove()
			shared.server = nil
		}
	}()
	return s.Runner.Run()
}

// Database makes an empty database on the server that the tests of this binary share, and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	s, err := Shared()
	if err != nil {
		lacking(t, err)
	}
	return s.Database(t)
}

// Shared returns the server that the tests of this binary share; errors that wrap ErrAbsent say why there is none.
func Shared() (*Server, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start()
	}
	return shared.server, shared.err
}

// New starts a server for one test, with further settings of postgresql.conf such as "shared_buffers=1GB".
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := start(settings...)
	if err != nil {
		lacking(t, err)
	}
	t.Cleanup(s.remove)
	return s
}

// Database makes an empty database and returns its URL, over the server's Unix socket.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name, err := s.Create()
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log.tail())
	}
	return s.URL(name)
}

// Create makes an empty database and returns its name.
func (s *Server) Create() (name string, err error) {
	name = fmt.Sprintf("test_%d", s.databases.Add(1))
	return name, s.exec("CREATE DATABASE " + name)
}

// URL names a database of the server by its Unix socket, which asks for no password.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {s.dir}, "port": {s.port}, "user": {User}}.Encode()}).String()
}

// TCP names a database of the server by its loopback address, which asks for Password.
func (s *Server) TCP(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(User, Password), Host: s.Address(), Path: "/" + database, RawQuery: "sslmode=disable"}).String()
}

// Exec runs statements as the superuser, each in a transaction of its own, in the database "postgres".
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	if err := s.exec(statements...); err != nil {
		t.Fatalf("%v\n%s", err, s.log.tail())
	}
}

func (s *Server) exec(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer c.Close(ctx)
	for _, q := range statements {
		if _, err := c.Exec(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}
