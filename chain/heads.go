package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"iod/chain/rpc"
)

// heads is a source of block headers in one session: a subscription, or polling where there is none.
type heads struct {
	s         *session
	sub       *rpc.Subscription
	finalised bool
	every     time.Duration
	last      Hash
}

// errBehind is why a node is left that is behind what another one had called final.
var errBehind = errors.New("node is behind another and does not catch up")

// heads opens a source of best or finalised headers. The first one is the current head.
func (c *Client) heads(ctx context.Context, s *session, finalised bool) (*heads, error) {
	h := &heads{s: s, finalised: finalised, every: c.poll}
	if !s.conn.Subscribes() {
		return h, nil
	}
	method, end := "chain_subscribeNewHeads", "chain_unsubscribeNewHeads"
	if finalised {
		method, end = "chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads"
	}
	sub, err := s.conn.SubscribeLatest(ctx, method, end)
	switch {
	case lacks(err):
		return h, nil
	case err != nil:
		return nil, err
	}
	h.sub = sub
	return h, nil
}

func (h *heads) close() {
	if h.sub != nil {
		h.sub.Close()
	}
}

// next returns the next header with its block's hash.
func (h *heads) next(ctx context.Context) (Hash, *header, error) {
	for {
		var raw json.RawMessage
		var err error
		if h.sub != nil {
			raw, err = h.sub.Next(ctx)
		} else {
			raw, err = h.ask(ctx)
		}
		if err != nil {
			return Hash{}, nil, err
		}
		if raw == nil {
			continue
		}
		x, err := parseHeader(raw)
		if err != nil {
			return Hash{}, nil, err
		}
		return h.s.resolve(ctx, x)
	}
}

// ask polls: at once for the first time, then after a pause; nil when nothing is new.
func (h *heads) ask(ctx context.Context) (json.RawMessage, error) {
	if !h.last.IsZero() {
		timer := time.NewTimer(h.every)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-h.s.left:
			return nil, errors.New("node was left")
		}
	}
	method := "chain_getBlockHash"
	if h.finalised {
		method = "chain_getFinalizedHead"
	}
	hash, err := h.s.hash(ctx, method)
	if err != nil {
		return nil, err
	}
	if hash == h.last {
		return nil, nil
	}
	var raw json.RawMessage
	if err := h.s.conn.Call(ctx, &raw, "chain_getHeader", hash); err != nil {
		return nil, err
	}
	h.last = hash
	return raw, nil
}

// follow keeps a source of heads open across sessions and gives use each header until that is done or fails for a reason which is
// not a session's fault: stop, a typed error of its own, the end of ctx.
func (c *Client) follow(ctx context.Context, finalised bool, use func(context.Context, *session, Hash, *header) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()
	for {
		s, err := c.sessionWait(ctx)
		if err != nil {
			return err
		}
		err = c.followIn(ctx, s, finalised, use)
		var final *finalError
		switch {
		case errors.As(err, &final):
			return final.err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		c.leave(s, fmt.Errorf("following the chain: %w", err))
	}
}

// finalError marks an error of a user of follow that another session cannot mend; a nil one means done.
type finalError struct{ err error }

func (e *finalError) Error() string {
	if e.err == nil {
		return "done"
	}
	return e.err.Error()
}

func (c *Client) followIn(ctx context.Context, s *session, finalised bool, use func(context.Context, *session, Hash, *header) error) error {
	h, err := c.heads(ctx, s, finalised)
	if err != nil {
		return err
	}
	defer h.close()
	for {
		hash, x, err := h.next(ctx)
		if err != nil {
			return err
		}
		if err := use(ctx, s, hash, x); err != nil {
			return err
		}
	}
}
