//go:build linux

package packaging

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// run runs a command in a directory and returns what it printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, errs.Bytes())
	}
	return string(out)
}

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: packages are not tested", tool)
		}
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("packages are tested on amd64")
	}
}

// build builds a version's packages in a checkout and returns where they are.
func build(t *testing.T, checkout, version string) string {
	t.Helper()
	out := t.TempDir()
	run(t, checkout, []string{"SOURCE_DATE_EPOCH=1700000000"}, "packaging/build", version, out, "linux/amd64")
	return out
}

// checkout copies the files that git tracks, with their changes, to another place.
func checkout(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "elsewhere")
	root := strings.TrimSpace(run(t, ".", nil, "git", "rev-parse", "--show-toplevel"))
	run(t, root, nil, "sh", "-c", "mkdir "+dir+" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "+dir)
	return dir
}

// TestPackages builds the packages twice, in different directories, and looks at what is in them with Debian's own tools.
func TestPackages(t *testing.T) {
	need(t, "dpkg-deb", "git", "tar", "gzip", "sha256sum")
	first := build(t, "..", "0.9.0-test")
	second := build(t, checkout(t), "0.9.0-test")
	if a, b := read(t, first, "SHA256SUMS"), read(t, second, "SHA256SUMS"); a != b || strings.Count(a, "\n") != 3 {
		t.Errorf("built twice:\n%s\n%s", a, b)
	}
	deb := filepath.Join(first, "iod_0.9.0~test_amd64.deb")
	if got := run(t, ".", nil, "dpkg-deb", "--field", deb, "Version", "Architecture", "Package"); got != "Version: 0.9.0~test\nArchitecture: amd64\nPackage: iod\n" {
		t.Errorf("control says %q", got)
	}
	contents := run(t, ".", nil, "dpkg-deb", "--contents", deb)
	for _, want := range []string{"-rwxr-xr-x root/root", "./usr/bin/iod\n", "./usr/lib/systemd/system/iod.service\n", "./usr/share/doc/iod/copyright\n",
		"./usr/share/bash-completion/completions/iod\n", "./usr/share/doc/iod/sbom.cdx.json\n"} {
		if !strings.Contains(contents, want) {
			t.Errorf("no %q in:\n%s", want, contents)
		}
	}
	root := t.TempDir()
	run(t, ".", nil, "dpkg-deb", "--extract", deb, root)
	if got := run(t, ".", nil, filepath.Join(root, "usr/bin/iod"), "version"); !strings.Contains(got, "0.9.0-test") {
		t.Errorf("version %q", got)
	}
	info, err := os.Stat(filepath.Join(root, "usr/bin/iod"))
	if err != nil || info.Size() > 15<<20 {
		t.Errorf("the program has %d bytes, %v: at most 15 MiB", info.Size(), err)
	}
	billOfMaterials(t, filepath.Join(root, "usr/share/doc/iod/sbom.cdx.json"), filepath.Join(root, "usr/bin/iod"))
	unit(t, filepath.Join(root, "usr/lib/systemd/system/iod.service"), root)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// billOfMaterials compares the list of modules with what the go command finds in the program.
func billOfMaterials(t *testing.T, file, program string) {
	t.Helper()
	var bom struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal([]byte(read(t, "", file)), &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("bill of materials: %v, format %q", err, bom.BOMFormat)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		listed[c.Name] = c.Version
	}
	modules := 0
	for line := range strings.Lines(run(t, ".", nil, "go", "version", "-m", program)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			modules++
			if listed[f[1]] != f[2] {
				t.Errorf("module %s %s is listed as %q", f[1], f[2], listed[f[1]])
			}
		}
	}
	if modules < 5 {
		t.Errorf("only %d modules were compared", modules)
	}
}

// unit lets systemd judge the service: it must be well-formed, and its exposure low.
func unit(t *testing.T, file, root string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not installed: the unit is not verified")
		return
	}
	local := filepath.Join(t.TempDir(), "iod.service")
	text := strings.ReplaceAll(read(t, "", file), "/usr/bin/iod", filepath.Join(root, "usr/bin/iod"))
	if err := os.WriteFile(local, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", local).CombinedOutput(); err != nil || strings.Contains(string(out), "iod.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=25", local).CombinedOutput()
	if err != nil {
		t.Errorf("exposure above 2.5: %v\n%s", err, out)
	}
}

