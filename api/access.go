package api

import (
	"errors"
	"net/http"
	"slices"

	"iod/access"
	"iod/document"
	"iod/index"
	"iod/key"
)

// Access tells who may use a device's streams, and who could.
type Access struct {
	DID     string  `json:"did" doc:"The device."`
	Owner   string  `json:"owner" doc:"Address of the account whose RBAC entities decide: the one that the document names, or the device itself."`
	Vouched bool    `json:"vouched" doc:"The owner signed for the device. Without that, only the document says that it is the owner."`
	Fleet   string  `json:"fleet,omitempty" doc:"The owner's fleet, by whose entities access is granted too."`
	Block   *uint32 `json:"block" doc:"As of this finalised block."`
	Total   int     `json:"total" doc:"Grants in all, as far as they match."`
	Grants  []Grant `json:"grants" doc:"Those that hold first, then those of the past; of each the latest first."`
	Next    int64   `json:"next,omitempty" doc:"offset of the next page; absent on the last."`
}

// Grant is a time in which an account could use a stream, without a break.
type Grant struct {
	Stream  string `json:"stream" doc:"Name of the stream."`
	Account string `json:"account" doc:"Address of who may use it."`
	Since   Point  `json:"since" doc:"Since when; from_state: since then at the latest."`
	Until   *Point `json:"until,omitempty" doc:"When it was taken back; absent: it holds."`
	Via     []Via  `json:"via" doc:"The ways by which the account reaches the stream's permission, or did at the end."`
}

// Via is one way from an account to a permission.
type Via struct {
	Group      string `json:"group,omitempty" doc:"Id of the group; absent: the account holds the role itself." pattern:"^0x[0-9a-f]{64}$"`
	GroupName  string `json:"group_name,omitempty" doc:"As the owner named it."`
	Role       string `json:"role" doc:"Id of the role." pattern:"^0x[0-9a-f]{64}$"`
	RoleName   string `json:"role_name,omitempty" doc:"As the owner named it."`
	Permission string `json:"permission" doc:"Id of the permission." pattern:"^0x[0-9a-f]{64}$"`
	Whole      bool   `json:"whole,omitempty" doc:"By the group of the whole device: streams added later are included."`
	Fleet      bool   `json:"fleet,omitempty" doc:"By the fleet's entities rather than the device's own."`
}

var (
	paramStream  = texts("stream", "Only this stream. Several: any of them.", "measurements")
	paramAccount = account("account", "Only this account: address, DID or 0x-hex.")
	paramCurrent = boolean("current", "true: only what holds now. false: only what is over.")
	paramOffset  = number("offset", "How many to pass over.", "100", 0, 1<<20)
)

// access tells who may what.
func (s *server) access(c *call) (reply, error) {
	l, err := s.listing(c)
	if err != nil {
		return reply{}, err
	}
	owner := l.Account
	if l.Device.Owner != nil {
		owner = *l.Device.Owner
	}
	out := Access{DID: l.Account.DID(), Owner: owner.String(), Vouched: l.Vouched, Fleet: l.Device.Fleet}
	if c.state.Cursor != nil {
		out.Block = &c.state.Cursor.Number
	}
	grants, err := s.grants(c, l, owner)
	if errors.Is(err, access.ErrTooMuch) {
		return reply{}, &Problem{Status: http.StatusUnprocessableEntity, Type: typeTooBroad, Title: "The owner's arrangement is too large", Detail: access.ErrTooMuch.Error()}
	}
	if err != nil {
		return reply{}, err
	}
	slices.SortStableFunc(grants, func(a, b Grant) int {
		switch {
		case (a.Until == nil) != (b.Until == nil):
			if a.Until == nil {
				return -1
			}
			return 1
		}
		return int(int64(b.Since.Block) - int64(a.Since.Block))
	})
	out.Total = len(grants)
	from, limit := int(paramOffset.or(c.args, 0)), int(paramLimit.or(c.args, index.DefaultLimit))
	out.Grants = append([]Grant{}, grants[min(from, len(grants)):min(from+limit, len(grants))]...)
	if from+limit < len(grants) {
		out.Next = int64(from + limit)
	}
	return asJSON(out)
}

