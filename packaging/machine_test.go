//go:build linux

package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDebianMachine boots a Debian with systemd in a virtual machine, and has the packaged service live there. It takes some minutes, so it runs
// only when IOD_DEBOOTSTRAP is set and IOD_KERNEL names a kernel (a Debian linux-image-cloud package has one in boot/).
func TestDebianMachine(t *testing.T) {
	need(t, "debootstrap", "dpkg-deb", "chroot", "qemu-system-x86_64", "cpio")
	kernel := os.Getenv("IOD_KERNEL")
	if kernel == "" || os.Getenv("IOD_DEBOOTSTRAP") == "" {
		t.Skip("IOD_KERNEL or IOD_DEBOOTSTRAP is not set: the service is not run by a real systemd")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make a Debian root")
	}
	root := filepath.Join(t.TempDir(), "root")
	run(t, ".", nil, "debootstrap", "--variant=minbase", "--include=systemd-sysv,dbus", "bookworm", root)
	in := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"} {
		if err := os.RemoveAll(in(dir)); err != nil { // it all has to fit into the machine's memory
			t.Fatal(err)
		}
	}
	run(t, ".", nil, "cp", filepath.Join(build(t, "..", "0.9.0"), "iod_0.9.0_amd64.deb"), in("root/iod.deb"))
	run(t, "..", []string{"CGO_ENABLED=0"}, "go", "build", "-o", in("usr/local/bin/iod-full"), "./cmd/iod")
	run(t, "..", []string{"CGO_ENABLED=0"}, "go", "build", "-o", in("usr/local/bin/weather"), "./examples/weather")
	run(t, "testdata", nil, "install", "-m", "755", "machine.sh", in("machine.sh"))
	run(t, "testdata", nil, "install", "-D", "-m", "644", "machine.service", in("etc/systemd/system/machine.service"))
	run(t, ".", nil, "ln", "-s", "../machine.service", in("etc/systemd/system/multi-user.target.wants/machine.service"))
	image := filepath.Join(t.TempDir(), "initrd")
	run(t, root, nil, "sh", "-c", `find . -xdev | cpio -o -H newc > "$1"`, "sh", image)

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", "-m", "3072", "-smp", "2", "-cpu", "max", "-nographic", "-no-reboot", "-kernel", kernel, "-initrd", image,
		"-append", "console=ttyS0 quiet panic=1 rdinit=/sbin/init systemd.show_status=0").CombinedOutput()
	t.Logf("%s", out)
	said := string(out)
	if err != nil || !strings.Contains(said, "that was all") {
		t.Fatalf("the machine did not come to the end: %v", err)
	}
	if strings.Contains(said, "not ok:") || strings.Count(said, "ok: ") < 20 {
		t.Error("not all was well")
	}
}
