package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvironment(t *testing.T) {
	p := &Program{Env: []string{"A=1", "B=2"}, EnvFile: write(t, 0o600, "# comment\n\nB=3\nexport C=\"x y\"\nD='='\nE=\n  F=1 \n"),
		Secrets: []Secret{{"TOKEN", write(t, 0o400, "s3cret\r\n")}}}
	base := []string{"PATH=/bin", "A=0", "IOD_KEY=x", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "LISTEN_FDS=1", "IODINE=kept"}
	got, err := environment(base, p, nil, "IOD_PROGRAM=p")
	want := []string{"PATH=/bin", "A=1", "IODINE=kept", "B=3", "C=x y", "D==", "E=", "F=1", "TOKEN=s3cret", "IOD_PROGRAM=p"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBadSecrets(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, path := range map[string]string{
		"may be read by others (mode 0644): chmod 600": write(t, 0o644, "s3cret"),
		"may be read by others (mode 0640)":            write(t, 0o640, "s3cret"),
		"no such file":                                 "/nowhere/at/all",
		"is larger than 65536 bytes":                   write(t, 0o600, strings.Repeat("s3cret", 20_000)),
		"NUL byte":                                     write(t, 0o600, "s3cret\x00"),
		"is not a file":                                fifo,
	} {
		_, err := environment(nil, &Program{Secrets: []Secret{{"TOKEN", path}}}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the secret TOKEN") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	for want, text := range map[string]string{
		"line 2 is not KEY=VALUE":            "A=1\ns3cret\n",
		"line 1 is not KEY=VALUE":            "s3cret 3s=1",
		"names that begin with IOD_ are iod": "IOD_KEY=s3cret",
	} {
		_, err := environment(nil, &Program{EnvFile: write(t, 0o600, text)}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	if os.Geteuid() == 0 {
		path := write(t, 0o600, "x")
		if err := os.Chown(path, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, err := readSecret(path, nil); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Errorf("%v", err)
		}
	}
}

func TestLookUpUser(t *testing.T) {
	root, err := lookUpUser("root")
	if err != nil || root.UID != 0 {
		t.Errorf("%+v, %v", root, err)
	}
	nameless, err := lookUpUser("4242424")
	if err != nil || nameless.UID != 4242424 || nameless.GID != 4242424 || !slices.Contains(homeOf(nameless), "HOME=/") {
		t.Errorf("%+v, %v", nameless, err)
	}
	for _, bad := range []string{"no-such-user", "-1", "99999999999"} {
		if _, err := lookUpUser(bad); err == nil {
			t.Errorf("%s is somebody", bad)
		}
	}
}
