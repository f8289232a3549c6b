package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is drawn is read by a program that nobody here wrote.
func TestQRIsRead(t *testing.T) {
	const address = "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX"
	text, err := qrText(address)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if n := len([]rune(lines[0])); n < 29 || n > 60 || 2*len(lines) < n || 2*len(lines) > n+1 {
		t.Fatalf("%d lines of %d", len(lines), n)
	}
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Skip("zbarimg (Debian: zbar-tools) is not installed: the code is not read")
	}
	file := filepath.Join(t.TempDir(), "code.png")
	if err := os.WriteFile(file, picture(t, lines), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "--quiet", "--raw", file).Output()
	if err != nil || strings.TrimSpace(string(out)) != address {
		t.Errorf("zbarimg read %q, %v", out, err)
	}
	if _, err := qrText(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text too long for a code: no error")
	}
}

// picture is what a terminal with a dark background shows.
func picture(t *testing.T, lines []string) []byte {
	const size = 8
	width := len([]rune(lines[0]))
	img := image.NewGray(image.Rect(0, 0, width*size, 2*len(lines)*size))
	for y, line := range lines {
		for x, r := range []rune(line) {
			for half, light := range map[int]bool{0: r == '█' || r == '▀', 1: r == '█' || r == '▄'} {
				if !light {
					continue
				}
				for i := range size * size {
					img.SetGray(x*size+i%size, (2*y+half)*size+i/size, color.Gray{Y: 255})
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
