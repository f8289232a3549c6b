package api

import (
	"fmt"
	"net/http"

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
