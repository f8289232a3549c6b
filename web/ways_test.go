package web

import (
	"bufio"
	"context"
	"fmt"
	"go/format"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/document"
	"iod/examples/weather/station"
	"iod/index/storetest"
)

// mean are topics that a device may have and that do harm to who quotes badly.
var mean = []string{"a'b/$(touch pwned)/`touch pwned`/x", `q"u\o'te/${HOME}/#`, "-t/--help", "sp ace/&& touch pwned;#!", "%s/%d/!!", "ünïcode/日本/🌡", `'''/"""/\`, "*/?/[a]~"}

// TestShellReadsTheWord has a real shell read what is quoted.
func TestShellReadsTheWord(t *testing.T) {
	var script strings.Builder
	var texts []string
	add := func(text string) {
		word, err := shell(text)
		if err != nil {
			return
		}
		texts = append(texts, text)
		fmt.Fprintf(&script, "printf '%%s\\n' %s\n", word)
	}
	for _, text := range mean {
		add(text)
	}
	strange := rapid.StringN(0, 40, 200)
	for i := range 500 {
		add(strange.Example(i))
	}
	if len(texts) < 100 {
		t.Fatalf("only %d texts could be quoted", len(texts))
	}
	for _, sh := range []string{"sh", "bash"} {
		c := exec.Command(sh)
		c.Stdin = strings.NewReader(script.String())
		c.Dir = t.TempDir()
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v", sh, err)
		}
		lines := bufio.NewScanner(strings.NewReader(string(out)))
		for _, want := range texts {
			if lines.Scan(); lines.Text() != want {
				t.Fatalf("%s reads %q, want %q", sh, lines.Text(), want)
			}
		}
		if left, _ := os.ReadDir(c.Dir); len(left) > 0 {
			t.Fatalf("%s has made %v", sh, left[0])
		}
	}
}

// TestCommandsReachTheProgram pastes whole commands into a shell whose programs tell their arguments: each is one command, of the words
// that are meant, whatever the topics are.
func TestCommandsReachTheProgram(t *testing.T) {
	tools, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"iod", "mosquitto_sub", "curl", "ffplay", "ffmpeg", "nc"} {
		tell := "#!/bin/sh\nprintf '%s\\0' " + name + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(tools, name), []byte(tell), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	argv := func(code string) []string {
		t.Helper()
		c := exec.Command("/bin/sh", "-c", code)
		c.Dir, c.Env = dir, []string{"PATH=" + tools}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", code, err, out)
		}
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	strange := rapid.SliceOfN(rapid.StringN(1, 30, 100), 0, 4)
	for i := range 40 {
		topics := slices.Concat(mean, strange.Example(i))
		if i > 0 {
			topics = topics[len(mean):]
		}
		want := []string{"mosquitto_sub", "-h", "127.0.0.1", "-p", "1883"}
		for _, topic := range topics {
			if _, err := shell(topic); err == nil {
				want = append(want, "-t", topic)
			}
		}
		if len(want) == 5 {
			continue // nothing that could be pasted
		}
		if got := argv(codeOf(t, "mqtt", "mosquitto_sub", topics...)); !slices.Equal(got, append(want, "-v")) {
			t.Fatalf("the shell reads %q, want %q", got, want)
		}
	}
	for _, kind := range []string{"mqtt", "http", "rtsp", "tcp", "udp"} {
		for _, w := range waysTo(storetest.Account(t, "ways").Account(), streamOfKind(kind, "a/#")) {
			if !w.OneLine() {
				continue
			}
			if got, want := argv(w.Code), strings.Fields(strings.ReplaceAll(w.Code, "'a/#'", "a/#")); !slices.Equal(got, want) {
				t.Errorf("%s is read as %q", w.Code, got)
			}
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Fatalf("the shell has made %v", left[0])
	}
}

func TestShellRefusesWhatIsNotSeen(t *testing.T) {
	for _, text := range []string{"a\nb", "a\x1b[2Jb", "a\u202eb", "a\u200bb", "a\tb", "\x7f", "a\u00a0b"} {
		if word, err := shell(text); err == nil {
			t.Errorf("%q is quoted as %s", text, word)
		}
	}
	for text, want := range map[string]string{"": "''", "abc": "abc", "-x": "'-x'", "it's": `'it'\''s'`} {
		if word, _ := shell(text); word != want {
			t.Errorf("%q is quoted as %s, want %s", text, word, want)
		}
	}
}

