package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"iod/chain/rpc"
	"iod/metadata"
)

const (
	// keptVersions bounds the metadata held in memory, each some MB.
	keptVersions = 3
	// keptHashes bounds the memory of which block runs which version.
	keptHashes = 512
)

// runtimes knows the runtime version at blocks and the metadata of versions.
//
// Which metadata is right for a block is exact: the runtime that executed block n is the code in the state of block n-1, so the
// version is asked for at the parent. What a version's metadata is never changes, so it is asked for once and kept on disk.
type runtimes struct {
	c *Client

	mu    sync.Mutex
	at    map[Hash]Runtime // version of the code in the state of a block
	order []Hash           // of at, oldest first
	metas []*versionMeta   // the most recently used last
}

// versionMeta is the metadata of one version, perhaps still on its way.
type versionMeta struct {
	spec uint32
	done chan struct{}
	m    *metadata.Metadata
	err  error
}

// remember notes the version of the code in the state of a block.
func (r *runtimes) remember(h Hash, v Runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[Hash]Runtime{}
	}
	if _, ok := r.at[h]; !ok {
		r.order = append(r.order, h)
	}
	r.at[h] = v
	for len(r.order) > keptHashes {
		delete(r.at, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *runtimes) recall(h Hash) (Runtime, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.at[h]
	return v, ok
}

// version returns the version of the code in the state of a block.
func (r *runtimes) version(ctx context.Context, h Hash) (Runtime, error) {
	if v, ok := r.recall(h); ok {
		return v, nil
	}
	var v *Runtime
	err := r.c.on(ctx, func(s *session) error {
		err := s.conn.Call(ctx, &v, "state_getRuntimeVersion", h)
		if err == nil && v == nil {
			err = fmt.Errorf("%w: node tells no version", rpc.ErrProtocol)
		}
		return err
	})
	if err != nil {
		return Runtime{}, fmt.Errorf("runtime version at block %v: %w", h, err)
	}
	r.remember(h, *v)
	return *v, nil
}

// metadata returns the metadata of a version, which the code in the state of block at has.
func (r *runtimes) metadata(ctx context.Context, spec uint32, at Hash) (*metadata.Metadata, error) {
	r.mu.Lock()
	var e *versionMeta
	for i, x := range r.metas {
		if x.spec == spec {
			e = x
			r.metas = append(append(r.metas[:i:i], r.metas[i+1:]...), x)
			break
		}
	}
	if e == nil {
		e = &versionMeta{spec: spec, done: make(chan struct{})}
		if r.metas = append(r.metas, e); len(r.metas) > keptVersions {
			r.metas = r.metas[1:]
		}
		if !r.c.run(func() { r.fill(e, at) }) {
			e.err = ErrClosed
			close(e.done)
		}
	}
	r.mu.Unlock()
	select {
	case <-e.done:
		return e.m, e.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run starts work that belongs to the client; false once that is closed.
func (c *Client) run(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(work)
	return true
}

// fill finds metadata for everybody who waits for it, so that no single caller's context ends it. A failure is not kept.
func (r *runtimes) fill(e *versionMeta, at Hash) {
	e.m, e.err = r.find(r.c.ctx, e.spec, at)
	if e.err != nil {
		if r.c.ctx.Err() != nil {
			e.err = ErrClosed
		}
		r.mu.Lock()
		for i, x := range r.metas {
			if x == e {
				r.metas = append(r.metas[:i:i], r.metas[i+1:]...)
				break
			}
		}
		r.mu.Unlock()
	}
	close(e.done)
}

// find takes metadata from the cache on disk or from a node.
func (r *runtimes) find(ctx context.Context, spec uint32, at Hash) (*metadata.Metadata, error) {
	genesis := r.c.Genesis()
	if raw, err := readCache(r.c.o.Cache, genesis, spec); err == nil {
		m, err := r.parse(raw, spec)
		if err == nil {
			return m, nil
		}
		r.c.log.Warn("cached metadata is unusable and asked for anew", "version", spec, "error", err)
	} else if !errors.Is(err, errNoCache) {
		r.c.log.Warn("cached metadata is unusable and asked for anew", "version", spec, "error", err)
	}
	raw, m, err := r.download(ctx, spec, at)
	if err != nil {
		return nil, fmt.Errorf("metadata of runtime version %d: %w", spec, err)
	}
	if err := writeCache(r.c.o.Cache, genesis, spec, raw); err != nil {
		r.c.log.Warn("metadata is not cached", "version", spec, "error", err)
	}
	return m, nil
}

// parse reads metadata and checks that it is of the version wanted.
func (r *runtimes) parse(raw []byte, spec uint32) (*metadata.Metadata, error) {
	read := metadata.Parse
	if r.c.o.Lean {
		read = metadata.ParseLean
	}
	m, err := read(raw)
	if err != nil {
		return nil, err
	}
	v, err := versionIn(m)
	if err != nil {
		return nil, err
	}
	if v.SpecVersion != spec {
		return nil, fmt.Errorf("%w: it is of version %d", ErrStaleMetadata, v.SpecVersion)
	}
	return m, nil
}

// download asks for V15, which describes runtime calls too, and for V14 where the runtime cannot give that.
func (r *runtimes) download(ctx context.Context, spec uint32, at Hash) (raw []byte, m *metadata.Metadata, err error) {
	err = r.c.on(ctx, func(s *session) error {
		var b hexBytes
		err := s.conn.Call(ctx, &b, "state_call", "Metadata_metadata_at_version", "0x0f000000", at)
		if err == nil {
			if m, err = r.parse(b, spec); err == nil {
				raw = b
				return nil
			}
		}
		var answered *rpc.Error
		if s.conn.Err() != nil || ctx.Err() != nil || errors.Is(err, rpc.ErrTimeout) {
			return err
		}
		if !errors.As(err, &answered) {
			r.c.log.Debug("no metadata of format 15", "version", spec, "error", err)
		}
		if err := s.conn.Call(ctx, &b, "state_getMetadata", at); err != nil {
			return err
		}
		m, err = r.parse(b, spec)
		raw = b
		return err
	})
	return raw, m, err
}
