package chain

import (
	"errors"
	"fmt"

	"iod/chain/rpc"
	"iod/key"
)

// Codes of errors of a node's transaction pool.
const (
	poolInvalid  = 1010
	poolUnknown  = 1011
	poolBanned   = 1012
	poolImported = 1013
	poolLowPrio  = 1014
	poolFull     = 1016
)

// Errors that say that a transaction must be made anew; Submit does so itself.
var (
	errStaleNonce = errors.New("nonce is used already")
	errAncient    = errors.New("transaction is of a time that the chain no longer accepts")
	errImported   = errors.New("node has the transaction already")
	errFuture     = errors.New("nonce is ahead of the account's")
)

// verdicts are the texts that sp_runtime gives the reasons for which a transaction is invalid; nodes send them as data.
var verdicts = map[string]error{
	"Transaction is outdated":                    errStaleNonce,
	"Transaction has a bad signature":            ErrBadProof,
	"Transaction has an ancient birth block":     errAncient,
	"Transaction will be valid in the future":    errFuture,
	"Transaction would exhaust the block limits": ErrPoolFull,
}

// payment is the text for an account that cannot pay the fee.
const payment = "Inability to pay some fees (e.g. account balance too low)"

// refusal gives a pool's error its type; other errors stay as they are.
func refusal(err error, from key.AccountID) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case poolInvalid:
		text := e.Text()
		if text == payment {
			return &ErrCannotPay{Account: from}
		}
		if v, ok := verdicts[text]; ok {
			return fmt.Errorf("%w: %w", v, e)
		}
		return fmt.Errorf("%w: %w", ErrRefused, e)
	case poolUnknown:
		return fmt.Errorf("%w: %w", ErrRefused, e)
	case poolBanned:
		return fmt.Errorf("%w: %w", ErrBanned, e)
	case poolImported:
		return errImported
	case poolLowPrio:
		return fmt.Errorf("%w: %w", errStaleNonce, e)
	case poolFull:
		return fmt.Errorf("%w: %w", ErrPoolFull, e)
	}
	return err
}
