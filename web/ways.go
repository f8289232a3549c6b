package web

import (
	"fmt"
	"strconv"
	"strings"

	"iod/document"
	"iod/key"
)

// way is a way into a stream: text that works when it is pasted.
type way struct {
	ID    string // within the page
	Title string
	Note  string // what to know before; empty: nothing
	Code  string
}

// OneLine reports whether the text is a single command, which may be broken anywhere to be seen whole.
func (w way) OneLine() bool { return !strings.Contains(w.Code, "\n") }

// word is what stands between two spaces of a command. An option is not broken at its hyphens when it is shown.
type word struct {
	Text   string
	Option bool
}

// Words cuts a command up for the eye; with single spaces between them the words are the command.
func (w way) Words() (out []word) {
	for text := range strings.SplitSeq(w.Code, " ") {
		out = append(out, word{text, strings.HasPrefix(text, "-") && len(text) <= 24})
	}
	return out
}

// shell quotes text as one word of a POSIX shell. It refuses text that has characters which cannot be seen: a terminal might take them
// for keys.
func shell(text string) (string, error) {
	plain := text != ""
	for _, r := range text {
		if !strconv.IsPrint(r) {
			return "", fmt.Errorf("%q has the invisible character %U", text, r)
		}
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_", r) {
			plain = false
		}
	}
	if plain && !strings.HasPrefix(text, "-") {
		return text, nil
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'", nil
}

// quoted writes text as a string literal that Go and Python both read, in printable ASCII and letters.
func quoted(text string) string { return strconv.Quote(text) }

// port is the local port that examples use for a kind of stream.
func port(kind string) string {
	switch kind {
	case "mqtt":
		return "1883"
	case "http":
		return "8090"
	case "rtsp":
		return "8554"
	}
	return "9000"
}

// door is what the ways into a stream are made of.
type door struct {
	did, stream, kind, port string
	topics                  []string // those that can be pasted
	hidden                  int      // how many cannot
	video                   bool
}

// waysTo returns the ways into a stream of a device, the shortest first. None for a kind that iod does not carry.
func waysTo(device key.AccountID, s document.Stream) []way {
	d := door{did: device.DID(), stream: s.Name, kind: s.Kind, port: port(s.Kind)}
	d.video = strings.HasPrefix(s.ContentType, "video/") || s.DataType == "video"
	for _, t := range s.Topics {
		if _, err := shell(t); err != nil {
			d.hidden++
			continue
		}
		d.topics = append(d.topics, t)
	}
	if !document.ValidStreamName(s.Name) {
		return nil
	}
	var ways []way
	switch s.Kind {
	case "mqtt":
		ways = d.mqtt()
	case "http":
		ways = d.http()
	case "rtsp":
		ways = d.rtsp()
	case "tcp":
		ways = d.tcp()
	case "udp":
		ways = d.udp()
	}
	for i := range ways {
		ways[i].ID = s.Name + "-" + strconv.Itoa(i)
	}
	return ways
}

// connect is the command that gives the stream a local port.
func (d door) connect() string {
	return fmt.Sprintf("iod connect %s %s --listen 127.0.0.1:%s --key me.key", d.did, d.stream, d.port)
}

// through is a way that needs the local port of connect; the commands follow in another terminal.
func (d door) through(title, code string) way {
	return way{Title: title, Code: code, Note: "Needs the local port: leave “iod connect” running in another terminal."}
}

func (d door) local() way {
	return way{Title: "iod connect", Code: d.connect(), Note: "A port on this machine; whatever connects to it talks to the device, end to end encrypted."}
}

func (d door) mqtt() []way {
	words := []string{"mosquitto_sub -h 127.0.0.1 -p " + d.port}
	var python, golang []string
	for _, t := range d.topics {
		word, _ := shell(t) // waysTo has left out those that it refuses
		words = append(words, "-t "+word)
		python = append(python, "("+quoted(t)+", 0)")
		golang = append(golang, "{Topic: "+quoted(t)+"}")
	}
	note := "Prints each message as a line of JSON. Nothing else is needed."
	if d.hidden > 0 {
		note += fmt.Sprintf(" %s of this stream %s invisible characters and can be had in this way only.",
			plural(d.hidden, "topic"), map[bool]string{true: "has", false: "have"}[d.hidden == 1])
	}
	ways := []way{
		{Title: "iod subscribe", Note: note, Code: fmt.Sprintf("iod subscribe %s %s --key me.key", d.did, d.stream)},
		d.local(),
	}
	if len(d.topics) == 0 {
		return ways
	}
	return append(ways,
		d.through("mosquitto_sub", strings.Join(append(words, "-v"), " ")),
		d.through("Python", fmt.Sprintf(pythonMQTT, strings.Join(python, ", "), d.port)),
		d.through("Go", fmt.Sprintf(goMQTT, d.port, strings.Join(golang, ", "))))
}

