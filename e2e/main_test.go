//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// roleArgument makes this test's binary play a part inside a namespace instead of testing: the argument after it says which.
const roleArgument = "e2e-role"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleArgument {
		if err := play(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play is a part of the test that must run on a host of its own.
func play(role string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch role {
	case "janitor":
		return janitor(args[0])
	case "echo":
		return echo(ctx, args[0])
	case "mute":
		return mute(ctx, args[0])
	case "liar":
		return liar(ctx, args[0])
	case "forger":
		return forger(ctx, args[0], args[1])
	}
	return fmt.Errorf("no role %q", role)
}

// namespaces lists the network namespaces whose names begin so.
func namespaces(prefix string) []string {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// janitor waits until the test that started it is gone, however it went, and removes its namespaces. Its processes go with
// it: the kernel kills them.
func janitor(prefix string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	for _, name := range namespaces(prefix) {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			return fmt.Errorf("remove namespace %s: %w: %s", name, err, out)
		}
	}
	return nil
}

// engage starts the janitor and has it finish when the test ends.
func engage(t *testing.T, prefix string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], roleArgument, "janitor", prefix)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is not for it
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("janitor: %v", err)
		}
		if left := namespaces(prefix); len(left) > 0 {
			t.Errorf("namespaces are left: %v", left)
		}
	})
}

// build makes the binaries that users get, and returns their directory.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "./cmd/iod", "./examples/weather")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"iod", "weather"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// unique is a prefix of names that no other run on this machine uses.
func unique() string { return "iode2e" + strconv.Itoa(os.Getpid()) + "-" }