// grants are those of the device's own entities and of its fleet's that match the request.
func (s *server) grants(c *call, l *index.Listing, owner key.AccountID) ([]Grant, error) {
	streams := streamsOf(&l.Device, given(paramStream, c.args))
	who, current := paramAccount.ptr(c.args), paramCurrent.ptr(c.args)
	var out []Grant
	for i, scope := range access.Scopes(owner, l.Account, l.Device.Fleet) {
		found, err := s.reader.Access(c.r.Context(), owner, scope, streams)
		if err != nil {
			return nil, err
		}
		for _, g := range found {
			if who != nil && g.Account != *who || current != nil && *current != (g.Until == nil) {
				continue
			}
			out = append(out, grantOf(g, i > 0))
		}
	}
	return out, nil
}

// streamsOf are the names of the device's streams, or those of them that are asked for.
func streamsOf(d *document.Device, only []string) (names []string) {
	for _, st := range d.Streams {
		if len(only) == 0 || slices.Contains(only, st.Name) {
			names = append(names, st.Name)
		}
	}
	return names
}

func grantOf(g index.Grant, fleet bool) Grant {
	out := Grant{Stream: g.Stream, Account: g.Account.String(), Since: pointOf(g.Since), Via: make([]Via, len(g.Via))}
	if g.Until != nil {
		until := pointOf(*g.Until)
		out.Until = &until
	}
	for i, v := range g.Via {
		out.Via[i] = Via{GroupName: v.GroupName, Role: hexOf(v.Role[:]), RoleName: v.RoleName, Permission: hexOf(v.Permission[:]), Whole: v.Whole, Fleet: fleet}
		if v.Group != nil {
			out.Via[i].Group = hexOf(v.Group[:])
		}
	}
	return out
}

// Pending is what blocks that are not final yet will mean.
type Pending struct {
	Pending []PendingChange `json:"pending" doc:"Oldest first. It may never come to pass."`
}

// PendingChange is what a block that is not final yet will mean once it is.
type PendingChange struct {
	DID      string   `json:"did,omitempty" doc:"The device; absent where the event does not tell."`
	At       Point    `json:"at" doc:"The block on the best chain."`
	By       string   `json:"by,omitempty" doc:"Address of the event's signer."`
	Action   string   `json:"action,omitempty" enum:"published,republished,overwritten,removed,removed-by-other,expired" doc:"For the listing; absent: it stays as it is."`
	Aside    string   `json:"set_aside,omitempty" doc:"Why the document will be set aside."`
	Verdict  *Verdict `json:"verdict,omitempty" doc:"Of the document."`
	Sequence uint64   `json:"sequence,omitempty" doc:"iod_sequence of the document." unit:"ms"`
}

var paramOnly = account("did", "Only this device.")

func (s *server) pending(c *call) (reply, error) {
	if s.Pending == nil {
		return reply{}, &Problem{Status: http.StatusServiceUnavailable, Type: typeLoading, Title: "Nothing is known of what is pending", Detail: "this process does not follow blocks that are not final"}
	}
	only := paramOnly.ptr(c.args)
	out := Pending{Pending: []PendingChange{}}
	for _, p := range s.Pending.Changes() {
		if only != nil && (p.Account == nil || *p.Account != *only) {
			continue
		}
		x := PendingChange{At: pointOf(p.At), By: address(p.Who), Action: string(p.Action), Aside: p.Aside, Sequence: p.Sequence}
		if p.Account != nil {
			x.DID = p.Account.DID()
		}
		if p.Verdict.State != "" {
			x.Verdict = &Verdict{string(p.Verdict.State), p.Verdict.Reason, p.Verdict.Vouched}
		}
		out.Pending = append(out.Pending, x)
	}
	return asJSON(out)
}
