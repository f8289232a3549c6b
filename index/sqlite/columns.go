package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// rowColumns are what scanRow reads of a listing l and an offer o, of which there is none when its position is NULL.
const rowColumns = "l.rank, l.account, l.status, l.lat, l.lon, l.state, l.owner, l.updated, o.position, o.kind, o.data_type, o.unit, o.price"

// Columns yields every live listing.
func (s *Store) Columns(ctx context.Context, after index.Rank) iter.Seq2[index.Row, error] {
	return func(yield func(index.Row, error) bool) {
		rows, err := s.read.QueryContext(ctx, "SELECT "+rowColumns+` FROM listing l JOIN offer o ON o.listing = l.id
			WHERE l.status = 'live' AND l.rank > ? ORDER BY l.rank, o.position`, after)
		if err != nil {
			yield(index.Row{}, fmt.Errorf("read columns: %w", err))
			return
		}
		defer rows.Close()
		var last index.Row
		for rows.Next() {
			r, err := scanRow(rows)
			if err != nil {
				yield(index.Row{}, fmt.Errorf("read columns: %w", err))
				return
			}
			if r.Account == last.Account {
				last.Offers = append(last.Offers, r.Offers...)
				continue
			}
			if last.Live && !yield(last, nil) {
				return
			}
			last = r
		}
		if err := rows.Err(); err != nil {
			yield(index.Row{}, fmt.Errorf("read columns: %w", err))
			return
		}
		if last.Live {
			yield(last, nil)
		}
	}
}

// Rows returns the columns of some listings.
func (s *Store) Rows(ctx context.Context, accounts []key.AccountID) ([]index.Row, error) {
	var all []index.Row
	for _, a := range accounts {
		rows, err := s.query(ctx, "SELECT "+rowColumns+" FROM listing l LEFT JOIN offer o ON o.listing = l.id WHERE l.account = ? ORDER BY o.position", a[:])
		if err != nil {
			return nil, fmt.Errorf("read columns of %v: %w", a, err)
		}
		parts, err := collect(rows, "columns", scanRow)
		if err != nil {
			return nil, err
		}
		if len(parts) == 0 {
			continue
		}
		for _, p := range parts[1:] {
			parts[0].Offers = append(parts[0].Offers, p.Offers...)
		}
		all = append(all, parts[0])
	}
	return all, nil
}

func scanRow(rows *sql.Rows) (index.Row, error) {
	var (
		r                    index.Row
		account, owner       []byte
		price                []byte
		status, state        string
		kind, dataType, unit sql.NullString
		lat, lon             sql.NullFloat64
		updated              int64
		position             sql.NullInt64
	)
	if err := rows.Scan(&r.Rank, &account, &status, &lat, &lon, &state, &owner, &updated, &position, &kind, &dataType, &unit, &price); err != nil {
		return r, err
	}
	a, err := accountOf(account)
	if err != nil {
		return r, err
	}
	if r.Owner, err = accountOf(owner); err != nil {
		return r, err
	}
	r.Account, r.Live, r.State = *a, index.Status(status) == index.Live, document.State(state)
	r.Lat, r.Lon, r.Placed = lat.Float64, lon.Float64, lat.Valid
	if updated != 0 {
		r.Updated = time.UnixMilli(updated).UTC()
	}
	if !position.Valid {
		return r, nil
	}
	o := index.Offer{Kind: kind.String, DataType: dataType.String, Unit: unit.String}
	if o.Price, err = priceOf(price); err != nil {
		return r, err
	}
	r.Offers = []index.Offer{o}
	return r, nil
}
