package provision

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the manifest's files must be quiet before they are read: editors write, rename and write again.
	settle = 300 * time.Millisecond
	// pollFiles is how often they are looked at where the kernel cannot tell.
	pollFiles = 30 * time.Second
)

// watchFiles reloads the manifest when one of the files that it consists of is another than the one read last. The kernel tells; nothing is
// looked at before.
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
		if err := watchDirs(w, d.manifest.Load(), watched); err != nil {
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

// dirsOf are the directories in which the files of a manifest stand, and those to which links lead from there.
func dirsOf(m *Manifest) (dirs []string) {
	add := func(file string) {
		if dir := filepath.Dir(file); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, f := range m.Files {
		add(f)
		if real, err := filepath.EvalSymlinks(f); err == nil {
			add(real)
		}
	}
	return dirs
}

// watchDirs watches directories rather than files, since editors put another file into the place of one.
func watchDirs(w *fsnotify.Watcher, m *Manifest, watched map[string]bool) error {
	dirs := dirsOf(m)
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

// concerns reports whether an event is about a file of the manifest, or about a link on the way to one.
func (d *Device) concerns(name string) bool {
	for _, f := range d.manifest.Load().Files {
		if f == name {
			return true
		}
		if real, err := filepath.EvalSymlinks(f); err != nil || real != f {
			return true // links: whatever happens there may be about it
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
	last := d.loaded.files
	d.mu.Unlock()
	if fingerprint(d.manifest.Load().Files) != last {
		_, _ = d.Reload(ctx)
	}
}
