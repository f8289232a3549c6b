package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"iod/index"
	"iod/key"
)

// Change is what the data of an event says: a line of a device's history, and what the index holds of the device when it is told.
type Change struct {
	ID        int64      `json:"id"`
	DID       string     `json:"did"`
	Action    string     `json:"action"` // as in the device's history
	Block     uint32     `json:"block"`
	Extrinsic *int32     `json:"extrinsic,omitempty"`
	Time      *time.Time `json:"time,omitempty"` // of the block
	By        string     `json:"by,omitempty"`   // address; absent: the chain itself, or unknown
	Sequence  uint64     `json:"sequence,omitempty"`

	Live      bool     `json:"live"`
	State     string   `json:"state,omitempty"` // verified or unverified
	DataTypes []string `json:"data_types,omitempty"`
	Lat       *float64 `json:"lat,omitempty"` // degrees
	Lon       *float64 `json:"lon,omitempty"`
}

// Event is a change with what is needed to choose and to send it.
type Event struct {
	ID  int64
	Row index.Row // of the listing as it was when the change was read; ended ones have their offers, too
	at  int       // where its frame begins in batch.frames
}

// batch is a run of changes, encoded. It does not change.
type batch struct {
	events []Event
	frames []byte // as server-sent events, one after the other

	words sync.Mutex // guards terms
	terms [][]string // of the listings, once somebody asks
}

func (b *batch) last() int64 { return b.events[len(b.events)-1].ID }

// frame is the i-th event as it is sent.
func (b *batch) frame(i int) []byte {
	if i+1 < len(b.events) {
		return b.frames[b.events[i].at:b.events[i+1].at]
	}
	return b.frames[b.events[i].at:]
}

// after is the number of the first event with an ID above one.
func (b *batch) after(id int64) int {
	i, _ := slices.BinarySearchFunc(b.events, id+1, func(e Event, id int64) int { return int(max(-1, min(e.ID-id, 1))) })
	return i
}

// encode reads what the listings are and writes the events.
func (h *Hub) encode(ctx context.Context, entries []index.Entry, tag uint32) (*batch, error) {
	rows, err := h.rows(ctx, accountsOf(entries))
	if err != nil {
		return nil, fmt.Errorf("read the changed listings: %w", err)
	}
	b := &batch{events: make([]Event, 0, len(entries)), frames: make([]byte, 0, 384*len(entries))}
	for i := range entries {
		e := &entries[i]
		row := rows[e.Account]
		row.Account = e.Account
		b.events = append(b.events, Event{e.ID, row, len(b.frames)})
		b.frames = appendID(append(b.frames, "id: "...), e.ID, tag)
		data, err := json.Marshal(changeOf(e, &row))
		if err != nil {
			return nil, fmt.Errorf("encode change %d: %w", e.ID, err)
		}
		b.frames = append(append(append(b.frames, "\nevent: change\ndata: "...), data...), "\n\n"...)
	}
	return b, nil
}

// rows reads what listings are now; ended ones with their offers.
func (h *Hub) rows(ctx context.Context, accounts []key.AccountID) (map[key.AccountID]index.Row, error) {
	list, err := h.store.Rows(ctx, accounts)
	if err != nil {
		return nil, err
	}
	rows := make(map[key.AccountID]index.Row, len(list))
	var ended []key.AccountID
	for _, r := range list {
		rows[r.Account] = r
		if !r.Live {
			ended = append(ended, r.Account)
		}
	}
	if len(ended) == 0 {
		return rows, nil
	}
	listings, err := h.store.Listings(ctx, ended, false)
	if err != nil {
		return nil, err
	}
	for _, l := range listings {
		if r := rows[l.Account]; !r.Live {
			r.Offers = l.Offers()
			rows[l.Account] = r
		}
	}
	return rows, nil
}

func changeOf(e *index.Entry, r *index.Row) Change {
	c := Change{
		ID: e.ID, DID: e.Account.DID(), Action: string(e.Action), Block: e.At.Block, Sequence: e.Sequence, Live: r.Live, State: string(r.State),
	}
	if e.At.Extrinsic >= 0 && !e.At.FromState {
		c.Extrinsic = &e.At.Extrinsic
	}
	if !e.At.Time.IsZero() {
		c.Time = &e.At.Time
	}
	if e.Who != nil {
		c.By = e.Who.String()
	}
	if r.Placed {
		c.Lat, c.Lon = &r.Lat, &r.Lon
	}
	for _, o := range r.Offers {
		if o.DataType != "" && !slices.Contains(c.DataTypes, o.DataType) {
			c.DataTypes = append(c.DataTypes, o.DataType)
		}
	}
	return c
}

func appendID(b []byte, id int64, tag uint32) []byte {
	b = append(strconv.AppendInt(b, id, 10), '-')
	const hex = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hex[tag>>shift&15])
	}
	return b
}

// Place is where a client wants to resume: after the change with the ID.
type Place struct {
	ID     int64
	tag    uint32
	tagged bool
}

// ParsePlace reads an event's id, or the number of a change.
func ParsePlace(s string) (Place, error) {
	number, tag, tagged := strings.Cut(s, "-")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id < 0 || number[0] == '+' {
		return Place{}, fmt.Errorf("%.40q is not the id of a change", s)
	}
	p := Place{ID: id, tagged: tagged}
	if tagged {
		n, err := strconv.ParseUint(tag, 16, 32)
		if err != nil || len(tag) != 8 {
			return Place{}, fmt.Errorf("%.40q is not the id of a change", s)
		}
		p.tag = uint32(n)
	}
	return p, nil
}

// says tells whether the listing of an event matches words: each begins one of its own.
func (h *Hub) says(ctx context.Context, b *batch, words []string) (func(i int) bool, error) {
	b.words.Lock()
	defer b.words.Unlock()
	if b.terms == nil {
		accounts := make([]key.AccountID, 0, len(b.events))
		for _, e := range b.events {
			accounts = append(accounts, e.Row.Account)
		}
		listings, err := h.store.Listings(ctx, accounts, false)
		if err != nil {
			return nil, fmt.Errorf("read the words of the changed listings: %w", err)
		}
		terms := make(map[key.AccountID][]string, len(listings))
		for _, l := range listings {
			terms[l.Account] = index.Terms(l.Words())
		}
		b.terms = make([][]string, len(b.events))
		for i, e := range b.events {
			b.terms[i] = terms[e.Row.Account]
		}
	}
	terms := b.terms
	return func(i int) bool {
		for _, w := range words {
			if !slices.ContainsFunc(terms[i], func(t string) bool { return strings.HasPrefix(t, w) }) {
				return false
			}
		}
		return len(words) > 0
	}, nil
}
