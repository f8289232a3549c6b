package document

import (
	"slices"

	"iod/key"
)

// Evidence is what a document's signature is made over, so that others can verify it again with tools of their own.
type Evidence struct {
	Prefix []byte   // domain, DID and attribute name, each followed by a zero byte
	Signed []byte   // the document's bytes without field 4
	Hash   [32]byte // blake2b-256 of both: what the account signs
}

// Evidence returns what the signature of a parsed document is, or would be, made over as the value of an attribute of account's DID.
func (d *Document) Evidence(account key.AccountID, attribute string) Evidence {
	return Evidence{
		Prefix: []byte(signatureDomain + "\x00" + account.DID() + "\x00" + attribute + "\x00"),
		Signed: slices.Clone(d.rest), Hash: digest(account, attribute, d.rest),
	}
}
