package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"iod/index"
)

var errFilter = errors.New("no such filter")

// legacyFields are the columns that the existing marketplace filters by.
var legacyFields = map[string]struct {
	column string
	price  bool
}{
	"data_type":    {"x.data_type", false},
	"location":     {"x.location", false},
	"price_access": {"x.price_access", true},
	"price_pin":    {"x.price_pin", true},
}

var legacyOps = map[string]string{"=": " = ?", "<": " < ?", ">": " > ?"}

// Legacy is Search in the form of the existing marketplace.
func (s *Store) Legacy(ctx context.Context, q index.LegacyQuery) ([]*index.Listing, error) {
	var all []*index.Listing
	text, args, err := legacyText(q)
	if err == nil && text != "" {
		bounded, cancel := context.WithTimeout(ctx, s.patience)
		defer cancel()
		all, err = query(bounded, s, "listings", func(rows *sql.Rows) (*index.Listing, error) { return scan(rows) }, text, args...)
		if err != nil && ctx.Err() == nil && bounded.Err() != nil {
			err = index.ErrTooBroad
		}
	}
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return all, nil
}

// legacyText is the question; empty when nothing is asked for.
func legacyText(q index.LegacyQuery) (string, []any, error) {
	if q.Account != nil {
		return "SELECT " + columns + " FROM listing l WHERE l.account = ? AND l.status = 'live'", []any{q.Account[:]}, nil
	}
	var w where
	w.and("x.rank >= 0")
	for _, f := range q.Filters {
		field, known := legacyFields[f.Field]
		op, knownOp := legacyOps[f.Op]
		switch {
		case !known || !knownOp:
			return "", nil, fmt.Errorf("%w: %.40q %.10q", errFilter, f.Field, f.Op)
		case field.price:
			w.and(field.column+op, packPrice(f.Price))
		default:
			w.and(field.column+op, f.Text)
		}
	}
	if q.Limit <= 0 {
		return "", nil, nil
	}
	return "SELECT " + columns + " FROM (SELECT x.rank AS rank FROM legacy x WHERE " + w.String() +
			" ORDER BY x.rank DESC LIMIT ? OFFSET ?) y CROSS JOIN listing l ON l.rank = y.rank ORDER BY y.rank DESC",
		append(w.args, min(q.Limit, index.MaxLimit), max(q.Offset, 0)), nil
}
