//go:build !device

package main

import (
	"context"
	"fmt"
	"strings"

	"iod/index"
	"iod/index/postgres"
	"iod/index/sqlite"
)

// database is what an index is kept in.
type database interface {
	index.Store
	index.Picker
	index.Leader
	index.Announcer
}

// openDatabase opens a PostgreSQL database by its URL, or a SQLite file.
func openDatabase(ctx context.Context, name string) (database, error) {
	if postgres.Is(name) {
		s, err := postgres.Open(ctx, name)
		if err != nil {
			return nil, hint(err, "try the same URL with psql; --database or IOD_DATABASE names it")
		}
		return s, nil
	}
	if scheme, _, ok := strings.Cut(name, "://"); ok {
		return nil, usage(fmt.Errorf("no database is called by %s://: write postgres://…, or the path of a SQLite file", scheme))
	}
	s, err := sqlite.Open(ctx, name)
	if err != nil {
		return nil, hint(err, "--database names a SQLite file in a directory that may be written to, or PostgreSQL by postgres://…")
	}
	return s, nil
}
