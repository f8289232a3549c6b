package supervise_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machineInit is the first process of a machine that has a kernel, busybox and the tests of this package.
const machineInit = `#!/bin/sh
export PATH=/bin HOME=/
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t cgroup2 groups /sys/fs/cgroup
cd /pkg && ./tests -test.v -test.run 'ControlGroups|Limits|NoOrphan|NothingLeft|OtherUser|Bomb|FullDisk'
echo "the tests ended with $?"
poweroff -f
`

// TestOnItsOwnKernel runs the tests that ask most of the kernel on one that keeps nothing from them: in a virtual machine, with control
// groups of version 2. IOD_KERNEL names the kernel (a Debian linux-image-cloud package has one in boot/). It takes less than a minute.
func TestOnItsOwnKernel(t *testing.T) {
	kernel := os.Getenv("IOD_KERNEL")
	if kernel == "" {
		t.Skip("IOD_KERNEL names no kernel (vmlinuz) to run the tests of control groups on")
	}
	for _, tool := range []string{"qemu-system-x86_64", "busybox", "cpio"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	root := machineRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	image := filepath.Join(t.TempDir(), "initrd")
	pack := exec.CommandContext(ctx, "sh", "-c", `cd "$1" && find . | cpio -o -H newc > "$2"`, "sh", root, image)
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", "-m", "1024", "-smp", "2", "-cpu", "max", "-nographic", "-no-reboot",
		"-kernel", kernel, "-initrd", image, "-append", "console=ttyS0 quiet panic=1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
	if !bytes.Contains(out, []byte("the tests ended with 0")) || bytes.Contains(out, []byte("--- SKIP")) {
		t.Error("not all tests passed on that kernel")
	}
	if !bytes.Contains(out, []byte("--- PASS: TestControlGroups")) {
		t.Error("control groups were not tested")
	}
}

// machineRoot makes the file system of the machine.
func machineRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write := func(name string, mode fs.FileMode, r io.Reader) {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			var f *os.File
			if f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, mode); err == nil {
				_, err = io.Copy(f, r)
				err = errors.Join(err, f.Close())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, _ := exec.LookPath("busybox")
	copyOf := func(from string) io.Reader {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(b)
	}
	write("bin/busybox", 0o755, copyOf(busybox))
	for _, c := range strings.Fields("sh sleep cat mount ls kill ps poweroff true echo grep yes head tail id seq dd env setsid nohup") {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", c)); err != nil {
			t.Fatal(err)
		}
	}
	write("init", 0o755, strings.NewReader(machineInit))
	write("etc/passwd", 0o644, strings.NewReader("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"))
	write("etc/group", 0o644, strings.NewReader("root:x:0:\nnogroup:x:65534:\n"))
	tests := filepath.Join(t.TempDir(), "tests")
	build := exec.Command("go", "test", "-c", "-o", tests, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, out))
	}
	write("pkg/tests", 0o755, copyOf(tests))
	return root
}
