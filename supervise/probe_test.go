package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestProbeCheck(t *testing.T) {
	for _, good := range []Probe{{Port: 1}, {HTTP: "http://127.0.0.1:80/health?x=1"}, {HTTP: "http://[::1]/"}, {HTTP: "http://localhost:8080"},
		{Topic: "mqtt://127.0.0.1:1883/#"}, {Topic: "mqtt://[::1]:1883/a/+/b?c#"}, {Line: "^up$"}} {
		if err := good.Check(true); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []Probe{{}, {Port: -1}, {Port: 65536}, {Port: 1, Line: "x"}, {HTTP: "http://10.0.0.1/"}, {HTTP: "https://127.0.0.1/"},
		{HTTP: "http://127.0.0.1@example.com/"}, {HTTP: "http://user:pass@127.0.0.1/"}, {HTTP: "http://127.0.0.1.example.com/"}, {HTTP: "//127.0.0.1"},
		{Topic: "mqtt://127.0.0.1:1883"}, {Topic: "mqtt://127.0.0.1:1883/"}, {Topic: "mqtt://127.0.0.1/a"}, {Topic: "mqtt://user@127.0.0.1:1883/a"},
		{Topic: "mqtts://127.0.0.1:1883/a"}, {Topic: "mqtt://10.0.0.1:1883/a"}, {Line: "("}} {
		if err := bad.Check(true); err == nil {
			t.Errorf("%+v is right", bad)
		}
	}
	if (Probe{Line: "x"}).Check(false) == nil {
		t.Error("a line can tell that a program is alive")
	}
}

// soon bounds a question that is to be answered.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestAskPort(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", host)
		if err != nil {
			t.Logf("%s: %v", host, err)
			continue
		}
		port := ln.Addr().(*net.TCPAddr).Port
		if err := ask(soon(t), Probe{Port: port}); err != nil {
			t.Error(err)
		}
		ln.Close()
		if err := ask(soon(t), Probe{Port: port}); err == nil {
			t.Error("nobody listens, and it answers")
		}
	}
}

func TestAskHTTP(t *testing.T) {
	status := http.StatusOK
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-hang
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		default:
			w.WriteHeader(status)
		}
	}))
	defer s.Close()
	defer close(hang)
	for _, path := range []string{"/", "/away", "/endless"} {
		if err := ask(soon(t), Probe{HTTP: s.URL + path}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	status = http.StatusServiceUnavailable
	if err := ask(soon(t), Probe{HTTP: s.URL}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Error(err)
	}
	if err := ask(briefly(t), Probe{HTTP: s.URL + "/hang"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestAskTopic asks a broker that nobody here wrote.
func TestAskTopic(t *testing.T) {
	mosquitto, err := exec.LookPath("mosquitto")
	if err != nil {
		if mosquitto, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("mosquitto is not installed")
		}
	}
	pub, err := exec.LookPath("mosquitto_pub")
	if err != nil {
		t.Skip("mosquitto_pub is not installed")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	broker := exec.Command(mosquitto, "-p", port)
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { broker.Process.Kill(); broker.Wait() }()
	publish := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(pub, append([]string{"-p", port, "-m", "x"}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	if err := (Probe{Port: atoi(port)}).untilReady(soon(t), ask, nil); err != nil {
		t.Fatal(err)
	}
	publish("-t", "kept/1", "-r")
	topic := Probe{Topic: "mqtt://127.0.0.1:" + port + "/kept/#"}
	if err := ask(briefly(t), topic); err == nil || !strings.Contains(err.Error(), "no message came") {
		t.Errorf("a retained message counts: %v", err)
	}
	answer := make(chan error, 1)
	go func() { answer <- ask(soon(t), topic) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-answer:
			if err != nil {
				t.Error(err)
			}
			return
		case <-tick.C:
			publish("-t", "other/1")
			publish("-t", "kept/2", "-q", "1")
		}
	}
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// TestHostileBrokers answer anything but what they should.
func TestHostileBrokers(t *testing.T) {
	for want, script := range map[string][]string{
		"refuses a connection":    {"\x20\x02\x00\x05"},
		"refuses the topic":       {"\x20\x02\x00\x00\x90\x03\x00\x01\x80"},
		"a packet of 268435455":   {"\x20\x02\x00\x00\x30\xff\xff\xff\x7f"},
		"EOF":                     {"\x20\x02\x00\x00\x30"},
		"overflows":               {"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
		"a packet of kind 2 with": {"\x20\x7f" + strings.Repeat("x", 127)},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // ends with the listener
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 100))
			for _, s := range script {
				fmt.Fprint(conn, s)
			}
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
		}()
		err = ask(soon(t), Probe{Topic: fmt.Sprintf("mqtt://%s/a", ln.Addr())})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
		ln.Close()
	}
}

func TestUntilReady(t *testing.T) {
	line := make(chan struct{})
	p := Probe{Line: "x"}
	if err := p.untilReady(briefly(t), ask, line); err == nil {
		t.Error("a line that has not come is there")
	}
	close(line)
	if err := p.untilReady(soon(t), ask, line); err != nil {
		t.Error(err)
	}
	n := 0
	err := Probe{Port: 1}.untilReady(soon(t), func(context.Context, Probe) error {
		if n++; n < 4 {
			return errors.New("not yet")
		}
		return nil
	}, nil)
	if err != nil || n != 4 {
		t.Errorf("%v after %d questions", err, n)
	}
}
