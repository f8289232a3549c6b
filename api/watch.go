package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Event is what the change feed of an index tells.
type Event struct {
	ID     string  // where to resume
	Reset  bool    // the index was built anew: what was told before need not be true any more
	Change *Change // nil: nothing happened up to ID, or Reset
}

// The patience of a follower of a change feed.
const (
	silence   = time.Minute // a feed says something every 15 seconds
	firstWait = 500 * time.Millisecond
	mostWait  = 30 * time.Second
	maxLine   = 1 << 20 // bytes
)

// Changes follows the change feed of an index from a place on (empty: from now; "0": from the beginning), until ctx ends. It reconnects by itself
// and resumes where it was; each failure is yielded, and going on is the caller's choice. What the index refuses is a *Problem, and ends it.
func (c *Client) Changes(ctx context.Context, q Query, after string) iter.Seq2[Event, error] {
	q.Sort, q.Limit, q.After, q.Document = "", 0, "", false
	return func(yield func(Event, error) bool) {
		wait := firstWait
		for {
			err := c.follow(ctx, q, &after, func(e Event) bool {
				wait = firstWait
				return yield(e, nil)
			})
			var p *Problem
			switch {
			case ctx.Err() != nil || errors.Is(err, errEnough):
				return
			case errors.As(err, &p) && p.Status >= 400 && p.Status < 500 && p.Status != http.StatusTooManyRequests:
				yield(Event{}, fmt.Errorf("follow the index at %s: %w", redact(c.Base), err))
				return
			}
			if !yield(Event{}, fmt.Errorf("follow the index at %s: %w", redact(c.Base), err)) {
				return
			}
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return
			}
			wait = min(2*wait, mostWait)
		}
	}
}

var errEnough = errors.New("the caller has enough")

// follow reads one connection's events. after moves with them.
func (c *Client) follow(ctx context.Context, q Query, after *string, take func(Event) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("it says nothing any more")) })
	defer quiet.Stop()
	res, err := c.open(ctx, q, *after)
	if err != nil {
		return cause(ctx, err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	var e rawEvent
	for lines.Scan() {
		quiet.Reset(silence)
		if line := lines.Text(); line != "" {
			e.take(line)
			continue
		}
		event, ok, err := e.event()
		if err != nil {
			return err
		}
		if e = (rawEvent{}); !ok {
			continue
		}
		if event.ID != "" {
			*after = event.ID
		}
		if !take(event) {
			return errEnough
		}
	}
	if err := lines.Err(); err != nil {
		return cause(ctx, err)
	}
	return cause(ctx, errors.New("it ended the connection"))
}

func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// streaming has no limit on how long an answer takes.
var streaming = &http.Client{}

func (c *Client) open(ctx context.Context, q Query, after string) (*http.Response, error) {
	u, err := url.Parse(c.Base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errBase
	}
	u = u.JoinPath("/api/v1/changes")
	u.RawQuery = q.Values().Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", eventsType+", application/problem+json")
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	client := c.HTTP
	if client == nil {
		client = streaming
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, plainError(err)
	}
	if media := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || !strings.HasPrefix(media, eventsType) {
		defer res.Body.Close()
		body, err := readAnswer(res.Body)
		if err == nil && res.StatusCode == http.StatusOK {
			err = fmt.Errorf("its answer is not of the known form: %.60q", media)
		}
		if err != nil {
			return nil, err
		}
		return nil, problemOf(res.StatusCode, body)
	}
	return res, nil
}

// rawEvent is a server-sent event as it comes in, line by line.
type rawEvent struct {
	id, name string
	data     bytes.Buffer
	any      bool
}

func (e *rawEvent) take(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		e.id, e.any = value, true
	case "event":
		e.name, e.any = value, true
	case "data":
		if e.data.Len()+len(value) < maxLine {
			e.data.WriteString(value)
		}
		e.any = true
	}
}

// event is what the lines say; ok is false when they say nothing. Events of a name that is not known are told as their place alone.
func (e *rawEvent) event() (out Event, ok bool, err error) {
	out.ID = e.id
	switch e.name {
	case "reset":
		out.Reset = true
	case "change":
		out.Change = &Change{}
		if err := json.Unmarshal(e.data.Bytes(), out.Change); err != nil {
			return out, false, fmt.Errorf("an event is not of the known form: %w", err)
		}
	}
	return out, e.any, nil
}
