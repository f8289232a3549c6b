package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxAsked bounds how many different questions are kept prepared. A caller's filters make their number, so they are not all kept.
const maxAsked = 128

// asked are the prepared statements of searches by their text.
type asked struct {
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// query asks on one of the reading connections, by a prepared statement while there is room for one.
func (s *Store) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.asked.prepare(ctx, s.read, text)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return s.read.QueryContext(ctx, text, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// prepare returns the statement of a text; nil when there is no room for another.
func (a *asked) prepare(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stmt := a.stmts[text]; stmt != nil || len(a.stmts) >= maxAsked {
		return stmt, nil
	}
	stmt, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if a.stmts == nil {
		a.stmts = map[string]*sql.Stmt{}
	}
	a.stmts[text] = stmt
	return stmt, nil
}

func (a *asked) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var err error
	for _, stmt := range a.stmts {
		err = errors.Join(err, stmt.Close())
	}
	a.stmts = nil
	return err
}
