package shepherd

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// self is the running executable, also after its file was replaced.
func self(string) string { return "/proc/self/exe" }

func dup(from, to int) error { return syscall.Dup3(from, to, 0) }

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER, which package syscall lacks.
const prSetChildSubreaper = 36

// adopt lets what loses its parent below come to this process.
func adopt() { syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0) }

// starterAttributes: a session of its own, so that all of it can be signalled and no terminal does. The kernel kills it with the
// thread that starts it: init functions run on the main one.
func starterAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// dieWithParent asks again for what changing the user undoes.
func dieWithParent() error {
	parent := os.Getppid()
	if _, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0); err != 0 {
		return doing("bind the program's life to its shepherd", err)
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
		return limit(limitOfProcesses(), "processes", s.Processes)
	}
	return nil
}

// limitOfProcesses is RLIMIT_NPROC, which package syscall lacks.
func limitOfProcesses() int {
	if _, mips := cutPrefix(runtime.GOARCH, "mips"); mips {
		return 8
	}
	return 6
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
		i := len(b) - 1
		for i >= 0 && b[i] != ')' { // the name before may hold anything
			i--
		}
		if err != nil || i < 0 {
			continue
		}
		f := fields(string(b[i+1:]))
		if len(f) < 18 {
			continue
		}
		parent, err := strconv.Atoi(f[1])
		if err != nil {
			continue
		}
		one := f[17] == "0" || f[17] == "1" // threads: the first may have ended before the others
		all = append(all, process{pid, parent, (f[0] == "Z" || f[0] == "X") && one})
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
		os.WriteFile(group+"/cgroup.kill", []byte("1"), 0)
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
		f := fields(string(b))
		if err != nil || len(f) < 2 {
			continue
		}
		pages, _ := strconv.ParseUint(f[1], 10, 64)
		sum += pages * uint64(os.Getpagesize())
	}
	return sum
}

// removeTries is how often removing a group is tried: the kernel takes a moment to let go of what ended.
const removeTries = 20

// removeGroup removes the group of a supervisor that cannot do so any more, and the supervisor's own, if this was the last in it.
func removeGroup(group string) {
	if group == "" {
		return
	}
	for range removeTries {
		if err := os.Remove(group); err == nil || os.IsNotExist(err) {
			break
		}
		time.Sleep(pollInterval / 10)
	}
	parent := len(group) - 1
	for parent > 0 && group[parent] != '/' {
		parent--
	}
	syscall.Rmdir(group[:parent]) // others may be in it
}
