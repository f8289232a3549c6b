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
	Away    bool // the database does not answer
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
	f := s.frame("Operator", "operator")
	st, err := s.Reader.State(ctx)
	away := err != nil
	if away {
		s.Log.Warn("web: the database does not answer", "path", r.URL.Path, "error", err)
	} else {
		f.Sync = syncOf(st, s.Now())
	}
	p := operatorPage{Away: away, Figures: s.figures(st, away), Facts: s.facts(st), Pending: s.pending(nil, f.Sync.Block)}
	p.Pending = p.Pending[:min(len(p.Pending), pendingShown)]
	if template == "operator" && !away {
		if err := s.asides(ctx, r, &p); err != nil {
			return nil, err
		}
	}
	a := &answer{kind: htmlType}
	if away { // what is known without the database is told all the same
		a.status = http.StatusServiceUnavailable
	}
	a.body, err = s.pages.render(template, f, &p)
	return a, err
}

// figures are the numbers at the top. Those that only the database knows are left open while it is away.
func (s *site) figures(st index.State, away bool) []figure {
	out := append(s.ofStore(st), s.ofProcess()...)
	database := figure{"database", "Database", "answers", s.Database, "good words"}
	if away {
		for i := range out[:stored] {
			out[i].Value, out[i].Note, out[i].Class = "–", "not known now", ""
		}
		database.Value, database.Note, database.Class = "away", "asked again and again; nothing is lost, and searches work again when it is back", "fair words"
	}
	return append(out, database)
}

// stored is how many figures ofStore returns.
const stored = 6

// ofStore are the figures that the database has.
func (s *site) ofStore(st index.State) []figure {
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
	took := figure{"taken", "Last written", ago(st.Committed, now), "to the database", "words"}
	switch {
	case st.Committed.IsZero():
		took.Value = "never"
	case now.Sub(st.Committed) > stalled:
		took.Class, took.Note = "fair words", "longer than blocks usually take: see whether the chain goes on, and whether an index that writes is running"
	}
	return []figure{
		{"block", "Block", block, "the newest taken in", ""}, {"lag", "Lag", lag, lagNote, lagClass}, took,
		{"live", "Devices", number(st.Live), fmt.Sprintf("%s proven, %s not signed", number(st.Verified), number(st.Live-min(st.Live, st.Verified))), ""},
		{"ended", "Ended", number(st.Ended), "listings removed or expired", ""},
		{"aside", "Set aside", number(st.SetAside), "records that are not believed", ""},
	}
}

// ofProcess are the figures that this process has by itself.
func (s *site) ofProcess() []figure {
	out := []figure{s.pace()}
	if s.Feeds != nil {
		out = append(out, figure{"feeds", "Feeds", number(s.Feeds()), "clients that follow changes", ""})
	}
	pending := figure{"pending", "Pending", "–", "not followed here", ""}
	if s.Pending != nil {
		pending.Value, pending.Note = number(len(s.Pending())), "changes in blocks that are not final"
	}
	return append(out, pending)
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
		p.Asides = append(p.Asides, asideOf(a))
	}
	return nil
}

func asideOf(a index.Aside) asideView {
	v := asideView{ID: a.ID, Reason: seen(a.Reason), Size: bytesOf(int64(a.Size)), At: a.At.Time, Block: a.At.Block, Who: address(a.Who), Head: preview(a.Raw)}
	if a.At.Extrinsic >= 0 {
		v.Where = fmt.Sprintf("%d-%d", a.At.Block, a.At.Extrinsic)
	}
	if a.Account != nil {
		v.DID, v.Path = a.Account.DID(), "/d/"+a.Account.DID()
	}
	return v
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
