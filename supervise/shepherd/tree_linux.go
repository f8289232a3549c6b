package shepherd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// self is the running executable, also after its file was replaced.
func self(string) string { return "/proc/self/exe" }

func dup(from, to int) error { return unix.Dup3(from, to, 0) }

// adopt lets what loses its parent below come to this process.
func adopt() { unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// starterAttributes: a session of its own, so that all of it can be signalled and no terminal does. The kernel kills it with the
// thread that starts it: init functions run on the main one.
func starterAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// dieWithParent asks again for what changing the user undoes.
func dieWithParent() error {
	parent := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("bind the program's life to its shepherd: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the shepherd is gone")
	}
	return nil
}

// oomScore makes the kernel end programs rather than their supervisor when memory is short.
const oomScore = "300"

func setLimits(s *Spec) error {
	os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0) // refused where it is higher already
	if err := limit(syscall.RLIMIT_CORE, "core files", 0); err != nil {
		return err
	}
	if s.Files > 0 {
		if err := limit(syscall.RLIMIT_NOFILE, "open files", s.Files); err != nil {
			return err
		}
	}
	if s.Processes > 0 {
		return limit(unix.RLIMIT_NPROC, "processes", s.Processes)
	}
	return nil
}

// process is one line of the process table.
type process struct {
	pid, parent int
	dead        bool // a zombie
}

// table reads the process table.
func table() (all []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		i := bytes.LastIndexByte(b, ')') // the name before may hold anything
		if err != nil || i < 0 {
			continue
		}
		fields := bytes.Fields(b[i+1:])
		if len(fields) < 2 {
			continue
		}
		parent, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			continue
		}
		all = append(all, process{pid, parent, fields[0][0] == 'Z' || fields[0][0] == 'X'})
	}
	return all
}

// below returns the living processes of which root is an ancestor.
func below(all []process, root int) (pids []int) {
	children := map[int][]process{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
	}
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			if seen[p.pid] {
				continue
			}
			seen[p.pid] = true
			queue = append(queue, p.pid)
			if !p.dead {
				pids = append(pids, p.pid)
			}
		}
	}
	return pids
}

// broadcast sends a signal to all below this process and returns how many there were.
func broadcast(sig syscall.Signal) int {
	pids := below(table(), os.Getpid())
	for _, pid := range pids {
		syscall.Kill(pid, sig)
	}
	return len(pids)
}

func living(int) int { return len(below(table(), os.Getpid())) }

func terminate(int) { broadcast(syscall.SIGTERM) }

// freezeRounds is how often a tree is stopped before it is killed: what forks faster than it is looked at must stand still.
const freezeRounds = 20

// kill kills everything and returns how much there was.
func kill(_ int, group string) int {
	if group != "" {
		os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0)
	}
	for n, before := 0, -1; n < freezeRounds; n++ {
		found := broadcast(syscall.SIGSTOP)
		if found == before || found <= 1 {
			break
		}
		before = found
	}
	return broadcast(syscall.SIGKILL)
}

// resident returns the bytes that all below this process have in memory.
func resident() (sum uint64) {
	for _, pid := range below(table(), os.Getpid()) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
		fields := bytes.Fields(b)
		if err != nil || len(fields) < 2 {
			continue
		}
		pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
		sum += pages * uint64(os.Getpagesize())
	}
	return sum
}