// TestDebianRoot installs, runs, upgrades, removes and purges the package in a Debian root of its own. It takes a minute or two, so it runs
// where IOD_DEBOOTSTRAP is set.
func TestDebianRoot(t *testing.T) {
	need(t, "debootstrap", "dpkg-deb", "chroot")
	if os.Getenv("IOD_DEBOOTSTRAP") == "" {
		t.Skip("IOD_DEBOOTSTRAP is not set: the package is not installed into a Debian root")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make a Debian root")
	}
	root := filepath.Join(t.TempDir(), "root")
	run(t, ".", nil, "debootstrap", "--variant=minbase", "bookworm", root)
	for _, version := range []string{"0.9.0", "0.9.1"} {
		out := build(t, "..", version)
		run(t, ".", nil, "cp", filepath.Join(out, "iod_"+version+"_amd64.deb"), filepath.Join(root, "tmp"))
	}
	in := func(script string) string {
		t.Helper()
		return run(t, ".", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}, "chroot", root, "/bin/sh", "-ec", script)
	}
	if got := in("dpkg -i /tmp/iod_0.9.0_amd64.deb"); !strings.Contains(got, "iod device init --system") {
		t.Errorf("installing said %q", got)
	}
	if got := in("getent passwd iod; stat -c '%a %U %G' /etc/iod /var/lib/iod; iod version"); !strings.Contains(got, "/usr/sbin/nologin") ||
		!strings.Contains(got, "750 root iod\n700 iod iod\niod 0.9.0") {
		t.Errorf("installed: %s", got)
	}
	in("iod device init --system --data-type weather --target 127.0.0.1:1883 --topic 'a/#'")
	in("su -s /bin/sh iod -c 'iod device check -c /etc/iod/device.toml'")
	if got := in("stat -c '%a %U %G' /etc/iod/device.toml /var/lib/iod/device.key"); got != "640 root iod\n600 iod iod\n" {
		t.Errorf("after init: %q", got)
	}
	live(t, root)
	key := in("cat /var/lib/iod/device.key")
	in("dpkg -i /tmp/iod_0.9.1_amd64.deb")
	if got := in("iod version; su -s /bin/sh iod -c 'iod device check -c /etc/iod/device.toml'"); !strings.Contains(got, "0.9.1") {
		t.Errorf("upgraded: %s", got)
	}
	in("dpkg -r iod")
	if got := in("ls /usr/bin/iod 2>/dev/null || echo gone; cat /etc/iod/device.toml"); !strings.HasPrefix(got, "gone\n") || !strings.Contains(got, "weather") {
		t.Errorf("removed: %s", got)
	}
	if got := in("dpkg -P iod"); !strings.Contains(got, "/var/lib/iod/device.key") {
		t.Errorf("a purge said %q", got)
	}
	if got := in("ls -d /etc/iod 2>/dev/null || echo gone; cat /var/lib/iod/device.key; ls -A /var/lib/iod"); got != "gone\n"+key+"device.key\n" {
		t.Errorf("purged: %q", got)
	}
}

// live runs the service's command as the service's account until it has started, and ends it as systemd would.
func live(t *testing.T, root string) {
	t.Helper()
	cmd := exec.Command("chroot", "--userspec=iod:iod", root, "/usr/bin/iod", "device", "run", "-c", "/etc/iod/device.toml")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/var/lib/iod"}
	var log safe
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(log.String(), "chain"); {
		select {
		case err := <-ended:
			t.Fatalf("iod device run ended: %v\n%s", err, log.String())
		case <-tick.C:
			if time.Now().After(deadline) {
				t.Fatalf("iod device run said only:\n%s", log.String())
			}
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("iod device run ended with %v\n%s", err, log.String())
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("iod device run did not end")
	}
}
