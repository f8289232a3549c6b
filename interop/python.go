package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

//go:embed requirements.txt
var requirements []byte

//go:embed *.py
var pythonFiles embed.FS

// Python runs a script of this directory with the packages of requirements.txt, and returns what it wrote to standard output. The test
// fails with its standard error if it does not exit with 0 within two minutes, and is skipped where there is no Python with venv.
func Python(t testing.TB, input []byte, script string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), installTime+scriptTime)
	defer cancel()
	python := PythonPath(t)
	text, err := pythonFiles.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, python, append([]string{"-c", string(text)}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(input), &out, &errs, 5*time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("python3 %s: %v (%v)\n%s", script, err, ctx.Err(), errs.String())
	}
	return out.Bytes()
}

// PythonPath returns a Python that has the packages of requirements.txt, for tests that run programs of their own. The test is skipped
// where there is no Python with venv.
func PythonPath(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), installTime)
	defer cancel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("SKIPPED: NOT CHECKED BY PYTHON: python3 is not installed here: %v", err)
	}
	home, err := installPython(ctx, python)
	if errors.Is(err, errNoVenv) {
		t.Skipf("SKIPPED: NOT CHECKED BY PYTHON: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(home, "bin", "python3")
}

var errNoVenv = errors.New("python3 makes no virtual environment here (Debian package python3-venv)")

// installPython makes sure that the packages are there, in a virtual environment once for each version of requirements.txt.
func installPython(ctx context.Context, python string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("install python packages: %w", err)
	}
	sum := sha256.Sum256(requirements)
	home := filepath.Join(cache, "iod-interop", "python-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("install python packages: %w", err)
	}
	unlock, err := lock(filepath.Join(home, ".lock"))
	if err != nil {
		return "", fmt.Errorf("install python packages: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(home, installed)); err == nil {
		return home, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, python, "-m", "venv", home).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %w\n%s", errNoVenv, err, out)
	}
	list := filepath.Join(home, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return "", fmt.Errorf("install python packages: %w", err)
	}
	pip := exec.CommandContext(ctx, filepath.Join(home, "bin", "python3"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", list)
	pip.WaitDelay = 5 * time.Second
	if out, err := pip.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install python packages: pip: %w (%v)\n%s", err, ctx.Err(), out)
	}
	return home, os.WriteFile(filepath.Join(home, installed), nil, 0o644)
}
