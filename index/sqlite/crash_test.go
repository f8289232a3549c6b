package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
)

// The environment of the child: the database, and how many blocks it takes in before it kills itself in the middle of a
// transaction.
const (
	envDatabase = "IOD_TEST_INDEX_DATABASE"
	envKillAt   = "IOD_TEST_INDEX_KILL_AT"
)

const crashSeed, crashBlocks, crashDevices = 9, 160, 8

// TestChild is the process that TestKilledInMidWrite starts and kills.
func TestChild(t *testing.T) {
	path := os.Getenv(envDatabase)
	if path == "" {
		t.Skip("not a child")
	}
	killAt, err := strconv.ParseUint(os.Getenv(envKillAt), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	s, first := open(t, path), uint32(0)
	committed := make(chan struct{})
	err = index.Run(t.Context(), index.Options{
		Source: lockstep{storetest.Random(t, crashSeed, crashBlocks, crashDevices), committed},
		Store:  &killing{s, uint32(killAt), committed}, From: &first,
	})
	t.Error("the child ended by itself:", err)
}

// killing is a store that kills its process within the transaction that passes a block, having written all but the commit.
type killing struct {
	*sqlite.Store
	at        uint32
	committed chan<- struct{}
}

func (k *killing) Update(ctx context.Context, f func(index.Tx) error) error {
	err := k.Store.Update(ctx, func(tx index.Tx) error { return f(&killingTx{tx, k.at}) })
	fmt.Println("committed")
	select {
	case k.committed <- struct{}{}:
	case <-ctx.Done():
	}
	return err
}

// lockstep is a chain that yields a block when the one before is committed, so that each has a transaction of its own.
type lockstep struct {
	*storetest.Chain
	committed <-chan struct{}
}

func (l lockstep) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		for b, err := range l.Chain.Follow(ctx, from) {
			if !yield(b, err) {
				return
			}
			select {
			case <-l.committed:
			case <-ctx.Done():
				return
			}
		}
	}
}

type killingTx struct {
	index.Tx
	at uint32
}

func (k *killingTx) Advance(ctx context.Context, was *index.Cursor, anchors []index.Cursor, head uint32) error {
	if err := k.Tx.Advance(ctx, was, anchors, head); err != nil {
		return err
	}
	if anchors[len(anchors)-1].Number >= k.at {
		die()
	}
	return nil
}

func die() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	panic(fmt.Sprint("not killed: ", err))
}

// Killed in the middle of writing, again and again at other places, and from outside at any moment, the index is in the end
// what it is without.
func TestKilledInMidWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel()
	whole, first := temp(t), uint32(0)
	storetest.Fill(t, whole, index.Options{Source: storetest.Random(t, crashSeed, crashBlocks, crashDevices), From: &first})
	want := storetest.Dump(t, whole, storetest.Accounts(t, crashDevices)...)

	dir := t.TempDir()
	// run lets a child kill itself at a block, or kills it once it has committed so many times.
	run := func(path string, killAt uint32, commits int) {
		t.Helper()
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
		c.Env = append(os.Environ(), envDatabase+"="+path, fmt.Sprint(envKillAt, "=", killAt))
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		told := bufio.NewScanner(out)
		for told.Scan() {
			if commits--; commits == 0 {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Wait(); err == nil || c.ProcessState.Exited() {
			t.Fatalf("the child was not killed: %v: %s", err, told.Text())
		}
	}
	check := func(path string, below uint32) {
		t.Helper()
		s := open(t, path)
		defer s.Close()
		st, err := s.State(t.Context())
		if err != nil || st.Cursor == nil || st.Cursor.Number != below && below != index.Never {
			t.Errorf("after kills: %+v, %v; want block %d", st.Cursor, err, below)
		}
		storetest.Fill(t, s, index.Options{Source: storetest.Random(t, crashSeed, crashBlocks, crashDevices), From: &first})
		if got := storetest.Dump(t, s, storetest.Accounts(t, crashDevices)...); got != want {
			t.Errorf("after kills another index, %d bytes of dump in place of %d", len(got), len(want))
		}
	}

	within := filepath.Join(dir, "within.db")
	last := uint32(0)
	for at := uint32(1); at <= crashBlocks; at += 31 {
		run(within, at, -1)
		last = at
	}
	check(within, last-1)
	outside := filepath.Join(dir, "outside.db")
	for i := range 5 {
		run(outside, index.Never, 1+7*i)
	}
	check(outside, index.Never)
}
