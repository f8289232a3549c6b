package api

import (
	"errors"
	"net/http"
	"time"

	"iod/api/schema"
	"iod/api/transport"
	"iod/index/feed"
)

// Change is the data of an event of the change feed: a line of a device's history, and what the index holds of the device when it is told.
type Change struct {
	ID        int64      `json:"id" doc:"Ascending over all devices; as in the device's history." min:"1"`
	DID       string     `json:"did" doc:"The device."`
	Action    string     `json:"action" enum:"published,republished,overwritten,removed,removed-by-other,expired" doc:"What it meant for the listing."`
	Block     uint32     `json:"block" doc:"Number of the finalised block."`
	Extrinsic *int32     `json:"extrinsic,omitempty" doc:"Index in the block; absent when no extrinsic is known." min:"0"`
	Time      *time.Time `json:"time,omitempty" doc:"Of the block."`
	By        string     `json:"by,omitempty" doc:"Address of whose doing it was; absent: the chain's own, or not known."`
	Sequence  uint64     `json:"sequence,omitempty" doc:"iod_sequence of the document that it brought." unit:"ms"`
	Live      bool       `json:"live" doc:"Whether the device is offered."`
	State     string     `json:"state,omitempty" enum:"verified,unverified" doc:"Whether its document is signed."`
	DataTypes []string   `json:"data_types,omitempty" doc:"What its streams measure."`
	Lat       *float64   `json:"lat,omitempty" doc:"Latitude, WGS 84." unit:"degrees"`
	Lon       *float64   `json:"lon,omitempty" doc:"Longitude." unit:"degrees"`
}

const eventsType = "text/event-stream"

var (
	paramResume = &param[feed.Place]{read: feed.ParsePlace, spec: spec{
		Name: "after", Example: "0", Doc: "The id of the last event that was received, or a number of a change as in a device's history: everything later is told. 0: from the beginning. Absent: from now on.",
		Schema: schema.Schema{"type": "string", "maxLength": 64},
	}}
	headerResume = &param[string]{spec: spec{
		Name: "Last-Event-ID", Header: true, Doc: "As after, which it goes before: browsers send it when they reconnect.", Schema: schema.Schema{"type": "string", "maxLength": 64},
	}}
)

const changesDoc = "Server-sent events, of finalised blocks only. event: change has a Change as data; event: reset says that the index was built anew and numbers changes differently, so that what is " +
	"held has to be read again. An id without an event comes after a while of silence. Who reads too slowly is cut, and can resume by the last id: nothing is lost. Filters are of the device as it is when the change is told."

func (s *server) changes(c *call) (reply, error) {
	q, err := queryOf(c.args, s.Now())
	if err != nil {
		return reply{}, err
	}
	if s.Feed == nil {
		return reply{}, &Problem{Status: http.StatusServiceUnavailable, Type: typeLoading, Title: "There is no change feed", Detail: "this process does not tell of changes"}
	}
	switch err := s.Feed.Serve(c.w, c.r, q); {
	case errors.Is(err, feed.ErrPlace):
		return reply{}, wrong(headerResume.Name, "%v", err)
	case errors.Is(err, feed.ErrFull):
		return reply{}, &Problem{Status: http.StatusServiceUnavailable, Detail: err.Error()}
	case errors.Is(err, feed.ErrClosed):
		transport.RetryAfter(c.w, 5)
		return reply{}, &Problem{Status: http.StatusServiceUnavailable, Detail: err.Error()}
	default:
		return reply{}, err
	}
}
