//go:build !device

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"iod/index/market"
)

func (a *app) benchMap() *cobra.Command {
	var s searching
	c := &cobra.Command{
		Use:   "map",
		Short: "Ask a made-up marketplace for tiles of its map, facets and statistics, and tell how fast the answers come",
		Long: `As iod bench search, for what a page with a map asks for beside the list: tiles at all zooms where something is, what there is to choose
from, and statistics; half of them with filters.`,
		Example: "  iod bench map --database market.db --duration 30s",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.loadMarket(c.Context(), s, []byte(`{"type":"Feature"`), viewsOf)
		},
	}
	s.flags(c)
	return c
}

func viewsOf(searches *market.Searches) enquiries {
	return func([]byte) enquiry {
		v := searches.View()
		path := "/api/v1/stats" // which take no filters, and have none
		switch v.Of {
		case market.OfTile:
			path = fmt.Sprintf("/api/v1/tiles/%d/%d/%d", v.Z, v.X, v.Y)
		case market.OfFacets:
			path = "/api/v1/facets"
		}
		return enquiry{v.Class, path, asked(v.Query).Values()}
	}
}
