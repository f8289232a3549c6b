package rpc

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// Redact returns scheme and host of a URL and nothing else: user, path and query of an endpoint often hold a provider's key.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return "(not a URL)"
	}
	return u.Scheme + "://" + u.Host
}

// withoutURL takes what net/http says of a URL out of an error, and keeps its cause.
func withoutURL(rawURL string, err error) error {
	for {
		var ue *url.Error
		if !errors.As(err, &ue) {
			break
		}
		err = ue.Err
	}
	if u, perr := url.Parse(rawURL); perr == nil && leaks(err.Error(), u) {
		return errors.New("connection failed, for a reason whose text would show the secret in the URL")
	}
	return err
}

// leaks reports whether the text holds a part of the URL that may be secret.
func leaks(text string, u *url.URL) bool {
	secrets := []string{u.RawQuery}
	if u.User != nil {
		p, _ := u.User.Password()
		secrets = append(secrets, p, u.User.String())
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= 8 {
			secrets = append(secrets, part)
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// causeOf returns the reason for which a context ended.
func causeOf(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return ctx.Err()
}
