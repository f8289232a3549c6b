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

// A client that looks at heads again and again, as one does who waits for transactions, ends each subscription while its
// notifications are still on their way. However often: the node is to be believed, and its connection kept.
func TestOneConnectionLastsForManySubscriptions(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{BlockTime: time.Millisecond})
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
	ctx := deadline(t, 60*time.Second)
	for range 1000 {
		for _, err := range c.FollowBest(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	tx, err := c.Submit(ctx, dev(t, key.Sr25519, "//Alice"), chain.Remark(nil), chain.TxOptions{Immortal: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Finalised(ctx); err != nil {
		t.Fatal(err)
	}
}
