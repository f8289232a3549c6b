// Package control is the local socket by which commands on the same machine talk to a running device: HTTP over a Unix socket that
// only the user who runs it, and root, can use.
//
//	<state directory>/control.sock      mode 0600; the kernel says who is at the other end, and both ends look
//	@iod/<blake2 of the directory>      Linux, where the directory cannot be written: a name that needs no file system
//
// Nothing of it can be reached over a network. A socket that a killed process left behind is replaced: whoever listens holds the lock of
// the state directory, so that none is in use. Paths that are longer than what the kernel takes (108 bytes) work on Linux.
package control

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/blake2b"
)

// name is the socket's in the state directory.
const name = "control.sock"

// maxConns bounds the connections that are served at a time; a command makes one.
const maxConns = 32

// Errors of the socket; test for them with errors.Is.
var (
	// ErrNotRunning says that nobody listens.
	ErrNotRunning = errors.New("no device runs with this state directory")
	// ErrStranger says that the other end belongs to another user.
	ErrStranger = errors.New("the other end of the socket belongs to another user")
)

// abstractName stands for the socket where the directory cannot be written.
func abstractName(dir string) string {
	sum := blake2b.Sum256([]byte(filepath.Clean(dir)))
	return "@iod/" + hex.EncodeToString(sum[:16])
}

// Listen opens the socket of a state directory; where tells which it is. The caller holds the directory's lock. Connections of other
// users are closed at once.
func Listen(dir string) (ln net.Listener, where string, err error) {
	path := filepath.Join(dir, name)
	u, err := listenFile(dir, path)
	where = path
	if err != nil {
		var again error
		if where, u, again = listenAbstract(dir); again != nil {
			return nil, "", fmt.Errorf("listen on %s: %w; nor: %w", path, err, again)
		}
	}
	return &guarded{UnixListener: u}, where, nil
}

func listenFile(dir, path string) (*net.UnixListener, error) {
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("something that is no socket has this name")
	case err == nil:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	short, done, err := shorten(dir, name)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // its name may be gone, and another one's by then
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// guarded accepts connections of the same user and of root.
type guarded struct{ *net.UnixListener }

// Accept implements net.Listener.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if friendly(c, false) == nil {
			return c, nil
		}
		c.Close()
	}
}

// friendly checks that the process at the other end runs as this user or as root. Root may ask whomever it wants.
func friendly(c *net.UnixConn, asking bool) error {
	uid, err := peerUID(c)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // the permissions of the file and its directory must do
	}
	if err != nil {
		return err
	}
	if me := os.Geteuid(); uid != me && uid != 0 && !(asking && me == 0) {
		return fmt.Errorf("%w (%d)", ErrStranger, uid)
	}
	return nil
}

// Serve answers requests on ln until ctx ends; it waits for those under way, but not for long, and returns nil then.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	var open atomic.Int64
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState: func(c net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				if open.Add(1) > maxConns {
					c.Close()
				}
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		srv.Close()
	}
	<-served
	return nil
}

// Client returns a client whose requests, to whatever host, go to the device that runs with the state directory. Their errors wrap
// ErrNotRunning when there is none.
func Client(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, ResponseHeaderTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
	}}
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	c, err := dialFile(ctx, dir)
	if err != nil {
		var again error
		if c, again = dialAbstract(ctx, dir); again != nil {
			if errors.Is(err, fs.ErrPermission) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", ErrNotRunning, cmp.Or(err, again))
		}
	}
	if err := friendly(c, true); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func dialFile(ctx context.Context, dir string) (*net.UnixConn, error) {
	short, done, err := shorten(dir, name)
	if err != nil {
		return nil, err
	}
	defer done()
	return dialUnix(ctx, short)
}

func dialUnix(ctx context.Context, path string) (*net.UnixConn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
