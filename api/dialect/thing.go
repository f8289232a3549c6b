package dialect

import (
	"strconv"
	"time"

	"iod/document"
	"iod/index"
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// Thing is a W3C Thing Description 1.1.
type Thing struct {
	Context     []any                     `json:"@context" doc:"The Thing Description's context, then the prefixes used here."`
	ID          string                    `json:"id" doc:"The device's DID."`
	Type        []string                  `json:"@type" doc:"iod:Device"`
	Title       string                    `json:"title" doc:"What it gives."`
	Description string                    `json:"description" doc:"For people."`
	Version     *ThingVersion             `json:"version,omitempty" doc:"Of the device's document."`
	Created     *time.Time                `json:"created,omitempty" doc:"When the index first saw the device."`
	Modified    *time.Time                `json:"modified,omitempty" doc:"When the chain took in this document."`
	Lat         *float64                  `json:"geo:lat,omitempty" unit:"degrees" doc:"WGS 84."`
	Lon         *float64                  `json:"geo:long,omitempty" unit:"degrees" doc:"WGS 84."`
	Place       string                    `json:"schema:location,omitempty" doc:"A name, when no coordinates are said."`
	State       string                    `json:"iod:state" enum:"verified,unverified" doc:"Whether the device's account signed all this."`
	Reason      string                    `json:"iod:reason,omitempty" doc:"Why it is not verified."`
	Owner       string                    `json:"iod:owner,omitempty" doc:"DID of the account that grants access."`
	Node        string                    `json:"iod:node,omitempty" doc:"Node id in the overlay."`
	Relays      []string                  `json:"iod:relays,omitempty" doc:"tls://host:port/<node id>"`
	Security    []string                  `json:"security" doc:"iod_grant"`
	Definitions map[string]SecurityScheme `json:"securityDefinitions" doc:"How access is got."`
	Properties  map[string]Affordance     `json:"properties,omitempty" doc:"Streams that are asked: http."`
	Events      map[string]Affordance     `json:"events,omitempty" doc:"Streams that send: mqtt, rtsp, tcp, udp."`
	Links       []Link                    `json:"links" doc:"DID, proof, AsyncAPI, page."`
}

// ThingVersion numbers what a Thing Description was made from.
type ThingVersion struct {
	Instance string `json:"instance" doc:"The document's iod_sequence, Unix milliseconds." unit:"ms"`
}

// SecurityScheme says how access to a stream is got.
type SecurityScheme struct {
	Scheme      string `json:"scheme" doc:"iod:grant, a scheme of its own."`
	Description string `json:"description" doc:"For people."`
	Owner       string `json:"iod:owner,omitempty" doc:"Whom to ask: DID."`
	Device      string `json:"iod:device" doc:"What for: DID."`
}

// Affordance is a stream as a property or an event.
type Affordance struct {
	Title       string   `json:"title" doc:"The stream's name."`
	Description string   `json:"description" doc:"For people."`
	ReadOnly    bool     `json:"readOnly,omitempty" doc:"Properties are only read."`
	Unit        string   `json:"unit,omitempty" doc:"Of a property's values."`
	Data        *Data    `json:"data,omitempty" doc:"An event's messages. Their shape is not said by the device."`
	DataType    string   `json:"iod:dataType,omitempty" doc:"What is measured."`
	Price       string   `json:"iod:price,omitempty" unit:"PEAQ" doc:"Decimal, for one period."`
	Period      string   `json:"iod:period,omitempty" example:"30d" doc:"A number and s, m, h or d."`
	Forms       []Form   `json:"forms" doc:"Where and how."`
	Topics      []string `json:"iod:topics,omitempty" doc:"MQTT topic filters that the stream shares."`
}

// Data describes messages.
type Data struct {
	Title string `json:"title,omitempty" doc:"What they tell."`
	Unit  string `json:"unit,omitempty" doc:"Of their values."`
}

// Form says how a stream is reached.
type Form struct {
	Href        string   `json:"href" doc:"iod://<node id>/<stream>"`
	Op          []string `json:"op" doc:"What can be done."`
	ContentType string   `json:"contentType" doc:"Media type; application/octet-stream when the device says none."`
	Subprotocol string   `json:"subprotocol" enum:"mqtt,http,rtsp,tcp,udp" doc:"What is spoken inside the overlay."`
	Security    []string `json:"security" doc:"iod_grant"`
}

// Thing describes a listing as a W3C Thing. A device without streams or without a node has neither properties nor events: there is no
// address to give.
func (s Site) Thing(l *index.Listing) Thing {
	t := Thing{
		Context: []any{"https://www.w3.org/2022/wot/td/v1.1", map[string]string{
			"iod": Namespace, "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#", "schema": "https://schema.org/",
		}},
		ID: l.Account.DID(), Type: []string{"iod:Device"}, Title: title(l), Description: about(l),
		Created: timeOf(l.First), Modified: timeOf(l.Updated), State: string(l.State), Reason: l.Reason, Owner: decider(l), Relays: l.Device.Relays,
		Security: []string{"iod_grant"},
		Definitions: map[string]SecurityScheme{
			"iod_grant": {Scheme: "iod:grant", Description: access, Owner: decider(l), Device: l.Account.DID()},
		},
		Links: s.links(l.Account),
	}
	if l.Device.Sequence > 0 {
		t.Version = &ThingVersion{itoa(l.Device.Sequence)}
	}
	if lat, lon, ok := l.Place(); ok {
		t.Lat, t.Lon = &lat, &lon
	} else {
		t.Place = l.Device.Location
	}
	for _, st := range l.Device.Streams {
		href := endpoint(&l.Device, st.Name)
		if href == "" {
			continue
		}
		t.Node = l.Device.Node.String()
		t.afford(st, href)
	}
	return t
}

// afford adds a stream: what is asked as a property, what sends as an event.
func (t *Thing) afford(st document.Stream, href string) {
	form := Form{Href: href, ContentType: contentType(st), Subprotocol: st.Kind, Security: t.Security, Op: []string{"subscribeevent", "unsubscribeevent"}}
	a := Affordance{Title: st.Name, Description: streamAbout(st), DataType: st.DataType, Price: st.Price, Period: st.Period, Topics: st.Topics}
	if st.Kind == "http" {
		form.Op = []string{"readproperty"}
		a.Unit, a.ReadOnly, a.Forms = st.Unit, true, []Form{form}
		if t.Properties == nil {
			t.Properties = map[string]Affordance{}
		}
		t.Properties[st.Name] = a
		return
	}
	if st.DataType != "" || st.Unit != "" {
		a.Data = &Data{st.DataType, st.Unit}
	}
	a.Forms = []Form{form}
	if t.Events == nil {
		t.Events = map[string]Affordance{}
	}
	t.Events[st.Name] = a
}
