package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"iod/spareport"
)

// Who may connect over TCP.
const (
	User     = "postgres"
	Password = "not-a-secret-at-all"
)

// patience bounds every wait for the server.
const patience = time.Minute

// ErrAbsent says that this machine cannot run a server; every other error is a fault.
var ErrAbsent = errors.New("no PostgreSQL here: install Debian's package postgresql (.ci/deps does)")

func lacking(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrAbsent) {
		t.Skip(err)
	}
	t.Fatal(err)
}

// Server is a PostgreSQL server in a directory of its own. Its disk is not synced: it survives the end of processes, not a power cut.
type Server struct {
	bin, dir, port string
	as             *syscall.Credential // nil: this process's user
	settings       []string
	databases      atomic.Int64
	log            *journal

	process *os.Process
	done    chan struct{} // closed when the process has ended
}

// binaries returns the directory with the newest server's programs.
func binaries() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, "/usr/local/bin", "/usr/local/pgsql/bin", "/usr/bin") {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", ErrAbsent
}

// unprivileged finds a user to run the server as, which refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU == nil && errG == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("%w: root may not run it, and there is neither a user postgres nor nobody", ErrAbsent)
}

func start(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "iod-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, as: as, settings: settings, log: &journal{}}
	if err := errors.Join(s.init(), s.begin()); err != nil {
		s.remove()
		return nil, fmt.Errorf("start PostgreSQL of %s: %w\n%s", bin, err, s.log.tail())
	}
	return s, nil
}

// Dir is the server's directory, on the test's machine; it goes with the server.
func (s *Server) Dir() string { return s.dir }

// Mkdir makes a directory, or takes one that is there, for the server's user.
func (s *Server) Mkdir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil || s.as == nil {
		return err
	}
	return os.Chown(path, int(s.as.Uid), int(s.as.Gid))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// init makes the cluster.
func (s *Server) init() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(Password+"\n"), 0o600); err != nil {
		return err
	}
	if s.as != nil {
		for _, path := range []string{s.dir, secret} {
			if err := os.Chown(path, int(s.as.Uid), int(s.as.Gid)); err != nil {
				return err
			}
		}
	}
	c := s.command("initdb", "--pgdata", s.data(), "--username", User, "--pwfile", secret, "--auth-local", "trust", "--auth-host", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// command is a program of the server's, as its user and with nothing of this process's environment that could confuse it.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir, c.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	return c
}

// begin starts the server on the port that it has, or on a free one.
func (s *Server) begin() error {
	if s.port != "" {
		return s.listen()
	}
	var err error
	for range 5 { // another process may take the port before the server does
		if s.port, err = spareport.Find(); err != nil {
			return err
		}
		if err = s.listen(); err == nil {
			return nil
		}
	}
	return err
}

// listen starts the process and returns when it takes connections.
func (s *Server) listen() error {
	args := []string{"-D", s.data(), "-p", s.port, "-k", s.dir}
	for _, x := range append([]string{"listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=200",
		"logging_collector=off", "log_destination=stderr", "log_min_messages=warning", "autovacuum_naptime=60s"}, s.settings...) {
		args = append(args, "-c", x)
	}
	c := s.command("postgres", args...)
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	c.Stderr, c.Stdout = in, in
	started, ready, done := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() { // ends with the process, which remove and Stop wait for
		// Pdeathsig is sent when the thread ends that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := c.Start()
		in.Close()
		started <- err
		if err == nil {
			s.log.read(out, ready)
			c.Wait() //nolint:errcheck // how it ended stands in its log
		}
		out.Close()
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.done = c.Process, done
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-ready:
		return nil
	case <-done:
		return errors.New("the server ended")
	case <-late.C:
		return fmt.Errorf("the server is not ready within %v", patience)
	}
}

// Address is where the server listens: host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", s.port) }

// Stop ends the server as an administrator does: connections are cut, what is committed is on disk.
func (s *Server) Stop(t testing.TB) { s.end(t, syscall.SIGINT) }

// Crash ends the server without any tidying; it recovers when it is started again.
func (s *Server) Crash(t testing.TB) { s.end(t, syscall.SIGQUIT) }

func (s *Server) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.process.Signal(sig); err != nil {
		t.Fatalf("stop PostgreSQL: %v", err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatalf("PostgreSQL has not ended within %v\n%s", patience, s.log.tail())
	}
}

// Start starts a server that was stopped, where it was.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.begin(); err != nil {
		t.Fatalf("start PostgreSQL again: %v\n%s", err, s.log.tail())
	}
}

// remove ends the server and deletes all of it.
func (s *Server) remove() {
	if s.process != nil {
		s.process.Signal(syscall.SIGQUIT) //nolint:errcheck // it may have ended
		select {
		case <-s.done:
		case <-time.After(patience):
			s.process.Kill() //nolint:errcheck // nothing more can be done
			<-s.done
		}
	}
	os.RemoveAll(s.dir)
}

// journal keeps the end of what the server says.
type journal struct {
	mu    sync.Mutex
	lines []string
}

// read takes lines until the server ends, and closes ready at the one that says it is.
func (j *journal) read(r io.Reader, ready chan<- struct{}) {
	for in := bufio.NewScanner(r); in.Scan(); {
		if line := in.Text(); ready != nil && strings.Contains(line, "database system is ready to accept connections") {
			close(ready)
			ready = nil
		}
		j.mu.Lock()
		j.lines = append(j.lines[max(0, len(j.lines)-199):], in.Text())
		j.mu.Unlock()
	}
	io.Copy(io.Discard, r) //nolint:errcheck // after a line that is too long
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}
