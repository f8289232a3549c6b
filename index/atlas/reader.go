package atlas

import (
	"context"

	"iod/index"
)

// Reader is a store whose searches are answered with the help of an Atlas: that tells which listings the answer is of, the store what they
// say. An answer is the store's own all the same: both are of one state, by the number of its newest change, or the store is asked in its
// own way, as it is for what the Atlas does not tell or while it does not know all listings.
type Reader struct {
	index.Picker
	atlas *Atlas
}

// NewReader returns a Reader of the store that an Atlas follows.
func NewReader(store index.Picker, a *Atlas) *Reader { return &Reader{store, a} }

// Search returns live listings.
func (r *Reader) Search(ctx context.Context, q index.Query) (index.Page, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = index.DefaultLimit
	}
	limit = min(limit, index.MaxLimit)
	hits, change, ok := r.atlas.find(ctx, q, limit+1)
	if !ok {
		return r.Picker.Search(ctx, q)
	}
	page := index.Page{}
	if len(hits) > limit {
		hits = hits[:limit]
		page.Next = hits[limit-1].Mark(q.Order)
	}
	found, as, err := r.Pick(ctx, q, hits)
	if err != nil || as != change || len(found) != len(hits) {
		return r.Picker.Search(ctx, q)
	}
	page.Found = found
	return page, nil
}
