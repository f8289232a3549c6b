package metadata

import (
	"errors"
	"fmt"
	"strings"
)

// Errors to test for with errors.Is.
var (
	ErrVersion      = errors.New("metadata version is not supported (14, 15 and 16 are)")
	ErrNotFound     = errors.New("not in the metadata")
	ErrNoRuntimeAPI = errors.New("metadata V14 does not describe runtime APIs: ask the node for V15")
	ErrTooDeep      = errors.New("value is nested too deeply")
	ErrTooMany      = errors.New("value has more parts than its bytes justify")
	ErrMalformed    = errors.New("malformed")
)

// NotFoundError tells of a name or index that the metadata does not have. It is ErrNotFound.
type NotFoundError struct {
	Kind    string // what was looked for: "pallet", "call", "storage entry", …
	Pallet  string // where, if in a pallet
	Name    string
	Nearest string // the nearest spelling, if one is near
}

func (e *NotFoundError) Error() string {
	s := fmt.Sprintf("metadata: no %s %q", e.Kind, e.Name)
	if e.Pallet != "" {
		s = fmt.Sprintf("metadata: pallet %s has no %s %q", e.Pallet, e.Kind, e.Name)
	}
	if e.Nearest != "" {
		s += fmt.Sprintf("; did you mean %q?", e.Nearest)
	}
	return s
}

// Is makes the error ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// ValueError tells of a Go value that does not fit the type it is to be encoded as or assigned to.
type ValueError struct {
	Path    string // to the field, as in "calls[1].dest"; empty for the value itself
	Problem string // as in "want u32, got string"
	Err     error  // what lies below, as a *NotFoundError of a call within a call; may be nil
}

func (e *ValueError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

// Unwrap returns Err.
func (e *ValueError) Unwrap() error { return e.Err }

func misfit(format string, args ...any) error {
	return &ValueError{Problem: fmt.Sprintf(format, args...)}
}

// longestPath bounds the path of a ValueError; a longer one keeps its inner end.
const longestPath = 256

// within puts a step in front of the path of a ValueError, and makes one of any other error.
func within(step string, err error) error {
	v, ok := err.(*ValueError)
	if !ok {
		return &ValueError{Path: step, Problem: strings.TrimPrefix(err.Error(), "metadata: "), Err: err}
	}
	switch {
	case len(v.Path) > longestPath:
		if !strings.HasPrefix(v.Path, "…") {
			v.Path = "…" + v.Path
		}
	case v.Path == "":
		v.Path = step
	case v.Path[0] == '[':
		v.Path = step + v.Path
	default:
		v.Path = step + "." + v.Path
	}
	return v
}
