package supervise

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"a\nb\r\n\nc", []string{"a", "b", "", "c"}},
		{long + "\nnext\n", []string{strings.Repeat("x", maxLine-3) + "…", "next"}},
		{"\xff\n", []string{"?"}},
		{"", nil},
	} {
		for _, step := range []int{1, 7, 1 << 20} {
			var got []string
			l := lines{emit: func(s string) { got = append(got, s) }}
			for b := range slices.Chunk([]byte(c.in), step) {
				l.Write(b)
			}
			l.end()
			if !slices.Equal(got, c.want) {
				t.Errorf("%.20q in steps of %d: %.60q", c.in, step, got)
			}
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb"), 1)
	f.Add(bytes.Repeat([]byte("x"), 5000), 100)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step < 1 {
			return
		}
		n := 0
		l := lines{emit: func(s string) {
			n++
			if len(s) > maxLine || !utf8.ValidString(s) || strings.Contains(s, "\n") {
				t.Fatalf("line %q", s)
			}
		}}
		for b := range slices.Chunk(in, step) {
			l.Write(b)
		}
		l.end()
		want := bytes.Count(in, []byte{'\n'})
		if len(in) > 0 && in[len(in)-1] != '\n' {
			want++
		}
		if n != want || cap(l.part) > 2*maxLine {
			t.Fatalf("%d lines of %d, buffer of %d", n, want, cap(l.part))
		}
	})
}

func TestFlow(t *testing.T) {
	f := newFlow(t0)
	passed := 0
	for range flowBurst + 500 {
		if _, ok := f.take(t0); ok {
			passed++
		}
	}
	if passed != flowBurst {
		t.Errorf("%d lines passed at once", passed)
	}
	if dropped, ok := f.take(t0.Add(time.Second)); !ok || dropped != 500 {
		t.Errorf("then %d dropped, %v", dropped, ok)
	}
}
