package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pressly/goose/v3"
)

// wordsByPrefix is migration 3: searches look for words by how they begin, and an index of beginnings spares them merging all
// that begin so. The table does not hold what it was told, so it is told again.
var wordsByPrefix = goose.NewGoMigration(3, &goose.GoFunc{RunTx: makeWords}, back)

func makeWords(ctx context.Context, t *sql.Tx) error {
	for _, q := range []string{"DROP TABLE words", `CREATE VIRTUAL TABLE words USING fts5 (said, content = '', contentless_delete = 1,
		tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3 4 5 6 7 8')`} {
		if _, err := t.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("make words: %w", err)
		}
	}
	insert, err := t.PrepareContext(ctx, "INSERT INTO words (rowid, said) VALUES (?, ?)")
	if err != nil {
		return fmt.Errorf("make words: %w", err)
	}
	defer insert.Close()
	rows, err := t.QueryContext(ctx, "SELECT "+oldColumns+", l.id FROM listing l WHERE l.status = 'live'")
	if err != nil {
		return fmt.Errorf("make words: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		l, err := scanOld(rows, &id)
		if err != nil {
			return fmt.Errorf("make words: %w", err)
		}
		if _, err := insert.ExecContext(ctx, id, l.Words()); err != nil {
			return fmt.Errorf("make words of %v: %w", l.Account, err)
		}
	}
	return rows.Err()
}
