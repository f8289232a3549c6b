// Package fleet sets up many devices of one owner: the fleet's entities (see access.FleetAccount), the owner's vouch for each device, and the
// funds that each needs to publish itself.
//
//	fleet.toml, devices.txt ──▶ Observe(block) ──▶ MakePlan (pure) ──▶ calls ──▶ chain.Batches ──▶ a few transactions
//
// The list of devices is a text file, a device a line; names are for people and unique, as are accounts:
//
//	# name      DID or address
//	gw-0001     did:peaq:5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX
package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// Fleet is a fleet of one owner.
type Fleet struct {
	Name    string
	Owner   key.AccountID
	Streams []string // that all its devices may have
	Members []Member
}

// Account stands in the place of a device's account in the fleet's entities.
func (f *Fleet) Account() key.AccountID { return access.FleetAccount(f.Owner, f.Name) }

// Member is a device of the fleet.
type Member struct {
	Name    string
	Account key.AccountID
}

// MaxMembers bounds the list of devices.
const MaxMembers = 100_000

// ErrList says that the list of devices has mistakes; its text names their lines.
var ErrList = errors.New("list of devices")

// ReadMembers reads a list of devices from a file. One that does not exist yet is empty.
func ReadMembers(path string) ([]Member, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read list of devices: %w", err)
	}
	defer f.Close()
	return parseMembers(path, f)
}

func parseMembers(name string, r io.Reader) ([]Member, error) {
	var all []Member
	var mistakes []string
	names, accounts := map[string]int{}, map[key.AccountID]int{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		m, ok, err := parseMember(s.Text())
		switch {
		case err == nil && !ok:
			continue
		case err == nil && names[m.Name] > 0:
			err = fmt.Errorf("the name %s stands in line %d too", m.Name, names[m.Name])
		case err == nil && accounts[m.Account] > 0:
			err = fmt.Errorf("the device of line %d again", accounts[m.Account])
		case err == nil && len(all) == MaxMembers:
			err = fmt.Errorf("more than %d devices", MaxMembers)
		}
		if err != nil {
			if mistakes = append(mistakes, fmt.Sprintf("%s:%d: %v", name, n, err)); len(mistakes) == 20 {
				break
			}
			continue
		}
		names[m.Name], accounts[m.Account] = n, n
		all = append(all, m)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read list of devices %s: %w", name, err)
	}
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("%w:\n%s", ErrList, strings.Join(mistakes, "\n"))
	}
	return all, nil
}

func parseMember(line string) (m Member, ok bool, err error) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
		return m, false, nil
	case len(words) != 2:
		return m, true, errors.New("want a name and a DID or address")
	case !ValidName(words[0]):
		return m, true, fmt.Errorf("name %.64q: want 1 to 32 of a-z, 0-9, _ and -", words[0])
	}
	m.Name = words[0]
	m.Account, err = key.ParseAccount(words[1])
	return m, true, err
}

// ValidName reports whether a device may be called so: 1 to 32 of a-z, 0-9, _ and -.
func ValidName(s string) bool { return document.ValidStreamName(s) }

// Standing is how a device stands on the chain.
type Standing struct {
	Member
	Document *document.Device // nil: none, or none that can be read
	Verdict  document.Verdict
	Problem  string // why there is no document that counts; empty: there is one
	Validity uint32 // last block of the document; did.Forever
	Vouch    *did.Attribute
	Vouched  bool // the owner's vouch stands on the chain
	Balance  chain.Planck
}

// InOrder reports whether nothing is left to do: the device has published what the owner vouched for.
func (s *Standing) InOrder(f *Fleet) bool {
	return s.Problem == "" && s.Vouched && s.Document != nil && s.Verdict.Vouched && s.Document.Fleet == f.Name
}

// Published is when the document was made; zero without one.
func (s *Standing) Published() time.Time {
	if s.Document == nil || s.Document.Sequence == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(s.Document.Sequence)).UTC()
}

// Observed is what Observe saw at a block.
type Observed struct {
	Number  uint32
	State   access.State // of the fleet's entities
	Writer  bool         // the owner may update its own DID's attributes
	Members []Standing
}

// perRead is how many entries are asked for in one request.
const perRead = 200

// Observe reads how the fleet stands as of a block; told is called with the number of devices read so far.
func Observe(ctx context.Context, b *chain.Block, f *Fleet, told func(done int)) (*Observed, error) {
	o := &Observed{Number: b.Number}
	var err error
	if o.State, err = access.Read(ctx, b, f.Owner, f.Account(), f.Streams); err != nil {
		return nil, fmt.Errorf("read fleet %s: %w", f.Name, err)
	}
	if o.Writer, err = did.IsWriter(ctx, b, f.Owner, f.Owner); err != nil {
		return nil, fmt.Errorf("read fleet %s: %w", f.Name, err)
	}
	for at := 0; at < len(f.Members); at += perRead {
		part, err := observe(ctx, b, f, f.Members[at:min(at+perRead, len(f.Members))])
		if err != nil {
			return nil, fmt.Errorf("read fleet %s: %w", f.Name, err)
		}
		o.Members = append(o.Members, part...)
		if told != nil {
			told(len(o.Members))
		}
	}
	return o, nil
}

func observe(ctx context.Context, b *chain.Block, f *Fleet, members []Member) ([]Standing, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	var accounts []key.AccountID
	for _, d := range members {
		own, err := did.StorageKey(m, d.Account, document.DeviceAttribute)
		if err != nil {
			return nil, err
		}
		vouch, err := did.StorageKey(m, f.Owner, access.VouchAttribute(d.Account))
		if err != nil {
			return nil, err
		}
		keys, accounts = append(keys, own, vouch), append(accounts, d.Account)
	}
	entries, err := b.Raw(ctx, keys...)
	if err != nil {
		return nil, err
	}
	balances, err := b.Balances(ctx, accounts...)
	if err != nil {
		return nil, err
	}
	out := make([]Standing, len(members))
	for i, d := range members {
		out[i] = Standing{Member: d, Balance: balances[i].Free}
		out[i].read(m, b.Number, entries[2*i].Value)
		out[i].readVouch(m, f.Owner, entries[2*i+1].Value)
	}
	return out, nil
}

// read judges the device's document.
func (s *Standing) read(m *metadata.Metadata, number uint32, raw []byte) {
	a, err := did.DecodeAttribute(m, raw)
	switch {
	case err != nil:
		s.Problem = "unreadable: " + err.Error()
		return
	case a == nil:
		s.Problem = "not published"
		return
	case a.Expired(number):
		s.Problem = fmt.Sprintf("its validity ended with block %d", a.Validity)
	}
	s.Validity = a.Validity
	d, verdict, err := document.ReadDevice(s.Account, document.DeviceAttribute, a.Value)
	if err != nil {
		s.Problem = "no document of a device: " + err.Error()
		return
	}
	s.Document, s.Verdict = &d, verdict
	if verdict.State != document.Verified {
		s.Problem = string(verdict.State) + ": " + verdict.Reason
	}
}

func (s *Standing) readVouch(m *metadata.Metadata, owner key.AccountID, raw []byte) {
	a, err := did.DecodeAttribute(m, raw)
	if err != nil || a == nil {
		return
	}
	s.Vouch, s.Vouched = a, document.VerifyVouch(owner, s.Account, string(a.Value))
}
