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

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// adopt lets orphans of the programs come to this process, and reaps those that end, until the returned function is called.
func adopt(log *slog.Logger) (stop func()) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		log.Warn("programs' daemons cannot be supervised", "err", err)
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
	files, _ := filepath.Glob("/proc/self/task/*/children")
	var all []orphan
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread is gone
		}
		for _, field := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(field)
			if err != nil || owned.pids[pid] {
				continue
			}
			if state, sid, ok := stat(pid); ok && sid != session {
				all = append(all, orphan{pid, state == 'Z'})
			}
		}
	}
	return all
}

// stat reads state and session of a process: the first and fourth field after its name, which stands in parentheses.
func stat(pid int) (state byte, session int, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	i := bytes.LastIndexByte(b, ')')
	if err != nil || i < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 4 {
		return 0, 0, false
	}
	session, err = strconv.Atoi(fields[3])
	return fields[0][0], session, err == nil
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

// dying reports whether a process has let go of its memory, and with it of its environment, on its way to its end.
func dying(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	return err == nil && bytes.HasPrefix(b, []byte("0 "))
}

// daemons returns the living orphans whose environment has all the marks, and those that are about to end, since whose they
// are can no longer be told.
func daemons(marks []string) (pids []int) {
	owned.Lock()
	defer owned.Unlock()
	for _, o := range orphans() {
		if !o.dead && dying(o.pid) {
			pids = append(pids, o.pid)
			continue
		}
		env, err := os.ReadFile("/proc/" + strconv.Itoa(o.pid) + "/environ")
		if o.dead || err != nil {
			continue
		}
		all := true
		for _, m := range marks {
			all = all && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+m+"\x00"))
		}
		if all {
			pids = append(pids, o.pid)
		}
	}
	return pids
}
