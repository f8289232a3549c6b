package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
	"iod/web/earth"
)

// devicePage is what the template of a device shows.
type devicePage struct {
	DID, Address string
	Seal         template.HTML
	Title        string
	Names        []string // of what it gives
	Live         bool
	Status       string // why it is not live
	Place        place
	Proof        proof
	Steps        []stepOf
	Streams      []streamView
	Legacy       *legacyView
	Fields       []field
	Owner        ownerView
	Chain        chainView
	Sequence     uint64
	Fresh        freshness
	Access       *accessView
	Pending      []pendingView
	History      []historyLine
	More         string // address of older history
	Newest       string // address of the newest history, when this is older
	Map          mapData
	Links        []wayOut
	Setup        []way
	RPC          string
}

// stepOf is one thing that was looked at when the document was judged.
type stepOf struct {
	Class string // good, fair or none
	Title string
	Text  string
}

// streamView is a stream with the ways into it.
type streamView struct {
	Name, Title, Kind, KindWords string
	Unit, UnitWords, Content     string
	Description                  string
	Topics                       []string
	Price                        *price
	Ways                         []way
	Closed                       string // why there are none
}

// legacyView is what a document of version 1 offers.
type legacyView struct {
	Access, Pin *price
	Topics      []string
	Node        string
}

type field struct{ Name, Value string }

// ownerView says who decides on access, and how to ask.
type ownerView struct {
	Address string
	Seal    template.HTML
	Class   string
	Words   string
	More    string // devices of the same owner
	Show    string // command that shows one's own address
	Grant   string // command for the owner
	Hole    string // what stands in it for the reader's address
}

type chainView struct {
	Class, Words string
	Long         string // when it was disturbed
	Block        uint32
	Hash         string
	Who          string
	Signer       string
	Expires      string
}

type freshness struct {
	Ago, First string
	At, Since  time.Time
}

type historyLine struct {
	moment
	Words, Class  string
	Who, WhoWords string
	Sequence      uint64
}

// historyPerPage is how many lines of history a page shows.
const historyPerPage = 25

