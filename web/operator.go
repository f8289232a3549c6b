package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"iod/index"
)

// operatorPage is what the operator's page shows.
type operatorPage struct {
	Figures []figure
	Facts   []field
	Pending []pendingView
	Asides  []asideView
	More    string
	Newest  string
}

// figure is one number that changes.
type figure struct {
	ID, Title   string
	Value, Note string
	Class       string
}

type asideView struct {
	ID     int64
	DID    string
	Path   string
	Reason string
	Size   string
	At     time.Time
	Block  uint32
	Where  string
	Who    string
	Head   string // the beginning of the value
}

const (
	asidesPerPage = 25
	pendingShown  = 20
)

func (s *site) operator(ctx context.Context, r *http.Request) (*answer, error) {
	return s.operate(ctx, r, "operator")
}

func (s *site) operatorLive(ctx context.Context, r *http.Request) (*answer, error) {
	return s.operate(ctx, r, "figures")
}

func (s *site) operate(ctx context.Context, r *http.Request, template string) (*answer, error) {
	f, err := s.framed(ctx, "Operator", "operator")
	if err != nil {
		return nil, err
	}
	st, err := s.Reader.State(ctx)
	if err != nil {
		return nil, err
	}
	p := operatorPage{Figures: s.figures(st), Facts: s.facts(st), Pending: s.pending(nil)}
	p.Pending = p.Pending[:min(len(p.Pending), pendingShown)]
	if template == "operator" {
		if err := s.asides(ctx, r, &p); err != nil {
			return nil, err
		}
	}
	body, err := s.pages.render(template, f, &p)
	return &answer{kind: htmlType, body: body}, err
}

// figures are the numbers at the top.
func (s *site) figures(st index.State) []figure {
	now := s.Now()
	block, lag, lagClass, lagNote := "none", "–", "busy", "nothing has been taken in yet"
	if st.Cursor != nil {
		block = number(st.Cursor.Number)
		n := st.Head - min(st.Head, st.Cursor.Number)
		lag, lagClass, lagNote = number(n), "good", "blocks behind "+number(st.Head)
		if n > behind {
			lagClass = "busy"
		}
	}
	age := now.Sub(st.Committed)
	took := figure{"taken", "Last written", ago(st.Committed, now), "to the database", "words"}
	if st.Committed.IsZero() {
		took.Value = "never"
	}
	if age > 2*time.Minute {
		took.Class, took.Note = "fair words", "longer than blocks usually take"
	}
	out := []figure{
		{"block", "Block", block, "the newest taken in", ""}, {"lag", "Lag", lag, lagNote, lagClass}, s.pace(), took,
		{"live", "Devices", number(st.Live), fmt.Sprintf("%s proven, %s not signed", number(st.Verified), number(st.Live-min(st.Live, st.Verified))), ""},
		{"ended", "Ended", number(st.Ended), "listings removed or expired", ""},
		{"aside", "Set aside", number(st.SetAside), "records that are not believed", ""},
		{"pending", "Pending", "–", "not followed here", ""},
	}
	if s.Feeds != nil {
		out = append(out[:len(out)-1], figure{"feeds", "Feeds", number(s.Feeds()), "clients that follow changes", ""}, out[len(out)-1])
	}
	if s.Pending != nil {
		n := len(s.Pending())
		out[len(out)-1].Value, out[len(out)-1].Note = number(n), "changes in blocks that are not final"
	}
	return out
}

// pace is how fast the index comes forward.
func (s *site) pace() figure {
	f := figure{"pace", "Pace", "–", "this process only reads", ""}
	if s.Progress == nil {
		return f
	}
	p := s.Progress()
	switch p.Phase {
	case "":
		f.Note = "not begun"
	case index.Following:
		f.Value, f.Note, f.Class = "live", "each block as it becomes final", "good"
	default:
		f.Value, f.Class = number(int64(p.Rate+0.5))+"/s", "busy"
		f.Note = string(p.Phase)
		if p.Remaining > 0 {
			f.Note += ", " + p.Remaining.Round(time.Second).String() + " left"
		}
	}
	return f
}

// facts are what does not change while the program runs.
func (s *site) facts(st index.State) (out []field) {
	add := func(name, value string) {
		if value != "" {
			out = append(out, field{name, value})
		}
	}
	add("Version", s.Version)
	add("Database", s.Database)
	if st.Origin != nil {
		add("Genesis", st.Origin.Genesis.String())
		from := "the history from block " + number(st.Origin.Start)
		if st.Origin.FromState {
			from = "the chain's state at block " + number(st.Origin.Start)
		}
		add("Begun with", from)
	}
	if st.Cursor != nil {
		add("Block hash", st.Cursor.Hash.String())
	}
	add("Counts and map", map[bool]string{true: "in memory, ready", false: "not ready"}[s.mapped()])
	return out
}

func (s *site) asides(ctx context.Context, r *http.Request, p *operatorPage) error {
	before := int64(0)
	if text := r.URL.Query().Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return &wrongParameter{"before", fmt.Sprintf("%.40q is no id of a record", text)}
		}
		before, p.Newest = n, "/operator#set-aside"
	}
	found, err := s.Reader.Asides(ctx, before, asidesPerPage+1)
	if err != nil {
		return fmt.Errorf("records set aside: %w", err)
	}
	if len(found) > asidesPerPage {
		found = found[:asidesPerPage]
		p.More = fmt.Sprintf("/operator?before=%d#set-aside", found[asidesPerPage-1].ID)
	}
	for _, a := range found {
		v := asideView{ID: a.ID, Reason: a.Reason, Size: bytesOf(int64(a.Size)), At: a.At.Time, Block: a.At.Block, Who: address(a.Who), Head: preview(a.Raw)}
		if a.At.Extrinsic >= 0 {
			v.Where = fmt.Sprintf("%d-%d", a.At.Block, a.At.Extrinsic)
		}
		if a.Account != nil {
			v.DID, v.Path = a.Account.DID(), "/d/"+a.Account.DID()
		}
		p.Asides = append(p.Asides, v)
	}
	return nil
}

// preview shows the beginning of bytes: what is printable as it is, the rest as dots.
func preview(raw []byte) string {
	raw = raw[:min(len(raw), 160)]
	out := make([]byte, len(raw))
	for i, c := range raw {
		if out[i] = c; c < ' ' || c > '~' {
			out[i] = '.'
		}
	}
	return string(out)
}
