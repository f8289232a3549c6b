package dialect

import (
	"strings"

	"iod/document"
	"iod/index"
	"iod/key"
)

// Async is an AsyncAPI 3.0 document.
type Async struct {
	Version     string                    `json:"asyncapi" doc:"3.0.0"`
	ID          string                    `json:"id" doc:"The device's DID."`
	Info        AsyncInfo                 `json:"info" doc:"On the device."`
	ContentType string                    `json:"defaultContentType,omitempty" doc:"Of messages that say none."`
	Servers     map[string]AsyncServer    `json:"servers,omitempty" doc:"One for each stream, inside the overlay."`
	Channels    map[string]AsyncChannel   `json:"channels" doc:"MQTT topic filters, or the stream itself."`
	Operations  map[string]AsyncOperation `json:"operations" doc:"What the device sends."`
	Components  *AsyncComponents          `json:"components,omitempty" doc:"How access is got."`
}

// AsyncInfo tells of the whole document.
type AsyncInfo struct {
	Title       string     `json:"title" doc:"What the device gives."`
	Version     string     `json:"version" doc:"The document's iod_sequence, Unix milliseconds."`
	Description string     `json:"description" doc:"For people."`
	Docs        *AsyncDocs `json:"externalDocs,omitempty" doc:"The device in the API."`
}

// AsyncDocs points to more.
type AsyncDocs struct {
	URL string `json:"url" doc:"Where."`
}

// AsyncServer is where a stream is.
type AsyncServer struct {
	Host        string     `json:"host" doc:"Node id in the overlay."`
	Pathname    string     `json:"pathname" doc:"/<stream>"`
	Protocol    string     `json:"protocol" enum:"mqtt,http,rtsp,tcp,udp" doc:"What is spoken inside the overlay."`
	Description string     `json:"description" doc:"How it is reached."`
	Security    []AsyncRef `json:"security" doc:"The grant on the chain."`
}

// AsyncRef points to another part of the document.
type AsyncRef struct {
	Ref string `json:"$ref" doc:"JSON pointer."`
}

// AsyncChannel is where messages come from.
type AsyncChannel struct {
	Address     string                  `json:"address" doc:"Topic filter, or /<stream>."`
	Title       string                  `json:"title" doc:"Stream and topic."`
	Description string                  `json:"description,omitempty" doc:"For people."`
	Servers     []AsyncRef              `json:"servers,omitempty" doc:"The stream's."`
	Messages    map[string]AsyncMessage `json:"messages" doc:"The one kind of message."`
}

// AsyncMessage is a kind of message.
type AsyncMessage struct {
	Name        string         `json:"name" doc:"The stream's name."`
	Title       string         `json:"title,omitempty" doc:"What is measured."`
	Summary     string         `json:"summary,omitempty" doc:"For people."`
	ContentType string         `json:"contentType" doc:"Media type."`
	Payload     map[string]any `json:"payload" doc:"JSON Schema. The device does not say the shape of its messages, so any will do."`
}

// AsyncOperation says who sends what.
type AsyncOperation struct {
	Action   string     `json:"action" enum:"send" doc:"The device sends."`
	Channel  AsyncRef   `json:"channel" doc:"Where."`
	Summary  string     `json:"summary,omitempty" doc:"For people."`
	Messages []AsyncRef `json:"messages" doc:"What."`
}

// AsyncComponents holds what is referred to.
type AsyncComponents struct {
	Schemes map[string]AsyncScheme `json:"securitySchemes" doc:"By name."`
}

// AsyncScheme says how access is got.
type AsyncScheme struct {
	Type        string `json:"type" enum:"asymmetricEncryption" doc:"The consumer's account signs."`
	Description string `json:"description" doc:"For people."`
}

const grantScheme = "iod_grant"

// Async describes a listing as an AsyncAPI application that sends. A device of version 1 has its topics as channels without a server:
// its overlay is not this one.
func (s Site) Async(l *index.Listing) Async {
	d := &l.Device
	a := Async{
		Version: "3.0.0", ID: l.Account.DID(), Channels: map[string]AsyncChannel{}, Operations: map[string]AsyncOperation{},
		Info: AsyncInfo{Title: title(l), Version: itoa(d.Sequence), Description: about(l), Docs: &AsyncDocs{s.Device(l.Account)}},
	}
	if len(d.Streams) == 0 {
		for i, t := range d.Topics {
			a.add("topic-"+itoa(uint64(i+1)), t, document.Stream{Name: "device", Kind: "mqtt", DataType: d.DataType}, false)
		}
		return a
	}
	if d.Node != (key.NodeID{}) {
		a.Servers = map[string]AsyncServer{}
		scheme := AsyncScheme{"asymmetricEncryption", access}
		if o := decider(l); o != "" {
			scheme.Description += " Ask the owner " + o + "."
		}
		a.Components = &AsyncComponents{map[string]AsyncScheme{grantScheme: scheme}}
	}
	for _, st := range d.Streams {
		if a.Servers != nil {
			a.Servers[st.Name] = AsyncServer{
				Host: d.Node.String(), Pathname: "/" + st.Name, Protocol: st.Kind, Description: "iod connect " + l.Account.DID() + " " + st.Name,
				Security: []AsyncRef{{"#/components/securitySchemes/" + grantScheme}},
			}
		}
		if st.Kind != "mqtt" || len(st.Topics) == 0 {
			a.add(st.Name, "/"+st.Name, st, a.Servers != nil)
			continue
		}
		for i, t := range st.Topics {
			id := st.Name
			if i > 0 {
				id += "." + itoa(uint64(i+1))
			}
			a.add(id, t, st, a.Servers != nil)
		}
	}
	return a
}

// add adds a channel with its message and the operation that sends it.
func (a *Async) add(id, address string, st document.Stream, server bool) {
	payload := map[string]any{}
	if st.Unit != "" {
		payload["x-unit"] = st.Unit
	}
	c := AsyncChannel{Address: address, Title: strings.TrimSpace(st.Name + " " + address), Description: st.Description, Messages: map[string]AsyncMessage{
		"data": {Name: st.Name, Title: st.DataType, Summary: streamAbout(st), ContentType: contentType(st), Payload: payload},
	}}
	if server {
		c.Servers = []AsyncRef{{"#/servers/" + st.Name}}
	}
	a.Channels[id] = c
	a.Operations["send-"+id] = AsyncOperation{
		Action: "send", Channel: AsyncRef{"#/channels/" + id}, Summary: streamAbout(st), Messages: []AsyncRef{{"#/channels/" + id + "/messages/data"}},
	}
}
