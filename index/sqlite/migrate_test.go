package sqlite

import (
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"iod/index"
	"iod/index/storetest"
)

// The files of testdata were written by the programs with schema 1, 2 and 3 from the first blocks of the chain beside them.
const (
	releasedBlocks  = 90
	releasedDevices = 12
	furtherBlocks   = 130
)

// recorded is the chain of testdata up to a block.
type recorded struct{ blocks []index.Block }

func readChain(t *testing.T, blocks int) recorded {
	t.Helper()
	var c recorded
	if err := json.Unmarshal(unzipped(t, "testdata/released-chain.json.gz"), &c.blocks); err != nil {
		t.Fatal(err)
	}
	c.blocks = c.blocks[:blocks+1]
	return c
}

func (c recorded) Genesis() index.Hash { return c.blocks[0].Hash }

func (c recorded) Finalised(context.Context) (index.Cursor, error) {
	return c.blocks[len(c.blocks)-1].Cursor, nil
}

func (c recorded) HashAt(_ context.Context, n uint32) (index.Hash, error) {
	return c.blocks[n].Hash, nil
}

func (c recorded) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		for _, b := range c.blocks[from:] {
			if b.Events = slices.Clone(b.Events); !yield(b, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (c recorded) State(context.Context, index.Cursor, func(uint64, uint64)) iter.Seq2[index.Part, error] {
	return func(func(index.Part, error) bool) {}
}

// TestMigrateReleased: a file that a released program wrote becomes the same as one that is made anew, and goes on as one.
func TestMigrateReleased(t *testing.T) {
	t.Parallel()
	zero := uint32(0)
	accounts := storetest.Accounts(t, releasedDevices)
	fresh := openTemp(t)
	storetest.Fill(t, fresh, index.Options{Source: readChain(t, releasedBlocks), From: &zero})
	want := storetest.Dump(t, fresh, accounts...)
	storetest.Fill(t, fresh, index.Options{Source: readChain(t, furtherBlocks)})
	further := storetest.Dump(t, fresh, accounts...)
	for schema := 1; schema <= 3; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			s := released(t, schema)
			if got := storetest.Dump(t, s, accounts...); got != want {
				t.Error(storetest.FirstDifference(got, want))
			}
			if got, want := layout(t, s), layout(t, fresh); got != want {
				t.Errorf("the schema is\n%s\nwant\n%s", got, want)
			}
			storetest.Fill(t, s, index.Options{Source: readChain(t, furtherBlocks)})
			if got := storetest.Dump(t, s, accounts...); got != further {
				t.Error("after further blocks:\n" + storetest.FirstDifference(got, further))
			}
			searches(t, s, fresh)
		})
	}
}

// unzipped reads a file of testdata.
func unzipped(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// released opens a copy of a file of testdata.
func released(t *testing.T, schema int) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	if err := os.WriteFile(path, unzipped(t, fmt.Sprintf("testdata/schema-%d.db.gz", schema)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// layout is the schema of a file.
func layout(t *testing.T, s *Store) (all string) {
	t.Helper()
	texts, err := query(t.Context(), s, "schema", func(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) },
		"SELECT ifnull(sql, name) FROM sqlite_schema WHERE tbl_name <> 'goose_db_version' ORDER BY type, name")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range texts {
		all += x + "\n"
	}
	return all
}

// searches compares what two stores find by every kind of index.
func searches(t *testing.T, got, want *Store) {
	t.Helper()
	price := index.Price{15: 1}
	for _, q := range []index.Query{
		{}, {Text: "weath wind"}, {Text: "stm32"}, {DataTypes: []string{"wind_speed"}}, {Kinds: []string{"rtsp", "mqtt"}}, {Units: []string{"m/s"}}, {MinPrice: &price},
		{Order: index.Cheapest}, {Order: index.Dearest}, {Near: &index.Near{Lat: 40, Lon: 44}, Order: index.Nearest}, {State: "unverified"},
		{Box: &index.Box{South: 40, West: 44, North: 53, East: 45}}, {Owner: &storetest.Accounts(t, 1)[0]},
	} {
		q.Limit = index.MaxLimit
		a, errA := got.Search(t.Context(), q)
		b, errB := want.Search(t.Context(), q)
		if errA != nil || errB != nil || len(a.Found) != len(b.Found) {
			t.Fatalf("%+v finds %d, want %d; %v, %v", q, len(a.Found), len(b.Found), errA, errB)
		}
		for i := range a.Found {
			if a.Found[i].Rank != b.Found[i].Rank || a.Found[i].Offer != b.Found[i].Offer {
				t.Errorf("%+v finds at %d %v, want %v", q, i, a.Found[i], b.Found[i])
			}
		}
	}
}
