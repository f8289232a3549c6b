package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Check returns what is wrong with a probe; lines says whether it may wait for a line.
func (p Probe) Check(lines bool) error {
	n := 0
	for _, set := range []bool{p.Port != 0, p.HTTP != "", p.Topic != "", p.Line != ""} {
		if set {
			n++
		}
	}
	switch {
	case n != 1 && lines:
		return errors.New("name one of port, http, topic and line")
	case n != 1 || p.Line != "" && !lines:
		return errors.New("name one of port, http and topic")
	case p.Port < 0 || p.Port > 65535:
		return fmt.Errorf("port %d is not between 1 and 65535", p.Port)
	case p.HTTP != "":
		u, err := url.Parse(p.HTTP)
		if err != nil || u.Scheme != "http" || u.User != nil || !loopback(u.Hostname()) {
			return fmt.Errorf("http = %q is not of the form \"http://127.0.0.1:8080/health\": it asks the program on this machine only, so that no network that is away makes it look dead", p.HTTP)
		}
	case p.Topic != "":
		_, _, err := splitTopic(p.Topic)
		return err
	case p.Line != "":
		if _, err := regexp.Compile(p.Line); err != nil {
			return fmt.Errorf("line is no regular expression: %w", err)
		}
	}
	return nil
}

// String names what is asked.
func (p Probe) String() string {
	switch {
	case p.Port != 0:
		return "port " + strconv.Itoa(p.Port)
	case p.HTTP != "":
		return p.HTTP
	case p.Topic != "":
		return "a message of " + p.Topic
	}
	return "a line that matches " + p.Line
}

// loopback reports whether a host is this machine whatever becomes of its networks.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// ask asks a probe's question once, until ctx ends. A probe that waits for a line is not asked.
func ask(ctx context.Context, p Probe) error {
	switch {
	case p.Port != 0:
		return askPort(ctx, p.Port)
	case p.HTTP != "":
		return askHTTP(ctx, p.HTTP)
	default:
		return askTopic(ctx, p.Topic)
	}
}

func askPort(ctx context.Context, port int) error {
	var d net.Dialer
	var errs []error
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			conn.Close()
			return nil
		}
		errs = append(errs, err)
	}
	return errs[0]
}

// prober follows no redirect, since that could lead to another machine, and keeps nothing open between questions.
var prober = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func askHTTP(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := prober.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, 4096)
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("%s answers %s", address, answer.Status)
	}
	return nil
}

// Pulse is what the checks that a program is alive say.
type Pulse struct {
	Asked    time.Time `json:"asked,omitzero"`
	Failures int       `json:"failures"` // in a row
	Err      string    `json:"error,omitempty"`
}

// Beat takes an answer in and reports whether the program counts as dead now.
func (p Pulse) Beat(now time.Time, err error, failures int) (next Pulse, dead bool) {
	if err == nil {
		return Pulse{Asked: now}, false
	}
	next = Pulse{Asked: now, Failures: p.Failures + 1, Err: err.Error()}
	return next, next.Failures >= failures
}

// The pause between questions whether a program is ready grows from the first to the last.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// untilReady asks until the answer is yes or ctx ends; then it returns the last answer. line is closed when the line came.
func (p Probe) untilReady(ctx context.Context, ask func(context.Context, Probe) error, line <-chan struct{}) error {
	if p.Line != "" {
		select {
		case <-line:
			return nil
		case <-ctx.Done():
			return errors.New("it has not come")
		}
	}
	last := errors.New("no answer")
	for pause := firstPause; ; pause = min(pause*2, lastPause) {
		err := ask(ctx, p)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			last = err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return last
		}
	}
}

// splitTopic takes mqtt://127.0.0.1:1883/filter apart. It is no URL: # and ? belong to the filter.
func splitTopic(s string) (address, filter string, err error) {
	rest, ok := strings.CutPrefix(s, "mqtt://")
	address, filter, found := strings.Cut(rest, "/")
	host, port, perr := net.SplitHostPort(address)
	n, nerr := strconv.ParseUint(port, 10, 16)
	if !ok || !found || filter == "" || len(filter) > 1024 || perr != nil || nerr != nil || n == 0 || !loopback(host) {
		return "", "", fmt.Errorf("topic = %q is not of the form \"mqtt://127.0.0.1:1883/measurements/#\": it asks a broker on this machine only, so that no network that is away makes the program look dead", s)
	}
	return address, filter, nil
}
