// Package systemd tells a service manager how a service fares, by the protocol of sd_notify(3): datagrams of VARIABLE=VALUE lines to
// the socket that NOTIFY_SOCKET names. Where there is none, everything here does nothing.
//
//	Type=notify-reload   READY=1 once the service runs; RELOADING=1 with MONOTONIC_USEC= before a reload, READY=1 after it; STOPPING=1
//	WatchdogSec=         WATCHDOG=1 at least that often, or the service is taken for dead and started again
package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Notifier talks to a service manager. The zero value talks to none.
type Notifier struct {
	socket   string
	watchdog time.Duration // 0: it wants no signs of life
}

// FromEnvironment finds the service manager, and takes what names it out of the environment: children are not the service.
func FromEnvironment() *Notifier {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	micros, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && micros > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(micros) * time.Microsecond
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name) //nolint:errcheck // fails for malformed names only
	}
	return n
}

// send sends one datagram. That nobody hears it changes nothing for the service.
func (n *Notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	name := n.socket // net makes a leading @ the zero byte of an abstract name
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// Ready says that the service runs, or runs again after a reload. status is a line for people; it may be empty.
func (n *Notifier) Ready(status string) error { return n.send("READY=1" + statusLine(status)) }

// Status changes the line for people.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + oneLine(status)) }

// Reloading says that a reload has begun.
func (n *Notifier) Reloading() error {
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// Stopping says that the service ends.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

func statusLine(status string) string {
	if status == "" {
		return ""
	}
	return "\nSTATUS=" + oneLine(status)
}

// oneLine keeps a text from ending its variable.
func oneLine(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] < ' ' {
			b[i] = ' '
		}
	}
	return string(b[:min(len(b), 1000)])
}

// Watch gives signs of life, twice as often as they are wanted, for as long as alive returns nil, until ctx ends. Where no signs are
// wanted it asks nothing. alive must return before its context ends; one that hangs is no sign of life either.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error) error {
	if n.socket == "" || n.watchdog <= 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		if n.living(ctx, alive) == nil {
			_ = n.send("WATCHDOG=1") // the manager notices what does not come
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// living asks whether the service lives, and does not wait for ever.
func (n *Notifier) living(ctx context.Context, alive func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.watchdog/4)
	defer cancel()
	return alive(ctx)
}
