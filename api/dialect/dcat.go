package dialect

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"iod/document"
	"iod/index"
)

// Catalog is a page of a DCAT 3 catalogue in JSON-LD.
type Catalog struct {
	Context     map[string]string `json:"@context" doc:"Prefixes; nothing has to be fetched to read the document."`
	ID          string            `json:"@id" doc:"The whole catalogue."`
	Type        []string          `json:"@type" doc:"dcat:Catalog and hydra:Collection."`
	Title       string            `json:"dct:title" doc:"For people."`
	Description string            `json:"dct:description" doc:"For people."`
	Modified    *Literal          `json:"dct:modified,omitempty" doc:"When the index last took in a block."`
	View        View              `json:"hydra:view" doc:"This page, and the next."`
	Datasets    []Dataset         `json:"dcat:dataset" doc:"One for each device, newest first."`
}

// View is a page of a collection.
type View struct {
	ID    string `json:"@id" doc:"This page."`
	Type  string `json:"@type" doc:"hydra:PartialCollectionView"`
	First Ref    `json:"hydra:first" doc:"The first page."`
	Next  *Ref   `json:"hydra:next,omitempty" doc:"The next page; absent on the last."`
}

// Ref names a resource.
type Ref struct {
	ID string `json:"@id" doc:"IRI."`
}

// Literal is a typed value.
type Literal struct {
	Value string `json:"@value" doc:"In its text form."`
	Type  string `json:"@type" doc:"Its datatype."`
}

// Dataset is a device as DCAT sees it.
type Dataset struct {
	ID            string         `json:"@id" doc:"The device's DID."`
	Type          string         `json:"@type" doc:"dcat:Dataset"`
	Identifier    string         `json:"dct:identifier" doc:"The DID."`
	Title         string         `json:"dct:title" doc:"What it gives."`
	Description   string         `json:"dct:description" doc:"For people."`
	Keywords      []string       `json:"dcat:keyword,omitempty" doc:"Types of data."`
	Issued        *Literal       `json:"dct:issued,omitempty" doc:"When the index first saw the device."`
	Modified      *Literal       `json:"dct:modified,omitempty" doc:"When the chain took in its document."`
	Publisher     *Agent         `json:"dct:publisher,omitempty" doc:"Who grants access, as far as it is proven."`
	Spatial       *Place         `json:"dct:spatial,omitempty" doc:"Where the device is, as it says."`
	License       *Ref           `json:"dct:license,omitempty" doc:"Only when the device says one: an additional field named license that is a URL."`
	Rights        Rights         `json:"dct:rights" doc:"What is known of the licence."`
	AccessRights  Rights         `json:"dct:accessRights" doc:"Access is granted by the owner."`
	Landing       Ref            `json:"dcat:landingPage" doc:"Page for people."`
	State         string         `json:"iod:state" enum:"verified,unverified" doc:"Whether the device's account signed all this."`
	Distributions []Distribution `json:"dcat:distribution,omitempty" doc:"One for each stream."`
}

// Agent is somebody.
type Agent struct {
	ID   string `json:"@id" doc:"DID."`
	Type string `json:"@type" doc:"foaf:Agent"`
	Name string `json:"foaf:name" doc:"Address of the account."`
}

// Place is where something is.
type Place struct {
	Type     string   `json:"@type" doc:"dct:Location"`
	Centroid *Literal `json:"dcat:centroid,omitempty" doc:"WKT point: longitude, latitude." unit:"degrees"`
	Lat      *float64 `json:"wgs:lat,omitempty" unit:"degrees" doc:"WGS 84."`
	Lon      *float64 `json:"wgs:long,omitempty" unit:"degrees" doc:"WGS 84."`
	Name     string   `json:"rdfs:label,omitempty" doc:"A name, when no coordinates are said."`
}

// Rights is a statement for people.
type Rights struct {
	Type  string `json:"@type" doc:"dct:RightsStatement"`
	Label string `json:"rdfs:label" doc:"For people."`
}

// Distribution is a stream as DCAT sees it.
type Distribution struct {
	ID          string      `json:"@id" doc:"<did>#<stream>"`
	Type        string      `json:"@type" doc:"dcat:Distribution"`
	Title       string      `json:"dct:title" doc:"The stream's name."`
	Description string      `json:"dct:description" doc:"For people."`
	AccessURL   Ref         `json:"dcat:accessURL" doc:"iod://<node id>/<stream>; the device in the API when it names no node."`
	MediaType   *Ref        `json:"dcat:mediaType,omitempty" doc:"As registered with IANA; absent when the device says none."`
	Service     DataService `json:"dcat:accessService" doc:"What serves it."`
	License     *Ref        `json:"dct:license,omitempty" doc:"As of the dataset."`
	Kind        string      `json:"iod:kind" enum:"mqtt,http,rtsp,tcp,udp" doc:"What is spoken."`
	Unit        string      `json:"iod:unit,omitempty" doc:"Of the values."`
	Price       string      `json:"iod:price,omitempty" unit:"PEAQ" doc:"Decimal, for one period."`
	Period      string      `json:"iod:period,omitempty" example:"30d" doc:"A number and s, m, h or d."`
}

