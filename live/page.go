// Package live shows on a page of the consumer's own machine what arrives on a stream: each message, and the numbers in it as
// curves. Numbers are found in SenML (RFC 8428), in JSON and in messages that are nothing but a number; everything else is shown raw. Of
// streams that are no messages the page shows how many bytes pass and how they begin.
//
// What it remembers is bounded: the last 300 messages, 4 kB of each, and 3,000 points of each of 64 curves. All that comes from the
// device is a stranger's: it reaches the page as JSON text only, and the page shows it as text only.
//
// # Who may see it
//
// Only the user who started it. The page listens on loopback, at a path with a random token; requests must name the very
// address in Host and, if there is one, in Origin, so that neither another page in the same browser nor a name that was pointed here
// (DNS rebinding) can read it. The page loads nothing from elsewhere (Content-Security-Policy).
//
//	GET /<token>/              the page
//	GET /<token>/events        server-sent events: one "hello" with all that is remembered, then a "tick" with what is new
//	GET /<token>/raw/<number>  one message as bytes, as text and hex
package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Stream says what a page is about. All of it is the device's word.
type Stream struct {
	Name     string `json:"name"`
	DID      string `json:"did"`
	Kind     string `json:"kind"`
	DataType string `json:"data_type,omitempty"`
	Unit     string `json:"unit,omitempty"`  // of numbers that name none
	Local    string `json:"local,omitempty"` // address at which other programs reach the stream on this machine
}

// Options tune a Page. The zero value is right.
type Options struct {
	Log *slog.Logger     // nil: silent
	Now func() time.Time // nil: time.Now
}

// Page is what there is to see of a stream.
type Page struct {
	stream Stream
	token  string
	Options

	mu       sync.Mutex
	state    State
	totals   totals
	messages []message // the last ones
	curves   []*curve
	byName   map[curveName]*curve
	conns    connections
	pass     passage
	untold   untold
	viewers  map[*viewer]struct{}
}

// State is how the stream fares.
type State struct {
	Level string `json:"level"` // ok, wait or end
	Text  string `json:"text"`
}

type totals struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
	Dropped  int64 `json:"dropped,omitempty"` // numbers for which there was no curve left
}

// message is one that arrived, as the page lists it.
type message struct {
	ID    int64  `json:"id"`
	At    int64  `json:"at"` // Unix milliseconds
	Topic string `json:"topic"`
	Size  int    `json:"size"` // bytes
	Form  string `json:"form"`
	Text  string `json:"text,omitempty"` // how it begins
	raw   []byte
}

// curve is a series of numbers.
type curve struct {
	ID     int       `json:"id"`
	Name   string    `json:"name"`
	Topic  string    `json:"topic,omitempty"`
	Unit   string    `json:"unit,omitempty"`
	Points []point   `json:"points"`
	Stats  stats     `json:"stats"`
	name   curveName // by which it is found
	fresh  []point
	told   bool
}

type curveName struct{ topic, name, unit string }

// point is a time in Unix milliseconds and a number.
type point [2]float64

