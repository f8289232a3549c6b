package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"iod/index"
	"iod/index/postgres"
	"iod/index/postgres/pgtest"
	"iod/index/storetest"
)

// The environment of a child: the database, and at which block it kills itself, all but the commit done.
const (
	envDatabase = "IOD_TEST_POSTGRES"
	envKillAt   = "IOD_TEST_POSTGRES_KILL_AT"
)

// TestChild is a process that TestKilledWriters starts. It ends when it is killed, or after an hour at the latest with the test binary.
func TestChild(t *testing.T) {
	url := os.Getenv(envDatabase)
	if url == "" {
		t.Skip("not a child")
	}
	killAt, err := strconv.ParseUint(os.Getenv(envKillAt), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	s, first := open(t, url), uint32(0)
	err = index.Lead(t.Context(), s, index.Options{
		Source: slow{storetest.Random(t, seed, blocks, devices)}, Store: &killing{s, uint32(killAt)}, From: &first,
	}, nil)
	t.Error("the child ended by itself:", err)
}

// killing is a store that kills its process in the transaction that passes a block.
type killing struct {
	*postgres.Store
	at uint32
}

func (k *killing) Update(ctx context.Context, f func(index.Tx) error) error {
	return k.Store.Update(ctx, func(tx index.Tx) error { return f(&killingTx{tx, k.at}) })
}

type killingTx struct {
	index.Tx
	at uint32
}

func (k *killingTx) Advance(ctx context.Context, was *index.Cursor, anchors []index.Cursor, head uint32) error {
	if err := k.Tx.Advance(ctx, was, anchors, head); err != nil {
		return err
	}
	if anchors[len(anchors)-1].Number < k.at {
		return nil
	}
	if _, _, err := k.Due(ctx, 0); err != nil { // so that all is written
		return err
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	panic(fmt.Sprint("not killed: ", err))
}

// Of several processes on one database, those that write are killed again and again, in the middle of a transaction and at any other
// moment; others go on, and in the end the index is what it is without.
func TestKilledWriters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel()
	want, url := want(t), pgtest.Database(t)
	s := open(t, url)
	var running sync.WaitGroup
	var mu sync.Mutex
	var children []*exec.Cmd
	deaths := make(chan struct{}, 100)
	start := func(killAt uint32) {
		c := exec.Command(os.Args[0], "-test.run=^TestChild$")
		c.Env = append(os.Environ(), envDatabase+"="+url, fmt.Sprint(envKillAt, "=", killAt))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		children = append(children, c)
		mu.Unlock()
		running.Go(func() {
			if err := c.Wait(); err == nil || c.ProcessState.Exited() {
				t.Errorf("a child was not killed: %v", err)
			}
			deaths <- struct{}{}
		})
	}
	killAll := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range children {
			c.Process.Kill() //nolint:errcheck // it may be dead
		}
		children = nil
	}
	defer running.Wait()
	defer killAll()
	const suicides = 6
	for i := range uint32(suicides) {
		start(10 + 15*i) // whichever writes dies when it is its turn, or at once
	}
	for range suicides {
		select {
		case <-deaths:
		case <-time.After(patience):
			t.Fatal("the writers do not die")
		}
	}
	for i := range uint32(3) {
		start(index.Never)
		start(index.Never)
		reach(t, s, 100+25*i)
		killAll()
	}
	start(index.Never)
	reach(t, s, blocks)
	killAll()
	running.Wait()
	compare(t, s, want)
	if st, err := s.State(t.Context()); err != nil || st.Cursor.Number != blocks {
		t.Errorf("at last: %+v, %v", st, err)
	}
}
