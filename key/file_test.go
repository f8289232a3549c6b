package key

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFileRoundTrip(t *testing.T) {
	cheap(t)
	dir := t.TempDir()
	for _, s := range schemes {
		for _, word := range []string{"", password} {
			path := filepath.Join(dir, s.String()+word)
			p, phrase, err := GenerateFile(path, s, word, Meta{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != fileMode {
				t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
			}
			q, err := Load(path, Ed25519, pass(word)) // the file's scheme counts
			if err != nil || q.Public() != p.Public() {
				t.Errorf("%s: loaded %v, %v; want %s", path, q, err, p)
			}
			if r, err := FromURI(s, phrase); err != nil || r.Public() != p.Public() {
				t.Errorf("%s: the phrase gives %v, %v", path, r, err)
			}
			b, err := os.ReadFile(path)
			if err != nil || strings.Contains(string(b), strings.Fields(phrase)[0]+" ") {
				t.Errorf("%s holds the phrase, %v", path, err)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestSaveOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	a, b := alice(t, Sr25519), alice(t, Ed25519)
	if err := Save(path, a, "", Meta{}); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, b, "", Meta{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Save over a key: %v, want %v", err, fs.ErrExist)
	}
	if _, _, err := GenerateFile(path, Sr25519, "", Meta{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("GenerateFile over a key: %v, want %v", err, fs.ErrExist)
	}
	if p, err := Load(path, Sr25519, nil); err != nil || p.Public() != a.Public() {
		t.Errorf("the key is now %v, %v", p, err)
	}
	if err := Replace(path, b, "", Meta{}); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(path, Sr25519, nil); err != nil || p.Public() != b.Public() {
		t.Errorf("the replaced key is %v, %v", p, err)
	}
	link := path + "-link"
	if err := os.Symlink(path+"-nowhere", link); err != nil {
		t.Fatal(err)
	}
	if err := Save(link, a, "", Meta{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Save over a dangling link: %v, want %v", err, fs.ErrExist)
	}
	if err := Save(filepath.Join(path, "x"), a, "", Meta{}); err == nil {
		t.Error("Save into a directory that is a file")
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// TestCreateWithoutLinks takes the way of a file system that has no links, where Link fails as it does here from one
// that does not exist.
func TestCreateWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := create(filepath.Join(dir, "missing"), there); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if err := create(filepath.Join(dir, "missing"), filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("from nothing: %v", err)
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "old" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

func TestLoadLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, uri := range []string{"//Alice", developmentPhrase + "//Alice", "0x" + strings.Repeat("12", 32)} {
		for _, s := range schemes {
			if err := os.WriteFile(path, []byte("  "+uri+"\r\n\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := FromURI(s, uri)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := Load(path, s, unasked(t)); err != nil || p.Public() != want.Public() {
				t.Errorf("%s %s: in a file %v, %v; want %s", s, uri, p, err, want)
			}
			if p, err := Load(uri, s, unasked(t)); err != nil || p.Public() != want.Public() {
				t.Errorf("%s %s: %v, %v; want %s", s, uri, p, err, want)
			}
		}
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	words := strings.Fields(developmentPhrase)
	for _, c := range []struct{ name, source, text string }{
		{"empty name", "", "its name is empty"},
		{"missing", missing, "open key file " + missing + ": no such file or directory"},
		{"directory", dir, "not a regular file"},
		{"pipe", pipe, "not a regular file"},
		{"readable by others", write("others", "//Alice", 0o604), "mode is 0604): run chmod 600 " + dir},
		{"readable by the group", write("group", "//Alice", 0o640), "others may read it"},
		{"empty file", write("empty", "\n", 0o600), "it is empty"},
		{"two lines", write("lines", "//Alice\n//Bob\n", 0o600), "neither a wallet's JSON nor a secret URI"},
		{"huge", write("huge", strings.Repeat(" ", maxWallet+1), 0o600), "more than 65536 bytes"},
		{"no key", write("other", "SECRETWORD", 0o600), "not a BIP-39 phrase"},
		{"JSON of something else", write("json", `{"a":1}`, 0o600), "key file " + filepath.Join(dir, "json") + ": import key: not the JSON"},
		{"eleven words", strings.Join(words[1:], " "), "no such file"},
		{"eleven words and a path", strings.Join(words[1:], " ") + "//Alice", "no such file"},
		{"seed without 0x", strings.Repeat("ab", 32), "no such file"},
		{"single soft junction", "/no-such-directory", "no such file"},
	} {
		p, err := Load(c.source, Sr25519, unasked(t))
		if p != nil || err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, error %v; want %q in it", c.name, p, err, c.text)
			continue
		}
		for _, secret := range []string{words[3], "SECRET", "abab"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error quotes %s: %v", c.name, secret, err)
			}
		}
	}
	if _, err := Load(filepath.Join(dir, "group"), Sr25519, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("readable by the group: %v, want %v", err, ErrOpen)
	}
	if _, err := Load(missing, Sr25519, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v, want %v", err, fs.ErrNotExist)
	}
}

func FuzzKeyFile(f *testing.F) {
	cheap(f)
	b, err := alice(f, Sr25519).Export("", Meta{})
	if err != nil {
		f.Fatal(err)
	}
	addSeeds(f, b, []byte("//Alice\n"), []byte(developmentPhrase), nil, []byte("{"), []byte{0}, []byte("0x"+strings.Repeat("0", 64)))
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Load(path, Sr25519, nil)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	})
}
