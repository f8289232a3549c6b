package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// reader is a reading connection with what it was asked before, prepared. It answers one caller at a time.
type reader struct {
	conn  *sql.Conn // nil until it is needed
	stmts map[string]*sql.Stmt
}

// maxAsked bounds how many different questions a connection keeps prepared. Callers' filters make their number.
const maxAsked = 96

// view is the store as of one committed state.
type view struct {
	s *Store
	r *reader
}

// view lets f ask several questions of one state.
func (s *Store) view(ctx context.Context, f func(view) error) (err error) {
	r, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers <- r }()
	v := view{s, r}
	if err := v.exec(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer func() {
		// Whoever asks next needs a connection that has ended, whatever became of this caller.
		if end := v.exec(context.WithoutCancel(ctx), "ROLLBACK"); end != nil {
			err = errors.Join(err, fmt.Errorf("end reading: %w", end), r.close())
		}
	}()
	return f(v)
}

var errClosed = errors.New("the index is closed")

// borrow waits for a connection that nobody uses. It is to be put back.
func (s *Store) borrow(ctx context.Context) (*reader, error) {
	select {
	case r := <-s.readers:
		if r == nil {
			return nil, errClosed
		}
		if r.conn != nil {
			return r, nil
		}
		conn, err := s.read.Conn(ctx)
		if err != nil {
			s.readers <- r
			return nil, err
		}
		r.conn = conn
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// query asks one question of the newest state, and reads all rows of its answer.
func query[T any](ctx context.Context, s *Store, what string, read func(*sql.Rows) (T, error), text string, args ...any) ([]T, error) {
	r, err := s.borrow(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer func() { s.readers <- r }()
	return ask(ctx, view{s, r}, what, read, text, args...)
}

// ask asks a question of the view's state, and reads all rows of its answer.
func ask[T any](ctx context.Context, v view, what string, read func(*sql.Rows) (T, error), text string, args ...any) ([]T, error) {
	rows, err := v.query(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return collect(rows, what, read)
}

func (v view) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := v.r.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (v view) exec(ctx context.Context, text string) error {
	stmt, err := v.r.prepare(ctx, text)
	if err == nil {
		_, err = stmt.ExecContext(ctx)
	}
	return err
}

func (r *reader) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt := r.stmts[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := r.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if len(r.stmts) >= maxAsked { // those that are asked often are soon back
		if err := r.forget(); err != nil {
			return nil, errors.Join(err, stmt.Close())
		}
	}
	if r.stmts == nil {
		r.stmts = map[string]*sql.Stmt{}
	}
	r.stmts[text] = stmt
	return stmt, nil
}

func (r *reader) forget() (err error) {
	for _, stmt := range r.stmts {
		err = errors.Join(err, stmt.Close())
	}
	r.stmts = nil
	return err
}

func (r *reader) close() error {
	err := r.forget()
	if r.conn != nil {
		err = errors.Join(err, r.conn.Close())
	}
	r.conn = nil
	return err
}
