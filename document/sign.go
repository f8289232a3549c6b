package document

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"

	"iod/key"
)

const signatureDomain = "iod/document/1"

// digest is what the DID's account signs; rest are the document's bytes without field 4.
func digest(a key.AccountID, attribute string, rest []byte) [32]byte {
	b := append([]byte(signatureDomain), 0)
	b = append(append(b, a.DID()...), 0)
	b = append(append(b, attribute...), 0)
	return blake2b.Sum256(append(b, rest...))
}

// Seal signs the document for an attribute of the DID of p's account and returns its wire bytes. A signature that it had is replaced.
func (d *Document) Seal(p *key.Pair, attribute string) ([]byte, error) {
	d.Signature = nil
	hash := digest(p.Account(), attribute, d.Encode())
	sig, err := p.Sign(hash[:])
	if err != nil {
		return nil, fmt.Errorf("sign document of %s: %w", p.Account(), err)
	}
	d.Signature = &Signature{Type: KeyType(sig.Scheme), Issuer: p.Account().DID(), Hash: sig.String()}
	b := d.Encode()
	if len(b) > MaxSize {
		return nil, fmt.Errorf("sign document of %s: %d bytes are more than %d", p.Account(), len(b), MaxSize)
	}
	return b, nil
}

// Judge says how far a parsed document can be believed as the value of an attribute of account's DID.
func (d *Document) Judge(account key.AccountID, attribute string) Verdict {
	if d.ID != "" || d.signatures > 0 {
		if speaker, err := key.ParseDID(d.ID); err != nil {
			return Verdict{State: Forged, Reason: fmt.Sprintf("its id %.80q is no DID", d.ID)}
		} else if speaker != account {
			return Verdict{State: Forged, Reason: "it speaks for " + speaker.DID()}
		}
	}
	if d.signatures == 0 {
		return Verdict{State: Unverified, Reason: "it is not signed"}
	}
	if err := d.verify(account, attribute); err != nil {
		return Verdict{State: Forged, Reason: err.Error()}
	}
	return Verdict{State: Verified}
}

func (d *Document) verify(account key.AccountID, attribute string) error {
	if d.signatures > 1 {
		return fmt.Errorf("it has %d signatures", d.signatures)
	}
	s := d.Signature
	if s.Issuer != account.DID() {
		return fmt.Errorf("its signature's issuer %.80q is not the DID", s.Issuer)
	}
	if !bytes.Equal(s.append(nil), d.sealed) {
		return errors.New("its signature is not in its canonical encoding")
	}
	sig, err := parseSignature(s.Type, s.Hash)
	if err != nil {
		return fmt.Errorf("its signature: %w", err)
	}
	hash := digest(account, attribute, d.rest)
	if !account.Verify(hash[:], sig) {
		return errors.New("its signature does not hold: it was not made by the DID's account for this document and attribute")
	}
	return nil
}

// parseSignature reads a signature in its one form: lower-case 0x-hex, and for ecdsa a recovery code of 0 to 3.
func parseSignature(k KeyType, s string) (key.Signature, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || strings.ToLower(digits) != digits || k > KeyType(key.Ecdsa) {
		return key.Signature{}, errors.New("want lower-case 0x-hex of a known key type")
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return key.Signature{}, err
	}
	sig, err := key.NewSignature(key.Scheme(k), raw)
	if err == nil && key.Scheme(k) == key.Ecdsa && raw[64] > 3 {
		err = fmt.Errorf("recovery code %d", raw[64])
	}
	return sig, err
}

// Sign encodes the device's document and signs it as account d.Account, which must be p's. Sequence must grow with each
// publication and cannot be 0.
func (d Device) Sign(p *key.Pair) ([]byte, error) {
	d, err := d.Normal()
	switch {
	case err != nil:
		return nil, err
	case d.Account != p.Account():
		return nil, fmt.Errorf("sign document of %s: the key is that of %s", d.Account, p.Account())
	case d.Sequence == 0:
		return nil, fmt.Errorf("sign document of %s: no sequence", d.Account)
	}
	doc, err := d.document(p.Public())
	if err != nil {
		return nil, fmt.Errorf("sign document of %s: %w", d.Account, err)
	}
	return doc.Seal(p, DeviceAttribute)
}

// ReadDevice decodes and judges the value of an attribute of account's DID. The error is for bytes that are no document at all,
// or not one of a device, or that say what no device can say: ErrMalformed, wrapped. A forged document is returned with its
// verdict.
func ReadDevice(account key.AccountID, attribute string, raw []byte) (Device, Verdict, error) {
	doc, err := Parse(raw)
	if err != nil {
		return Device{}, Verdict{}, err
	}
	d, err := deviceOf(account, doc)
	if err != nil {
		return Device{}, Verdict{}, err
	}
	v := doc.Judge(account, attribute)
	switch {
	case v.State != Verified || d.Owner == nil:
	case *d.Owner == account:
		v.Vouched = true
	default:
		v.Vouched = VerifyVouch(*d.Owner, account, d.Vouch)
	}
	return d, v, nil
}

// Sign encodes the consumer's document and signs it as account c.Account, which must be p's.
func (c Client) Sign(p *key.Pair) ([]byte, error) {
	switch {
	case c.Account != p.Account():
		return nil, fmt.Errorf("sign document of %s: the key is that of %s", c.Account, p.Account())
	case c.Sequence == 0:
		return nil, fmt.Errorf("sign document of %s: no sequence", c.Account)
	}
	doc := skeleton(c.Account, p.Public())
	doc.Services = []Service{{ID: doc.ID + "#" + typeNode, Type: typeNode, Data: c.Node.String()},
		{ID: doc.ID + "#" + typeSequence, Type: typeSequence, Data: fmt.Sprint(c.Sequence)}}
	return doc.Seal(p, ClientAttribute)
}

// ReadClient decodes and judges the value of a consumer's attribute, as ReadDevice does for devices.
func ReadClient(account key.AccountID, attribute string, raw []byte) (Client, Verdict, error) {
	doc, err := Parse(raw)
	if err != nil {
		return Client{}, Verdict{}, err
	}
	c := Client{Account: account}
	for _, s := range doc.Services {
		switch s.Type {
		case typeNode:
			c.Node, err = key.ParseNodeID(s.Data)
		case typeSequence:
			c.Sequence, err = parseSequence(s.Data)
		}
		if err != nil {
			return Client{}, Verdict{}, fmt.Errorf("%w: service %s: %w", ErrMalformed, s.Type, err)
		}
	}
	return c, doc.Judge(account, attribute), nil
}

// SignVouch returns the owner's 0x-hex signature over the text of the device's DID. Nothing else that iod or a chain has an
// account sign begins with "did:peaq:".
func SignVouch(owner *key.Pair, device key.AccountID) (string, error) {
	sig, err := owner.Sign([]byte(device.DID()))
	if err != nil {
		return "", fmt.Errorf("vouch for %s: %w", device, err)
	}
	return sig.String(), nil
}

// VerifyVouch reports whether vouch is owner's signature over the device's DID, in whichever scheme.
func VerifyVouch(owner, device key.AccountID, vouch string) bool {
	for _, k := range []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa} {
		if sig, err := parseSignature(KeyType(k), vouch); err == nil && owner.Verify([]byte(device.DID()), sig) {
			return true
		}
	}
	return false
}
