package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceManager runs a device as systemd does, with a socket to be told things and with a watchdog, which is there from the first moment.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+dir, "IOD_RPC=ws://127.0.0.1:9") // no chain: the device runs all the same
	initialise := exec.Command("iod", "device", "init", "--data-type", "weather", "--target", "127.0.0.1:9", "--topic", "a/#")
	initialise.Dir, initialise.Env = dir, env
	if out, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	socket := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	for range 5 {
		service(t, manager, dir, append(env, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=100000"))
	}
}

// service is one life of a service: started, alive, reloaded, stopped.
func service(t *testing.T, manager *net.UnixConn, dir string, env []string) {
	t.Helper()
	cmd := exec.Command("iod", "device", "run")
	cmd.Dir, cmd.Env = dir, env
	log := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // it may have ended
	told := func(what string) {
		t.Helper()
		b := make([]byte, 4096)
		for deadline := time.Now().Add(patience); ; {
			err := manager.SetReadDeadline(deadline)
			n := 0
			if err == nil {
				n, err = manager.Read(b)
			}
			if err != nil {
				cmd.Process.Kill() //nolint:errcheck // it may have ended
				t.Fatalf("the manager waits for %s: %v; the device says:\n%s", what, errors.Join(err, cmd.Wait()), log)
			}
			if strings.HasPrefix(string(b[:n]), what) {
				return
			}
		}
	}
	told("READY=1")
	told("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	told("RELOADING=1\nMONOTONIC_USEC=")
	told("READY=1")
	told("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, log)
	}
}
