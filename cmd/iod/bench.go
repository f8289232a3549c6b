//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"iod/index"
	"iod/index/market"
	"iod/index/postgres"
)

func (a *app) benchCommand() *cobra.Command {
	return group("bench", "Measure an index with a marketplace that is made up", `Makes a marketplace of any size, always the same for a seed, serves it without a chain, and searches it as people would:

  iod bench market --database market.db --listings 1000000
  iod bench search --database market.db
  iod bench map --database market.db
  iod bench feed
`, a.benchMarket(), a.benchServe(), a.benchSearch(), a.benchMap(), a.benchFeed())
}

// benchFlags are the flags that all of bench have.
type benchFlags struct {
	database string
	seed     uint64
}

func (b *benchFlags) add(c *cobra.Command, database string) {
	c.Flags().StringVar(&b.database, "database", database, "SQLite file, or URL of a PostgreSQL database")
	c.Flags().Uint64Var(&b.seed, "seed", 1, "number that the market is made from")
}

func (a *app) benchMarket() *cobra.Command {
	var b benchFlags
	var listings int
	var force bool
	c := &cobra.Command{
		Use:   "market",
		Short: "Fill a database with a marketplace that is made up",
		Long: `Makes devices at plausible places, with types, units, prices and owners as there might be, some of them unsigned or
overwritten by strangers, and lets an index take them in as it does a chain: signatures are made and verified. The same seed and
number give the same market.`,
		Example: "  iod bench market --database market.db --listings 100000\n  iod bench market --database postgres:///market --listings 1000000 -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if listings < 1 || listings > 1<<27 {
				return usage(fmt.Errorf("a market of %d listings: want 1 to %d", listings, 1<<27))
			}
			return a.fillMarket(c.Context(), b, listings, force)
		},
	}
	b.add(c, "market.db")
	c.Flags().IntVar(&listings, "listings", 100_000, "how many devices there are")
	c.Flags().BoolVar(&force, "force", false, "throw away what the database holds")
	return c
}

// filledMarket is what `iod bench market -o json` says in the end.
type filledMarket struct {
	Listings uint64  `json:"listings"`
	Verified uint64  `json:"verified"`
	Entries  int64   `json:"history"`
	SetAside uint64  `json:"set_aside"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"listings_per_second"`
	Bytes    int64   `json:"bytes,omitempty"` // of a SQLite file
}

func (a *app) fillMarket(ctx context.Context, b benchFlags, listings int, force bool) error {
	store, err := openDatabase(ctx, b.database)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := vacant(ctx, store, force); err != nil {
		return err
	}
	m, err := market.New(b.seed, listings)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	if _, err := store.Campaign(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := m.Fill(ctx, store, a.log(), a.progress()); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	st, err := store.State(ctx)
	if err != nil {
		return err
	}
	f := filledMarket{st.Live, st.Verified, st.Change, st.SetAside, took, float64(st.Live) / took, fileSize(b.database)}
	each := ""
	if f.Bytes > 0 {
		each = fmt.Sprintf(", %d bytes each", uint64(f.Bytes)/max(st.Live, 1))
	}
	return a.print(f, "%d listings in %.0f s, %.0f a second%s; %d verified, %d lines of history, %d set aside\n",
		f.Listings, f.Seconds, f.Rate, each, f.Verified, f.Entries, f.SetAside)
}

// vacant refuses a database that holds an index, unless it may be thrown away.
func vacant(ctx context.Context, store index.Reader, force bool) error {
	st, err := store.State(ctx)
	if err != nil {
		return err
	}
	if st.Origin != nil && !force {
		return hint(usage(errors.New("the database holds an index already")), "name another one, or give --force to throw away what it holds")
	}
	return nil
}

// fileSize is how large a SQLite file is with its log, in bytes; 0 for other databases.
func fileSize(database string) (size int64) {
	if postgres.Is(database) {
		return 0
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(database + suffix); err == nil {
			size += info.Size()
		}
	}
	return size
}

// marketOf is the market that a database is filled with.
func marketOf(ctx context.Context, store index.Reader, seed uint64) (*market.Market, error) {
	st, err := store.State(ctx)
	if err != nil {
		return nil, err
	}
	m, err := market.New(seed, int(st.Live))
	if err != nil {
		return nil, err
	}
	if st.Origin == nil || st.Origin.Genesis != m.Genesis() {
		return nil, hint(usage(fmt.Errorf("the database does not hold the market with seed %d", seed)), "fill one with: iod bench market")
	}
	return m, nil
}