func (s *site) device(ctx context.Context, r *http.Request) (*answer, error) {
	a, err := key.ParseAccount(r.PathValue("did"))
	if err != nil {
		return nil, errNotFound
	}
	if r.PathValue("did") != a.DID() {
		return &answer{redirect: "/d/" + a.DID()}, nil
	}
	l, err := s.Reader.Get(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	if l == nil {
		return s.unlisted(ctx, a)
	}
	p := s.show(l, r)
	if p.Access, err = s.access(ctx, l); err != nil {
		return nil, err
	}
	if err := s.tell(ctx, &p, a, r.URL.Query()); err != nil {
		return nil, err
	}
	f, err := s.framed(ctx, p.Title+", "+short(p.Address), "devices")
	if err != nil {
		return nil, err
	}
	p.Pending = s.pending(l, f.Sync.Block)
	body, err := s.pages.render("device", f, &p)
	return &answer{kind: htmlType, body: body}, err
}

// show makes the page of what the listing says.
func (s *site) show(l *index.Listing, r *http.Request) devicePage {
	d := &l.Device
	now := s.Now()
	p := devicePage{
		DID: l.Account.DID(), Address: l.Account.String(), Seal: seal(l.Account), Names: namesOf(l), Live: l.Status == index.Live,
		Place: placeOf(l), Proof: proofOf(l), Steps: steps(l, now), Owner: s.ownerOf(l), Chain: chainOf(l), Sequence: d.Sequence, RPC: s.RPC,
		Fresh: freshness{ago(l.Updated.Time, now), ago(l.First.Time, now), l.Updated.Time, l.First.Time},
	}
	p.Title = strings.Join(p.Names, ", ")
	switch l.Status {
	case index.Removed:
		p.Status = fmt.Sprintf("The device ended this listing itself in block %s.", number(l.EndedBlock))
	case index.Expired:
		p.Status = fmt.Sprintf("The validity of this listing ended with block %s. A running device renews it, so it is probably off.", number(l.EndedBlock))
	}
	for _, st := range d.Streams {
		p.Streams = append(p.Streams, streamOf(l, st))
	}
	if len(d.Streams) == 0 {
		p.Legacy = &legacyView{Access: priceIn(d.PriceAccess, ""), Pin: priceIn(d.PricePin, "")}
		for _, topic := range d.Topics {
			p.Legacy.Topics = append(p.Legacy.Topics, exact(topic))
		}
		if d.Node != (key.NodeID{}) {
			p.Legacy.Node = d.Node.String()
		}
	}
	for _, f := range d.Additional {
		p.Fields = append(p.Fields, field{human(f.Type), seen(f.Text())})
	}
	p.Setup = s.setup(l, r)
	p.Map = mapData{Lat: p.Place.Lat, Lon: p.Place.Lon, Km: p.Place.Km, Coarse: p.Place.Coarse, Tiles: s.Tiles, Picture: drawPlace(p.Place)}
	api := "/api/v1/devices/" + l.Account.DID()
	p.Links = []wayOut{{"Thing Description", "W3C, JSON", api + "/td"}, {"AsyncAPI", "3.0, JSON", api + "/asyncapi"},
		{"DID document", "W3C, JSON-LD", "/1.0/identifiers/" + l.Account.DID()}, {"Listing and proof", "with the signed bytes, JSON", api}}
	return p
}

// namesOf lists what a device gives, at most four things.
func namesOf(l *index.Listing) []string {
	var names []string
	for _, o := range l.Offers() {
		if n := human(o.DataType); n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	switch n := len(names); {
	case n == 0:
		return []string{"Unnamed data"}
	case n > 4:
		return append(names[:3], fmt.Sprintf("%d more", n-3))
	}
	return names
}

func streamOf(l *index.Listing, st document.Stream) streamView {
	v := streamView{Name: st.Name, Title: human(st.DataType), Kind: st.Kind, KindWords: kindOf(st.Kind), Unit: seen(st.Unit), UnitWords: unitWords(st.Unit),
		Content: exact(st.ContentType), Description: seen(st.Description), Price: priceIn(st.Price, st.Period)}
	for _, topic := range st.Topics {
		v.Topics = append(v.Topics, exact(topic))
	}
	if v.Title == "" {
		v.Title = human(l.Device.DataType)
	}
	if v.Title == "" {
		v.Title = st.Name
	}
	switch {
	case l.Status != index.Live:
		v.Closed = "The listing has ended. This is what its last document said; there is no way in any more."
	case l.State != document.Verified:
		v.Closed = "iod connects to devices only whose document proves itself. This one is not signed, so there is no way in that could be trusted."
	case len(l.Device.Relays) == 0:
		v.Closed = "The document names no relay, so the device cannot be reached."
	default:
		v.Ways = waysTo(l.Account, st)
		if len(v.Ways) == 0 {
			v.Closed = fmt.Sprintf("Streams of kind %q are not known to this version of iod.", st.Kind)
		}
	}
	return v
}

func (s *site) ownerOf(l *index.Listing) ownerView {
	owner := l.Owner()
	v := ownerView{Class: "good", Show: "iod key new --out me.key     # once\niod key show --key me.key"}
	switch {
	case owner == nil:
		return ownerView{Class: "fair", Words: fmt.Sprintf("The document names %s as owner, but that account has not signed for this device. Nobody is shown to decide until it does.", l.Device.Owner), Show: v.Show}
	case l.Device.Owner == nil && l.State == document.Verified:
		v.Words = "The device decides itself: its document names no other owner."
	case l.Device.Owner == nil:
		v.Class, v.Words = "fair", "The document names no owner, so it would be the device itself; but the document is not signed."
	default:
		v.Words = "This account signed that the device is theirs. It grants and revokes access on the chain."
	}
	v.Address, v.Seal = owner.String(), seal(*owner)
	v.More = "/?owner=" + v.Address
	v.Hole = "YOUR_ADDRESS"
	v.Grant = fmt.Sprintf("iod access grant --device %s --stream STREAM %s --key owner.key", l.Account.DID(), v.Hole)
	if len(l.Device.Streams) > 0 {
		v.Grant = strings.Replace(v.Grant, "STREAM", l.Device.Streams[0].Name, 1)
	}
	return v
}

func chainOf(l *index.Listing) chainView {
	v := chainView{Class: "good", Words: "The document stands on the chain as it was signed.", Block: l.PresenceAt.Block, Hash: l.PresenceAt.Hash.String(), Signer: address(l.Signer)}
	if l.Presence != index.Present {
		v.Who = address(l.PresenceWho)
	}
	switch {
	case l.Status == index.Removed:
		v.Class, v.Words = "none", "The device removed its document."
	case l.Presence == index.Overwritten:
		v.Class, v.Words = "fair", "Something else stands in the place of this document now, which is not signed by the device."
		v.Long = "Somebody wrote something else in its place. The registry lets anyone do that; it changes nothing here, because what they wrote is not signed by the device. A running device writes its own document again."
	case l.Presence == index.Gone:
		v.Class, v.Words = "fair", "Nothing stands in the place of this document now."
		v.Long = "Somebody removed the document from the chain. The registry lets anyone do that; the listing stays, because the device did not end it. A running device writes its document again."
	}
	switch {
	case l.Status != index.Live:
	case l.Expires == index.Never:
		v.Expires = "It has no end."
	default:
		v.Expires = fmt.Sprintf("It is valid until block %s.", number(l.Expires))
	}
	return v
}

func address(a *key.AccountID) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// host is what the Host header of a request may be when it is to stand in a command.
var host = regexp.MustCompile(`^[A-Za-z0-9.\-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$`)

// chainWay is the command that names the chain to those that follow; none when no endpoint may be told.
func (s *site) chainWay() []way {
	rpc, err := shell(s.RPC)
	if s.RPC == "" || err != nil {
		return nil
	}
	return []way{{ID: "rpc", Title: "Which chain", Code: "export IOD_RPC=" + rpc, Note: "Once in each terminal. Any endpoint of the same chain will do."}}
}

// setup are the commands before and beside those of a stream.
func (s *site) setup(l *index.Listing, r *http.Request) []way {
	ways := append(s.chainWay(), way{ID: "verify", Title: "Check it yourself", Note: "Reads the chain and checks the signature on your own machine.", Code: "iod did show " + l.Account.DID()})
	if host.MatchString(r.Host) {
		scheme := "http"
		if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
			scheme = "https"
		}
		ways = append(ways, way{ID: "json", Title: "This listing as JSON", Code: fmt.Sprintf("curl -s %s://%s/api/v1/devices/%s | jq .", scheme, r.Host, l.Account.DID())})
	}
	return ways
}

// drawPlace draws the place of a device; nil when it has none.
func drawPlace(p place) *picture {
	if !p.Known {
		return nil
	}
	const w, h = 480, 300
	km := max(p.Km*2.5, 150)
	dLat := km / 111.2
	dLon := dLat / max(0.05, cosine(p.Lat))
	v := earth.Fit(max(-85, p.Lat-dLat), p.Lon-dLon, min(85, p.Lat+dLat), p.Lon+dLon, w, h, pictureZoom)
	x, y := v.At(p.Lat, p.Lon)
	pic := &picture{Width: w, Height: h, Base: base(v)}
	m := mark{X: trim(x, 1), Y: trim(y, 1), R: "7", Class: "one"}
	if p.Coarse {
		_, y2 := v.At(min(85, p.Lat+p.Km/111.2), p.Lon)
		m.R = trim(max(8, y-y2), 1)
		pic.Area = &m
	} else {
		pic.Marks = []mark{m}
	}
	return pic
}

// tell fills in the history.
func (s *site) tell(ctx context.Context, p *devicePage, a key.AccountID, v url.Values) error {
	before := int64(0)
	if text := v.Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return &wrongParameter{"before", fmt.Sprintf("%.40q is no place in the history", text)}
		}
		before = n
		p.Newest = "/d/" + a.DID() + "#history"
	}
	lines, err := s.Reader.History(ctx, a, before, historyPerPage+1)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if len(lines) > historyPerPage {
		lines = lines[:historyPerPage]
		p.More = fmt.Sprintf("/d/%s?before=%d#history", a.DID(), lines[historyPerPage-1].ID)
	}
	for _, e := range lines {
		p.History = append(p.History, historyOf(e, a))
	}
	return nil
}

func historyOf(e index.Entry, a key.AccountID) historyLine {
	h := historyLine{moment: momentOf(e.At), Sequence: e.Sequence, Who: address(e.Who)}
	h.Words, h.Class = actionWords(e.Action)
	switch {
	case e.Who == nil && e.Action == index.ActionExpired:
		h.WhoWords = "the chain's clock"
	case e.Who == nil:
		h.WhoWords = "not known: read from state"
	case *e.Who == a:
		h.WhoWords = "the device"
	default:
		h.WhoWords = "another account"
	}
	return h
}

// actionWords says what an action of a listing's history is, and of which class.
func actionWords(a index.Action) (words, class string) {
	switch a {
	case index.Published:
		return "Published a document that is believed", "good"
	case index.Republished:
		return "Published the same document again", "good"
	case index.Overwrote:
		return "Wrote something unbelievable in its place", "fair"
	case index.RemovedOwn:
		return "Ended the listing", "none"
	case index.RemovedByElse:
		return "Removed the document; the listing stays", "fair"
	case index.ActionExpired:
		return "Its validity ended", "none"
	}
	return string(a), "none"
}
