package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"iod/chain/rpc"
)

// KeyValue is an entry of the state. Value is nil when the key is absent.
type KeyValue struct {
	Key   []byte
	Value []byte
}

// StorageChange says what some watched keys hold as of a best block.
type StorageChange struct {
	Block   Hash
	Changes []KeyValue
}

// WatchStorage yields the current values of the keys, then each change in the best chain, by state_subscribeStorage. After a
// reconnect it yields the current values anew. It costs nothing while nothing changes. Over HTTP the keys are read whenever
// the best block changed. An error that it yields is final.
//
// A node tells what the blocks that it makes its best one change. In a reorganisation over several blocks it may leave out what
// only the inner ones change, so whoever must not miss that reads the keys themselves now and then, or at finality.
func (c *Client) WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[StorageChange, error] {
	return func(yield func(StorageChange, error) bool) {
		w := &watcher{c: c, keys: map[string]bool{}, yield: yield}
		for _, k := range keys {
			w.keys[string(k)] = true
			w.list = append(w.list, k)
		}
		if err := w.run(ctx); err != nil && !w.stopped {
			yield(StorageChange{}, err)
		}
	}
}

type watcher struct {
	c       *Client
	list    []hexBytes
	keys    map[string]bool
	yield   func(StorageChange, error) bool
	stopped bool
}

func (w *watcher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.c.ctx, func() { cancel(ErrClosed) })()
	if len(w.list) == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for {
		s, err := w.c.sessionWait(ctx)
		if err != nil {
			return err
		}
		if s.conn.Subscribes() {
			err = w.subscribe(ctx, s)
		} else {
			err = w.poll(ctx, s)
		}
		var final *finalError
		switch {
		case errors.As(err, &final):
			return final.err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		w.c.leave(s, fmt.Errorf("watching storage: %w", err))
	}
}

func (w *watcher) subscribe(ctx context.Context, s *session) error {
	sub, err := s.conn.Subscribe(ctx, "state_subscribeStorage", "state_unsubscribeStorage", w.list)
	if lacks(err) {
		return w.poll(ctx, s)
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		raw, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		var set changeSet
		if err := json.Unmarshal(raw, &set); err != nil {
			return fmt.Errorf("%w: storage change: %w", rpc.ErrProtocol, err)
		}
		change := StorageChange{Block: set.Block}
		for _, c := range set.Changes {
			if c[0] == nil || !w.keys[string(*c[0])] {
				return fmt.Errorf("%w: change of a key that is not watched", rpc.ErrProtocol)
			}
			kv := KeyValue{Key: *c[0]}
			if c[1] != nil {
				kv.Value = present(*c[1])
			}
			change.Changes = append(change.Changes, kv)
		}
		if !w.yield(change, nil) {
			w.stopped = true
			return &finalError{}
		}
	}
}

// poll reads the keys at each new best block and yields what changed.
func (w *watcher) poll(ctx context.Context, s *session) error {
	var before []KeyValue
	return w.c.followIn(ctx, s, false, func(ctx context.Context, s *session, hash Hash, _ *header) error {
		now := make([]KeyValue, len(w.list))
		for i, k := range w.list {
			now[i].Key = k
		}
		if err := s.read(ctx, hash, now); err != nil {
			return err
		}
		change := StorageChange{Block: hash}
		for i, kv := range now {
			if before == nil || (kv.Value == nil) != (before[i].Value == nil) || !bytes.Equal(kv.Value, before[i].Value) {
				change.Changes = append(change.Changes, kv)
			}
		}
		before = now
		if len(change.Changes) > 0 && !w.yield(change, nil) {
			w.stopped = true
			return &finalError{}
		}
		return nil
	})
}
