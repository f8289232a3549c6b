package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// texts reads a program's log.
func texts(t testing.TB, state string, q LogQuery) []string {
	t.Helper()
	var got []string
	if err := ReadLogs(t.Context(), state, q, func(l Line) error {
		got = append(got, l.Text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	w := newLogWriter(dir, "p", LogLimits{Size: 16 << 10, Files: 3})
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Error("something is written before the first line")
	}
	defer w.close()
	const n = 5000
	for i := range n {
		w.write(Line{Stream: "stdout", Text: fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%300)), Time: t0.Add(time.Duration(i) * time.Second)})
	}
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "log/p/*"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
		size += info.Size()
	}
	if len(files) != 3 || size > 3*16<<10 {
		t.Errorf("%d files with %d bytes", len(files), size)
	}
	got := texts(t, dir, LogQuery{Last: -1})
	if len(got) < 100 || !strings.HasPrefix(got[len(got)-1], fmt.Sprintf("line %d ", n-1)) {
		t.Fatalf("%d lines", len(got))
	}
	for i, text := range got {
		if !strings.HasPrefix(text, fmt.Sprintf("line %d ", n-len(got)+i)) {
			t.Fatalf("line %d from the end is %.20q", len(got)-i, text)
		}
	}
	if last := texts(t, dir, LogQuery{Last: 2}); !slices.Equal(last, got[len(got)-2:]) {
		t.Errorf("the last two are %q", last)
	}
	if late := texts(t, dir, LogQuery{Last: -1, Since: t0.Add((n - 5) * time.Second)}); !slices.Equal(late, got[len(got)-5:]) {
		t.Errorf("the late ones are %q", late)
	}
}

func TestLogGoesOnBehindTornLine(t *testing.T) {
	dir := t.TempDir()
	limits := LogLimits{Size: 16 << 10, Files: 3}
	w := newLogWriter(dir, "p", limits)
	w.write(Line{Stream: "stdout", Text: "one", Time: t0})
	w.close()
	f, err := os.OpenFile(logPath(w.dir, 1), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("\x00\x00\x00garbage\n2026-11-25T19:07:32.123456Z stdout tor")
	f.Close()
	w = newLogWriter(dir, "p", limits)
	w.write(Line{Stream: "stderr", Text: "two\xff\x00", Time: t0})
	w.close()
	if got := texts(t, dir, LogQuery{Last: -1}); !slices.Equal(got, []string{"one", "two\xff\x00"}) {
		t.Errorf("%q", got)
	}
	if entries, _ := os.ReadDir(w.dir); len(entries) != 1 {
		t.Errorf("%d files", len(entries))
	}
}

// TestFollow reads while it is written, over many files that come and go.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 3000
	got := make(chan Line, 2*n+10)
	done := make(chan error, 1)
	q := LogQuery{Last: -1, Follow: true, Every: time.Millisecond}
	go func() { // ends with ctx
		done <- ReadLogs(ctx, dir, q, func(l Line) error { got <- l; return nil })
	}()
	for _, name := range []string{"a", "b"} {
		w := newLogWriter(dir, name, LogLimits{Size: 16 << 10, Files: 4})
		for i := 0; i < n; i += 500 { // a file has some 300 lines
			for k := range 500 {
				w.write(Line{Stream: "stdout", Text: fmt.Sprint(name, i+k), Time: t0})
			}
			for k := range 500 {
				select {
				case l := <-got:
					if l.Program != name || l.Text != fmt.Sprint(name, i+k) {
						t.Fatalf("line %d of %s is %+v", i+k, name, l)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("line %d of %s did not come", i+k, name)
				}
			}
		}
		w.close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMergeByTime(t *testing.T) {
	dir := t.TempDir()
	for k, name := range []string{"a", "b", "c"} {
		w := newLogWriter(dir, name, LogLimits{Size: 16 << 10, Files: 4})
		for i := range 100 {
			w.write(Line{Stream: "stdout", Text: fmt.Sprint(3*i + k), Time: t0.Add(time.Duration(3*i+k) * time.Second)})
		}
		w.close()
	}
	got := texts(t, dir, LogQuery{Last: -1})
	for i, text := range got {
		if text != fmt.Sprint(i) {
			t.Fatalf("line %d is %s", i, text)
		}
	}
	if len(got) != 300 || len(texts(t, dir, LogQuery{Last: -1, Program: "b"})) != 100 {
		t.Errorf("%d lines", len(got))
	}
	err := ReadLogs(t.Context(), dir, LogQuery{Program: "d"}, nil)
	if !errors.Is(err, ErrNoLog) || !strings.Contains(err.Error(), `of a program "d"; there is of: a, b, c`) {
		t.Error(err)
	}
}

func TestLinesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Line{Stream: rapid.SampledFrom([]string{"stdout", "stderr"}).Draw(t, "stream"),
			Text: strings.ReplaceAll(rapid.String().Draw(t, "text"), "\n", ""), Time: time.UnixMicro(rapid.Int64Range(-1<<50, 1<<52).Draw(t, "time")).UTC()}
		got, ok := parseLine(strings.TrimSuffix(string(appendLine(nil, want)), "\n"))
		if !ok || got != want {
			t.Fatalf("%+v became %+v", want, got)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	f.Add("2026-11-25T19:07:32.123456Z stdout text")
	f.Add(`2026-11-25T19:07:32.123456Z iod {"code":1,"ended":"2026-11-25T19:07:32Z"}`)
	f.Fuzz(func(t *testing.T, s string) {
		if l, ok := parseLine(s); ok && l.Exit == nil {
			if again, ok := parseLine(strings.TrimSuffix(string(appendLine(nil, l)), "\n")); !ok || again != l {
				t.Errorf("%+v became %+v", l, again)
			}
		}
	})
}
