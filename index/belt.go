package index

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// parcel is what one block, or a part of the state, brings.
type parcel struct {
	block    Block // without Events once they are digested
	claims   []Claim
	entities []Entity // of the state
	links    []Link   // likewise
	moves    bool     // the cursor moves to the block
	head     uint32   // newest finalised block known when it was read
	read     uint64   // towards Progress.Done
	total    entries  // of Progress.Total, in state

	weight int64
	ready  chan struct{} // closed once digested; nil: there was nothing to digest
}

// entries are how many there are in the state, about.
type entries struct{ documents, others uint64 }

// The bounds of what is under way between source and store, and of one transaction.
const (
	batchBlocks = 1024
	batchRows   = 4096     // claims, deeds, entities and links
	beltBytes   = 24 << 20 // about, of memory for what the parcels hold
	perEvent    = 2 << 10  // what a document costs beside its bytes, once it is read
	perRow      = 256      // what a deed, entity or link costs
)

// weigh tells about how much memory a parcel takes until it is written: documents are held as bytes and as what was read of them.
func (p *parcel) weigh() {
	p.weight = 256 + perRow*int64(len(p.block.Deeds)+len(p.entities)+len(p.links))
	for i := range p.block.Events {
		p.weight += perEvent + 3*int64(len(p.block.Events[i].Value))
	}
	p.weight = min(p.weight, beltBytes)
}

// rows is about how many rows a digested parcel writes.
func (p *parcel) rows() int {
	return len(p.claims) + len(p.block.Deeds) + len(p.entities) + len(p.links)
}

// digest reads and judges the documents, which is what costs most of the processor: signatures.
func (p *parcel) digest() {
	p.claims = Digest(p.block)
	p.block.Events = nil
	close(p.ready)
}

// stream runs read, which sends parcels, beside workers that digest them, on all processors, and the writer, which commits as many at
// once as are there, in the order in which they were sent.
func (r *runner) stream(ctx context.Context, read func(ctx context.Context, send func(parcel) bool) error) error {
	g, ctx := errgroup.WithContext(ctx)
	queue, work := make(chan *parcel, batchBlocks), make(chan *parcel, batchBlocks)
	room := semaphore.NewWeighted(beltBytes)
	g.Go(func() error {
		defer close(queue)
		defer close(work)
		return read(ctx, func(p parcel) bool {
			p.weigh()
			if room.Acquire(ctx, p.weight) != nil {
				return false
			}
			if len(p.block.Events) > 0 {
				p.ready = make(chan struct{})
				work <- &p // there is room for as many as the queue takes, and one
			}
			select {
			case queue <- &p:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for p := range work {
				p.digest()
			}
			return nil
		})
	}
	g.Go(func() error {
		for p := range queue {
			batch := drain(p, queue)
			if err := r.commit(ctx, batch); err != nil {
				return err
			}
			for _, p := range batch {
				room.Release(p.weight)
			}
			r.notify(len(queue) > 0)
		}
		return ctx.Err()
	})
	return g.Wait()
}

// drain collects p and what waits behind it, within the bounds of a transaction, each digested.
func drain(p *parcel, more <-chan *parcel) []*parcel {
	batch, rows := []*parcel{p.wait()}, p.rows()
	for len(batch) < batchBlocks && rows < batchRows {
		select {
		case p, ok := <-more:
			if !ok {
				return batch
			}
			batch = append(batch, p.wait())
			rows += p.rows()
		default:
			return batch
		}
	}
	return batch
}

// wait returns the parcel once it is digested.
func (p *parcel) wait() *parcel {
	if p.ready != nil {
		<-p.ready
	}
	return p
}
