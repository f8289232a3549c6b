package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"iod/index"
)

// The schema is the files of migrations, and in between wordsByPrefix and byRank.
//
//go:embed migrations/*.sql
var migrations embed.FS

func migrate(ctx context.Context, db *sql.DB) error {
	p, err := migrator(db)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read its schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("its schema has version %d and this program knows %d: it was written by a newer iod", have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring its schema up to version %d: %w", want, err)
	}
	return nil
}

func migrator(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithGoMigrations(wordsByPrefix, byRank))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// back is the way back from a migration that has none.
var back = &goose.GoFunc{RunTx: func(context.Context, *sql.Tx) error { return nil }}

// byRank is migration 11: listings by their rank, rendered, with offers that have what searches filter by in every index. The database
// is written anew from what it holds, history in its order.
var byRank = goose.NewGoMigration(11, &goose.GoFunc{RunTx: rewrite}, back)

//go:embed schema/00011_ranked.sql
var ranked string

// former are the tables of before that are written anew, those that refer to others first.
var former = []string{"listing", "history", "document"}

func rewrite(ctx context.Context, t *sql.Tx) error {
	do := func(q string) error {
		if _, err := t.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%.60s: %w", q, err)
		}
		return nil
	}
	for _, q := range append(renames(), ranked, "INSERT INTO tally VALUES ('offers', 0), ('terms', 0)", "UPDATE tally SET n = 0 WHERE what <> 'set_aside'") {
		if err := do(q); err != nil {
			return err
		}
	}
	s := &Store{}
	if err := s.stmts.prepare(ctx, t); err != nil {
		return err
	}
	x := s.begin(t)
	err := rewriteListings(ctx, x)
	if err == nil {
		err = rewriteHistory(ctx, x)
	}
	if err == nil {
		err = x.finish(ctx)
	}
	if err := errors.Join(err, s.stmts.close()); err != nil {
		return err
	}
	for _, table := range former {
		if err := do("DROP TABLE old_" + table); err != nil {
			return err
		}
	}
	return nil
}

// renames take the tables of before, and their indexes, out of the way.
func renames() []string {
	all := []string{"DROP TABLE words", "DROP TABLE offer"}
	for _, x := range []string{"listing_updated", "listing_owner", "listing_place", "listing_expires", "listing_data_type", "listing_price_access",
		"listing_price_pin", "history_account"} {
		all = append(all, "DROP INDEX "+x)
	}
	for _, table := range former {
		all = append(all, "ALTER TABLE "+table+" RENAME TO old_"+table)
	}
	return all
}

// rewriteListings puts the listings in the order in which they were published last. A rank counts all publications of its millisecond,
// those too whose listings have moved on.
func rewriteListings(ctx context.Context, x *tx) error {
	rows, err := x.t.QueryContext(ctx, "SELECT "+oldColumns+`, d.raw, ifnull(p.tie, -1) FROM old_listing l JOIN old_document d ON d.id = l.document
		LEFT JOIN (SELECT account, max(id) AS id, tie FROM (SELECT account, id, row_number() OVER (PARTITION BY json_extract(at, '$.time')
			ORDER BY id) - 1 AS tie FROM old_history WHERE action = 'published') GROUP BY account) p ON p.account = l.account
		ORDER BY p.id IS NULL, p.id, l.id`)
	if err != nil {
		return fmt.Errorf("read listings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var tie index.Rank
		l, err := scanOld(rows, &raw, &tie)
		if err != nil {
			return fmt.Errorf("read listings: %w", err)
		}
		l.Raw = raw
		if l.Rank = index.FirstRank(l.Updated.Time) + tie; tie < 0 {
			if l.Rank, err = x.rank(ctx, l.Updated.Time); err != nil {
				return err
			}
		}
		if err := x.insert(ctx, l); err != nil {
			return fmt.Errorf("write listing %v: %w", l.Account, err)
		}
	}
	return rows.Err()
}

// insert writes a listing whose rank is known.
func (x *tx) insert(ctx context.Context, l *index.Listing) error {
	st := standing{Listing: *l}
	var err error
	if st.document, err = x.document(ctx, l.Raw); err != nil {
		return err
	}
	if err := x.write(ctx, nil, &st); err != nil {
		return err
	}
	return x.list(ctx, &st)
}

func rewriteHistory(ctx context.Context, x *tx) error {
	rows, err := x.t.QueryContext(ctx, `SELECT h.account, h.action, h.who, h.state, h.sequence, h.at, d.raw
		FROM old_history h LEFT JOIN old_document d ON d.id = h.document ORDER BY h.id`)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanOldEntry(rows)
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		if err := x.Record(ctx, e); err != nil {
			return err
		}
		clear(x.standing) // it would hold all listings
	}
	return rows.Err()
}
