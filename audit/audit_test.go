package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func session(i int) Entry {
	return Entry{Time: t0.Add(time.Duration(i) * time.Second), Kind: Session, Account: fmt.Sprintf("account %d", i), Stream: "measurements", Block: uint32(i)}
}

// all reads what a directory holds.
func all(t testing.TB, dir string) (entries []Entry) {
	t.Helper()
	for e, err := range Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// numbered checks that entries are those of session from a number on, without a gap, and returns the number after the last.
func numbered(t testing.TB, entries []Entry, from int) int {
	t.Helper()
	for i, e := range entries {
		if want := session(from + i); e != want {
			t.Fatalf("entry %d is %+v, want %+v", i, e, want)
		}
	}
	return from + len(entries)
}

func TestWritesAndReads(t *testing.T) {
	dir := t.TempDir()
	next := 0
	for range 3 { // runs of the device
		l := Open(dir, quiet())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.Run(ctx) }) //nolint:errcheck // always nil
		for range 10 {
			l.Add(session(next), t0)
			next++
		}
		cancel()
		wg.Wait()
	}
	if got := numbered(t, all(t, dir), 0); got != 30 {
		t.Errorf("%d entries", got)
	}
	b, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if info, _ := os.Stat(filepath.Join(dir, "audit.jsonl")); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if got := all(t, filepath.Join(dir, "nothing")); got != nil {
		t.Errorf("%v", got)
	}
}

// What comes together is written together, what is quiet writes nothing, and nobody waits for it.
func TestWritesOnlyWhenSomethingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f memory
		l := Open("somewhere", quiet())
		l.disk.open = func(string) (file, error) { f.opened++; return &f, nil }
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.Run(ctx) }) //nolint:errcheck // always nil
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.opened != 0 {
			t.Error("an idle hour opened the file")
		}
		for i := range 100 {
			l.Add(session(i), time.Now())
		}
		time.Sleep(2 * gather)
		synctest.Wait()
		writes := f.writes
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.writes != writes || writes == 0 || writes > 2 {
			t.Errorf("%d writes, then %d", writes, f.writes)
		}
		cancel()
		wg.Wait()
		if n := bytes.Count(f.b, []byte("\n")); n != 100 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l := Open(dir, quiet())
	l.disk.size = 4 << 10
	for i := range 2000 {
		l.Add(session(i), t0)
		if i%7 == 0 && !l.flush() {
			t.Fatal(l.Err())
		}
	}
	l.flush()
	l.close()
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != files {
		t.Fatalf("%d files, %v", len(found), err)
	}
	for _, f := range found {
		if info, err := f.Info(); err != nil || info.Size() > 4<<10+2<<10 {
			t.Errorf("%s has %d bytes (%v)", f.Name(), info.Size(), err)
		}
	}
	entries := all(t, dir)
	if numbered(t, entries, 2000-len(entries)); len(entries) < 3*4096/150 {
		t.Errorf("%d entries are left", len(entries))
	}
}

// Whatever a loss of power leaves of the end of the file: whole lines stay, the rest goes, and new lines follow.
func TestTornFilesHeal(t *testing.T) {
	var whole []byte
	for i := range 50 {
		whole = append(whole, session(i).line()...)
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "audit")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		cut := rapid.IntRange(0, len(whole)).Draw(t, "cut")
		torn := append(bytes.Clone(whole[:cut]), rapid.OneOf(
			rapid.Just([]byte(nil)),
			rapid.Map(rapid.IntRange(1, 40000), func(n int) []byte { return make([]byte, n) }), // blocks that were allotted and never written
			rapid.SliceOfN(rapid.Byte(), 0, 100),
			rapid.Just([]byte("{\"time\n{]\n")),
		).Draw(t, "junk")...)
		if err := os.WriteFile(path(dir, 0), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		d := disk{dir: dir, size: fileSize, open: openFile}
		if _, err := d.write([]Entry{session(1000)}); err != nil {
			t.Fatal(err)
		}
		d.close()
		kept := bytes.Count(whole[:cut], []byte("\n"))
		var got []Entry
		for e, err := range Read(dir) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if len(got) == kept+2 && cut+1 < len(torn) { // junk that completed the line
			got = append(got[:kept], got[kept+1:]...)
		}
		if len(got) != kept+1 || got[kept] != session(1000) {
			t.Fatalf("%d entries are left of %d and one more", len(got), kept)
		}
		for i := range kept {
			if got[i] != session(i) {
				t.Fatalf("entry %d is %+v", i, got[i])
			}
		}
	})
}

// memory is a file that can be full.
type memory struct {
	b      []byte
	room   atomic.Int64 // bytes that fit; 0: any number
	opened int
	writes int
	broken error
	os.File
}

