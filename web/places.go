package web

import (
	"context"
	"encoding/json"
	"net/http"

	"iod/web/earth"
)

// places answers with up to eight names of places that begin as asked, for the field's suggestions.
func (s *site) places(_ context.Context, r *http.Request) (*answer, error) {
	names := []string{}
	for _, p := range earth.Find(r.URL.Query().Get("q"), 8) {
		names = append(names, p.String())
	}
	body, err := json.Marshal(names)
	return &answer{kind: "application/json", body: body}, err
}
