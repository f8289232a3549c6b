package chain_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/key"
)

// A client that submits and waits again and again opens two subscriptions for each transaction, and ends them while their
// notifications are still on their way. However often: the node is to be believed, and its connection kept.
func TestOneConnectionLastsForManyTransactions(t *testing.T) {
	t.Parallel()
	n := 500
	if testing.Short() {
		n = 50
	}
	url, dc := devchaintest.Start(t, devchain.Options{})
	var left bytes.Buffer // what the client says when it gives a connection up
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}, Log: slog.New(slog.NewTextHandler(&left, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Close()
		for line := range strings.Lines(left.String()) {
			if strings.Contains(line, "left node") {
				t.Error(line)
			}
		}
	}()
	k := dev(t, key.Sr25519, "//Alice")
	ctx := deadline(t, 60*time.Second)
	for i := range n {
		tx, err := c.Submit(ctx, k, chain.Remark([]byte("again")), chain.TxOptions{})
		if err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		if _, err := tx.Finalised(ctx); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		if _, err := dc.NewBlock(9); err != nil {
			t.Fatal(err)
		}
	}
}
