package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"iod/supervise/shepherd"
)

// Names that a program finds in its environment.
const (
	envProgram    = "IOD_PROGRAM"    // its name
	envVersion    = "IOD_VERSION"    // Program.Version, if there is one
	envSupervisor = "IOD_SUPERVISOR" // tells the supervisor's programs, also after it is gone, from other processes
)

// secretLimit bounds a file of secrets in bytes.
const secretLimit = 64 << 10

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment makes a program's environment: base (less what is not for programs), the user's, Env, EnvFile, Secrets and marks; of
// two entries for a variable the later counts. Errors name files and variables, never values.
func environment(base []string, p *Program, u *shepherd.User, marks ...string) ([]string, error) {
	var all []string
	for _, e := range base {
		if !forUs(e) {
			all = append(all, e)
		}
	}
	if u != nil {
		all = append(all, homeOf(u)...)
	}
	all = append(all, p.Env...)
	if p.EnvFile != "" {
		more, err := readEnvFile(p.EnvFile, u)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	for _, s := range p.Secrets {
		value, err := readSecret(s.File, u)
		if err != nil {
			return nil, fmt.Errorf("read the secret %s: %w", s.Name, err)
		}
		all = append(all, s.Name+"="+strings.TrimSuffix(strings.TrimSuffix(string(value), "\n"), "\r"))
	}
	return lastOfEach(append(all, marks...)), nil
}

// forUs reports whether a variable is meant for this process alone: iod's own, which hold secrets, and systemd's.
func forUs(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	for _, prefix := range []string{"IOD_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "INVOCATION_ID", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func lastOfEach(entries []string) []string {
	at := map[string]int{}
	var kept []string
	for _, e := range entries {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			kept[i] = e
			continue
		}
		at[name] = len(kept)
		kept = append(kept, e)
	}
	return kept
}

// readEnvFile reads lines KEY=VALUE; empty ones and those that begin with # are left out, and quotes around a value fall away.
func readEnvFile(path string, u *shepherd.User) (env []string, err error) {
	b, err := readSecret(path, u)
	if err != nil {
		return nil, fmt.Errorf("read the environment file: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok || !variable.MatchString(name) {
			return nil, fmt.Errorf("read the environment file %s: line %d is not KEY=VALUE", path, n)
		}
		if strings.HasPrefix(name, "IOD_") {
			return nil, fmt.Errorf("read the environment file %s: line %d: names that begin with IOD_ are iod's own", path, n)
		}
		if l := len(value); l >= 2 && (value[0] == '"' || value[0] == '\'') && value[l-1] == value[0] {
			value = value[1 : l-1]
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// readSecret reads a small file that nobody but its owner may read: this process's user, root, or the program's.
func readSecret(path string, u *shepherd.User) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s may be read by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	case ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() && (u == nil || int(owner.Uid) != u.UID):
		return nil, fmt.Errorf("%s belongs to user %d", path, owner.Uid)
	}
	b, err := io.ReadAll(io.LimitReader(f, secretLimit+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > secretLimit:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, secretLimit)
	case bytes.IndexByte(b, 0) >= 0:
		return nil, fmt.Errorf("%s has a NUL byte in it", path)
	}
	return b, nil
}

// lookUpUser finds a user by name or number. A number need not have a name.
func lookUpUser(name string) (*shepherd.User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		n, nerr := strconv.ParseUint(name, 10, 31)
		if nerr != nil {
			return nil, fmt.Errorf("there is no user %q on this machine", name)
		}
		if u, err = user.LookupId(name); err != nil {
			return &shepherd.User{UID: int(n), GID: int(n)}, nil
		}
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return nil, fmt.Errorf("look up user %q: %w", name, err)
	}
	found := &shepherd.User{UID: uid, GID: gid}
	if groups, err := u.GroupIds(); err == nil {
		for _, g := range groups {
			if n, err := strconv.Atoi(g); err == nil {
				found.Groups = append(found.Groups, n)
			}
		}
	}
	return found, nil
}

func homeOf(u *shepherd.User) []string {
	found, err := user.LookupId(strconv.Itoa(u.UID))
	if err != nil {
		return []string{"HOME=/", "USER=" + strconv.Itoa(u.UID), "LOGNAME=" + strconv.Itoa(u.UID)}
	}
	return []string{"HOME=" + found.HomeDir, "USER=" + found.Username, "LOGNAME=" + found.Username}
}