func (f *memory) ReadAt(p []byte, off int64) (int, error) { return copy(p, f.b[off:]), nil }
func (f *memory) Truncate(n int64) error                  { f.b = f.b[:n]; return nil }
func (f *memory) Sync() error                             { return f.broken }
func (f *memory) Close() error                            { return nil }
func (f *memory) Stat() (os.FileInfo, error)              { return sized{int64(len(f.b))}, nil }

func (f *memory) Write(p []byte) (int, error) {
	f.writes++
	if room := int(f.room.Load()); room > 0 && len(f.b)+len(p) > room {
		n := room - len(f.b)
		f.b = append(f.b, p[:n]...) // as a file system does
		return n, syscall.ENOSPC
	}
	f.b = append(f.b, p...)
	return len(p), nil
}

type sized struct{ n int64 }

func (s sized) Size() int64        { return s.n }
func (s sized) Name() string       { return "" }
func (s sized) Mode() os.FileMode  { return 0 }
func (s sized) ModTime() time.Time { return time.Time{} }
func (s sized) IsDir() bool        { return false }
func (s sized) Sys() any           { return nil }

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f memory
		f.room.Store(1000)
		var logged bytes.Buffer
		l := Open("somewhere", slog.New(slog.NewTextHandler(&logged, nil)))
		l.disk.open = func(string) (file, error) { return &f, nil }
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.Run(ctx) }) //nolint:errcheck // always nil
		for i := range 5 {
			l.Add(session(i), time.Now())
			time.Sleep(2 * gather)
		}
		for i := range maxQueue + 40 {
			l.Add(session(5+i), time.Now())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !errors.Is(l.Err(), syscall.ENOSPC) {
			t.Errorf("a full disk is told as %v", l.Err())
		}
		if whole := bytes.LastIndexByte(f.b, '\n') + 1; whole != len(f.b) {
			t.Errorf("%d bytes of a torn line are left", len(f.b)-whole)
		}
		f.room.Store(0)
		time.Sleep(2 * retry)
		synctest.Wait()
		if l.Err() != nil {
			t.Error(l.Err())
		}
		cancel()
		wg.Wait()
		var kinds []string
		var missing int
		for line := range bytes.Lines(f.b) {
			var e Entry
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if e.Kind == Lost {
				missing += e.Count
			}
			kinds = append(kinds, string(e.Kind))
		}
		if got := len(kinds) - 1 + missing; got != 5+maxQueue+40 || missing == 0 {
			t.Errorf("%d entries and %d missing", len(kinds), missing)
		}
		if n := strings.Count(logged.String(), "\n"); n != 2 {
			t.Errorf("the log tells %d times:\n%s", n, logged.String())
		}
	})
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	l := Open(filepath.Join(t.TempDir(), "missing"), quiet())
	l.Add(session(1), t0)
	if l.flush() || l.Err() == nil {
		t.Error("it was written")
	}
	none := Open("", quiet())
	none.Add(Entry{Kind: Refusal, Account: "a"}, t0)
	if !none.flush() || none.Err() != nil || len(none.Refusals()) != 1 {
		t.Error("a record in memory")
	}
}

// Strangers make the device write neither much nor for ever, whoever they say they are.
func TestRefusalsAreBounded(t *testing.T) {
	d := newDamper()
	written, counted := 0, 0
	now := t0
	for i := range 20_000 { // a knock each second for five hours and a half, every one from another account
		now = now.Add(time.Second)
		e, write := d.take(Entry{Kind: Refusal, Account: fmt.Sprint(i), Reason: "no"}, now)
		if write {
			written++
			counted += e.Count + 1
		}
	}
	if written > burstOfAll+6*perHour || written < 5*perHour {
		t.Errorf("%d refusals were written", written)
	}
	if counted < 20_000-200 {
		t.Errorf("%d refusals are accounted for", counted)
	}
	if len(d.known) > maxKnown || len(d.latest()) != maxLatest || d.latest()[0].Entry.Account != "19999" {
		t.Errorf("%d are remembered", len(d.known))
	}
	written = 0
	for range 7200 { // one consumer without a grant who tries again each second
		now = now.Add(time.Second)
		if _, write := d.take(Entry{Kind: Refusal, Account: "patient", Reason: "no"}, now); write {
			written++
		}
	}
	if written > 3 {
		t.Errorf("the same refusal was written %d times in two hours", written)
	}
	if r := d.latest()[0]; r.Times != 7200 || r.Entry.Account != "patient" {
		t.Errorf("%+v", r)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"time":"2026-03-01T12:00:00Z","kind":"session"}` + "\n{}\n"))
	f.Add([]byte("\x00\x00\n{\"kind\":1}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(path(dir, 0), b, 0o600); err != nil {
			t.Fatal(err)
		}
		for e, err := range Read(dir) {
			if err != nil || e.Kind == "" {
				t.Fatalf("%+v, %v", e, err)
			}
		}
	})
}