// DataService is what serves a stream.
type DataService struct {
	Type        string `json:"@type" doc:"dcat:DataService"`
	Title       string `json:"dct:title" doc:"For people."`
	Endpoint    Ref    `json:"dcat:endpointURL" doc:"As accessURL."`
	Description []Ref  `json:"dcat:endpointDescription" doc:"W3C Thing Description and AsyncAPI document."`
}

var catalogContext = map[string]string{
	"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/", "hydra": "http://www.w3.org/ns/hydra/core#",
	"xsd": "http://www.w3.org/2001/XMLSchema#", "rdfs": "http://www.w3.org/2000/01/rdf-schema#", "gsp": "http://www.opengis.net/ont/geosparql#",
	"wgs": "http://www.w3.org/2003/01/geo/wgs84_pos#", "iod": Namespace,
}

// Catalog describes a page of listings; modified is when the index last took in a block, page and next the paths with queries of this page and the
// one after (empty: there is none).
func (s Site) Catalog(found []*index.Listing, modified time.Time, page, first, next string) Catalog {
	c := Catalog{
		Context: catalogContext, ID: s.Base + "/catalog", Type: []string{"dcat:Catalog", "hydra:Collection"},
		Title: "Devices of the Internet of Data", Modified: stamp(&modified), Datasets: make([]Dataset, len(found)),
		Description: "What devices offer on the peaq network, as far as an index believes their documents.",
		View:        View{ID: s.Base + page, Type: "hydra:PartialCollectionView", First: Ref{s.Base + first}},
	}
	if next != "" {
		c.View.Next = &Ref{s.Base + next}
	}
	for i, l := range found {
		c.Datasets[i] = s.dataset(l)
	}
	return c
}

func stamp(t *time.Time) *Literal {
	if t == nil || t.IsZero() {
		return nil
	}
	return &Literal{t.UTC().Format(time.RFC3339Nano), "xsd:dateTime"}
}

func (s Site) dataset(l *index.Listing) Dataset {
	d := Dataset{
		ID: l.Account.DID(), Type: "dcat:Dataset", Identifier: l.Account.DID(), Title: title(l), Description: about(l),
		Issued: stamp(timeOf(l.First)), Modified: stamp(timeOf(l.Updated)), Landing: Ref{s.page(l.Account)}, State: string(l.State), Spatial: spatial(l),
		License: license(&l.Device), AccessRights: Rights{"dct:RightsStatement", access},
		Rights: Rights{"dct:RightsStatement", "The device says nothing of a licence."},
	}
	if d.License != nil {
		d.Rights.Label = "As in the licence that the device names."
	}
	if o := l.Owner(); o != nil {
		d.Publisher = &Agent{o.DID(), "foaf:Agent", o.String()}
	}
	seen := map[string]bool{}
	for _, o := range l.Offers() {
		if o.DataType != "" && !seen[o.DataType] {
			seen[o.DataType] = true
			d.Keywords = append(d.Keywords, o.DataType)
		}
	}
	for _, st := range l.Device.Streams {
		d.Distributions = append(d.Distributions, s.distribution(l, st, d.License))
	}
	return d
}

func spatial(l *index.Listing) *Place {
	lat, lon, ok := l.Place()
	switch {
	case ok:
		number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		return &Place{Type: "dct:Location", Lat: &lat, Lon: &lon, Centroid: &Literal{"POINT(" + number(lon) + " " + number(lat) + ")", "gsp:wktLiteral"}}
	case l.Device.Location != "":
		return &Place{Type: "dct:Location", Name: l.Device.Location}
	}
	return nil
}

// license is the URL in the additional field that is named so.
func license(d *document.Device) *Ref {
	for _, a := range d.Additional {
		if !strings.EqualFold(a.Type, "license") && !strings.EqualFold(a.Type, "licence") {
			continue
		}
		u, err := url.Parse(a.Text())
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return &Ref{u.String()}
		}
	}
	return nil
}

func (s Site) distribution(l *index.Listing, st document.Stream, license *Ref) Distribution {
	at := Ref{endpoint(&l.Device, st.Name)}
	if at.ID == "" {
		at.ID = s.Device(l.Account)
	}
	d := Distribution{
		ID: l.Account.DID() + "#" + st.Name, Type: "dcat:Distribution", Title: st.Name, Description: streamAbout(st), AccessURL: at, License: license,
		Kind: st.Kind, Unit: st.Unit, Price: st.Price, Period: st.Period,
		Service: DataService{
			Type: "dcat:DataService", Title: st.Kind + " through the iod overlay", Endpoint: at,
			Description: []Ref{{s.Device(l.Account) + "/td"}, {s.Device(l.Account) + "/asyncapi"}},
		},
	}
	if media, _, _ := strings.Cut(st.ContentType, ";"); mediaType(media) {
		d.MediaType = &Ref{"https://www.iana.org/assignments/media-types/" + media}
	}
	return d
}

// mediaType reports whether s is type/subtype of characters that such names may have, so that it can stand in an IRI.
func mediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	if !ok || kind == "" || sub == "" {
		return false
	}
	return !strings.ContainsFunc(kind+sub, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("!#$&-^_.+", r)
	})
}
