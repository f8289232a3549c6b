package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"iod/chain"
	"iod/key"
	"iod/overlay"
)

// The exit codes of iod.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong usage or configuration
	exitRefused     = 3 // access is not granted
	exitUnreachable = 4 // chain, relay or device cannot be reached
)

// fault is an error that says how iod exits and what to do next.
type fault struct {
	err  error
	code int
	hint string
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// usage marks err as the caller's mistake.
func usage(err error) error { return &fault{err: err, code: exitUsage} }

// refused marks err as a refusal.
func refused(err error) error { return &fault{err: err, code: exitRefused} }

// unreachable marks err as a failure to reach something.
func unreachable(err error) error { return &fault{err: err, code: exitUnreachable} }

// hint adds what to do next.
func hint(err error, next string, args ...any) error {
	return &fault{err: err, hint: fmt.Sprintf(next, args...)}
}

// diagnose finds the exit code and the hints in an error and what it wraps; known errors of the packages below
// that carry none are given theirs.
func diagnose(err error) (code int, hints []string) {
	code = exitFailed
	for e := err; e != nil; e = errors.Unwrap(e) {
		f, ok := e.(*fault)
		if !ok {
			continue
		}
		if f.code != 0 && code == exitFailed {
			code = f.code
		}
		if f.hint != "" {
			hints = append(hints, f.hint)
		}
	}
	if knownCode, next := known(err); len(hints) == 0 && next != "" {
		hints = append(hints, next)
		if code == exitFailed {
			code = knownCode
		}
	} else if code == exitFailed && knownCode != 0 {
		code = knownCode
	}
	return code, hints
}

// stayed is how a command that stays until it is stopped ends: to be stopped is what it waits for.
func stayed(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// report tells the user of err and returns the exit code. A command that did not get to its end has failed.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	code, hints := diagnose(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err, code = errors.New("interrupted"), exitFailed
	}
	if a.json() {
		line := map[string]any{"error": err.Error(), "code": code}
		if len(hints) > 0 {
			line["hint"] = strings.Join(hints, "; ")
		}
		json.NewEncoder(a.err).Encode(line)
		return code
	}
	fmt.Fprintf(a.err, "iod: %v\n", err)
	for _, h := range hints {
		fmt.Fprintf(a.err, "  → %s\n", h)
	}
	if code == exitUsage && len(hints) == 0 && cmd != nil {
		fmt.Fprintf(a.err, "  → help: %s --help\n", cmd.CommandPath())
	}
	return code
}

// known gives the exit code and the next step of errors that other packages return.
func known(err error) (code int, next string) {
	var poor *chain.ErrCannotPay
	var endpoint *chain.EndpointError
	switch {
	case errors.As(err, &poor):
		return exitFailed, fmt.Sprintf("the account has too little for the fee: send some PEAQ to %s (development chain: iod account faucet %s)", poor.Account, poor.Account)
	case errors.Is(err, chain.ErrWrongNetwork):
		return exitUsage, "name endpoints of one network with --rpc or IOD_RPC"
	case errors.Is(err, chain.ErrNonceTaken):
		return exitFailed, "something else sends transactions with this key; repeat the command, or use a key of its own"
	case errors.Is(err, key.ErrPassphrase):
		return exitUsage, "check the passphrase (IOD_PASSPHRASE goes before the question on the terminal)"
	case errors.Is(err, chain.ErrAmount):
		return exitUsage, "write an amount as 1.5: digits, with a dot before at most as many decimals as the token has"
	case errors.Is(err, overlay.ErrUnreachable):
		return exitUnreachable, "check this machine's network; the device's relays may be down"
	case errors.Is(err, overlay.ErrSilent):
		return exitUnreachable, "the device may be off, or access not granted yet"
	case errors.As(err, &endpoint):
		return exitUnreachable, "name a reachable chain endpoint with --rpc URL or IOD_RPC; a local chain: iod chain dev"
	}
	return knownOfIndex(err)
}

// final reports whether trying again cannot help until somebody does something.
func final(err error) bool {
	if err == nil {
		return false
	}
	code, _ := diagnose(err)
	return code == exitRefused || code == exitUsage
}
