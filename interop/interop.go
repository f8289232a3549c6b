// Package interop runs scripts that use software which others wrote (the polkadot.js API and its keyring, validators of documents), for
// tests that check iod against it. Tests of any package may import it.
//
// The scripts stand in this directory, and package.json and requirements.txt pin what they import. It is installed with npm and pip once for
// each version of these files, below the user's cache directory; a lock keeps test packages that run at the same time from
// installing twice. Without node, npm or python3 the test is skipped and says so.
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
	"strings"
	"testing"
	"time"
)

//go:embed package.json *.mjs
var files embed.FS

const (
	installTime = 5 * time.Minute
	scriptTime  = 2 * time.Minute
	installed   = ".installed" // written into the cache when npm is through
)

// Node runs a script of this directory and returns what it wrote to standard output. The test fails with its
// standard error if it does not exit with 0 within two minutes.
func Node(t testing.TB, script string, args ...string) []byte {
	t.Helper()
	return NodeInput(t, nil, script, args...)
}

// NodeInput is Node for a script that reads input from its standard input: there secrets and large data belong, since
// everyone on the machine can see arguments.
func NodeInput(t testing.TB, input []byte, script string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTime)
	defer cancel()
	cmd := Command(ctx, t, script, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s %s: %v (%v)\n%s", script, strings.Join(args, " "), err, ctx.Err(), errs.String())
	}
	return out.Bytes()
}

// Command returns the command that runs a script of this directory, for tests that talk to it while it runs. The
// caller starts it and waits for it; it is killed when ctx ends.
func Command(ctx context.Context, t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: NOT CHECKED AGAINST WHAT OTHERS WROTE: %s is not installed here: %v", program, err)
		}
	}
	home, err := install(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Modules are looked up from the script's directory upwards, so it has to run from below the installation.
	dir, err := os.MkdirTemp(home, "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join(dir, script)}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// install makes sure that the modules are there and returns the directory that holds node_modules.
func install(ctx context.Context) (string, error) {
	pins, err := files.ReadFile("package.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("install node modules: %w", err)
	}
	sum := sha256.Sum256(pins)
	home := filepath.Join(cache, "iod-interop", hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("install node modules: %w", err)
	}
	unlock, err := lock(filepath.Join(home, ".lock"))
	if err != nil {
		return "", fmt.Errorf("install node modules: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(home, installed)); err == nil {
		return home, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(home, "package.json"), pins, 0o644); err != nil {
		return "", fmt.Errorf("install node modules: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
	npm.Dir = home
	npm.WaitDelay = 5 * time.Second
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install node modules: npm: %w (%v)\n%s", err, ctx.Err(), out)
	}
	return home, os.WriteFile(filepath.Join(home, installed), nil, 0o644)
}
