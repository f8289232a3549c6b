package update

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is what versions are kept on. Tests have one that loses what was not synced.
type disk interface {
	Make(dir string) error            // and those above, as durably as files
	Read(path string) ([]byte, error) // small files
	Open(path string) (io.ReadCloser, error)
	Append(path string) (file, int64, error) // made when it is not there; with its size
	Rename(from, to string) error
	Remove(path string) error
	List(dir string) ([]string, error) // names; none when there is no directory
	Sync(dir string) error
	Free(dir string) (uint64, error) // bytes
}

type file interface {
	io.WriteCloser
	Truncate(size int64) error // and go on from there
	Sync() error
	Executable() error
}

// realDisk is the file system.
type realDisk struct{}

// dirMode lets programs of other users reach their files, whose names they know, and list nothing.
const dirMode = 0o711

func (realDisk) Make(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := (realDisk{}).Make(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return realDisk{}.Sync(parent)
}

func (realDisk) Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

func (realDisk) Open(path string) (io.ReadCloser, error) { return os.Open(path) }

func (realDisk) Append(path string) (file, int64, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return realFile{f}, info.Size(), nil
}

func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) Remove(path string) error     { return os.Remove(path) }

func (realDisk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (realDisk) Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func (realDisk) Free(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

type realFile struct{ *os.File }

func (f realFile) Executable() error { return f.Chmod(0o755) }