// stats are of all points that ever were.
type stats struct {
	N    int64   `json:"n"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Last float64 `json:"last"`
}

const (
	keptMessages = 300
	keptRaw      = 4 << 10
	keptPoints   = 3000
	maxCurves    = 64
	previewed    = 240 // characters
	tick         = 200 * time.Millisecond
	tickMessages = 60 // of one tick are listed; all count
	tickPoints   = 40 // of a curve in one tick, if there are more: the highest and lowest of each part
)

// New makes the page of a stream. Run must run, and Serve serves it.
func New(s Stream, o Options) *Page {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Page{
		stream: s, token: newToken(), Options: o, state: State{"wait", "connecting"},
		byName: map[curveName]*curve{}, viewers: map[*viewer]struct{}{},
	}
}

// Say tells how the stream fares: level is ok, wait or end.
func (p *Page) Say(level, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = State{level, short(text)}
	p.untold.state = true
}

// Take shows a message.
func (p *Page) Take(topic string, payload []byte) {
	now := p.Now()
	values, form := read(payload, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(now, topic, form, payload)
	for i := range values {
		v := &values[i]
		name := curveName{topic, v.name, v.unit}
		if v.global {
			name.topic = ""
		}
		if name.unit == "" {
			name.unit = p.stream.Unit
		}
		p.add(name, topic, point{float64(v.at.UnixMicro()) / 1000, v.v})
	}
}

// note lists a message. p.mu is held.
func (p *Page) note(at time.Time, topic, form string, payload []byte) {
	p.totals.Messages++
	p.totals.Bytes += int64(len(payload))
	m := message{ID: p.totals.Messages, At: at.UnixMilli(), Topic: short(topic), Size: len(payload), Form: form, raw: append([]byte(nil), payload[:min(len(payload), keptRaw)]...)}
	m.Text = preview(m.raw)
	if len(p.messages) == 2*keptMessages {
		p.messages = append(p.messages[:0], p.messages[keptMessages:]...)
	}
	p.messages = append(p.messages, m)
	p.untold.messages++
}

// preview is the beginning of a message on one line; empty for what is no text.
func preview(raw []byte) string {
	out := make([]rune, 0, previewed+1)
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n <= 1 {
			if !utf8.FullRune(raw[i:]) {
				break // it was cut there
			}
			return ""
		}
		i += n
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if out = append(out, r); len(out) > previewed {
			out[previewed] = '…'
			break
		}
	}
	return string(out)
}

// add puts a point on its curve. p.mu is held.
func (p *Page) add(name curveName, topic string, at point) {
	c := p.byName[name]
	if c == nil {
		if len(p.curves) == maxCurves {
			p.totals.Dropped++
			return
		}
		c = &curve{ID: len(p.curves), Name: name.name, Topic: short(topic), Unit: name.unit, name: name, Stats: stats{Min: at[1], Max: at[1]}}
		p.curves, p.byName[name] = append(p.curves, c), c
	}
	c.Stats.N++
	c.Stats.Min, c.Stats.Max, c.Stats.Last = min(c.Stats.Min, at[1]), max(c.Stats.Max, at[1]), at[1]
	if len(c.Points) == 2*keptPoints {
		c.Points = append(c.Points[:0], c.Points[keptPoints:]...)
	}
	c.Points = append(c.Points, at)
	if c.fresh = append(c.fresh, at); len(c.fresh) > 4*tickPoints {
		c.fresh = thin(c.fresh)
	}
}

// thin keeps of points in tickPoints/2 parts the lowest and the highest of each, in their order.
func thin(points []point) []point {
	parts := tickPoints / 2
	out := points[:0]
	for i := range parts {
		part := points[i*len(points)/parts : (i+1)*len(points)/parts]
		if len(part) == 0 {
			continue
		}
		low, high := 0, 0
		for j, x := range part {
			if x[1] < part[low][1] {
				low = j
			}
			if x[1] > part[high][1] {
				high = j
			}
		}
		first, second := part[min(low, high)], part[max(low, high)]
		out = append(out, first)
		if low != high {
			out = append(out, second)
		}
	}
	return out
}

// untold is what the next tick tells.
type untold struct {
	state    bool
	messages int
	conns    bool
}

// hello is all that is remembered.
type hello struct {
	Stream   Stream      `json:"stream"`
	State    State       `json:"state"`
	Totals   totals      `json:"totals"`
	Curves   []*curve    `json:"curves"`
	Messages []message   `json:"messages"` // the newest last
	Conns    connections `json:"conns"`
}

// news is what happened since the last tick.
type news struct {
	State    *State       `json:"state,omitempty"`
	Totals   totals       `json:"totals"`
	Curves   []*curve     `json:"curves,omitempty"` // new ones
	Points   []strip      `json:"points,omitempty"`
	Messages []message    `json:"messages,omitempty"`
	Conns    *connections `json:"conns,omitempty"`
}

// strip is what is new of a curve.
type strip struct {
	ID     int     `json:"id"`
	Stats  stats   `json:"stats"`
	Points []point `json:"points"`
}

// Run tells the viewers what is new until ctx ends.
func (p *Page) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.tell()
		case <-ctx.Done():
			p.tell()
			p.mu.Lock()
			defer p.mu.Unlock()
			for v := range p.viewers {
				p.leave(v)
			}
			p.viewers = nil
			return nil
		}
	}
}

// tell sends what is new, encoded once, to all viewers. Who does not keep up is sent away and comes back for everything.
func (p *Page) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rates()
	p.flush()
}

// flush is tell with p.mu held.
func (p *Page) flush() {
	n, some := p.news()
	if !some || len(p.viewers) == 0 {
		return
	}
	frame, err := frameOf("tick", n)
	if err != nil {
		p.Log.Error("page: encode what is new", "error", err)
		return
	}
	for v := range p.viewers {
		select {
		case v.frames <- frame:
		default:
			p.leave(v)
		}
	}
}

// news gathers what is new. p.mu is held.
func (p *Page) news() (n news, some bool) {
	n.Totals = p.totals
	if p.untold.state {
		n.State = &p.state
	}
	if p.untold.conns {
		n.Conns = &p.conns
	}
	if k := min(p.untold.messages, tickMessages); k > 0 {
		n.Messages = p.messages[len(p.messages)-k:]
	}
	for _, c := range p.curves {
		if len(c.fresh) == 0 {
			continue
		}
		if !c.told {
			c.told = true
			n.Curves = append(n.Curves, &curve{ID: c.ID, Name: c.Name, Topic: c.Topic, Unit: c.Unit, Points: []point{}, Stats: c.Stats})
		}
		points := c.fresh
		if len(points) > tickPoints {
			points = thin(points)
		}
		n.Points = append(n.Points, strip{c.ID, c.Stats, points})
		c.fresh = nil
	}
	some = p.untold != untold{} || len(n.Points) > 0
	p.untold = untold{}
	return n, some
}

// viewer is a page that is open.
type viewer struct {
	frames chan []byte // closed when the viewer is sent away
}

const maxViewers = 8

// join gives a new viewer all that is remembered; nil when there are too many, or nothing will come any more.
func (p *Page) join() (*viewer, []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers == nil || len(p.viewers) == maxViewers {
		return nil, nil, nil
	}
	p.flush() // what the new one is told now it is not told again
	h := hello{p.stream, p.state, p.totals, make([]*curve, 0, len(p.curves)), p.messages[max(0, len(p.messages)-keptMessages):], p.conns}
	for _, c := range p.curves {
		part := *c
		part.Points = c.Points[max(0, len(c.Points)-keptPoints):]
		h.Curves = append(h.Curves, &part)
	}
	frame, err := frameOf("hello", h)
	if err != nil {
		return nil, nil, err
	}
	v := &viewer{frames: make(chan []byte, 32)}
	p.viewers[v] = struct{}{}
	return v, frame, nil
}

// leave sends a viewer away. p.mu is held.
func (p *Page) leave(v *viewer) {
	if _, there := p.viewers[v]; there {
		delete(p.viewers, v)
		close(v.frames)
	}
}

func frameOf(event string, v any) ([]byte, error) {
	data, err := json.Marshal(v) // which leaves no line breaks in it
	if err != nil {
		return nil, err
	}
	return append(append([]byte("event: "+event+"\ndata: "), data...), "\n\n"...), nil
}
