package chain

import (
	"context"
	"errors"
	"fmt"

	"iod/chain/rpc"
)

// call makes one call on whichever node answers.
func (c *Client) call(ctx context.Context, result any, method string, params ...any) error {
	return c.on(ctx, func(s *session) error { return s.conn.Call(ctx, result, method, params...) })
}

// batch makes calls in one session; a fault in any of them is a fault of the node.
func (s *session) batch(ctx context.Context, reqs ...*rpc.Request) error {
	for _, r := range reqs {
		r.Err = nil
	}
	s.tried.Store(s.tried.Load() || len(reqs) > 1)
	if err := s.conn.Batch(ctx, reqs...); err != nil {
		return err
	}
	s.batched.Store(true)
	for _, r := range reqs {
		var answered *rpc.Error
		if r.Err != nil && !errors.As(r.Err, &answered) {
			return r.Err
		}
	}
	return nil
}

// firstError returns the first error that a node answered within a batch.
func firstError(reqs []*rpc.Request) error {
	for _, r := range reqs {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// lacks reports whether the node says that it has no such method.
func lacks(err error) bool {
	var e *rpc.Error
	return errors.As(err, &e) && e.Code == rpc.CodeMethodNotFound
}

// hash makes a call whose answer is a block's hash; one that says nothing breaks the protocol.
func (s *session) hash(ctx context.Context, method string, params ...any) (Hash, error) {
	var h *Hash
	if err := s.conn.Call(ctx, &h, method, params...); err != nil {
		return Hash{}, err
	}
	if h == nil || h.IsZero() {
		return Hash{}, fmt.Errorf("%w: %s answers no hash", rpc.ErrProtocol, method)
	}
	return *h, nil
}
