package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"iod/document"
	"iod/mqtt"
	"iod/overlay"
)

func (a *app) subscribeCommand() *cobra.Command {
	s := subscription{level: 5}
	var via []string
	var count int
	c := &cobra.Command{
		Use:   "subscribe DID STREAM",
		Short: "Print the messages of an MQTT stream, one JSON object a line",
		Long: `Prints {"topic", "payload", "qos", "retained", "received"} for each message: the payload as it is where it is JSON, as a
string where it is text, else as {"base64": …}. Once it was connected it reconnects by itself; it ends with exit code
3 when access is withdrawn, unless --wait.`,
		Example: "  iod subscribe did:peaq:5Grw… measurements --key me.key | jq .payload",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.check(count); err != nil {
				return err
			}
			r, err := a.remote(c.Context(), args[0], args[1], via)
			if err != nil {
				return err
			}
			defer r.close()
			s.r, s.left, s.out = r, count, a.out
			err = s.run(c.Context())
			if count == 0 {
				err = stayed(c.Context(), err)
			}
			return err
		},
	}
	c.Flags().StringArrayVar(&s.topics, "topic", nil, "topic filter within the stream's; repeatable (default: all of the stream's)")
	c.Flags().StringArrayVar(&via, "via", nil, "relay of your own to go through, tls://host:port/<node id>; repeatable")
	c.Flags().BoolVar(&s.wait, "wait", false, "wait for a grant, and for the device, instead of ending")
	c.Flags().Uint8Var(&s.qos, "qos", 0, "quality of service to ask for: 0, 1, 2")
	c.Flags().IntVar(&count, "count", 0, "end after so many messages; 0: never")
	return c
}

// subscription prints the messages of a stream until its context ends.
type subscription struct {
	r      *remote
	topics []string
	wait   bool
	qos    uint8
	level  byte // MQTT protocol level to try next

	out    io.Writer
	left   int                      // messages until the end; 0: no end
	take   func(publication) error  // what is done with a message; nil: it is printed
	say    func(level, text string) // told how it fares; nil: nobody
	joined bool                     // the device let it in once
}

const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// errEnough ends a subscription that printed as many messages as it should.
var errEnough = errors.New("enough messages")

func (s *subscription) check(count int) error {
	for _, t := range s.topics {
		if err := mqtt.ValidFilter(t); err != nil {
			return usage(fmt.Errorf("topic: %w", err))
		}
	}
	switch {
	case s.qos > 2:
		return usage(fmt.Errorf("qos %d is none of 0, 1, 2", s.qos))
	case count < 0:
		return usage(fmt.Errorf("count %d is negative", count))
	}
	return nil
}

// choose takes the stream's own topics, or checks those given against them.
func (s *subscription) choose(dev document.Device, stream document.Stream) error {
	if stream.Kind != "mqtt" {
		return hint(usage(fmt.Errorf("stream %q of %s is of kind %s, not mqtt", stream.Name, dev.Account.DID(), stream.Kind)),
			"use: iod connect %s %s", dev.Account.DID(), stream.Name)
	}
	if len(s.topics) == 0 {
		s.topics = stream.Topics
	}
	for _, t := range s.topics {
		if !mqtt.Allowed(t, stream.Topics) {
			return s.outside(t, stream.Topics)
		}
	}
	return nil
}

// outside is the refusal of a topic that the stream does not share.
func (s *subscription) outside(topic string, shared []string) error {
	return hint(refused(fmt.Errorf("topic filter %q is outside what stream %q shares", topic, s.r.stream)),
		"it shares: %s", strings.Join(shared, "  "))
}

func (s *subscription) run(ctx context.Context) error {
	dev, stream, err := s.r.admissible(ctx, s.wait)
	if err != nil {
		return err
	}
	if err := s.choose(dev, stream); err != nil {
		return err
	}
	err = s.r.whileGranted(ctx, dev, s.wait, func(ctx context.Context, _ context.CancelCauseFunc) error {
		return s.keep(ctx)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// keep connects again and again until ctx ends or there is no point.
func (s *subscription) keep(ctx context.Context) error {
	patience := time.Now().Add(answerTime) // with a device that was never joined: its broker may just be starting
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		begin := time.Now()
		err := s.session(ctx)
		switch {
		case errors.Is(err, errEnough), errors.As(err, new(*outputError)), final(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case s.joined || s.wait:
		case errors.Is(err, overlay.ErrSilent), errors.Is(err, overlay.ErrUnreachable), begin.After(patience):
			return unreachable(err)
		}
		s.another(err)
		if time.Since(begin) > lastRetry {
			retry = firstRetry
		}
		s.r.log.Info("reconnecting", "after", err)
		if s.say != nil {
			s.say("wait", "reconnecting: "+err.Error())
		}
		if err := pause(ctx, retry); err != nil {
			return err
		}
	}
}

// another turns to the other protocol version after a refused CONNECT: a broker that knows one only may say so, or just hang up.
func (s *subscription) another(err error) bool {
	if !errors.As(err, new(*versionError)) {
		return false
	}
	s.level = 9 - s.level // 5 or 4
	return true
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

// session connects once and prints until the connection ends.
func (s *subscription) session(ctx context.Context) error {
	conn, err := s.r.dial(ctx, s.wait, s.joined)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = s.converse(ctx, conn)
	if s.joined {
		s.r.log.Info("disconnected", "stream", s.r.stream, "reason", err)
	}
	return err
}

// converse speaks MQTT over conn until it ends, or ctx does.
func (s *subscription) converse(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	m := newMQTTReader(conn, s.level)
	if err := m.connect(); err != nil {
		return err
	}
	var outside *filterError
	take := s.take
	if take == nil {
		take = s.print
	}
	switch err := m.subscribe(s.topics, s.qos, take); {
	case errors.As(err, &outside):
		return hint(refused(fmt.Errorf("stream %q: %w", s.r.stream, err)), "see the stream's topics with: iod did show %s", s.r.device.DID())
	case err != nil:
		return err
	}
	s.joined = true
	if s.say != nil {
		s.say("ok", "receiving "+strings.Join(s.topics, "  "))
	}
	s.r.log.Info("connected", "stream", s.r.stream, "topics", s.topics)
	err := m.receive(take)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errEnough) {
		m.disconnect()
	}
	return err
}

// message is one line of output.
type message struct {
	Topic    string          `json:"topic"`
	Payload  json.RawMessage `json:"payload"`
	QoS      byte            `json:"qos"`
	Retained bool            `json:"retained"`
	Received time.Time       `json:"received"`
}

// outputError is a failure to write a message.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write a message: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

func (s *subscription) print(p publication) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(message{p.topic, payloadJSON(p.payload), p.qos, p.retained, time.Now().UTC()}); err != nil {
		return &outputError{err}
	}
	if s.left--; s.left == 0 {
		return errEnough
	}
	return nil
}

// payloadJSON shows a payload as JSON: itself, a string, or its base64.
func payloadJSON(b []byte) json.RawMessage {
	var v any = map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
	if utf8.Valid(b) {
		if json.Valid(b) {
			return b
		}
		v = string(b)
	}
	out, _ := json.Marshal(v) // strings and maps of strings always encode
	return out
}
