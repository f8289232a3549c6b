package web

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"time"

	"iod/index"
	"iod/web/earth"
)

//go:embed templates
var templates embed.FS

// pages are the parsed templates.
type pages struct{ all *template.Template }

func parsePages(f *files) (*pages, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"static": f.url, "human": human, "short": short, "number": func(n int64) string { return number(n) },
		"snippet": func(id, title, code string) way { return way{ID: id, Title: title, Code: code} },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"day":     func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") },
		"utc":     func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") },
	}).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	return &pages{t}, nil
}

// frame is what stands around every page.
type frame struct {
	Title  string
	Active string // devices or operator
	Query  string // what is searched for
	Sync   syncView
	Coarse string // URLs of the map's data
	Fine   string
	Places string
	Body   any
}

// syncView says in a few words how fresh the index is.
type syncView struct {
	Class string // good, busy or none
	Words string
	Block uint32
}

func (s *site) frame(title, active string) frame {
	return frame{Title: title, Active: active, Coarse: s.files.url(earth.Coarse + ".bin"), Fine: s.files.url(earth.Fine + ".bin"), Places: s.files.url("places.tsv")}
}

// framed is frame with the index's state.
func (s *site) framed(ctx context.Context, title, active string) (frame, error) {
	f := s.frame(title, active)
	st, err := s.Reader.State(ctx)
	if err != nil {
		return f, fmt.Errorf("state of the index: %w", err)
	}
	f.Sync = syncOf(st, s.Now())
	return f, nil
}

// behind is how many blocks an index may lag without being called behind.
const behind = 5

// stalled is how long nothing may have been written without an index being said to stand still.
const stalled = 2 * time.Minute

func syncOf(st index.State, now time.Time) syncView {
	switch {
	case st.Origin == nil:
		return syncView{Class: "none", Words: "empty index"}
	case st.Cursor == nil:
		return syncView{Class: "busy", Words: "reading the chain's state"}
	case now.Sub(st.Committed) > stalled && !st.Committed.IsZero():
		return syncView{"busy", fmt.Sprintf("block %s, written %s", number(st.Cursor.Number), ago(st.Committed, now)), st.Cursor.Number}
	case st.Head > st.Cursor.Number+behind:
		return syncView{"busy", number(st.Head-st.Cursor.Number) + " blocks behind", st.Cursor.Number}
	}
	return syncView{"good", "block " + number(st.Cursor.Number), st.Cursor.Number}
}

// render makes a page, or the parts of one, of a template.
func (p *pages) render(name string, f frame, body any) ([]byte, error) {
	f.Body = body
	var out bytes.Buffer
	out.Grow(32 << 10)
	if err := p.all.ExecuteTemplate(&out, name, f); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return out.Bytes(), nil
}
