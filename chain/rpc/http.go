package rpc

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// poster carries calls over HTTP, a request for each frame, on connections that are kept.
type poster struct {
	o      Options
	url    string // without user
	auth   string
	client *http.Client
	idle   func()
	heard  *heard
	once   sync.Once
	ended  chan struct{}
	mu     sync.Mutex
	why    error
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newPoster(rawURL string, o Options, heard *heard) *poster {
	host := ""
	if u, err := url.Parse(rawURL); err == nil {
		host = u.Hostname()
	}
	client, tr := o.client(host)
	ctx, cancel := context.WithCancel(context.Background())
	p := &poster{o: o, url: rawURL, client: client, idle: tr.CloseIdleConnections, heard: heard, ended: make(chan struct{}), ctx: ctx, cancel: cancel}
	if u, err := url.Parse(rawURL); err == nil && u.User != nil {
		pass, _ := u.User.Password()
		p.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+pass))
		u.User = nil
		p.url = u.String()
	}
	return p
}

func (p *poster) done() <-chan struct{} { return p.ended }

func (p *poster) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

func (p *poster) close(why error) {
	p.once.Do(func() {
		p.mu.Lock()
		p.why = why
		p.mu.Unlock()
		p.cancel()
		close(p.ended)
	})
	p.wg.Wait()
	p.idle()
}

// enter counts a user of the connection in, unless it has ended.
func (p *poster) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != nil {
		return false
	}
	p.wg.Add(1)
	return true
}

func (p *poster) do(ctx context.Context, calls []*call, batch bool) error {
	if !p.enter() {
		return p.err()
	}
	defer p.wg.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(p.ctx, func() { cancel(ErrClosed) })
	defer stop()
	if batch {
		return p.post(ctx, joinBatch(calls), calls)
	}
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range calls {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = p.post(ctx, calls[i].request, calls[i:i+1])
			<-slots
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func joinBatch(calls []*call) []byte {
	n := 2
	for _, k := range calls {
		n += len(k.request) + 1
	}
	frame := append(make([]byte, 0, n), '[')
	for i, k := range calls {
		if i > 0 {
			frame = append(frame, ',')
		}
		frame = append(frame, k.request...)
	}
	return append(frame, ']')
}

// post sends one frame and hands out its answers.
func (p *poster) post(ctx context.Context, frame []byte, calls []*call) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(frame))
	if err != nil {
		return withoutURL(p.url, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if p.auth != "" {
		req.Header.Set("Authorization", p.auth)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return causeOf(ctx)
		}
		return withoutURL(p.url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, p.o.MaxAnswer+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return causeOf(ctx)
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case int64(len(body)) > p.o.MaxAnswer:
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, p.o.MaxAnswer)
	}
	p.heard.now()
	if len(calls) > 1 && refusesBatch(resp.StatusCode) && !looksJSON(body) {
		for _, k := range calls {
			k.refuseBatch(&Error{Code: codeNoBatches, Message: resp.Status})
		}
		return nil
	}
	if resp.StatusCode != http.StatusOK && !looksJSON(body) {
		return fmt.Errorf("node answers HTTP status %s", resp.Status[:min(len(resp.Status), 60)])
	}
	return distribute(body, calls)
}

// refusesBatch reports whether a server that understands single calls may mean by this status that it takes no batches.
func refusesBatch(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusNotImplemented
}

func looksJSON(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// distribute gives each call of one HTTP request its answer.
func distribute(body []byte, calls []*call) error {
	all, err := parse(body, len(calls))
	if err != nil {
		return err
	}
	if len(calls) > 1 && len(all) == 1 && !all[0].hasID() && all[0].Error != nil {
		for _, k := range calls {
			k.refuseBatch(all[0].Error)
		}
		return nil
	}
	byID := make(map[string]*call, len(calls))
	for _, k := range calls {
		byID[strconv.FormatUint(k.id, 10)] = k
	}
	for i := range all {
		k := byID[string(all[i].ID)]
		if k == nil && len(calls) == 1 && !all[i].hasID() && all[i].Error != nil {
			k = calls[0] // the node could not even read the id
		}
		if k == nil {
			return fmt.Errorf("%w: answer to a call that was not made, or a second one", ErrProtocol)
		}
		delete(byID, string(all[i].ID))
		k.settle(&all[i])
	}
	for _, k := range calls {
		select {
		case <-k.done:
		default:
			return fmt.Errorf("%w: %d calls were not answered", ErrProtocol, len(byID))
		}
	}
	return nil
}

// settle ends a call by its answer.
func (c *call) settle(m *message) {
	switch {
	case m.Error != nil:
		c.finish(nil, m.Error)
	case m.Result == nil:
		c.finish(nil, fmt.Errorf("%w: answer has neither result nor error", ErrProtocol))
	default:
		c.finish(m.Result, nil)
	}
}
