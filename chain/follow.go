package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"iod/chain/rpc"
)

const (
	window    = 64               // blocks fetched at once when catching up
	inFlight  = 4                // windows under way
	behindFor = 30 * time.Second // a node may be behind the one before
)

// FollowFinalised yields every finalised block from number from on, ascending and without a gap, across reconnects and
// failovers, until ctx ends or the consumer stops. Its blocks hold their events already. An error that it yields is final: that
// of ctx, ErrClosed, or a *FinalityError when a node contradicts what was final before. A node that is behind the one
// before is waited for a while, then left, and so is one that stands still while another endpoint is further.
func (c *Client) FollowFinalised(ctx context.Context, from uint32) iter.Seq2[*Block, error] {
	return func(yield func(*Block, error) bool) {
		f := &follower{c: c, next: from, yield: yield, width: window}
		defer f.caughtUp()
		watch, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { c.overtake(watch, &f.heads) })
		err := c.follow(ctx, true, f.head)
		if err != nil && !f.stopped {
			yield(nil, err)
		}
	}
}

// follower is the state of one FollowFinalised.
type follower struct {
	c       *Client
	next    uint32 // number to yield next
	last    Hash   // of the block yielded last, next-1; zero at first
	yield   func(*Block, error) bool
	stopped bool
	width   uint64       // of the window; less than window where blocks are too large for an answer
	heads   atomic.Int64 // how many have come
	// behind leaves a session whose heads stay below next-1; nil while they do not.
	behind   *time.Timer
	behindOn *session
}

// head handles a finalised head: everything up to it is yielded.
func (f *follower) head(ctx context.Context, s *session, hash Hash, h *header) error {
	f.heads.Add(1)
	n := uint32(h.Number)
	if uint64(n)+1 < uint64(f.next) && !f.last.IsZero() {
		f.wait(s)
		return nil
	}
	f.caughtUp()
	switch {
	case n+1 == f.next && !f.last.IsZero() && hash != f.last:
		return &finalError{&FinalityError{Number: n, Had: f.last, Got: hash}}
	case n < f.next:
		return nil
	case n == f.next:
		return f.emit(f.fetch(ctx, s, []*Block{f.c.newBlock(hash, h)}))
	}
	return f.catchUp(ctx, s, n)
}

// wait lets a node that is behind catch up, for a while.
func (f *follower) wait(s *session) {
	if f.behindOn == s {
		return
	}
	f.caughtUp()
	f.behindOn = s
	f.behind = time.AfterFunc(f.c.patience, func() { f.c.leave(s, errBehind) })
}

func (f *follower) caughtUp() {
	if f.behind != nil {
		f.behind.Stop()
		f.behind, f.behindOn = nil, nil
	}
}

// catchUp yields all blocks up to n, fetching several windows ahead of the consumer.
func (f *follower) catchUp(ctx context.Context, s *session, n uint32) error {
	type result struct {
		blocks []*Block
		err    error
	}
	width := f.width
	ctx, cancel := context.WithCancel(ctx)
	var queue []chan result
	defer func() {
		cancel()
		for _, q := range queue {
			<-q // nothing goes on after the end
		}
	}()
	for ahead := uint64(f.next); ; {
		for ; len(queue) < inFlight && ahead <= uint64(n); ahead += width {
			q, from := make(chan result, 1), uint32(ahead)
			queue = append(queue, q)
			go func() {
				blocks, err := f.span(ctx, s, from, uint32(min(uint64(n), uint64(from)+width-1)))
				q <- result{blocks, err}
			}()
		}
		if len(queue) == 0 {
			return nil
		}
		r := <-queue[0]
		queue = queue[1:]
		if err := f.emit(r.blocks, r.err); err != nil {
			return err
		}
	}
}

// emit yields blocks after checking that they continue the chain.
func (f *follower) emit(blocks []*Block, err error) error {
	if errors.Is(err, rpc.ErrTooLarge) {
		f.width = max(1, f.width/2)
	}
	if err != nil {
		return err
	}
	for i, b := range blocks {
		if b.Number != f.next {
			return fmt.Errorf("%w: block %d instead of %d", rpc.ErrProtocol, b.Number, f.next)
		}
		if !f.last.IsZero() && b.Parent != f.last {
			if i > 0 {
				return fmt.Errorf("%w: block %d does not follow block %d", rpc.ErrProtocol, b.Number, b.Number-1)
			}
			return &finalError{&FinalityError{Number: b.Number - 1, Had: f.last, Got: b.Parent}}
		}
		if !f.yield(b, nil) {
			f.stopped = true
			return &finalError{}
		}
		f.next, f.last = b.Number+1, b.Hash
	}
	return nil
}

// span fetches the blocks of a range of numbers.
func (f *follower) span(ctx context.Context, s *session, from, to uint32) ([]*Block, error) {
	hashes, err := s.hashes(ctx, from, to)
	if err != nil {
		return nil, err
	}
	blocks := make([]*Block, len(hashes))
	for i, h := range hashes {
		blocks[i] = f.c.newBlock(h, &header{Number: blockNumber(from + uint32(i))})
	}
	return f.fetch(ctx, s, blocks)
}

