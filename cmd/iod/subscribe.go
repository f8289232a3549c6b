package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"

	"iod/mqtt"
)

func (a *app) subscribeCommand() *cobra.Command {
	var via, topics []string
	var wait bool
	var qos uint8
	var count int
	c := &cobra.Command{
		Use:   "subscribe DID STREAM",
		Short: "Print the messages of an MQTT stream, one JSON object a line",
		Long: `Prints {"topic", "payload", "qos", "retained", "received"} for each message: the payload as it is where it is JSON, as a
string where it is text, else as {"base64": …}. It reconnects by itself; it ends with exit code 3 when access is
withdrawn, unless --wait.`,
		Example: "  iod subscribe did:peaq:5Grw… measurements --key me.key | jq .payload",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			for _, t := range topics {
				if err := mqtt.ValidFilter(t); err != nil {
					return usage(err)
				}
			}
			if qos > 2 {
				return usage(fmt.Errorf("qos %d is none of 0, 1, 2", qos))
			}
			r, err := a.remote(c.Context(), args[0], args[1], via)
			if err != nil {
				return err
			}
			defer r.close()
			s := &subscription{r: r, topics: topics, wait: wait, qos: qos, left: count, out: a.out}
			return s.run(c.Context())
		},
	}
	c.Flags().StringArrayVar(&topics, "topic", nil, "topic filter within the stream's; repeatable (default: all of the stream's)")
	c.Flags().StringArrayVar(&via, "via", nil, "relay of your own to go through; repeatable")
	c.Flags().BoolVar(&wait, "wait", false, "wait for a grant instead of being refused")
	c.Flags().Uint8Var(&qos, "qos", 0, "quality of service to ask for: 0, 1, 2")
	c.Flags().IntVar(&count, "count", 0, "end after so many messages; 0: never")
	return c
}

// subscription prints the messages of a stream until its context ends.
type subscription struct {
	r      *remote
	topics []string
	wait   bool
	qos    uint8

	mu      sync.Mutex
	out     io.Writer
	left    int // messages until the end; 0: no end
	ended   bool
	enough  context.CancelFunc
	failure error // of writing
}

const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
)

func (s *subscription) run(ctx context.Context) error {
	dev, stream, _, err := s.r.find(ctx)
	if err != nil {
		return err
	}
	if stream.Kind != "mqtt" {
		return hint(usage(fmt.Errorf("stream %q of %s is of kind %s, not mqtt", stream.Name, dev.Account.DID(), stream.Kind)),
			"use: iod connect %s %s", dev.Account.DID(), stream.Name)
	}
	if len(s.topics) == 0 {
		s.topics = stream.Topics
	}
	ctx, s.enough = context.WithCancel(ctx)
	defer s.enough()
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		begin := time.Now()
		err := s.session(ctx)
		if s.done() {
			return s.failure
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final(err) {
			return err
		}
		if time.Since(begin) > lastRetry {
			retry = firstRetry
		}
		s.r.log.Info("reconnecting", "after", err)
		if err := pause(ctx, retry); err != nil {
			return err
		}
	}
}

// pause waits for d, more or less.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *subscription) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// session connects once and prints until the connection ends.
func (s *subscription) session(ctx context.Context) error {
	conn, err := s.r.dial(ctx, s.wait)
	if err != nil {
		return err
	}
	defer conn.Close()
	over := make(chan error, 2)
	end := func(err error) {
		select {
		case over <- err:
		default:
		}
	}
	client := paho.NewClient(paho.ClientConfig{
		Conn:              conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){s.received},
		OnClientError:     end,
		OnServerDisconnect: func(d *paho.Disconnect) {
			end(fmt.Errorf("the device ended the MQTT session with reason code 0x%02x", d.ReasonCode))
		},
	})
	if err := s.subscribe(ctx, client); err != nil {
		return err
	}
	s.r.log.Info("connected", "stream", s.r.stream, "topics", s.topics)
	select {
	case err = <-over:
	case <-ctx.Done():
		err = ctx.Err()
		_ = client.Disconnect(&paho.Disconnect{ReasonCode: 0})
	}
	conn.Close()
	<-client.Done()
	s.r.log.Info("disconnected", "stream", s.r.stream, "reason", err)
	return err
}

// subscribe opens the MQTT session. Each topic filter that is refused is named.
func (s *subscription) subscribe(ctx context.Context, client *paho.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ack, err := client.Connect(ctx, &paho.Connect{CleanStart: true, KeepAlive: 60, ClientID: ""})
	if err != nil {
		return fmt.Errorf("mqtt connect: %w", err)
	}
	if ack.ReasonCode >= 0x80 {
		return fmt.Errorf("mqtt connect: refused with reason code 0x%02x", ack.ReasonCode)
	}
	sub := &paho.Subscribe{}
	for _, t := range s.topics {
		sub.Subscriptions = append(sub.Subscriptions, paho.SubscribeOptions{Topic: t, QoS: s.qos})
	}
	suback, err := client.Subscribe(ctx, sub)
	if suback != nil {
		for i, code := range suback.Reasons {
			if code >= 0x80 && i < len(s.topics) {
				return refused(fmt.Errorf("topic filter %q is not shared by stream %q (reason code 0x%02x)", s.topics[i], s.r.stream, code))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("mqtt subscribe: %w", err)
	}
	return nil
}

// message is one line of output.
type message struct {
	Topic    string          `json:"topic"`
	Payload  json.RawMessage `json:"payload"`
	QoS      byte            `json:"qos"`
	Retained bool            `json:"retained"`
	Received time.Time       `json:"received"`
}

func (s *subscription) received(p paho.PublishReceived) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return true, nil
	}
	m := message{p.Packet.Topic, payloadJSON(p.Packet.Payload), p.Packet.QoS, p.Packet.Retain, time.Now().UTC()}
	if s.failure = json.NewEncoder(s.out).Encode(m); s.failure == nil && s.left != 1 {
		if s.left > 1 {
			s.left--
		}
		return true, nil
	}
	s.ended = true
	s.enough()
	return true, nil
}

// payloadJSON shows a payload as JSON: itself, a string, or its base64.
func payloadJSON(b []byte) json.RawMessage {
	if json.Valid(b) {
		return b
	}
	var v any = map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
	if utf8.Valid(b) {
		v = string(b)
	}
	out, _ := json.Marshal(v) // strings and maps of strings always encode
	return out
}
