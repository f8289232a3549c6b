package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"iod/access"
	"iod/index"
)

// accessView tells who may use a device's streams, and could.
type accessView struct {
	Words   string // what is to be said about it
	Now     []grantLine
	Past    []grantLine
	Omitted int    // how many lines are not shown
	All     string // address of all of it, JSON
}

type grantLine struct {
	Stream, Account string
	Since, Until    moment
	Via             string
}

// moment is a point of the chain as tables show it.
type moment struct {
	At        time.Time
	Block     uint32
	Hash      string
	Extrinsic string // block and index; empty: not known
	FromState bool
}

func momentOf(p index.Point) moment {
	m := moment{At: p.Time, Block: p.Block, Hash: p.Hash.String(), FromState: p.FromState}
	if p.Extrinsic >= 0 {
		m.Extrinsic = fmt.Sprintf("%d-%d", p.Block, p.Extrinsic)
	}
	return m
}

// grantsShown is how many grants of the present, and how many of the past, a page shows.
const grantsShown = 20

// access asks the index who may use the device's streams by its owner's arrangement; nil for devices without streams.
func (s *site) access(ctx context.Context, l *index.Listing) (*accessView, error) {
	owner := l.Owner()
	if len(l.Device.Streams) == 0 {
		return nil, nil
	}
	v := &accessView{All: "/api/v1/devices/" + l.Account.DID() + "/access"}
	if owner == nil {
		v.Words = "Nobody is proven to decide on access, so nobody's grants are shown."
		return v, nil
	}
	names := make([]string, len(l.Device.Streams))
	for i, st := range l.Device.Streams {
		names[i] = st.Name
	}
	var grants []index.Grant
	for _, scope := range access.Scopes(*owner, l.Account, l.Device.Fleet) {
		found, err := s.Reader.Access(ctx, *owner, scope, names)
		if errors.Is(err, access.ErrTooMuch) {
			v.Words = "The owner's arrangement is too large to be told here."
			return v, nil
		}
		if err != nil {
			return nil, fmt.Errorf("access: %w", err)
		}
		grants = append(grants, found...)
	}
	slices.SortStableFunc(grants, func(a, b index.Grant) int { return cmp.Compare(b.Since.Block, a.Since.Block) })
	for _, g := range grants {
		line := grantLine{Stream: g.Stream, Account: g.Account.String(), Since: momentOf(g.Since), Via: viaWords(g.Via)}
		into := &v.Now
		if g.Until != nil {
			line.Until, into = momentOf(*g.Until), &v.Past
		}
		if len(*into) < grantsShown {
			*into = append(*into, line)
		} else {
			v.Omitted++
		}
	}
	if v.Words = "Granted by the owner on the chain; anyone can read it there."; len(grants) == 0 {
		v.Words = "Nobody has been granted access yet."
	}
	return v, nil
}

// viaWords says by what an account reaches a stream.
func viaWords(all []index.Via) string {
	for _, v := range all {
		if v.Whole {
			return "all streams of the device"
		}
	}
	if len(all) > 0 {
		return "this stream"
	}
	return ""
}

// pendingView is a change that is not final yet.
type pendingView struct {
	Words, Class string
	DID, Path    string
	At           moment
	Who          string
	Note         string
}

// pending lists what blocks above the one that is taken in will mean when they are final: for one device, or all with nil.
func (s *site) pending(of *index.Listing, taken uint32) (out []pendingView) {
	if s.Pending == nil {
		return nil
	}
	for _, p := range s.Pending() {
		if p.At.Block <= taken || of != nil && (p.Account == nil || *p.Account != of.Account) {
			continue
		}
		v := pendingView{At: momentOf(p.At), Who: address(p.Who), Class: "good", Words: "Nothing changes"}
		if p.Action != "" {
			v.Words, v.Class = actionWords(p.Action)
		}
		if p.Aside != "" {
			v.Note, v.Class = seen(p.Aside), "fair"
		}
		if p.Account != nil {
			v.DID, v.Path = p.Account.DID(), "/d/"+p.Account.DID()
		}
		out = append(out, v)
	}
	return out
}
