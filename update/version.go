package update

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"time"

	"iod/supervise"
)

// Sum is a SHA-256.
type Sum [32]byte

// ParseSum reads 64 hexadecimal digits.
func ParseSum(s string) (sum Sum, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(sum) {
		return sum, errors.New("a SHA-256 is 64 hexadecimal digits, as sha256sum prints them")
	}
	return Sum(b), nil
}

// String is 64 hexadecimal digits.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText is String.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSum.
func (s *Sum) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSum(string(b))
	return err
}

// Version is what a program is to be: one file, which is started in place of the first word of its command.
type Version struct {
	Name   string        // as 1.2.0; shown, and the program's IOD_VERSION
	Sum    Sum           // of the file
	URL    string        // http or https; or
	Path   string        // of a file
	Most   int64         // bytes that it may have; default 256 MiB
	Beside bool          // started beside the old version, which is stopped when it is ready
	Within time.Duration // it must become ready in that time; default 2 min, and 30 s for a program that does not say when it is ready
}

// Program is a program with the version that it is to have. When Want is nil it is its Command as it stands.
type Program struct {
	supervise.Program
	Want *Version
}

// Defaults of a Version.
const (
	defaultMost        = 256 << 20
	defaultWithin      = 2 * time.Minute
	defaultSteady      = 30 * time.Second
	mostRedirects      = 5
	versionNameMessage = "1 to 64 letters, digits, dots, hyphens, underscores or plus signs, the first a letter or digit"
)

var versionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)

// Check returns what makes a version impossible.
func (v *Version) Check() error {
	switch {
	case !versionName.MatchString(v.Name):
		return fmt.Errorf("version %.80q: %s", v.Name, versionNameMessage)
	case v.Sum == Sum{}:
		return errors.New("a version has no SHA-256")
	case (v.URL == "") == (v.Path == ""):
		return errors.New("a version comes either from a URL or from a path")
	case v.Most < 0:
		return errors.New("a version has fewer than no bytes")
	case v.Path != "":
		if !filepath.IsAbs(v.Path) {
			return errors.New("the path of a version is not absolute")
		}
		return nil
	}
	u, err := url.Parse(v.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("a version's URL is not of the form https://host/file, or http://host/file")
	}
	return nil
}

// source names where a version comes from, without what may be secret.
func (v *Version) source() string {
	if v.Path != "" {
		return v.Path
	}
	u, err := url.Parse(v.URL)
	if err != nil {
		return "its URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (v *Version) most() int64 {
	if v.Most == 0 {
		return defaultMost
	}
	return v.Most
}

// Check returns what makes programs impossible, all of it.
func Check(programs []Program) error {
	errs := []error{supervise.Check(plain(programs))}
	for _, p := range programs {
		if p.Want != nil {
			if err := p.Want.Check(); err != nil {
				errs = append(errs, fmt.Errorf("program %q: %w", p.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func plain(programs []Program) []supervise.Program {
	all := make([]supervise.Program, len(programs))
	for i, p := range programs {
		all[i] = p.Program
	}
	return all
}
