package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"iod/index"
	"iod/index/pack"
)

// patience is how long a search may take before it is too broad. Going through all offers of a million listings takes a quarter of
// that.
const patience = 2 * time.Second

// Search returns live listings: it reads what is known of the words and numbers of the query, plans by that, finds the offers that match
// in indexes which hold all that is filtered by, and reads the listings of the answer alone.
func (s *Store) Search(ctx context.Context, q index.Query) (index.Page, error) {
	if err := q.Check(); err != nil {
		return index.Page{}, fmt.Errorf("search: %w", err)
	}
	if strings.TrimSpace(q.Text) != "" && index.Terms(q.Text) == nil {
		return index.Page{}, nil // nothing but punctuation, which no word begins with
	}
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var p index.Page
	err := s.view(bounded, func(v view) (err error) {
		p, err = v.search(bounded, q)
		return err
	})
	switch {
	case err == nil || errors.Is(err, errNothing):
		return p, nil
	case ctx.Err() == nil && bounded.Err() != nil:
		return index.Page{}, fmt.Errorf("search: %w", index.ErrTooBroad)
	case ctx.Err() != nil:
		return index.Page{}, fmt.Errorf("search: %w", ctx.Err())
	}
	return index.Page{}, fmt.Errorf("search: %w", err)
}

func (v view) search(ctx context.Context, q index.Query) (index.Page, error) {
	a, err := v.ask(ctx, q)
	if err != nil {
		return index.Page{}, err
	}
	hits, err := a.find(ctx, v.s.choose(&a.stats, q.Order, float64(a.need)))
	if err != nil {
		return index.Page{}, err
	}
	var p index.Page
	if len(hits) == a.need {
		hits = hits[:a.need-1]
		p.Next = hits[len(hits)-1].mark(q.Order)
	}
	if p.Found, err = v.found(ctx, q, hits); err == nil && len(p.Found) != len(hits) {
		err = fmt.Errorf("of %d listings %d are there", len(hits), len(p.Found))
	}
	return p, err
}

// mark is the place of a hit in the order of the answer.
func (h *hit) mark(o index.Order) *index.Mark {
	m := &index.Mark{Rank: h.rank}
	switch o {
	case index.Cheapest, index.Dearest:
		m.Price = h.price
	case index.Nearest:
		m.Km = h.km
	}
	return m
}

// found reads the listings of an answer.
func (v view) found(ctx context.Context, q index.Query, hits []hit) ([]index.Found, error) {
	if len(hits) == 0 {
		return nil, nil
	}
	at := make(map[index.Rank]int, len(hits))
	ranks := make([]index.Rank, len(hits))
	for i, h := range hits {
		at[h.rank], ranks[i] = i, h.rank
	}
	what, from := columns, " FROM json_each(?) j CROSS JOIN listing l ON l.rank = j.value"
	if q.Shown {
		what = "l.rank, l.account, CAST(l.shown AS BLOB)"
	}
	if q.Raw {
		what, from = what+", d.raw", from+" CROSS JOIN document d ON d.id = l.document"
	}
	rows, err := v.query(ctx, "SELECT "+what+from, list(ranks))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found, n := make([]index.Found, len(hits)), 0
	for ; rows.Next(); n++ {
		f, err := scanFound(rows, q)
		if err != nil {
			return nil, err
		}
		h := hits[at[f.Rank]]
		if f.Offer, f.Km = h.position, h.km; q.Shown {
			f.Stream = index.ShownStream(f.Shown, h.position)
		} else if offers := f.Offers(); h.position < len(offers) {
			f.Stream = offers[h.position].Name
		}
		found[at[f.Rank]] = f
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if n != len(hits) { // some have gone
		found = slices.DeleteFunc(found, func(f index.Found) bool { return f.Listing == nil })
	}
	return found, nil
}

func scanFound(rows *sql.Rows, q index.Query) (f index.Found, err error) {
	var raw, account, shown sql.RawBytes
	var more []any
	if q.Raw {
		more = append(more, &raw)
	}
	if q.Shown {
		f.Listing = &index.Listing{}
		if err := rows.Scan(append([]any{&f.Rank, &account, &shown}, more...)...); err != nil {
			return f, err
		}
		a, err := accountOf(account)
		if err != nil {
			return f, err
		}
		f.Account, f.Shown = *a, shown // memory of its own: the driver makes it for each blob, and never uses it again
	} else if f.Listing, err = scan(rows, more...); err != nil {
		return f, err
	}
	if q.Raw {
		f.Raw, err = pack.Unpack(raw)
	}
	return f, err
}
