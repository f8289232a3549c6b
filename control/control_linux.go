package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// shorten returns a path of a name in a directory that the kernel takes for a socket, however deep the directory is. It is good until
// done is called.
func shorten(dir, name string) (path string, done func(), err error) {
	if path := filepath.Join(dir, name); len(path) < 108 {
		return path, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), func() { unix.Close(fd) }, nil
}

func listenAbstract(dir string) (where string, ln *net.UnixListener, err error) {
	where = abstractName(dir)
	ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: where, Net: "unix"})
	return where, ln, err
}

func dialAbstract(ctx context.Context, dir string) (*net.UnixConn, error) {
	return dialUnix(ctx, abstractName(dir))
}

// peerUID asks the kernel who is at the other end.
func peerUID(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, fmt.Errorf("who is at the other end: %w", failed)
	}
	return int(cred.Uid), nil
}
