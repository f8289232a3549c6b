package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// everyone is a broker's rule that lets all in, for all topics.
type everyone struct{ broker.HookBase }

func (*everyone) ID() string { return "everyone" }

func (*everyone) Provides(hook byte) bool {
	return hook == broker.OnConnectAuthenticate || hook == broker.OnACLCheck
}

func (*everyone) OnConnectAuthenticate(*broker.Client, packets.Packet) bool { return true }

func (*everyone) OnACLCheck(*broker.Client, string, bool) bool { return true }

func startMochi(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(&broker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := b.AddHook(new(everyone), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.AddListener(listeners.NewNet("test", ln)); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return ln.Addr().String()
}

// tool returns the path of one of Mosquitto's programs, and skips the test where it is not installed.
func tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		if p := filepath.Join(dir, name); exec.Command(p, "-h").Run() == nil || fileExists(p) {
			return p
		}
	}
	t.Skipf("SKIPPED: %s is not installed; it comes with the packages mosquitto and mosquitto-clients", name)
	return ""
}

func fileExists(p string) bool {
	i, err := os.Stat(p)
	return err == nil && i.Mode().IsRegular()
}

func startMosquitto(t testing.TB) string {
	t.Helper()
	bin := tool(t, "mosquitto")
	for range 3 { // its port may be taken between our look and its start
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		ln.Close()
		_, port, _ := net.SplitHostPort(addr)
		conf := filepath.Join(t.TempDir(), "mosquitto.conf")
		text := "listener " + port + " 127.0.0.1\nallow_anonymous true\npersistence false\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(bin, "-c", conf)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			c.Wait()
			close(ended)
		}()
		if answers(addr, ended) {
			t.Cleanup(func() {
				c.Process.Kill()
				<-ended
			})
			return addr
		}
		c.Process.Kill()
		<-ended
	}
	t.Fatal("mosquitto does not start")
	return ""
}

// answers waits until something accepts connections, or the process that should has ended.
func answers(addr string, ended <-chan struct{}) bool {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(10 * time.Second)
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-timeout:
			return false
		case <-ticker.C:
		}
	}
}

// guard listens on loopback and serves every connection with the filter.
func guard(t testing.TB, f Filter) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.ServeConn(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		cancel()
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

func eachBroker(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("mochi", func(t *testing.T) { test(t, startMochi(t)) })
	t.Run("mosquitto", func(t *testing.T) { test(t, startMosquitto(t)) })
}

// dialPaho connects a client of MQTT 5; what it receives goes to the channel.
func dialPaho(t *testing.T, addr, id string) (*paho.Client, chan *paho.Publish) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *paho.Publish, 100)
	c := paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) { got <- p.Packet; return true, nil }},
	})
	if _, err := c.Connect(t.Context(), &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 30}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Disconnect(&paho.Disconnect{})
		<-c.Done()
	})
	return c, got
}

func receive(t *testing.T, from chan *paho.Publish) *paho.Publish {
	t.Helper()
	select {
	case p := <-from:
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("no message comes")
		return nil
	}
}

func TestPahoThroughFilter(t *testing.T) {
	eachBroker(t, func(t *testing.T, addr string) {
		consumer, got := dialPaho(t, guard(t, Filter{Target: addr, Topics: []string{"m/#"}, ClientPrefix: "p/"}), "c")
		owner, seen := dialPaho(t, addr, "c") // the same id as the consumer's, without its prefix
		ctx := t.Context()
		ack, err := consumer.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
			{Topic: "m/wind", QoS: 2}, {Topic: "secret/#"}, {Topic: "#"}, {Topic: "m/+/x", QoS: 1}}})
		if err == nil || !bytes.Equal(ack.Reasons, []byte{2, 0x87, 0x87, 1}) {
			t.Fatalf("%v, %v", ack, err)
		}
		shared := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "$share/g/m/#"}}}
		if _, err := consumer.Subscribe(ctx, shared); err == nil { // paho itself refuses: the CONNACK told it
			t.Error("shared subscription granted")
		}
		if _, err := owner.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#", QoS: 2}}}); err != nil {
			t.Fatal(err)
		}
		for qos := byte(1); qos <= 2; qos++ {
			r, err := consumer.Publish(ctx, &paho.Publish{Topic: "m/wind", QoS: qos, Payload: []byte("forged")})
			if r == nil || r.ReasonCode != 0x87 { // paho makes an error of it at QoS 1 only
				t.Errorf("publication of QoS %d: %+v, %v", qos, r, err)
			}
		}
		if _, err := consumer.Publish(ctx, &paho.Publish{Topic: "m/wind", Payload: []byte("forged")}); err != nil {
			t.Error(err)
		}
		for qos := range byte(3) {
			for _, topic := range []string{"secret/a", "m/wind"} {
				payload := fmt.Appendf(nil, "%s %d", topic, qos)
				if _, err := owner.Publish(ctx, &paho.Publish{Topic: topic, QoS: qos, Payload: payload}); err != nil {
					t.Fatal(err)
				}
				if p := receive(t, seen); string(p.Payload) != string(payload) {
					t.Errorf("the broker has %q", p.Payload)
				}
			}
			if p := receive(t, got); p.Topic != "m/wind" || string(p.Payload) != fmt.Sprintf("m/wind %d", qos) || p.QoS != qos {
				t.Errorf("the consumer has %+v", p)
			}
		}
	})
}

