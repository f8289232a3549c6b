package api

import (
	"fmt"
	"net/http"
	"time"

	"iod/index"
)

func (s *server) status(c *call) (reply, error) { return asJSON(statusOf(c.state)) }

// health says that the process answers. Whether the index can be asked, ready says.
func (s *server) health(*call) (reply, error) { return asJSON(Health{Status: "ok"}) }

// ready says whether the index can be asked and is up to date.
func (s *server) ready(c *call) (reply, error) {
	st, err := s.reader.State(c.r.Context())
	var why []string
	switch {
	case err != nil:
		s.log.Error("api: ready", "error", err)
		s.metrics.storeErrors.Inc()
		why = append(why, "the database cannot be read")
	case st.Origin == nil:
		why = append(why, "the index is empty")
	case st.Cursor == nil:
		why = append(why, "the registry's state is being read")
	default:
		if lag := st.Head - min(st.Head, st.Cursor.Number); lag > s.MaxLag {
			why = append(why, fmt.Sprintf("the index is %d blocks behind, more than %d", lag, s.MaxLag))
		}
		if age := s.Now().Sub(st.Committed); age > s.MaxAge {
			why = append(why, fmt.Sprintf("no block was taken in since %s, longer than %v", st.Committed.UTC().Format("2006-01-02T15:04:05Z"), s.MaxAge))
		}
	}
	if why == nil {
		return asJSON(Health{Status: "ok"})
	}
	r, err := asJSON(Health{"not ready", why})
	r.status, r.cache = http.StatusServiceUnavailable, "no-store"
	return r, err
}

func (s *server) asides(c *call) (reply, error) {
	limit := int(paramLimit.or(c.args, index.DefaultLimit))
	found, err := s.reader.Asides(c.r.Context(), paramBefore.or(c.args, 0), limit)
	if err != nil {
		return reply{}, err
	}
	page := Asides{SetAside: make([]Aside, len(found))}
	for i, a := range found {
		page.SetAside[i] = Aside{ID: a.ID, By: address(a.Who), Reason: a.Reason, Size: a.Size, Value: hexOf(a.Raw), At: pointOf(a.At)}
		if a.Account != nil {
			page.SetAside[i].DID = a.Account.DID()
		}
	}
	if len(found) == limit {
		page.Next = found[len(found)-1].ID
	}
	return asJSON(page)
}

// Stats are what the index holds, in numbers.
type Stats struct {
	Devices   Counts `json:"devices" doc:"How many there are."`
	SetAside  uint64 `json:"set_aside" doc:"Documents that are not believed."`
	DataTypes Terms  `json:"data_type" doc:"Live devices by type of data; a device with several counts for each."`
	Kinds     Terms  `json:"kind" doc:"By kind of stream."`
	Units     Terms  `json:"unit" doc:"By unit."`
	Prices    []Band `json:"price" doc:"By bands of prices that hold about as many each."`
	Days      []Day  `json:"days" doc:"Days on which something happened, the newest first."`
	Complete  bool   `json:"complete" doc:"false: the history is still being added up."`
}

// Day is what happened on one day.
type Day struct {
	Date    string `json:"date" format:"date" doc:"In UTC, by the time of the blocks."`
	New     int    `json:"new" doc:"Devices seen for the first time."`
	Updated int    `json:"updated" doc:"Documents that took the place of another one of a device that was offered."`
	Back    int    `json:"back" doc:"Devices offered again after they had ended."`
	Ended   int    `json:"ended" doc:"Removed by their own account, or expired."`
	Live    int    `json:"live" doc:"Offered at the end of the day."`
}

var paramDays = number("days", "How many days are told of, of those on which something happened.", "30", 1, 3660)

func (s *server) stats(c *call) (reply, error) {
	if s.Atlas == nil || s.Growth == nil {
		return reply{}, s.counting(c.w, nil)
	}
	st, err := s.states.get(c.r.Context(), s.reader)
	if err != nil {
		return reply{}, err
	}
	f, err := s.Atlas.Facets(c.r.Context(), index.Query{}, int(paramTop.or(c.args, 50)))
	if err != nil {
		return reply{}, s.counting(c.w, err)
	}
	now, counts := statusOf(st), facetsOf(&f)
	out := Stats{
		Devices: now.Devices, SetAside: now.SetAside, DataTypes: counts.DataTypes, Kinds: counts.Kinds, Units: counts.Units, Prices: counts.Prices,
		Days: []Day{}, Complete: s.Growth.Ready(),
	}
	for _, d := range s.Growth.Days(int(paramDays.or(c.args, 30))) {
		out.Days = append(out.Days, Day{d.Date.Format(time.DateOnly), d.New, d.Updated, d.Back, d.Ended, d.Live})
	}
	return asJSON(out)
}
