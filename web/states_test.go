package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"iod/index"
)

// moody is a store that answers as a test wants: its state changed, or an error.
type moody struct {
	index.Reader
	mood atomic.Pointer[func(*index.State) error]
}

func (m *moody) State(ctx context.Context) (index.State, error) {
	st, err := m.Reader.State(ctx)
	if f := m.mood.Load(); f != nil && err == nil {
		err = (*f)(&st)
	}
	return st, err
}

// moods are the states of an index that its operator must be able to tell apart.
var moods = []struct {
	name string
	set  func(*index.State) error
	want []string
	foot string // of every page
}{
	{"synced", func(st *index.State) error { st.Head, st.Committed = st.Cursor.Number, clock(); return nil }, []string{"just now", "answers", "blocks behind"}, "Index at block"},
	{"behind", func(st *index.State) error { st.Head, st.Committed = st.Cursor.Number+1234, clock(); return nil }, []string{"1234", "blocks behind"}, "1234 blocks behind"},
	{"stalled", func(st *index.State) error {
		st.Head, st.Committed = st.Cursor.Number, clock().Add(-20*time.Minute)
		return nil
	}, []string{"20 minutes ago", "longer than blocks usually take"}, "written 20 minutes ago"},
	{"away", func(*index.State) error {
		return fmt.Errorf("postgres: %w: dial tcp 10.0.0.7:5432: connection refused", index.ErrUnavailable)
	}, []string{"The database does not answer", ">away<", "not known now", "Pending", "Feeds"}, "read now"},
}

func TestOperatorSeesHowItIs(t *testing.T) {
	t.Parallel()
	for _, mood := range moods {
		_, srv := open(t, func(o *Options) {
			m := &moody{Reader: o.Reader}
			m.mood.Store(&mood.set)
			o.Reader, o.Database = m, "PostgreSQL at db.example/iod"
		})
		want := http.StatusOK
		if mood.name == "away" {
			want = http.StatusServiceUnavailable
		}
		for _, path := range []string{"/operator", "/operator/live", "/"} {
			p := get(t, srv, path)
			if p.StatusCode != want {
				t.Errorf("%s: %s is answered with %d", mood.name, path, p.StatusCode)
			}
			if want == http.StatusServiceUnavailable && p.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s does not say when to come again", mood.name, path)
			}
			switch path {
			case "/operator":
				has(t, p, mood.want...)
			case "/":
				has(t, p, mood.foot)
			}
			lacks(t, p, "10.0.0.7")
		}
		widths := []int64{1280}
		if mood.name == "away" {
			widths = append(widths, 375)
		}
		for _, width := range widths {
			b := newTab(t, srv, width, 800, width == 375)
			b.allow("the server responded with a status of 503")
			b.open("/operator")
			b.await(`!document.getElementById("beat").hidden && document.querySelector("#beat .text").textContent === "live"`)
			b.fits("operator " + mood.name)
			b.shoot(fmt.Sprintf("operator-%s-%d", mood.name, width), false)
		}
	}
}

// look has the page ask for its figures now and not within two seconds, as it does when the network is back.
func (b *tab) look() {
	b.t.Helper()
	b.do(`window.dispatchEvent(new Event("online"))`)
}

// TestOperatorSeesItComeBack: the page follows a database that goes and comes back, without being loaded again.
func TestOperatorSeesItComeBack(t *testing.T) {
	t.Parallel()
	m := &moody{}
	_, srv := open(t, func(o *Options) { m.Reader, o.Reader = o.Reader, m })
	b := newTab(t, srv, 1280, 800, false)
	b.allow("the server responded with a status of 503")
	b.open("/operator")
	b.await(`document.querySelector("#n-database b").textContent === "answers"`)
	block := b.text("#n-block b")
	b.do(`window.same = true`)
	gone := func(*index.State) error { return errors.New("disk gone") }
	m.mood.Store(&gone)
	b.look()
	b.await(`document.querySelector("#n-database b").textContent === "away" && document.querySelector("#n-block b").textContent === "–" && !document.getElementById("away").hidden`)
	m.mood.Store(nil)
	b.look()
	b.await(`document.querySelector("#n-database b").textContent === "answers" && document.getElementById("away").hidden`)
	if got := b.text("#n-block b"); got != block || !eval[bool](b, `window.same === true`) {
		t.Errorf("after the database came back, the block is %s, not %s", got, block)
	}
}
