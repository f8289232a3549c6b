//go:build !linux

package control

import (
	"context"
	"errors"
	"net"
	"path/filepath"
)

func shorten(dir, name string) (path string, done func(), err error) {
	return filepath.Join(dir, name), func() {}, nil
}

func listenAbstract(string) (string, *net.UnixListener, error) {
	return "", nil, errors.ErrUnsupported
}

func dialAbstract(context.Context, string) (*net.UnixConn, error) { return nil, errors.ErrUnsupported }

func peerUID(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }
