package sqlite

import (
	"context"
	"fmt"

	"iod/index"
)

// Pick returns the listings of hits.
func (s *Store) Pick(ctx context.Context, q index.Query, hits []index.Hit) (found []index.Found, change int64, err error) {
	err = s.view(ctx, func(v view) error {
		changes, err := ask(ctx, v, "the newest change", scanID, "SELECT ifnull((SELECT max(id) FROM history), 0)")
		if err != nil {
			return err
		}
		change = changes[0]
		own := make([]hit, len(hits))
		for i, h := range hits {
			own[i] = hit{rank: h.Rank, position: h.Offer, km: h.Km}
		}
		found, err = v.found(ctx, q, own)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read what was found: %w", err)
	}
	return found, change, nil
}
