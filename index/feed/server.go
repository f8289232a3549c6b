package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"iod/index"
)

// ServerOptions bound a Server. The zero value is right for most.
type ServerOptions struct {
	// MaxFeeds is how many clients are served at once; 0: 1,000.
	MaxFeeds int
	// Beat is after how much silence a client hears that nothing happened; 0: 15 s.
	Beat time.Duration
	// Patience is how long a client may take to read 32 kB before it is cut; it can resume. 0: 10 s.
	Patience time.Duration
	Log      *slog.Logger // nil: silent
}

// Server sends changes to HTTP clients as server-sent events.
type Server struct {
	hub *Hub
	ServerOptions
	open atomic.Int64
	cut  atomic.Int64
	pool sync.Pool // of *[]byte
}

// NewServer returns a server of a hub's changes.
func NewServer(h *Hub, o ServerOptions) *Server {
	if o.MaxFeeds == 0 {
		o.MaxFeeds = 1000
	}
	if o.Beat == 0 {
		o.Beat = 15 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{hub: h, ServerOptions: o, pool: sync.Pool{New: func() any { return new(make([]byte, 0, 16<<10)) }}}
}

// Stats are numbers of a Server.
type Stats struct {
	Open int64 // clients now
	Cut  int64 // clients that read too slowly, ever
}

// Stats counts the clients.
func (s *Server) Stats() Stats { return Stats{s.open.Load(), s.cut.Load()} }

// What Serve refuses.
var (
	// ErrFull is that there are as many clients as there may be; the answer has Retry-After.
	ErrFull = errors.New("as many feeds are open as there may be; try again later")
	// ErrPlace is that Last-Event-ID or the parameter after is no place; the client's mistake.
	ErrPlace = errors.New("no such place")
)

// Serve answers one client with the changes that meet a query (Order, After and Limit don't matter), from the header Last-Event-ID on,
// else from the parameter after, else from now, until the client or the hub goes. An error is returned only while nothing has been
// written, but for the header Retry-After of ErrFull. The response must not be buffered or compressed by what is in between, and
// must let its deadline be set (http.ResponseController).
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, q index.Query) error {
	from, err := placeOf(r)
	if err != nil {
		return err
	}
	if s.open.Add(1) > int64(s.MaxFeeds) {
		s.open.Add(-1)
		w.Header().Set("Retry-After", strconv.Itoa(5+rand.IntN(20)))
		return ErrFull
	}
	defer s.open.Add(-1)
	f, err := s.hub.Follow(r.Context(), q, from)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	c := &client{server: s, feed: f, w: w, control: http.NewResponseController(w)}
	err = c.run(r.Context())
	if errors.Is(err, errSlow) {
		s.cut.Add(1)
	}
	s.Log.Debug("feed: client gone", "after", f.after, "reason", err)
	return nil
}

// placeOf reads where a client wants to resume; nil: it does not say. A browser that reconnects sends both, the header
// being newer.
func placeOf(r *http.Request) (*Place, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return nil, nil
	}
	p, err := ParsePlace(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlace, err)
	}
	return &p, nil
}

var errSlow = errors.New("the client reads too slowly")

// client is one reader of events.
type client struct {
	server  *Server
	feed    *Feed
	w       http.ResponseWriter
	control *http.ResponseController
}

// run sends events until the client or the hub is gone, which is the error.
func (c *client) run(ctx context.Context) error {
	if err := c.write(fmt.Appendf(nil, "retry: %d\n\n", 1000+rand.IntN(2000))); err != nil {
		return err
	}
	beat := time.NewTimer(c.server.Beat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C: // nothing passed of much that was read
			if err := c.beat(beat); err != nil {
				return err
			}
		default:
		}
		b, i, more, err := c.feed.take(ctx)
		switch {
		case errors.Is(err, ErrReset):
			err = c.reset()
		case err != nil:
			return err
		case b != nil:
			err = c.send(ctx, b, i, beat)
		default:
			select {
			case <-more:
				continue
			case <-beat.C:
				err = c.beat(beat)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
}

// send writes what passes of a batch.
func (c *client) send(ctx context.Context, b *batch, i int, beat *time.Timer) error {
	frames := b.frames[b.events[i].at:]
	if !c.feed.every {
		buf := c.server.pool.Get().(*[]byte)
		defer c.server.pool.Put(buf)
		passes, err := c.feed.passes(ctx, b)
		if err != nil {
			return err
		}
		*buf = (*buf)[:0]
		for ; i < len(b.events); i++ {
			if passes(i) {
				*buf = append(*buf, b.frame(i)...)
			}
		}
		frames = *buf
	}
	if len(frames) > 0 {
		if err := c.write(frames); err != nil {
			return err
		}
		beat.Reset(c.server.Beat)
	}
	c.feed.after = b.last()
	return nil
}

// beat tells a client how far it is, so that it need not resume from long ago.
func (c *client) beat(beat *time.Timer) error {
	beat.Reset(c.server.Beat)
	return c.write(append(c.place(": nothing new\nid: "), "\n\n"...))
}

// reset tells a client to read anew.
func (c *client) reset() error {
	return c.write(fmt.Appendf(c.place("event: reset\nid: "), "\ndata: {\"id\":%d}\n\n", c.feed.after))
}

func (c *client) place(before string) []byte {
	c.server.hub.mu.Lock()
	tag := c.server.hub.tag
	c.server.hub.mu.Unlock()
	return appendID([]byte(before), c.feed.after, tag)
}

// piece is how much is written under one deadline, in bytes.
const piece = 32 << 10

// write sends bytes to the client, who is cut when it takes too long to read them.
func (c *client) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), piece)
		if err := c.control.SetWriteDeadline(time.Now().Add(c.server.Patience)); err != nil {
			return fmt.Errorf("bound a write: %w", err)
		}
		if _, err := c.w.Write(b[:n]); err != nil {
			return sent(err)
		}
		b = b[n:]
	}
	return sent(c.control.Flush())
}

func sent(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errSlow
	}
	return err
}
