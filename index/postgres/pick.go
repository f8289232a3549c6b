package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"iod/index"
)

// pickColumns are listingColumns of a listing that may not be there.
const pickColumns = "coalesce(l.rank, -1), l.account, coalesce(l.data_type, ''), coalesce(l.location, ''), l.body"

// Pick returns the listings of hits. It asks with one statement, so that all of the answer is of one state; that has a row even when no
// listing is there.
func (s *Store) Pick(ctx context.Context, q index.Query, hits []index.Hit) ([]index.Found, int64, error) {
	ranks, at := make([]int64, len(hits)), make(map[index.Rank]int, len(hits))
	for i, h := range hits {
		ranks[i], at[h.Rank] = int64(h.Rank), i
	}
	raw, join := "", ""
	if q.Raw {
		raw, join = ", d.raw", " LEFT JOIN document d ON d.hash = l.document"
	}
	type picked struct {
		change int64
		index.Found
	}
	all, err := rows(ctx, s, func(row pgx.CollectableRow) (p picked, err error) {
		var r listingRow
		var packed view
		into := append([]any{&p.change}, r.into()...)
		if q.Raw {
			into = append(into, &packed)
		}
		if err := row.Scan(into...); err != nil || r.rank < 0 {
			return p, err
		}
		if p.Listing, err = r.found(packed, q.Raw); err == nil {
			h := hits[at[r.rank]]
			p.Offer, p.Km = h.Offer, h.Km
			p.Found = shown(p.Found, q.Shown)
		}
		return p, err
	}, "SELECT p.change, "+pickColumns+raw+" FROM progress p LEFT JOIN listing l ON l.rank = ANY($1::bigint[])"+join, ranks)
	if err == nil && len(all) == 0 {
		err = errProgress
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read what was found: %w", err)
	}
	inOrder := make([]*index.Found, len(hits))
	for i := range all {
		if f := &all[i].Found; f.Listing != nil {
			inOrder[at[f.Rank]] = f
		}
	}
	found := make([]index.Found, 0, len(hits))
	for _, f := range inOrder {
		if f != nil {
			found = append(found, *f)
		}
	}
	return found, all[0].change, nil
}