func (d door) http() []way {
	url := "http://127.0.0.1:" + d.port + "/"
	return []way{
		d.local(),
		d.through("curl", "curl -s "+url),
		d.through("Python", fmt.Sprintf(pythonHTTP, url)),
		d.through("Go", fmt.Sprintf(goHTTP, url)),
	}
}

func (d door) rtsp() []way {
	url := "rtsp://127.0.0.1:" + d.port + "/"
	return []way{
		d.local(),
		{Title: "ffplay", Code: "ffplay -rtsp_transport tcp " + url,
			Note: "Needs the local port of “iod connect”. Cameras often want a path after the last slash: see the description, or ask the owner."},
		d.through("Record", "ffmpeg -rtsp_transport tcp -i "+url+" -c copy recording.mkv"),
		d.through("Python", fmt.Sprintf(pythonRTSP, url)),
	}
}

func (d door) tcp() []way {
	ways := []way{d.local(), d.through("netcat", "nc 127.0.0.1 "+d.port)}
	if d.video {
		ways = append(ways, d.through("ffplay", "ffplay tcp://127.0.0.1:"+d.port))
	}
	return append(ways,
		d.through("Python", fmt.Sprintf(pythonTCP, d.port)),
		d.through("Go", fmt.Sprintf(goTCP, "tcp", d.port, "")))
}

func (d door) udp() []way {
	return []way{
		d.local(),
		d.through("netcat", "nc -u 127.0.0.1 "+d.port),
		d.through("Python", fmt.Sprintf(pythonUDP, d.port)),
		d.through("Go", fmt.Sprintf(goTCP, "udp", d.port, "\tif _, err := conn.Write([]byte(\"hello\\n\")); err != nil { // the first datagram opens the way\n\t\tlog.Fatal(err)\n\t}\n")),
	}
}

const pythonMQTT = `# pip install "paho-mqtt>=2"
import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, reason_code, properties):
    client.subscribe([%s])


def on_message(client, userdata, message):
    print(message.topic, message.payload.decode(errors="replace"))


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = on_connect
client.on_message = on_message
client.connect("127.0.0.1", %s)
client.loop_forever()
`

const goMQTT = `package main

// go get github.com/eclipse/paho.golang

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/eclipse/paho.golang/paho"
)

func main() {
	conn, err := net.Dial("tcp", "127.0.0.1:%s")
	if err != nil {
		log.Fatal(err)
	}
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			fmt.Printf("%%s %%s\n", m.Packet.Topic, m.Packet.Payload)
			return true, nil
		}},
	})
	ctx := context.Background()
	if _, err := client.Connect(ctx, &paho.Connect{KeepAlive: 30, CleanStart: true}); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{%s}}); err != nil {
		log.Fatal(err)
	}
	<-client.Done()
}
`

const pythonHTTP = `import urllib.request

with urllib.request.urlopen("%s") as answer:
    print(answer.read().decode(errors="replace"))
`

const goHTTP = `package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	answer, err := http.Get("%s")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		log.Fatal(err)
	}
}
`

const pythonRTSP = `# pip install opencv-python
import os

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
import cv2

video = cv2.VideoCapture("%s", cv2.CAP_FFMPEG)
while True:
    ok, frame = video.read()
    if not ok:
        break
    cv2.imshow("iod", frame)
    if cv2.waitKey(1) == 27:  # Esc
        break
`

const pythonTCP = `import socket
import sys

with socket.create_connection(("127.0.0.1", %s)) as conn:
    while data := conn.recv(4096):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
`

const pythonUDP = `import socket

conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
conn.connect(("127.0.0.1", %s))
conn.send(b"hello\n")  # the first datagram opens the way
while True:
    print(conn.recv(65535))
`

const goTCP = `package main

import (
	"io"
	"log"
	"net"
	"os"
)

func main() {
	conn, err := net.Dial("%s", "127.0.0.1:%s")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
%s	if _, err := io.Copy(os.Stdout, conn); err != nil {
		log.Fatal(err)
	}
}
`
