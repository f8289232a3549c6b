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

// columnsOf are what scanColumns reads of a listing l with an offer o; without one when it is not live.
const columnsOf = `l.rank, l.account, l.status, o.lat, o.lon, l.verified, w.account, o.position, t.text, k.text, u.text, o.price
	FROM listing l LEFT JOIN owner w ON w.id = l.owner LEFT JOIN offer o ON o.rank = l.rank
	LEFT JOIN word t ON t.id = o.data_type LEFT JOIN word k ON k.id = o.kind LEFT JOIN word u ON u.id = o.unit`

// Columns yields every live listing.
func (s *Store) Columns(ctx context.Context, after index.Rank) iter.Seq2[index.Row, error] {
	return func(yield func(index.Row, error) bool) {
		stopped := false
		err := s.view(ctx, func(v view) error {
			rows, err := v.query(ctx, "SELECT "+columnsOf+" WHERE l.rank > ? AND l.status = 'live' ORDER BY l.rank, o.position", after)
			if err != nil {
				return err
			}
			defer rows.Close()
			var last index.Row
			for rows.Next() {
				r, err := scanColumns(rows)
				if err != nil {
					return err
				}
				if r.Account == last.Account {
					last.Offers = append(last.Offers, r.Offers...)
					continue
				}
				if last.Live && !yield(last, nil) {
					stopped = true
					return nil
				}
				last = r
			}
			if err := rows.Err(); err != nil {
				return err
			}
			stopped = last.Live && !yield(last, nil)
			return nil
		})
		if err != nil && !stopped {
			yield(index.Row{}, fmt.Errorf("read columns: %w", err))
		}
	}
}

// Rows returns the columns of some listings.
func (s *Store) Rows(ctx context.Context, accounts []key.AccountID) ([]index.Row, error) {
	var all []index.Row
	err := s.view(ctx, func(v view) error {
		for _, a := range accounts {
			parts, err := ask(ctx, v, "columns", scanColumns, "SELECT "+columnsOf+" WHERE l.account = ? ORDER BY o.position", a[:])
			if err != nil {
				return err
			}
			if len(parts) == 0 {
				continue
			}
			r := parts[0]
			for _, p := range parts[1:] {
				r.Offers = append(r.Offers, p.Offers...)
			}
			all = append(all, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read columns of listings: %w", err)
	}
	return all, nil
}

func scanColumns(rows *sql.Rows) (r index.Row, err error) {
	var (
		account, owner, price []byte
		status                string
		verified              bool
		lat, lon, position    sql.NullInt64
		dataType, kind, unit  sql.NullString
	)
	err = rows.Scan(&r.Rank, &account, &status, &lat, &lon, &verified, &owner, &position, &dataType, &kind, &unit, &price)
	if err != nil {
		return r, err
	}
	a, err := accountOf(account)
	if err != nil {
		return r, err
	}
	if r.Owner, err = accountOf(owner); err != nil {
		return r, err
	}
	r.Account, r.Live, r.State = *a, index.Status(status) == index.Live, document.Unverified
	if verified {
		r.State = document.Verified
	}
	r.Lat, r.Lon, r.Placed = float64(lat.Int64)/1e7, float64(lon.Int64)/1e7, lat.Valid
	if ms := r.Rank.Milli(); ms != 0 {
		r.Updated = time.UnixMilli(ms).UTC()
	}
	if !position.Valid {
		return r, nil
	}
	o := index.Offer{Kind: kind.String, DataType: dataType.String, Unit: unit.String}
	if o.Price, err = unpackPrice(price); err != nil {
		return r, err
	}
	r.Offers = []index.Offer{o}
	return r, nil
}
