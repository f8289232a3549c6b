package provision

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the manifest's files must be quiet before they are read: editors write, rename and write again.
	settle = 300 * time.Millisecond
	// pollFiles is how often they are looked at where the kernel cannot tell.
	pollFiles = 30 * time.Second
)

// watchFiles reloads the manifest when one of the files that were read last, also for a manifest that was refused, is another than then. The
// kernel tells; nothing is looked at before.
func (d *Device) watchFiles(ctx context.Context) error {
	m := d.manifest.Load()
	if m.Path == "" {
		<-ctx.Done()
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		d.log.Warn("the manifest is looked at now and then, since the kernel does not tell of changes", "every", pollFiles, "err", err)
		return d.pollFiles(ctx)
	}
	defer w.Close()
	watched := map[string]bool{}
	timer := time.NewTimer(0) // what changed since it was read
	defer timer.Stop()
	for {
		if err := watchDirs(w, d.consulted(), watched); err != nil {
			d.log.Warn("the manifest is looked at now and then, since the kernel does not tell of changes", "every", pollFiles, "err", err)
			return d.pollFiles(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if !e.Has(fsnotify.Chmod) && d.concerns(e.Name) {
				timer.Reset(settle)
			}
		case <-w.Errors: // events were lost
			timer.Reset(settle)
		case <-timer.C:
			d.reloadIfChanged(ctx)
		}
	}
}

// consulted are the files that were read last.
func (d *Device) consulted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loaded.names
}

// dirsOf are the directories in which files stand, and those to which links lead from there. A directory that is not there can come with the
// nearest one above it.
func dirsOf(files []string) (dirs []string) {
	add := func(file string) {
		dir := filepath.Dir(file)
		for there(dir) != nil && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, f := range files {
		add(f)
		if real, err := filepath.EvalSymlinks(f); err == nil {
			add(real)
		}
	}
	return dirs
}

func there(dir string) error { _, err := os.Stat(dir); return err }

// watchDirs watches directories rather than files, since editors put another file into the place of one.
func watchDirs(w *fsnotify.Watcher, files []string, watched map[string]bool) error {
	dirs := dirsOf(files)
	for _, dir := range dirs {
		if watched[dir] {
			continue
		}
		if err := w.Add(dir); err != nil {
			return err
		}
		watched[dir] = true
	}
	for dir := range watched {
		if !slices.Contains(dirs, dir) {
			_ = w.Remove(dir) // it may be gone
			delete(watched, dir)
		}
	}
	return nil
}

// concerns reports whether an event is about a file that was read last, or about a link or a missing directory on the way to one.
func (d *Device) concerns(name string) bool {
	for _, f := range d.consulted() {
		if f == name || strings.HasPrefix(f, name+string(filepath.Separator)) {
			return true
		}
		if real, err := filepath.EvalSymlinks(f); err != nil || real != f {
			return true // links, or nothing yet: whatever happens there may be about it
		}
	}
	return false
}

func (d *Device) pollFiles(ctx context.Context) error {
	tick := time.NewTicker(pollFiles)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.reloadIfChanged(ctx)
		}
	}
}

// reloadIfChanged reloads when the files are others than those of the last try. The log and the status tell what came of it.
func (d *Device) reloadIfChanged(ctx context.Context) {
	d.mu.Lock()
	names, last := d.loaded.names, d.loaded.files
	d.mu.Unlock()
	if fingerprint(names) != last {
		_, _ = d.Reload(ctx)
	}
}
