package access

import (
	"context"
	"fmt"

	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// VouchAttribute returns the name of the attribute of the owner's DID under which the owner vouches for a device. Its value is
// the text that document.SignVouch returns. The device copies it into its document.
func VouchAttribute(device key.AccountID) string { return "iod-vouch/" + device.String() }

// VouchCalls returns the calls by which the owner publishes its vouch for a device; none when current, the attribute as it
// stands (nil: absent), holds a valid one already. writer says whether the owner may update its own DID's attributes
// (did.IsWriter).
func VouchCalls(owner *key.Pair, device key.AccountID, current *did.Attribute, writer bool) ([]metadata.Call, error) {
	if current != nil && document.VerifyVouch(owner.Account(), device, string(current.Value)) {
		return nil, nil
	}
	vouch, err := document.SignVouch(owner, device)
	if err != nil {
		return nil, fmt.Errorf("vouch for %s: %w", device, err)
	}
	s := did.Standing{Exists: current != nil, Writer: writer}
	return did.Put(s, owner.Account(), VouchAttribute(device), []byte(vouch), nil), nil
}

// ReadVouch returns the owner's vouch for a device as of the block, or "" when there is no valid one. Whoever wrote the
// attribute, only the owner's signature counts.
func ReadVouch(ctx context.Context, b did.Block, owner, device key.AccountID) (string, error) {
	a, err := did.Read(ctx, b, owner, VouchAttribute(device))
	if err != nil || a == nil {
		return "", err
	}
	if vouch := string(a.Value); document.VerifyVouch(owner, device, vouch) {
		return vouch, nil
	}
	return "", nil
}
