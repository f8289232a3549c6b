package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"iod/index"
	"iod/index/postgres/pgtest"
)

// Whatever is wrong with a URL, its password is not told.
func TestNoPasswordIsTold(t *testing.T) {
	const secret = "hunter2"
	for _, url := range []string{
		"postgres://me:hunter2@127.0.0.1:1/x", "postgres://me:hunter2@127.0.0.1:1/x?sslmode=nonsense", "postgres://me:hunter2@[::1/x", "postgres://me:hunter2%zz@h/x",
		"postgres://me@127.0.0.1:1/x?password=hunter2", "postgres://me:hunter2@127.0.0.1:1,127.0.0.1:2/x", "postgres://me:hunter2@127.0.0.1:notaport/x",
		"postgres://127.0.0.1:1/x?sslpassword=hunter2&sslmode=verify-ca&sslrootcert=/nowhere",
		"postgres://me:hunter2@127.0.0.1:1/x\x7f", "postgresql://hunter2:hunter2@127.0.0.1:1/hunter2?connect_timeout=x",
	} {
		s, err := Open(t.Context(), url)
		if err == nil {
			s.Close()
			t.Errorf("%s is opened", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, secret) && !strings.Contains(url, "/hunter2") || strings.Contains(text, ":hunter2") || strings.Contains(text, "=hunter2") {
			t.Errorf("the error of %s tells the password: %v", url, err)
		}
		if !strings.HasPrefix(err.Error(), "open index postgres") {
			t.Errorf("the error of %s does not say what failed: %v", url, err)
		}
	}
	for url, want := range map[string]string{
		"postgres://u:p@h:1/d?sslmode=disable": "postgres://u:xxxxx@h:1/d?sslmode=disable",
		"postgres:///d?host=/run":              "postgres:///d?host=/run",
		"postgres://u@h/d?password=p&x=1":      "postgres://u@h/d?password=xxxxx&x=1",
		"postgres://u:p%zz@h/d":                "postgres://…",
	} {
		if got := Redact(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	s, err := pgtest.Shared()
	if errors.Is(err, pgtest.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		s.URL("nowhere"): "createdb", strings.Replace(s.TCP("postgres"), pgtest.Password, "wrong", 1): "check the password",
	} {
		if _, err := Open(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", Redact(url), err, want)
		}
	}
	for code, unavailable := range map[string]bool{"53100": true, "53300": true, "57P01": true, "40001": true, "40P01": true, "08006": true, "25006": true, "58030": true,
		"55P03": true, "25P03": true, "57014": false, "23505": false, "42P01": false, "22P05": false, "28P01": false, "": false} {
		if got := errors.Is(advised(&pgconn.PgError{Code: code}), index.ErrUnavailable); got != unavailable {
			t.Errorf("SQLSTATE %s counts as unavailable: %v, want %v", code, got, unavailable)
		}
	}
	for _, err := range []error{context.Canceled, index.ErrOtherWriter, errBody} {
		if errors.Is(advised(err), index.ErrUnavailable) {
			t.Errorf("%v counts as unavailable", err)
		}
	}
}