// mosquitto runs one of Mosquitto's clients and returns what it said.
func mosquitto(t *testing.T, name, addr string, args ...string) (out, errOut string, err error) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, tool(t, name), append([]string{"-h", host, "-p", port}, args...)...)
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	err = c.Run()
	return stdout.String(), stderr.String(), err
}

func TestMosquittoClientsThroughFilter(t *testing.T) {
	tool(t, "mosquitto_sub")
	eachBroker(t, func(t *testing.T, addr string) {
		front := guard(t, Filter{Target: addr, Topics: []string{"m/#"}})
		for _, topic := range []string{"m/wind", "secret/a"} {
			if _, e, err := mosquitto(t, "mosquitto_pub", addr, "-t", topic, "-m", "good", "-r", "-q", "1"); err != nil {
				t.Fatal(e, err)
			}
		}
		for _, version := range []string{"311", "5"} {
			out, e, err := mosquitto(t, "mosquitto_sub", front, "-V", version, "-t", "m/#", "-t", "secret/#", "-v", "-C", "1", "-q", "1")
			if err != nil || out != "m/wind good\n" {
				t.Errorf("version %s: %q, %q, %v", version, out, e, err)
			}
			if out, e, err := mosquitto(t, "mosquitto_sub", front, "-V", version, "-t", "#", "-W", "5"); out != "" || !strings.Contains(e, "denied") {
				t.Errorf("version %s: subscribed to all: %q, %q, %v", version, out, e, err)
			}
			if _, _, err := mosquitto(t, "mosquitto_pub", front, "-V", version, "-t", "m/wind", "-m", "forged", "-r", "-q", "0"); err != nil {
				t.Errorf("version %s: %v", version, err)
			}
			_, e, err = mosquitto(t, "mosquitto_pub", front, "-V", version, "-t", "m/wind", "-m", "forged", "-r", "-q", "1")
			if t.Logf("version %s, QoS 1: %q, %v", version, e, err); err == nil && e == "" {
				t.Errorf("version %s: the publisher is not told", version)
			}
			if _, e, err := mosquitto(t, "mosquitto_sub", front, "-V", version, "-t", "m/#", "-C", "1",
				"--will-topic", "m/wind", "--will-payload", "forged"); err == nil {
				t.Errorf("version %s: a will was taken: %q", version, e)
			}
		}
		if out, _, err := mosquitto(t, "mosquitto_sub", addr, "-t", "m/#", "-C", "1"); err != nil || out != "good\n" {
			t.Errorf("the retained message is now %q, %v", out, err)
		}
	})
}

// firehose is a broker that answers a CONNECT and then sends b.N copies of a message.
func firehose(b *testing.B, message []byte, start <-chan struct{}) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	chunk := bytes.Repeat(message, max(1, 64<<10/len(message)))
	var all sync.WaitGroup
	all.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := reader{limit: 1 << 20}
		r.r = newSide(conn, 0, 64, 64, 64).in.r
		r.next()
		conn.Write([]byte(ok4))
		<-start
		for left := b.N * len(message); left > 0; {
			n, err := conn.Write(chunk[:min(left, len(chunk))])
			if err != nil {
				return
			}
			left -= n
		}
		io.Copy(io.Discard, conn)
	})
	b.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

// BenchmarkDelivery measures messages from a broker to a consumer over loopback TCP, with the filter between and without.
func BenchmarkDelivery(b *testing.B) {
	for _, size := range []int{200, 64 << 10} {
		message := encode(publish, 0, append([]byte("\x00\x06m/wind"), make([]byte, size)...))
		for _, filtered := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dB/filtered=%v", size, filtered), func(b *testing.B) {
				start := make(chan struct{})
				addr := firehose(b, message, start)
				if filtered {
					addr = guard(b, Filter{Target: addr, Topics: []string{"other/#", "m/+"}})
				}
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				conn.Write([]byte(hello4))
				if _, err := io.ReadFull(conn, make([]byte, len(ok4))); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(message)))
				b.ResetTimer()
				close(start)
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(conn, int64(b.N*len(message))), make([]byte, 64<<10)); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
