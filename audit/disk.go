package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// file is what a record needs of the file that it is written to.
type file interface {
	io.ReaderAt
	io.Writer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

func openFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
}

// disk is the record's files.
type disk struct {
	dir  string
	size int64 // after which a new file begins
	open func(path string) (file, error)

	f  file // nil: not open
	at int64
}

// path is where the files are: 0 is the newest.
func path(dir string, i int) string {
	if i == 0 {
		return filepath.Join(dir, "audit.jsonl")
	}
	return filepath.Join(dir, fmt.Sprintf("audit.%d.jsonl", i))
}

// write appends entries and makes them last. It returns how many were written whole; what a failed one has left is taken back.
func (d *disk) write(entries []Entry) (done int, err error) {
	for len(entries) > done {
		if err := d.ready(); err != nil {
			return done, err
		}
		var chunk []byte
		n := 0
		for _, e := range entries[done:] {
			if n > 0 && d.at+int64(len(chunk)) >= d.size {
				break
			}
			chunk, n = append(chunk, e.line()...), n+1
		}
		if _, err := d.f.Write(chunk); err != nil {
			return done, errors.Join(err, d.undo())
		}
		d.at += int64(len(chunk))
		done += n
		if err := d.f.Sync(); err != nil { // what was written may be there or not: it is not written again
			return done, errors.Join(err, d.undo())
		}
	}
	return done, nil
}

// undo takes back what stands behind the last whole entry, and opens the file anew next time.
func (d *disk) undo() error {
	err := d.f.Truncate(d.at)
	d.close()
	return err
}

func (d *disk) close() {
	if d.f != nil {
		_ = d.f.Close() // what matters was synced
		d.f = nil
	}
}

// ready opens the newest file, heals it, and begins another one when it is full.
func (d *disk) ready() error {
	if d.f != nil && d.at < d.size {
		return nil
	}
	if d.f == nil {
		f, err := d.open(path(d.dir, 0))
		if err != nil {
			return err
		}
		if d.f = f; true {
			if d.at, err = heal(f); err != nil {
				d.close()
				return err
			}
		}
		if d.at < d.size {
			return nil
		}
	}
	d.close()
	for i := files - 1; i > 0; i-- {
		if err := os.Rename(path(d.dir, i-1), path(d.dir, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return d.ready()
}

// maxLine bounds a line in bytes, for reading.
const maxLine = 16 << 10

// heal takes out what a loss of power has torn at the end of a file, and returns its size.
func heal(f file) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	for size > 0 {
		tail := make([]byte, min(size, maxLine))
		if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		end := bytes.LastIndexByte(tail, '\n') + 1
		if end == 0 { // nothing that could be a line
			size -= int64(len(tail))
			continue
		}
		size -= int64(len(tail) - end)
		start := bytes.LastIndexByte(tail[:end-1], '\n') + 1
		if json.Valid(tail[start:end]) || start == 0 && int64(end) < size {
			break
		}
		size -= int64(end - start)
	}
	if size == info.Size() {
		return size, nil
	}
	return size, f.Truncate(size)
}
