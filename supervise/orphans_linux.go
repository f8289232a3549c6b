package supervise

import (
	"bytes"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// selfPath is the running executable, also after its file was replaced.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// adopt lets what a killed shepherd leaves come to this process, and reaps those that end, until the returned function is called.
func adopt(log *slog.Logger) (stop func()) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		log.Warn("what a killed shepherd leaves cannot be supervised", "err", err)
		return func() {}
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	var reaper sync.WaitGroup
	reaper.Go(func() {
		for range died {
			reap()
		}
	})
	return func() {
		signal.Stop(died)
		close(died)
		reaper.Wait()
		reap()
	}
}

// orphan is a child of this process that it did not start.
type orphan struct {
	pid  int
	dead bool
}

// orphans lists them. The caller holds owned.
func orphans() []orphan {
	session, err := unix.Getsid(0)
	if err != nil {
		return nil
	}
	var all []orphan
	for _, pid := range children() {
		if owned.pids[pid] {
			continue
		}
		if s, ok := stat(pid); ok && s.session != session {
			all = append(all, orphan{pid, s.state == 'Z'})
		}
	}
	return all
}

// children lists this process's children.
func children() (pids []int) {
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread is gone
		}
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(files) > 0 {
		return pids
	}
	for _, pid := range everyPID() { // a kernel without lists of children
		if s, ok := stat(pid); ok && s.parent == os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func everyPID() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// procStat is what stands in /proc/PID/stat after the name, which is in parentheses.
type procStat struct {
	state           byte
	parent, session int
}

func stat(pid int) (s procStat, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	i := bytes.LastIndexByte(b, ')')
	if err != nil || i < 0 {
		return s, false
	}
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 4 {
		return s, false
	}
	s.state = fields[0][0]
	s.parent, err = strconv.Atoi(fields[1])
	if err != nil {
		return s, false
	}
	s.session, err = strconv.Atoi(fields[3])
	return s, err == nil
}

// reap takes the orphans that ended off the process table.
func reap() {
	owned.Lock()
	defer owned.Unlock()
	for _, o := range orphans() {
		if o.dead {
			syscall.Wait4(o.pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// orphanPatience is how long the killed may take to be gone.
const orphanPatience = 2 * time.Second

// endOrphans kills what came to this process from killed shepherds, until none is left.
func endOrphans() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < orphanPatience; <-tick.C {
		reap()
		owned.Lock()
		left := orphans()
		for _, o := range left {
			syscall.Kill(o.pid, syscall.SIGKILL) // its children come next
		}
		owned.Unlock()
		if len(left) == 0 {
			return
		}
	}
}

// endMarked kills processes whose environment has a mark: what a supervisor and its shepherds left when all were killed at once.
// It returns how many there were.
func endMarked(mark string) (found int) {
	for _, pid := range everyPID() {
		if pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			found++
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return found
}
