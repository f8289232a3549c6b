package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"sync"

	"iod/web/earth"
)

//go:embed static
var static embed.FS

// file is a static file under a name that holds a hash of its content.
type file struct {
	url, kind string
	body      []byte
	packed    func() []byte
}

// files are the static files by their plain names and by their URLs.
type files struct{ byName, byURL map[string]*file }

func (f *files) add(name, kind string, body []byte) {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	url := "/static/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:5]) + ext
	one := &file{url, kind, body, sync.OnceValue(func() []byte { return pack(body, gzip.BestCompression) })}
	f.byName[name], f.byURL[url] = one, one
}

// staticFiles gathers what is embedded: the script is the files of static/js one after the other, in the order of their names.
var staticFiles = sync.OnceValue(func() *files {
	f := &files{map[string]*file{}, map[string]*file{}}
	f.add("app.css", "text/css; charset=utf-8", join("static/css"))
	f.add("app.js", "text/javascript; charset=utf-8", join("static/js"))
	f.add("favicon.svg", "image/svg+xml", read("static/favicon.svg"))
	for _, name := range []string{earth.Coarse + ".bin", earth.Fine + ".bin"} {
		f.add(name, "application/octet-stream", earth.Bytes(name))
	}
	f.add("places.tsv", "text/tab-separated-values; charset=utf-8", earth.Bytes("places.tsv"))
	return f
})

func read(name string) []byte {
	b, err := static.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the binary
	}
	return b
}

func join(dir string) []byte {
	entries, err := static.ReadDir(dir)
	if err != nil {
		panic(err) // as above
	}
	var out bytes.Buffer
	for _, e := range entries {
		out.Write(read(path.Join(dir, e.Name())))
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// url returns the address of a static file; templates call it.
func (f *files) url(name string) string { return f.byName[name].url }

func (s *site) static(_ context.Context, r *http.Request) (*answer, error) {
	one := s.files.byURL[r.URL.Path]
	if one == nil {
		return nil, errNotFound
	}
	return &answer{kind: one.kind, body: one.body, packed: one.packed(), forever: true}, nil
}

func (s *site) favicon(context.Context, *http.Request) (*answer, error) {
	one := s.files.byName["favicon.svg"]
	return &answer{kind: one.kind, body: one.body, packed: one.packed()}, nil
}

// robots lets pages of devices be found, and keeps crawlers out of the endless combinations of filters.
func (s *site) robots(context.Context, *http.Request) (*answer, error) {
	return &answer{kind: "text/plain; charset=utf-8", body: []byte("User-agent: *\nAllow: /$\nAllow: /d/\nDisallow: /?\nDisallow: /results\nDisallow: /operator\nDisallow: /places\nDisallow: /picture.svg\nDisallow: /api/\n")}, nil
}
