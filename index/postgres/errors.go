package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"iod/index"
)

// The SQLSTATE codes that this package knows one by one.
const (
	codeCancelled  = "57014" // statement_timeout among others
	codeReadOnly   = "25006" // the server became a standby
	codeIdle       = "25P03" // idle_in_transaction_session_timeout
	codeDiskFull   = "53100"
	codeMemory     = "53200"
	codeTooMany    = "53300"
	codeLock       = "55P03"
	codePassword   = "28P01"
	codeNoUser     = "28000"
	codeNoDatabase = "3D000"
	codeDenied     = "42501"
	codeDeadlock   = "40P01"
)

// next are what to do about errors of the server, where somebody can do something.
var next = map[string]string{
	codeDiskFull:   "make room on the database's disk; nothing that was written is lost, and the index continues where it was",
	codeMemory:     "the database server is short of memory",
	codeTooMany:    "raise max_connections of the database server, or lower pool_max_conns in the URL",
	codePassword:   "check the password: in PGPASSWORD, in the file that PGPASSFILE names (~/.pgpass), or in the URL",
	codeNoUser:     "check the user, and what pg_hba.conf lets it do",
	codeNoDatabase: "make the database first: createdb NAME",
	codeDenied:     "the index's user has to own the database, or may have to create in its schema",
	codeReadOnly:   "the server is a standby: name the primary, or add target_session_attrs=read-write to a URL with several hosts",
}

// advised marks errors that waiting may mend (index.ErrUnavailable) and adds what to do about those that somebody has to mend.
func advised(err error) error {
	if err == nil || errors.Is(err, index.ErrUnavailable) {
		return err
	}
	if passing(err) {
		err = fmt.Errorf("%w: %w", index.ErrUnavailable, err)
	}
	var e *pgconn.PgError
	if errors.As(err, &e) && next[e.Code] != "" {
		return fmt.Errorf("%w: %s", err, next[e.Code])
	}
	return err
}

// passing tells whether an error is of the server, the disk or the network at present rather than of what was asked.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, index.ErrOtherWriter) {
		return false
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case codeReadOnly, codeIdle, codeLock:
			return true
		case codeCancelled:
			return false
		}
		switch e.Code[:min(2, len(e.Code))] {
		case "08", "40", "53", "57", "58": // connection, rolled back to be tried again, resources, operator, system
			return true
		}
		return false
	}
	var net net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &net) || errors.As(err, &connect) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) ||
		strings.HasSuffix(err.Error(), "conn closed")
}

// deadlocked tells whether the server rolled a transaction back since it and another waited for each other.
func deadlocked(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == codeDeadlock
}

// slow turns the end of a search that took too long into index.ErrTooBroad.
func slow(ctx context.Context, err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == codeCancelled && ctx.Err() == nil {
		return index.ErrTooBroad
	}
	return advised(err)
}

// Redact is a database's URL without its password.
func Redact(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		scheme, _, _ := strings.Cut(database, ":")
		return scheme + "://…"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

// redacted makes sure that an error does not repeat the password.
func redacted(err error, database string) error {
	secrets := []string{}
	if u, e := url.Parse(database); e == nil {
		if p, ok := u.User.Password(); ok {
			secrets = append(secrets, p, url.QueryEscape(p), url.PathEscape(p))
		}
		for name, values := range u.Query() {
			if strings.Contains(strings.ToLower(name), "password") {
				secrets = append(secrets, values...)
			}
		}
	} else if strings.Contains(err.Error(), database) {
		return errors.New("the URL cannot be read: write postgres://USER@HOST:PORT/DATABASE, with what is no letter or digit in the password as %XX")
	}
	text := err.Error()
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			return errors.New(strings.ReplaceAll(text, s, "xxxxx"))
		}
	}
	return err
}
