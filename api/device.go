package api

import (
	"encoding/hex"
	"fmt"
	"net/http"

	"iod/api/schema"
	"iod/document"
	"iod/index"
	"iod/key"
)

var (
	paramDID = &param[key.AccountID]{read: key.ParseAccount, spec: spec{
		Name: "did", Path: true, Doc: "The device: a DID, an address of any SS58 prefix, or 0x-hex.", Example: "did:peaq:5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX",
		Schema: schema.Schema{"type": "string", "maxLength": 100},
	}}
	paramBefore = number("before", "next of the page before.", "1000000", 1, 1<<62)
)

// listing reads the listing of the path's device.
func (s *server) listing(c *call) (*index.Listing, error) {
	a, _ := paramDID.get(c.args)
	l, err := s.reader.Get(c.r.Context(), a)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("no device %s is known", a.DID())}
	}
	return l, nil
}

func (s *server) device(c *call) (reply, error) {
	l, err := s.listing(c)
	if err != nil {
		return reply{}, err
	}
	history, err := s.reader.History(c.r.Context(), l.Account, 0, historyLines)
	if err != nil {
		return reply{}, err
	}
	return asJSON(Detail{Device: deviceOf(l), History: entriesOf(history)})
}

func (s *server) history(c *call) (reply, error) {
	l, err := s.listing(c)
	if err != nil {
		return reply{}, err
	}
	limit := int(paramLimit.or(c.args, index.DefaultLimit))
	found, err := s.reader.History(c.r.Context(), l.Account, paramBefore.or(c.args, 0), limit)
	if err != nil {
		return reply{}, err
	}
	h := History{Entries: entriesOf(found)}
	if len(found) == limit {
		h.Next = found[len(found)-1].ID
	}
	return asJSON(h)
}

func entriesOf(history []index.Entry) []Entry {
	out := make([]Entry, len(history))
	for i, e := range history {
		out[i] = Entry{e.ID, string(e.Action), pointOf(e.At), address(e.Who), string(e.State), e.Sequence}
	}
	return out
}

func (s *server) proof(c *call) (reply, error) {
	l, err := s.listing(c)
	if err != nil {
		return reply{}, err
	}
	return asJSON(proofOf(l))
}

// proofOf verifies a listing's document anew and says how.
func proofOf(l *index.Listing) Proof {
	a := l.Account
	p := Proof{
		DID: a.DID(), Attribute: document.DeviceAttribute, Document: hexOf(l.Raw), Account: hexOf(a[:]), Sequence: l.Device.Sequence, Highest: l.Floor,
		Owner: address(l.Device.Owner), Vouch: l.Device.Vouch, Published: pointOf(l.Updated), Signer: address(l.Signer),
		Chain: Chain{string(l.Presence), pointOf(l.PresenceAt), address(l.PresenceWho)},
	}
	doc, err := document.Parse(l.Raw)
	if err != nil { // what is in the store was read once: the store is damaged
		p.Verdict = Verdict{State: string(document.Forged), Reason: err.Error()}
		p.Steps = []Step{{"document", "fail", err.Error()}}
		return p
	}
	p.step("document", "pass", "%d bytes are a document of protobuf, with %d services", len(l.Raw), len(doc.Services))
	dev, verdict, err := document.ReadDevice(a, document.DeviceAttribute, l.Raw)
	if err != nil {
		verdict = document.Verdict{State: document.Forged, Reason: err.Error()}
	}
	p.Verdict = Verdict{string(verdict.State), verdict.Reason, verdict.Vouched}
	p.addSpeaker(doc, a)
	p.addSignature(doc, a, verdict)
	p.addSequence(l)
	p.addOwner(a, dev, verdict)
	p.addChain(l)
	return p
}

func (p *Proof) step(name, result, format string, args ...any) {
	p.Steps = append(p.Steps, Step{name, result, fmt.Sprintf(format, args...)})
}

func (p *Proof) addSpeaker(doc *document.Document, a key.AccountID) {
	speaker, err := key.ParseDID(doc.ID)
	switch {
	case err == nil && speaker == a:
		p.step("speaker", "pass", "the document speaks for %s, under whose DID it stands", a.DID())
	case doc.ID == "":
		p.step("speaker", "none", "the document does not say for whom it speaks; it stands under %s", a.DID())
	default:
		p.step("speaker", "fail", "the document speaks for %.100q", doc.ID)
	}
}

func (p *Proof) addSignature(doc *document.Document, a key.AccountID, v document.Verdict) {
	if doc.Signature == nil {
		p.step("signature", "none", "it is not signed: it is as good as the account that sent it, which was the DID's own")
		return
	}
	e := doc.Evidence(a, document.DeviceAttribute)
	p.Prefix, p.Signed, p.Hash, p.Signature = hexOf(e.Prefix), hexOf(e.Signed), hexOf(e.Hash[:]), doc.Signature.Hash
	p.Scheme = key.Scheme(doc.Signature.Type).String()
	if v.State != document.Verified {
		p.step("signature", "fail", "%s", v.Reason)
		return
	}
	p.step("signature", "pass", "the %s signature over %s is the account's", p.Scheme, p.Hash)
}

func (p *Proof) addSequence(l *index.Listing) {
	switch {
	case l.Device.Sequence == 0:
		p.step("sequence", "none", "a document of version 1 has none")
	case l.Device.Sequence >= l.Floor:
		p.step("sequence", "pass", "no document with a higher sequence than %d was ever verified for the account", l.Device.Sequence)
	default:
		p.step("sequence", "fail", "a document with sequence %d was verified before", l.Floor)
	}
}

func (p *Proof) addOwner(a key.AccountID, d document.Device, v document.Verdict) {
	switch {
	case d.Owner == nil:
		p.step("owner", "none", "the document names no owner: the device decides on access itself")
	case v.Vouched:
		p.step("owner", "pass", "%s signed for %s", d.Owner, a.DID())
	case d.Vouch == "":
		p.step("owner", "fail", "the document names %s, who has not vouched for it", d.Owner)
	default:
		p.step("owner", "fail", "the vouch is not a signature of %s over %s that counts", d.Owner, a.DID())
	}
}

func (p *Proof) addChain(l *index.Listing) {
	switch l.Presence {
	case index.Present:
		p.step("chain", "pass", "the document stands on the chain since block %d", l.PresenceAt.Block)
	case index.Overwritten:
		p.step("chain", "fail", "something that is not believed stands in its place since block %d; the device puts it back when it is on", l.PresenceAt.Block)
	default:
		p.step("chain", "fail", "it was removed from the chain in block %d", l.PresenceAt.Block)
	}
}

func hexOf(b []byte) string { return "0x" + hex.EncodeToString(b) }
