package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk writes to a file system of 256 KiB that others have filled.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	w := newLogWriter(dir, "p", LogLimits{Size: 64 << 10, Files: 2})
	defer w.close()
	w.write(Line{Stream: "stdout", Text: "before", Time: t0})
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk takes more than it has: %v", err)
	}
	long := strings.Repeat("x", 4000)
	for range 10 {
		w.write(Line{Stream: "stdout", Text: long, Time: t0})
	}
	s := w.status()
	if s.Dropped < 8 || !strings.Contains(s.Err, "no space left") {
		t.Errorf("%+v", s)
	}
	os.Remove(filler)
	w.write(Line{Stream: "stdout", Text: "after", Time: t0})
	got := texts(t, dir, LogQuery{Last: -1})
	note := fmt.Sprintf("%d lines found no room: write log: ", s.Dropped)
	if n := len(got); n < 3 || got[0] != "before" || got[n-1] != "after" || !strings.HasPrefix(got[n-2], note) {
		t.Errorf("%.60q", got)
	}
	if s := w.status(); s.Err != "" {
		t.Errorf("%+v", s)
	}
}