// hashes returns the hashes of a range of numbers, by one call where the node takes a list.
func (s *session) hashes(ctx context.Context, from, to uint32) ([]Hash, error) {
	numbers := make([]uint32, 0, to-from+1)
	for n := uint64(from); n <= uint64(to); n++ {
		numbers = append(numbers, uint32(n))
	}
	got := make([]*Hash, len(numbers))
	if s.lists.Load() != 2 && len(numbers) > 1 {
		var raw json.RawMessage
		err := s.conn.Call(ctx, &raw, "chain_getBlockHash", numbers)
		var answered *rpc.Error
		if err != nil && !errors.As(err, &answered) {
			return nil, err
		}
		if err == nil && json.Unmarshal(raw, &got) == nil && len(got) == len(numbers) {
			s.lists.Store(1)
			return s.present(numbers, got)
		}
		s.lists.Store(2)
		got = make([]*Hash, len(numbers))
	}
	reqs := make([]*rpc.Request, len(numbers))
	for i, n := range numbers {
		reqs[i] = &rpc.Request{Method: "chain_getBlockHash", Params: []any{n}, Result: &got[i]}
	}
	if err := s.batch(ctx, reqs...); err != nil {
		return nil, err
	}
	if err := firstError(reqs); err != nil {
		return nil, err
	}
	return s.present(numbers, got)
}

func (s *session) present(numbers []uint32, got []*Hash) ([]Hash, error) {
	out := make([]Hash, len(got))
	for i, h := range got {
		if h == nil {
			return nil, fmt.Errorf("finalised block %d: %w", numbers[i], ErrNotFound)
		}
		out[i] = *h
	}
	return out, nil
}

// fetch completes consecutive blocks with their headers (where Parent is not known), events and runtime versions, in one frame.
func (f *follower) fetch(ctx context.Context, s *session, blocks []*Block) ([]*Block, error) {
	headers, events := make([]*header, len(blocks)), make([]*hexBytes, len(blocks))
	var need, optional []*rpc.Request
	for i, b := range blocks {
		if b.Parent.IsZero() {
			need = append(need, &rpc.Request{Method: "chain_getHeader", Params: []any{b.Hash}, Result: &headers[i]})
		}
		optional = append(optional, &rpc.Request{Method: "state_getStorage", Params: []any{eventsKey, b.Hash}, Result: &events[i]})
	}
	last := blocks[len(blocks)-1]
	var after *Runtime
	version := &rpc.Request{Method: "state_getRuntimeVersion", Params: []any{last.Hash}, Result: &after}
	if err := s.batch(ctx, append(append(need[:len(need):len(need)], optional...), version)...); err != nil {
		return nil, err
	}
	if err := firstError(need); err != nil {
		return nil, err
	}
	for i, b := range blocks {
		if optional[i].Err == nil { // a node that discarded the state of old blocks says so again when the events are read
			b.raw, b.have = nil, true
			if events[i] != nil {
				b.raw = *events[i]
			}
		}
		if h := headers[i]; h != nil {
			if err := s.learn(b.Hash, h); err != nil {
				return nil, err
			}
			b.Parent, b.Number = h.Parent, uint32(h.Number)
		} else if b.Parent.IsZero() {
			return nil, fmt.Errorf("finalised block %v: %w", b.Hash, ErrNotFound)
		}
	}
	if version.Err == nil && after != nil {
		f.c.runtimes.remember(last.Hash, *after)
		return blocks, f.versions(ctx, s, blocks, *after)
	}
	return blocks, nil
}

// versions tells blocks which runtime version executed them: when it is the same before and after, it is the same between.
func (f *follower) versions(ctx context.Context, s *session, blocks []*Block, after Runtime) error {
	before, known := f.c.runtimes.recall(blocks[0].codeAt())
	if !known {
		var v *Runtime
		r := &rpc.Request{Method: "state_getRuntimeVersion", Params: []any{blocks[0].codeAt()}, Result: &v}
		if err := s.batch(ctx, r); err != nil {
			return err
		}
		if v == nil {
			return nil // found out when it is needed
		}
		before = *v
	}
	if before != after {
		return f.changes(ctx, s, blocks)
	}
	for _, b := range blocks {
		b.setRuntime(before)
	}
	return nil
}

// changes asks for the version of each block of a window in which the runtime was upgraded.
func (f *follower) changes(ctx context.Context, s *session, blocks []*Block) error {
	got := make([]*Runtime, len(blocks))
	reqs := make([]*rpc.Request, len(blocks))
	for i, b := range blocks {
		reqs[i] = &rpc.Request{Method: "state_getRuntimeVersion", Params: []any{b.codeAt()}, Result: &got[i]}
	}
	if err := s.batch(ctx, reqs...); err != nil {
		return err
	}
	for i, b := range blocks {
		if reqs[i].Err == nil && got[i] != nil {
			b.setRuntime(*got[i])
		}
	}
	return nil
}

// FollowBest yields each new best block; blocks may be skipped and replaced by others. An error that it yields is final.
func (c *Client) FollowBest(ctx context.Context) iter.Seq2[*Block, error] {
	return c.followHeads(ctx, false)
}

// FollowFinality yields the newest finalised block whenever finality moves on; blocks may be skipped, and one that a node behind the
// one before calls its newest may come again. An error that it yields is final.
func (c *Client) FollowFinality(ctx context.Context) iter.Seq2[*Block, error] {
	return c.followHeads(ctx, true)
}

func (c *Client) followHeads(ctx context.Context, finalised bool) iter.Seq2[*Block, error] {
	return func(yield func(*Block, error) bool) {
		stopped, last := false, Hash{}
		err := c.follow(ctx, finalised, func(_ context.Context, _ *session, hash Hash, h *header) error {
			if hash == last {
				return nil
			}
			last = hash
			if !yield(c.newBlock(hash, h), nil) {
				stopped = true
				return &finalError{}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}
