package api

import (
	"iod/index"
	"iod/key"
)

// deviceOf shows a listing.
func deviceOf(l *index.Listing) Device {
	d := &l.Device
	out := Device{
		DID: l.Account.DID(), Address: l.Account.String(), State: string(l.State), Reason: l.Reason, Status: string(l.Status),
		DataType: d.DataType, Location: d.Location, PriceAccess: d.PriceAccess, PricePin: d.PricePin,
		Relays: d.Relays, Owner: address(l.Owner()), Vouched: l.Vouched, Fleet: d.Fleet, Topics: d.Topics, Sequence: d.Sequence,
		First: pointOf(l.First), Updated: pointOf(l.Updated), Signer: address(l.Signer),
		Chain: Chain{string(l.Presence), pointOf(l.PresenceAt), address(l.PresenceWho)},
	}
	if lat, lon, ok := l.Place(); ok {
		out.Lat, out.Lon = &lat, &lon
	}
	if d.Node != (key.NodeID{}) {
		out.Node = d.Node.String()
	}
	if l.Expires != index.Never {
		out.Expires = &l.Expires
	}
	for _, s := range d.Streams {
		out.Streams = append(out.Streams, Stream{s.Name, s.Kind, s.DataType, s.Unit, s.Description, s.ContentType, s.Topics, s.Price, s.Period})
	}
	for _, a := range d.Additional {
		out.Additional = append(out.Additional, Additional{a.Type, a.Text()})
	}
	if l.Raw != nil {
		out.Document = hexOf(l.Raw)
	}
	return out
}

func pointOf(p index.Point) Point {
	out := Point{Block: p.Block, Hash: p.Hash, FromState: p.FromState}
	if !p.Time.IsZero() && p.Time.Year() <= index.LastYear {
		out.Time = &p.Time
	}
	if p.Extrinsic >= 0 {
		out.Extrinsic = &p.Extrinsic
	}
	return out
}

func address(a *key.AccountID) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func statusOf(st index.State) Status {
	out := Status{Phase: "empty", Devices: Counts{st.Live, st.Verified, st.Live - min(st.Verified, st.Live), st.Ended}, SetAside: st.SetAside}
	if st.Origin == nil {
		return out
	}
	out.Genesis, out.Start, out.FromState = st.Origin.Genesis.String(), st.Origin.Start, st.Origin.FromState
	out.Committed, out.Head, out.Change = &st.Committed, st.Head, st.Change
	if st.Cursor == nil {
		out.Phase = string(index.ReadingState)
		return out
	}
	out.Block, out.Hash = &st.Cursor.Number, st.Cursor.Hash.String()
	out.Lag = st.Head - min(st.Head, st.Cursor.Number)
	if out.Phase = string(index.Following); out.Lag > 0 {
		out.Phase = string(index.CatchingUp)
	}
	return out
}
