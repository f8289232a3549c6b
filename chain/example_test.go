package chain_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"iod/chain"
	"iod/devchain"
	"iod/key"
	"iod/metadata"
)

// develop runs a development chain in this process, as a stand-in for a node.
func develop() (url string, stop func()) {
	dc, err := devchain.New(devchain.Options{})
	if err != nil {
		panic(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- dc.Serve(ctx, ln) }()
	return "ws://" + ln.Addr().String(), func() {
		cancel()
		<-done
		_ = dc.Close()
	}
}

// Connect, send tokens, wait for finality and read a balance as of that block.
func Example() {
	url, stop := develop()
	defer stop()
	ctx := context.Background()
	client, err := chain.Dial(ctx, chain.Options{Endpoints: []string{url}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	alice, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := key.ParseAccount("5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX")
	if err != nil {
		fmt.Println(err)
		return
	}
	amount, err := chain.ParsePlanck("1.5", 18)
	if err != nil {
		fmt.Println(err)
		return
	}
	tx, err := client.Submit(ctx, alice, chain.Transfer(to, amount), chain.TxOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := tx.Finalised(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	block, err := client.BlockAt(ctx, outcome.Block)
	if err != nil {
		fmt.Println(err)
		return
	}
	balance, err := block.Balance(ctx, to)
	fmt.Println(balance.Free.Format(18), err)
	// Output: 1.5 <nil>
}

// Storage, constants and events are read by their names in the runtime's metadata.
func ExampleBlock_Storage() {
	url, stop := develop()
	defer stop()
	ctx := context.Background()
	client, err := chain.Dial(ctx, chain.Options{Endpoints: []string{url}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	best, err := client.Best(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	number, err := best.Storage(ctx, "System", "Number")
	fmt.Println(number, err)
	// Output: 0 <nil>
}

// Follow the chain from block 0; the loop ends when the context does or by break.
func ExampleClient_FollowFinalised() {
	url, stop := develop()
	defer stop()
	ctx := context.Background()
	client, err := chain.Dial(ctx, chain.Options{Endpoints: []string{url}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	for block, err := range client.FollowFinalised(ctx, 0) {
		if err != nil {
			fmt.Println(err)
			return
		}
		events, err := block.Events(ctx)
		fmt.Println(block.Number, len(events), err)
		break
	}
	// Output: 0 0 <nil>
}

// Sign on a machine that has no connection: metadata, genesis hash and versions come from elsewhere.
func ExampleOffline_Sign() {
	raw, err := os.ReadFile("../../shared/peaq/metadata-v14.scale")
	if err != nil {
		fmt.Println(err)
		return
	}
	meta, err := metadata.Parse(raw)
	if err != nil {
		fmt.Println(err)
		return
	}
	genesis, err := chain.ParseHash("0x4545454545454545454545454545454545454545454545454545454545454545")
	if err != nil {
		fmt.Println(err)
		return
	}
	offline, err := chain.NewOffline(meta, genesis, chain.Runtime{SpecName: "peaq-node", SpecVersion: 1, TxVersion: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	bob, err := key.FromURI(key.Ed25519, "//Bob")
	if err != nil {
		fmt.Println(err)
		return
	}
	extrinsic, err := offline.Sign(bob, chain.Remark([]byte("hello")), chain.Params{Nonce: 3})
	fmt.Println(len(extrinsic), chain.ExtrinsicHash(extrinsic), err)
	// Output: 112 0x945b410fe1779c5c663f3a132d13376e8e27760ba8e3f8db9039ec85f6919945 <nil>
}

func ExamplePlanck_Format() {
	price, err := chain.ParsePlanck("42.03995", 18)
	fmt.Println(price.Format(18), "PEAQ =", price, "planck", err)
	// Output: 42.03995 PEAQ = 42039950000000000000 planck <nil>
}
