package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// groups are the control groups (version 2) of a supervisor's programs:
//
//	<this process's group>/iod-<id>/<program>-<number>
//	<this process's group>/iod-self          this process, where groups with members may have no controllers for their children
type groups struct {
	dir         string          // iod-<id>; empty: there are none
	why         string          // why there are none, or why without controllers
	controllers map[string]bool // that the programs' groups have
	next        int
}

const selfGroup = "iod-self"

// openGroups makes the supervisor's control group where the kernel and the one who started this process let it.
func openGroups(id string) *groups {
	base, err := ownGroup()
	if err != nil {
		return &groups{why: err.Error()}
	}
	if !delegated(base) {
		return &groups{why: "systemd keeps the control group for itself: set Delegate=yes in the unit"}
	}
	g := &groups{dir: filepath.Join(base, "iod-"+id), controllers: map[string]bool{}}
	if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return &groups{why: "the control group is not this process's to divide: " + err.Error()}
	}
	g.clean()
	for _, c := range []string{"memory", "cpu", "pids"} {
		if err := enable(base, c); err != nil {
			g.why = "no controllers for the programs' groups: " + err.Error()
			continue
		}
		if enable(g.dir, c) == nil {
			g.controllers[c] = true
		}
	}
	return g
}

// ownGroup finds the directory of this process's control group.
func ownGroup() (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("no control groups: %w", err)
	}
	own := ""
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			own = path
		}
	}
	mount, root, err := groupMount()
	if err != nil || own == "" {
		return "", errors.New("no control groups of version 2 are mounted")
	}
	if filepath.Base(own) == selfGroup {
		own = filepath.Dir(own)
	}
	rel, err := filepath.Rel(root, own)
	if err != nil || strings.HasPrefix(rel, "..") {
		return "", errors.New("this process's control group is not mounted")
	}
	dir := filepath.Join(mount, rel)
	if err := unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK); err != nil {
		return "", fmt.Errorf("the control group is not this process's to divide: %w", err)
	}
	return dir, nil
}

// groupMount finds where control groups of version 2 are mounted, and from which of them on.
func groupMount() (mount, root string, err error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "-"); i > 4 && len(fields) > i+1 && fields[i+1] == "cgroup2" {
			return fields[4], fields[3], nil
		}
	}
	return "", "", errors.New("not mounted")
}

// delegated reports whether a group is this process's to divide: outside of systemd's services it is if it can be written.
func delegated(dir string) bool {
	if os.Getenv("INVOCATION_ID") == "" {
		return true
	}
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		buf := make([]byte, 8)
		if n, err := unix.Getxattr(dir, name, buf); err == nil && string(buf[:n]) == "1" {
			return true
		}
	}
	return false
}

// enable gives the children of a group a controller. A group with members may not have that: when this process is the only
// one it moves.
func enable(dir, controller string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(have)), controller) {
		return fmt.Errorf("%s has no controller %s", dir, controller)
	}
	control := filepath.Join(dir, "cgroup.subtree_control")
	err = os.WriteFile(control, []byte("+"+controller), 0)
	if !errors.Is(err, syscall.EBUSY) {
		return err
	}
	members, merr := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if merr != nil || strings.TrimSpace(string(members)) != strconv.Itoa(os.Getpid()) {
		return err
	}
	self := filepath.Join(dir, selfGroup)
	if merr := os.Mkdir(self, 0o755); merr != nil && !errors.Is(merr, os.ErrExist) {
		return errors.Join(err, merr)
	}
	if merr := os.WriteFile(filepath.Join(self, "cgroup.procs"), []byte("0"), 0); merr != nil {
		return errors.Join(err, merr)
	}
	return os.WriteFile(control, []byte("+"+controller), 0)
}

// clean ends what earlier supervisors of the same id left in their groups.
func (g *groups) clean() {
	old, _ := filepath.Glob(filepath.Join(g.dir, "*", "cgroup.procs"))
	for _, f := range old {
		g.remove(filepath.Dir(f))
	}
}

// add makes a group for one run of a program. The caller removes it.
func (g *groups) add(name string, l Limits) (dir string, err error) {
	if g.dir == "" {
		return "", nil
	}
	g.next++
	dir = filepath.Join(g.dir, name+"-"+strconv.Itoa(g.next))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the control group: %w", err)
	}
	set := func(file, value string) {
		if werr := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); werr != nil && err == nil {
			err = fmt.Errorf("set %s of the control group: %w", file, werr)
		}
	}
	if l.Memory > 0 && g.controllers["memory"] {
		set("memory.max", strconv.FormatUint(l.Memory, 10))
		set("memory.oom.group", "1")
		os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0) // is not there without swap
	}
	if l.CPU > 0 && g.controllers["cpu"] {
		set("cpu.max", strconv.Itoa(max(int(l.CPU*cpuPeriod), 1000))+" "+strconv.Itoa(cpuPeriod))
	}
	if l.Processes > 0 && g.controllers["pids"] {
		set("pids.max", strconv.FormatUint(l.Processes, 10))
	}
	if err != nil {
		os.Remove(dir)
		return "", err
	}
	return dir, nil
}

// cpuPeriod is over how many microseconds the kernel shares out a core.
const cpuPeriod = 100_000

// starved reports whether the kernel ended a process of a group because the group had too much memory.
func starved(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "memory.events"))
	if dir == "" || err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		if n, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); ok {
			return string(n) != "0"
		}
	}
	return false
}

// remove kills what is in a group and removes it.
func (g *groups) remove(dir string) {
	if dir == "" {
		return
	}
	for range 100 {
		killGroup(dir)
		if err := os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond) // the kernel takes a moment to let go of what was killed
	}
}

// killGroup kills everything in a group.
func killGroup(dir string) {
	if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
		return
	}
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // before Linux 5.14
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// close removes the supervisor's group.
func (g *groups) close() {
	if g.dir != "" {
		os.Remove(g.dir)
	}
}
