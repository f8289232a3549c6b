package key

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const fileMode = 0o600

// ErrOpen says that a key file is open to others than its owner; the message says how to close it.
var ErrOpen = errors.New("others may read it")

// Load reads a pair from a key file or a secret URI. source is a secret URI when it begins with "//" or "0x", or has
// the twelve words of a phrase; else it is the name of a file (so "/etc/iod/key" never is an account of the development
// phrase, and a file that is missing never turns into an account). The file holds the JSON that Save writes, whose
// scheme counts, or a secret URI on one line, read in scheme s. passphrase is asked only for an encrypted file, and may
// be nil. A file that others may read is refused with ErrOpen. No error quotes a secret.
func Load(source string, s Scheme, passphrase func() (string, error)) (*Pair, error) {
	if isURI(source) {
		return FromURI(s, source)
	}
	data, err := readFile(source)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	line := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(line, []byte("{")):
		var p *Pair
		if p, _, err = Import(line, passphrase); err == nil {
			return p, nil
		}
	case len(line) == 0:
		err = errors.New("it is empty")
	case bytes.ContainsAny(line, "\n\x00"):
		err = errors.New("it holds neither a wallet's JSON nor a secret URI on one line")
	default:
		var p *Pair
		if p, err = FromURI(s, string(line)); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("key file %s: %w", source, err)
}

func isURI(source string) bool {
	if strings.HasPrefix(source, "//") || strings.HasPrefix(source, "0x") {
		return true
	}
	phrase, _, _ := strings.Cut(source, "/")
	return len(strings.Fields(phrase)) >= 12
}

func readFile(name string) ([]byte, error) {
	shown := name
	if maybeSecret(name) {
		shown = "(its name is not shown, lest it is a mistyped secret)"
	}
	if name == "" {
		return nil, errors.New("open key file: its name is empty")
	}
	fail := func(err error) ([]byte, error) {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // without the name
		}
		return nil, fmt.Errorf("open key file %s: %w", shown, err)
	}
	// Asked before opening, since opening a pipe waits for its writer.
	info, err := os.Stat(name)
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(errors.New("it is not a regular file"))
	}
	f, err := os.Open(name)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return fail(err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fail(fmt.Errorf("%w (its mode is %04o): run chmod 600 %s", ErrOpen, mode, shown))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxWallet+1))
	if err != nil {
		return fail(err)
	}
	if len(data) > maxWallet {
		return fail(fmt.Errorf("it has more than %d bytes", maxWallet))
	}
	return data, nil
}

// maybeSecret reports whether a name may be a phrase with a word missing or a seed without 0x, which belong in no log.
func maybeSecret(name string) bool {
	return strings.ContainsAny(name, " \t\r\n") || len(name) >= 60 && strings.Trim(name, "0123456789abcdefABCDEF") == ""
}

// Save writes the pair's key file with mode 0600, encrypted unless the passphrase is empty (see Export). It appears
// whole or not at all, and nothing is ever overwritten: the error is fs.ErrExist if there is a file of that name.
func Save(path string, p *Pair, passphrase string, meta Meta) error {
	return save(path, p, passphrase, meta, create)
}

// Replace is Save for a file that may exist already, to change its passphrase.
func Replace(path string, p *Pair, passphrase string, meta Meta) error {
	return save(path, p, passphrase, meta, os.Rename)
}

// GenerateFile makes a new pair, saves it, and returns it with the 12-word phrase that it comes from, which is not in
// the file.
func GenerateFile(path string, s Scheme, passphrase string, meta Meta) (*Pair, string, error) {
	p, phrase, err := Generate(s)
	if err != nil {
		return nil, "", err
	}
	if err := Save(path, p, passphrase, meta); err != nil {
		return nil, "", err
	}
	return p, phrase, nil
}

// put moves a finished temporary file to its place.
type put func(temporary, path string) error

func save(path string, p *Pair, passphrase string, meta Meta, place put) error {
	data, err := p.Export(passphrase, meta)
	if err != nil {
		return err
	}
	defer clear(data)
	data = append(data, '\n')
	if err := write(path, data, place); err != nil {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	return nil
}

// write has what renameio does and, on top, leaves the choice of the last step to place.
func write(path string, data []byte, place put) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close() // an error if it is closed already
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(fileMode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// create is a put that overwrites nothing. A link is the one way to check and to place in a single step; on a file
// system without links another process could come in between.
func create(temporary, path string) error {
	err := os.Link(temporary, path)
	if err == nil {
		return os.Remove(temporary)
	}
	if _, there := os.Lstat(path); there == nil {
		return fs.ErrExist
	}
	return os.Rename(temporary, path)
}

// syncDir makes a new name survive a power cut, where directories can be synced.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}
