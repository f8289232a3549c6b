package update

import (
	"errors"
	"net/http"
	"os"
	"syscall"
	"testing"
)

// TestFullDisk fetches to a file system of 128 KiB, and with a server that does not say how much comes.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	for _, silent := range []bool{true, false} {
		p := newPlace(t, func(w http.ResponseWriter, r *http.Request) {
			if !silent {
				shop(w, r)
				return
			}
			w.(http.Flusher).Flush()
			w.Write(payload)
		})
		p.dir = dir
		p.wants(t, noRoom, "no space left")
		if b, err := os.ReadFile(p.part(p.v.Sum)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d bytes are left to fill the disk, %v", len(b), err)
		}
	}
}