func streamOfKind(kind string, topics ...string) document.Stream {
	return document.Stream{Name: "s1", Kind: kind, Topics: topics, ContentType: "video/mp4"}
}

func codeOf(t *testing.T, kind, title string, topics ...string) string {
	t.Helper()
	for _, w := range waysTo(storetest.Account(t, "ways").Account(), streamOfKind(kind, topics...)) {
		if w.Title == title {
			return w.Code
		}
	}
	t.Fatalf("a stream of kind %s has no way in by %s", kind, title)
	return ""
}

func TestWaysFitTheKind(t *testing.T) {
	for kind, want := range map[string]string{
		"mqtt": "iod subscribe, iod connect, mosquitto_sub, Python, Go", "http": "iod connect, curl, Python, Go", "rtsp": "iod connect, ffplay, Record, Python",
		"tcp": "iod connect, netcat, ffplay, Python, Go", "udp": "iod connect, netcat, Python, Go", "telepathy": "",
	} {
		var titles []string
		for _, w := range waysTo(storetest.Account(t, "ways").Account(), streamOfKind(kind, "a/#")) {
			titles = append(titles, w.Title)
		}
		if got := strings.Join(titles, ", "); got != want {
			t.Errorf("kind %s has %s, want %s", kind, got, want)
		}
	}
	if ways := waysTo(storetest.Account(t, "ways").Account(), document.Stream{Name: "$(x)", Kind: "mqtt"}); ways != nil {
		t.Errorf("a stream with a name that is none has %v", ways)
	}
	ways := waysTo(storetest.Account(t, "ways").Account(), streamOfKind("mqtt", "good", "bad\u200b"))
	if !strings.Contains(ways[0].Note, "1 topic of this stream has invisible") || strings.Contains(ways[2].Code, "bad") {
		t.Errorf("an invisible topic: %q, %s", ways[0].Note, ways[2].Code)
	}
}

// TestGoCompiles has the compiler read the programs, with the module's own version of the MQTT client.
func TestGoCompiles(t *testing.T) {
	for _, kind := range []string{"mqtt", "http", "tcp", "udp"} {
		code := codeOf(t, kind, "Go", mean...)
		if pretty, err := format.Source([]byte(code)); err != nil || string(pretty) != code {
			t.Errorf("the Go program for %s is not formatted: %v", kind, err)
		}
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
			t.Errorf("the Go program for %s: %v: %s", kind, err, out)
		}
	}
}

// TestPythonReads has Python parse the programs and read the topics out of them.
func TestPythonReads(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	const read = `
import ast, sys
tree = ast.parse(sys.stdin.read())
for node in ast.walk(tree):
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "subscribe":
        for topic, qos in ast.literal_eval(node.args[0]):
            print(topic)
`
	for _, kind := range []string{"mqtt", "http", "rtsp", "tcp", "udp"} {
		c := exec.Command(python, "-c", read)
		c.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
		c.Stdin = strings.NewReader(codeOf(t, kind, "Python", mean...))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("the Python program for %s: %v: %s", kind, err, out)
		}
		if kind == "mqtt" && string(out) != strings.Join(mean, "\n")+"\n" {
			t.Errorf("Python reads the topics as %s", out)
		}
	}
}

// broker runs the demo's weather station and returns the port of its broker.
func broker(t *testing.T) string {
	t.Helper()
	ready := make(chan string, 1)
	var wait sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); wait.Wait() })
	wait.Go(func() {
		o := station.Options{Listen: "127.0.0.1:0", Interval: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Ready: func(a string) { ready <- a }}
		if err := station.Run(ctx, o); err != nil {
			t.Errorf("weather station: %v", err)
		}
	})
	_, port, err := net.SplitHostPort(<-ready)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
